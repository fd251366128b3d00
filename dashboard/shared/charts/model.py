"""What a chart shows. Texts are in the language of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from dashboard.shared.charts.units import Unit


@dataclass(frozen=True, slots=True)
class Series:
    """Values of one kind, one for each category or day. None: not known, which is not drawn as 0."""

    name: str
    tone: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class BarChart:
    """Stacked horizontal bars, one for each category. `links` are the URLs of the categories in the table, if any."""

    title: str
    heading: str
    categories: Sequence[str]
    series: Sequence[Series]
    unit: Unit
    description: str = ""
    links: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class LineChart:
    """Lines over days in ascending order. A day that is missing between two others is a part of the line."""

    title: str
    days: Sequence[date]
    series: Sequence[Series]
    unit: Unit
    description: str = ""


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a whole. `link` leads to it; `note` is said beside its value."""

    name: str
    value: float
    link: str = ""
    tone: str = "plain"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Treemap:
    """Tiles with areas in proportion to their values. Tiles without a value are in the table only."""

    title: str
    heading: str
    tiles: Sequence[Tile]
    unit: Unit
    description: str = ""
