"""What the drawings share: numbers of SVG attributes, which no language changes, and legends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.shared.charts.model import Series
from dashboard.shared.charts.units import Unit


@dataclass(frozen=True, slots=True)
class Legend:
    name: str
    tone: str


def percent(share: float) -> str:
    """A share of 1 as per cent of the width."""
    return f"{number(share * 100)}%"


def number(value: float) -> str:
    """At most three digits after the point, and no more zeros than needed."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def legend_of(series: Sequence[Series]) -> list[Legend]:
    """A chart with one series needs no legend: its title says what it shows."""
    return [Legend(each.name, each.tone) for each in series] if len(series) > 1 else []


def cell(value: float | None, unit: Unit) -> str:
    return "–" if value is None else unit.text(value)
