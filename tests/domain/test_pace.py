"""Rates: averages over the last seconds, none when nothing moves."""

from __future__ import annotations

import pytest

from uploads.domain.pace import MAX_MARKS, WINDOW_SECONDS, add_mark, rate_of, rate_since

MIB = 1024**2


def marks_of_a_steady_sender(seconds: int, per_second: int, start: float = 1000.0) -> list[tuple[float, int]]:
    marks: list[tuple[float, int]] = []
    for tick in range(seconds * 2):
        marks = add_mark(marks, start + tick / 2, tick * per_second // 2)
    return marks


def test_steady_rate_is_the_rate() -> None:
    marks = marks_of_a_steady_sender(60, MIB)
    rate = rate_since(marks, 1060.0, 60 * MIB)
    assert rate == pytest.approx(MIB)
    assert len(marks) <= MAX_MARKS


def test_an_hour_of_another_rate_is_forgotten() -> None:
    """The average over the whole transfer would show an hour at full speed for a long time."""
    marks = marks_of_a_steady_sender(3600, 100 * MIB)
    count = int(marks[-1][1])
    for tick in range(60):
        marks = add_mark(marks, 4600.0 + tick / 2, count + tick * MIB // 2)
    assert rate_since(marks, 4630.0, count + 30 * MIB) == pytest.approx(MIB, rel=0.05)


@pytest.mark.parametrize(("silence", "expected"), [(5, "less"), (WINDOW_SECONDS + 1, None), (600, None)])
def test_rate_falls_during_silence_and_then_there_is_none(silence: float, expected: str | None) -> None:
    marks = marks_of_a_steady_sender(60, MIB)
    rate = rate_since(marks, 1060.0 + silence, 60 * MIB)
    assert (rate is None) if expected is None else (rate is not None and rate < MIB)


def test_bytes_that_arrived_before_a_long_pause_do_not_count() -> None:
    marks = add_mark(marks_of_a_steady_sender(30, MIB), 2000.0, 30 * MIB)
    assert rate_since(marks, 2010.0, 40 * MIB) == pytest.approx(MIB)


def test_number_that_decreases_starts_again() -> None:
    """An upload that is resumed at an earlier offset."""
    marks = add_mark(marks_of_a_steady_sender(30, MIB), 1031.0, 5 * MIB)
    assert marks == [(1031.0, 5 * MIB)]
    assert rate_since(marks, 1031.0, 5 * MIB) is None


def test_clock_that_is_set_back_gives_no_rate() -> None:
    marks = marks_of_a_steady_sender(30, MIB)
    assert rate_since(marks, 500.0, 40 * MIB) is None
    assert add_mark(marks, 500.0, 40 * MIB) == [(500.0, 40 * MIB)]


@pytest.mark.parametrize(("moved", "seconds", "expected"), [(0, 5, None), (-1, 5, None), (10, 0, 10), (10, 5, 2)])
def test_rate_of_a_moment(moved: int, seconds: float, expected: float | None) -> None:
    assert rate_of(moved, seconds) == expected
