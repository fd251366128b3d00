"""The picture of an upload's parts: a strip with one rectangle for each run of part numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy

from dashboard.shared.formatting import Count
from dashboard.shared.messages.types import Message
from uploads.domain.part_summary import PartKind, PartSummary, Run

WIDTH = 1000
"""The width of the strip in units. The page stretches it."""

MAX_BARS = 600
"""The most bars to draw. If there are more runs, the strip is divided into columns."""

MIN_WIDTH = 2.5
"""The least width of a bar in units, so that one missing part of 10,000 is visible."""

SEPARATE = 150
"""The highest last part number at which every part has its own bar."""

WORST_FIRST = (PartKind.MISSING, PartKind.TOO_SMALL, PartKind.ODD_SIZED, PartKind.PRESENT)


class Texts(NamedTuple):
    """The texts of a kind of part: for the legend, with a plural, and for a bar of one part and of many."""

    counted: Message
    part: Message
    parts: Message


TEXTS = {
    PartKind.PRESENT: Texts(
        ngettext_lazy("%(count)s present", "%(count)s present", "count"),
        gettext_lazy("Part %(first)s: present"),
        gettext_lazy("Parts %(first)s to %(last)s: present"),
    ),
    PartKind.MISSING: Texts(
        ngettext_lazy("%(count)s missing", "%(count)s missing", "count"),
        gettext_lazy("Part %(first)s: missing"),
        gettext_lazy("Parts %(first)s to %(last)s: missing"),
    ),
    PartKind.TOO_SMALL: Texts(
        ngettext_lazy("%(count)s too small", "%(count)s too small", "count"),
        gettext_lazy("Part %(first)s: too small"),
        gettext_lazy("Parts %(first)s to %(last)s: too small"),
    ),
    PartKind.ODD_SIZED: Texts(
        ngettext_lazy("%(count)s of another size", "%(count)s of another size", "count"),
        gettext_lazy("Part %(first)s: of another size"),
        gettext_lazy("Parts %(first)s to %(last)s: of another size"),
    ),
}


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle. `x` and `width` are strings, because templates write floats in the locale's format."""

    x: str
    width: str
    kind: PartKind
    title: str


@dataclass(frozen=True, slots=True)
class LegendEntry:
    kind: PartKind
    count: int
    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """`text` describes the bars for screen readers."""

    width: int
    bars: tuple[Bar, ...]
    legend: tuple[LegendEntry, ...]
    text: str


def draw(summary: PartSummary) -> Picture:
    counts = {kind: summary.numbers_of(kind) for kind in PartKind}
    legend = tuple(LegendEntry(kind, n, TEXTS[kind].counted % {"count": Count(n)}) for kind, n in counts.items() if n)
    values = {"last": Count(summary.last_number), "counts": ", ".join(entry.text for entry in legend)}
    text = _("Part numbers 1 to %(last)s: %(counts)s.") % values if legend else _("No parts.")
    return Picture(WIDTH, _bars(summary), legend, text)


def _bars(summary: PartSummary) -> tuple[Bar, ...]:
    if not summary.last_number:
        return ()
    unit = WIDTH / summary.last_number
    if summary.last_number <= SEPARATE:
        gap = min(2.0, unit * 0.15)
        runs = [Run(number, number, run.kind) for run in summary.runs for number in range(run.first, run.last + 1)]
    else:
        gap = 0.0
        runs = list(summary.runs) if len(summary.runs) <= MAX_BARS else _columns(summary)
    # The exceptions are drawn last, so that a wide neighbour never covers them.
    ordered = sorted(runs, key=lambda run: run.kind is not PartKind.PRESENT)
    return tuple(_bar(run, unit, gap) for run in ordered)


def _bar(run: Run, unit: float, gap: float) -> Bar:
    width = max(run.count * unit - gap, MIN_WIDTH)
    x = min((run.first - 1) * unit, WIDTH - width)
    text = TEXTS[run.kind].part if run.count == 1 else TEXTS[run.kind].parts
    title = text % {"first": Count(run.first), "last": Count(run.last)}
    return Bar(str(round(x, 2)), str(round(width, 2)), run.kind, title)


def _columns(summary: PartSummary) -> list[Run]:
    """The strip as MAX_BARS columns of part numbers. Each shows the worst kind among its parts."""
    step = -(-summary.last_number // MAX_BARS)
    worst: dict[int, PartKind] = {}
    for run in summary.runs:
        for column in range((run.first - 1) // step, (run.last - 1) // step + 1):
            worst[column] = min(worst.get(column, PartKind.PRESENT), run.kind, key=WORST_FIRST.index)
    return [
        Run(column * step + 1, min((column + 1) * step, summary.last_number), kind)
        for column, kind in sorted(worst.items())
    ]
