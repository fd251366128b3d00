"""Measures several candidates in turns, round by round, so that all of them have the same conditions."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

from benchmarks.usage import Usage

Candidate = Callable[[int], Usage | None]
"""A function that does the work once, and says what it used if it knows. Its argument is the number of the round."""


def number_of(usual: int) -> int:
    """How many rounds to measure: BENCH_ROUNDS, for a quick look, or the usual number."""
    return int(os.environ.get("BENCH_ROUNDS", usual))


def measure(
    candidates: Mapping[str, Candidate], rounds: int, after: Callable[[int], object] | None = None
) -> dict[str, list[Usage]]:
    """What each candidate used in each round. The first round is a warm-up. `after` cleans up after each round."""
    usages: dict[str, list[Usage]] = {name: [] for name in candidates}
    for number in range(number_of(rounds) + 1):
        for name, candidate in candidates.items():
            started = time.perf_counter()
            usage = candidate(number) or Usage(time.perf_counter() - started)
            if number:
                usages[name].append(usage)
        if after:
            after(number)
    return usages
