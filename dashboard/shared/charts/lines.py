"""The drawing of lines over days."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from django.utils.formats import date_format

from dashboard.shared.charts.drawing import Legend, legend_of, number, percent
from dashboard.shared.charts.model import LineChart, Series

TOP, PLOT_HEIGHT, BOTTOM = 16, 200, 24
SIDE = 1000
"""The width of the coordinates that lines have; they are stretched to that of the page."""

MOST_LABELS = 5


@dataclass(frozen=True, slots=True)
class GridLine:
    y: str
    text_y: str
    text: str


@dataclass(frozen=True, slots=True)
class DayLabel:
    """`is_inner`: hidden on a phone, where the first and the last day have room."""

    x: str
    anchor: str
    text: str
    is_inner: bool


@dataclass(frozen=True, slots=True)
class Dot:
    """A value without neighbours, which a line does not show."""

    x: str
    y: str


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    tone: str
    points: list[str]
    dots: list[Dot]


@dataclass(frozen=True, slots=True)
class LineDrawing:
    height: int
    top: int
    plot_height: int
    side: int
    label_y: int
    grid: list[GridLine]
    labels: list[DayLabel]
    lines: list[Line]
    legend: list[Legend]


def draw(chart: LineChart) -> LineDrawing:
    """The axis starts at 0, so that heights can be compared."""
    highest = max((value for each in chart.series for value in each.values if value is not None), default=0)
    ticks = chart.unit.ticks(highest)
    shares = _shares(chart.days)
    return LineDrawing(
        height=TOP + PLOT_HEIGHT + BOTTOM,
        top=TOP,
        plot_height=PLOT_HEIGHT,
        side=SIDE,
        label_y=TOP + PLOT_HEIGHT + 17,
        grid=[_grid_line(tick, ticks[-1], chart.unit.text(tick)) for tick in ticks],
        labels=list(_labels(chart.days, shares)),
        lines=[_line(each, shares, ticks[-1]) for each in chart.series],
        legend=legend_of(chart.series),
    )


def day_text(day: date) -> str:
    return date_format(day, "DATE_FORMAT")


def _shares(days: Sequence[date]) -> list[float]:
    """Where each day is between the first and the last one. A single day is in the middle."""
    if len(days) < 2 or days[0] == days[-1]:
        return [0.5] * len(days)
    span = (days[-1] - days[0]).days
    return [(day - days[0]).days / span for day in days]


def _y(value: float, highest: float) -> float:
    return PLOT_HEIGHT * (1 - value / highest)


def _grid_line(value: float, highest: float, text: str) -> GridLine:
    y = TOP + _y(value, highest)
    return GridLine(number(y), number(y - 4), text)


def _labels(days: Sequence[date], shares: Sequence[float]) -> Iterator[DayLabel]:
    last = len(days) - 1
    wanted = min(MOST_LABELS, len(days))
    places = sorted({round(each * last / max(1, wanted - 1)) for each in range(wanted)})
    for place in places:
        anchor = "middle" if last == 0 or 0 < place < last else "start" if place == 0 else "end"
        yield DayLabel(percent(shares[place]), anchor, day_text(days[place]), is_inner=0 < place < last)


def _line(series: Series, shares: Sequence[float], highest: float) -> Line:
    """A line ends where a value is not known, and starts again after it."""
    runs: list[list[tuple[float, float]]] = [[]]
    for share, value in zip(shares, series.values, strict=True):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((share, _y(value, highest)))
    points = [" ".join(f"{number(x * SIDE)},{number(y)}" for x, y in run) for run in runs if len(run) > 1]
    dots = [Dot(percent(run[0][0]), number(TOP + run[0][1])) for run in runs if len(run) == 1]
    return Line(series.name, series.tone, points, dots)
