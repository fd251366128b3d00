"""The picture of a transfer's parts by state: absent, waiting, arriving, staged, sending, sent. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dashboard.shared.numbers import count_text
from uploads.domain.states import PartState
from uploads.selectors.transfers import PartRun

PART_STATES = {
    "sent": gettext_lazy("sent"),
    "sending": gettext_lazy("sending"),
    "staged": gettext_lazy("staged"),
    "arriving": gettext_lazy("arriving"),
    "waiting": gettext_lazy("waiting"),
    "absent": gettext_lazy("absent"),
}
"""The states in the order of the legend, with their texts."""
MOVING = (PartState.SENDING, "arriving")
MAX_SINGLE_CELLS = 150
"""Up to this many parts, each is drawn separately. With more, neighbours in the same state form a run."""
MAX_RUNS = 400
"""With more runs than this, the picture is drawn in stretches of equal length."""
MIN_CELL = 400
"""The width of the narrowest cell, as a fraction of the picture (1/400)."""


def draw(runs: Sequence[PartRun], part_count: int) -> dict[str, object]:
    """The parts as cells of an SVG, and how many are in each state."""
    counts = Counter[str]()
    for run in runs:
        counts[run.state] += run.last - run.first + 1
    drawn = runs if len(runs) <= MAX_RUNS else _coarser(runs, part_count)
    cells = [cell for run in drawn for cell in _cells(run, part_count)]
    # Parts that are moving are drawn last, so that one of 10,000 is still visible.
    cells.sort(key=lambda cell: cell["state"] in MOVING)
    legend = [(state, _legend_text(counts[state], state)) for state in PART_STATES if counts[state]]
    return {"width": part_count, "cells": cells, "legend": legend}


def _legend_text(count: int, state: str) -> str:
    return _("%(count)s %(state)s") % {"count": count_text(count), "state": PART_STATES[state]}


def _title(first: int, last: int, state: str) -> str:
    texts = {"first": count_text(first), "last": count_text(last), "state": PART_STATES[state]}
    return (_("Part %(first)s: %(state)s") if first == last else _("Parts %(first)s to %(last)s: %(state)s")) % texts


def _coarser(runs: Sequence[PartRun], part_count: int) -> list[PartRun]:
    """Stretches of equal length, each in the state of most of its parts: the poll of every second has to stay small."""
    states = [run.state for run in runs for _ in range(run.first, run.last + 1)]
    length = -(-part_count // MAX_RUNS)
    starts = range(0, part_count, length)
    stretches = ((start, states[start : start + length]) for start in starts)
    return [PartRun(start + 1, start + len(each), Counter(each).most_common(1)[0][0]) for start, each in stretches]


def _cells(run: PartRun, part_count: int) -> Iterator[dict[str, Any]]:
    """Each part separately, with a gap, if there are few of them; otherwise the run as one cell."""
    if part_count > MAX_SINGLE_CELLS:
        width: float = max(run.last - run.first + 1, part_count / MIN_CELL)
        yield _cell(run.first, run.last, width, run.state)
        return
    width = 1 - min(0.12, 0.003 * (part_count - 1))
    if run.state == "arriving":
        yield _cell(run.first, run.last, width, "absent")
        yield _cell(run.first, run.last, width * run.share, run.state)
        return
    for number in range(run.first, run.last + 1):
        yield _cell(number, number, width, run.state)


def _cell(first: int, last: int, width: float, state: str) -> dict[str, Any]:
    return {"title": _title(first, last, state), "x": first - 1, "width": width, "state": state}
