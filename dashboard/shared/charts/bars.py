"""The drawing of stacked bars: a line of text above each bar, so that names have room on a phone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dashboard.shared.charts.drawing import Legend, legend_of, percent
from dashboard.shared.charts.model import BarChart, Series

ROW_HEIGHT, TEXT_HEIGHT, BAR_HEIGHT = 44, 15, 16


@dataclass(frozen=True, slots=True)
class Segment:
    x: str
    width: str
    tone: str
    title: str


@dataclass(frozen=True, slots=True)
class Bar:
    name: str
    total: str
    text_y: int
    y: int
    segments: list[Segment]


@dataclass(frozen=True, slots=True)
class BarDrawing:
    height: int
    bar_height: int
    bars: list[Bar]
    legend: list[Legend]


def draw(chart: BarChart) -> BarDrawing:
    """The longest bar has the whole width."""
    totals = [_total(chart.series, place) for place in range(len(chart.categories))]
    highest = max(totals, default=0) or 1
    bars = [
        Bar(
            name=name,
            total=chart.unit.text(totals[place]),
            text_y=place * ROW_HEIGHT + TEXT_HEIGHT,
            y=place * ROW_HEIGHT + TEXT_HEIGHT + 6,
            segments=list(_segments(chart, place, highest)),
        )
        for place, name in enumerate(chart.categories)
    ]
    return BarDrawing(max(1, len(bars)) * ROW_HEIGHT, BAR_HEIGHT, bars, legend_of(chart.series))


def _total(series: Sequence[Series], place: int) -> float:
    return sum(each.values[place] or 0 for each in series)


def _segments(chart: BarChart, place: int, highest: float) -> Iterator[Segment]:
    start = 0.0
    for each in chart.series:
        value = each.values[place] or 0
        if value > 0:
            yield Segment(
                x=percent(start / highest),
                width=percent(value / highest),
                tone=each.tone,
                title=f"{chart.categories[place]}, {each.name}: {chart.unit.text(value)}",
            )
            start += value
