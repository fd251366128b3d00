"""How fast a number of bytes grows: an average over the last seconds, from a few marks. Pure.

A mark is the number of bytes at a time, in seconds. Marks are stored with what is written anyway, at most one in
MARK_SECONDS, so that a rate costs no statement of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

WINDOW_SECONDS = 20.0
"""Rates are averages over at most this time."""

MARK_SECONDS = 5.0
MAX_MARKS = int(WINDOW_SECONDS / MARK_SECONDS)

LEAST_SECONDS = 1.0
"""The shortest time that a rate is computed over: a first block of bytes is no rate."""

Mark = tuple[float, int]


def add_mark(marks: Sequence[Sequence[float]], at: float, count: int) -> list[Mark]:
    """The marks to keep, oldest first, with a new one if it is due. A number that has decreased starts again."""
    kept = [(float(when), int(before)) for when, before in marks]
    if kept and (count < kept[-1][1] or at < kept[-1][0]):
        kept = []
    if not kept or at - kept[-1][0] >= MARK_SECONDS:
        kept.append((at, count))
    return kept[-MAX_MARKS:]


def rate_since(marks: Sequence[Sequence[float]], now: float, count: int) -> float | None:
    """Bytes per second since the oldest mark in the window; None if nothing has moved."""
    recent = [mark for mark in marks if 0 <= now - mark[0] <= WINDOW_SECONDS]
    return rate_of(count - recent[0][1], now - recent[0][0]) if recent else None


def rate_of(moved: float, seconds: float) -> float | None:
    """None if nothing has moved."""
    return moved / max(LEAST_SECONDS, seconds) if moved > 0 else None
