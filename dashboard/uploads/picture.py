"""The picture of an upload's parts: one strip, a rectangle a run of part numbers. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from uploads.domain.part_summary import PartKind, PartSummary, Run

WIDTH = 1000
"""Units the strip is wide; it is stretched to the page's width."""

MAX_BARS = 600
"""Bars drawn at most: with more runs than this the strip is cut in columns, each showing the worst of its parts."""

MIN_WIDTH = 2.5
"""Units a bar is wide at least, so that one missing part of 10,000 is seen."""

SEPARATE = 150
"""Up to this part number every part is a bar of its own."""

WORST_FIRST = (PartKind.MISSING, PartKind.TOO_SMALL, PartKind.ODD_SIZED, PartKind.PRESENT)

LABELS = {
    PartKind.PRESENT: "present",
    PartKind.MISSING: "missing",
    PartKind.TOO_SMALL: "too small",
    PartKind.ODD_SIZED: "of another size",
}


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    width: float
    kind: PartKind
    title: str


@dataclass(frozen=True, slots=True)
class LegendEntry:
    kind: PartKind
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class Picture:
    """`text` says the same as the bars."""

    width: int
    bars: tuple[Bar, ...]
    legend: tuple[LegendEntry, ...]
    text: str


def draw(part_summary: PartSummary) -> Picture:
    legend = tuple(
        LegendEntry(kind, LABELS[kind], count) for kind in PartKind if (count := part_summary.numbers_of(kind))
    )
    text = ", ".join(f"{entry.count:,} {entry.label}" for entry in legend)
    return Picture(
        WIDTH, _bars(part_summary), legend, f"Part numbers 1 to {part_summary.last_number:,}: {text or 'none'}."
    )


def _bars(part_summary: PartSummary) -> tuple[Bar, ...]:
    if not part_summary.last_number:
        return ()
    unit = WIDTH / part_summary.last_number
    if part_summary.last_number <= SEPARATE:
        gap = min(2.0, unit * 0.15)
        runs = [Run(number, number, run.kind) for run in part_summary.runs for number in range(run.first, run.last + 1)]
    else:
        gap = 0.0
        runs = list(part_summary.runs) if len(part_summary.runs) <= MAX_BARS else _columns(part_summary)
    # The small ones are drawn last, so that a wide neighbour never covers them.
    ordered = sorted(runs, key=lambda run: run.kind is not PartKind.PRESENT)
    return tuple(_bar(run, unit, gap) for run in ordered)


def _bar(run: Run, unit: float, gap: float) -> Bar:
    width = max(run.count * unit - gap, MIN_WIDTH)
    x = min((run.first - 1) * unit, WIDTH - width)
    numbers = f"Part {run.first:,}" if run.count == 1 else f"Parts {run.first:,} to {run.last:,}"
    return Bar(round(x, 2), round(width, 2), run.kind, f"{numbers}: {LABELS[run.kind]}")


def _columns(part_summary: PartSummary) -> list[Run]:
    """The strip in MAX_BARS columns of part numbers, each of its worst kind."""
    step = -(-part_summary.last_number // MAX_BARS)
    worst: dict[int, PartKind] = {}
    for run in part_summary.runs:
        for column in range((run.first - 1) // step, (run.last - 1) // step + 1):
            worst[column] = min(worst.get(column, PartKind.PRESENT), run.kind, key=WORST_FIRST.index)
    return [
        Run(column * step + 1, min((column + 1) * step, part_summary.last_number), kind)
        for column, kind in sorted(worst.items())
    ]
