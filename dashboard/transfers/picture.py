"""The picture of a transfer's parts: which are absent, waiting, staged, on their way, in the store. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from uploads.domain.states import PartState
from uploads.selectors.transfers import PartRun

PICTURED = ("sent", "sending", "staged", "waiting", "absent")
MAX_SINGLE_CELLS = 150
"""Up to this many parts the picture shows each by itself; beyond, neighbours in one state are one run."""
MAX_RUNS = 400
"""With more runs than this the picture is drawn in equal stretches."""
MIN_CELL = 400
"""No cell is narrower than this fraction of the picture."""


def draw(runs: Sequence[PartRun], part_count: int) -> dict[str, object]:
    """The parts as cells of an SVG, and how many are in each state."""
    counts = Counter[str]()
    for run in runs:
        counts[run.state] += run.last - run.first + 1
    drawn = runs if len(runs) <= MAX_RUNS else _coarser(runs, part_count)
    cells = [cell for run in drawn for cell in _cells(run, part_count)]
    # What moves is drawn over its neighbours, so that one part of 10,000 is still seen.
    cells.sort(key=lambda cell: cell["state"] == PartState.SENDING)
    legend = [(state, counts[state]) for state in PICTURED if counts[state]]
    return {"width": part_count, "cells": cells, "legend": legend}


def _coarser(runs: Sequence[PartRun], part_count: int) -> list[PartRun]:
    """Equal stretches of parts, each in the state of most of its parts: a poll a second has to stay small."""
    states = [run.state for run in runs for _ in range(run.first, run.last + 1)]
    length = -(-part_count // MAX_RUNS)
    starts = range(0, part_count, length)
    stretches = ((start, states[start : start + length]) for start in starts)
    return [PartRun(start + 1, start + len(each), Counter(each).most_common(1)[0][0]) for start, each in stretches]


def _cells(run: PartRun, part_count: int) -> Iterator[dict[str, Any]]:
    """Each part by itself, with a gap, where they are few; else the run as one."""
    if part_count > MAX_SINGLE_CELLS:
        width = max(run.last - run.first + 1, part_count / MIN_CELL)
        yield {"first": run.first, "last": run.last, "x": run.first - 1, "width": width, "state": run.state}
        return
    width = 1 - min(0.12, 0.003 * (part_count - 1))
    for number in range(run.first, run.last + 1):
        yield {"first": number, "last": number, "x": number - 1, "width": width, "state": run.state}
