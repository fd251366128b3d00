"""Part numbers as runs of consecutive ones: for people, and for forms and scripts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MAX_NAMED = 10
"""Runs of part numbers that a text names."""

NumberRun = tuple[int, int]
"""The first and the last of consecutive part numbers."""


def runs_of(numbers: Iterable[int]) -> list[NumberRun]:
    """Ascending part numbers as runs."""
    runs: list[NumberRun] = []
    for number in numbers:
        first = runs.pop()[0] if runs and runs[-1][1] == number - 1 else number
        runs.append((first, number))
    return runs


def write_numbers(numbers: Iterable[int]) -> str:
    """Ascending part numbers for a form or a script: `2,4-49`. Empty for none."""
    return ",".join(_text(run) for run in runs_of(numbers))


def name_runs(runs: Sequence[NumberRun]) -> str:
    """Runs for people: `2, 4-49`, at most the first ten."""
    return ", ".join([*map(_text, runs[:MAX_NAMED]), *(["..."] if len(runs) > MAX_NAMED else [])])


def name_numbers(numbers: Iterable[int]) -> str:
    """Ascending part numbers for people: `2, 4-49`, at most the first ten runs."""
    return name_runs(runs_of(numbers))


def _text(run: NumberRun) -> str:
    first, last = run
    return str(first) if first == last else f"{first}-{last}"
