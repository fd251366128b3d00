"""Measures several candidates in turns, round by round, so that all of them have the same conditions."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

Candidate = Callable[[int], object]
"""A function that does the work once. Its argument is the number of the round."""


def measure(candidates: Mapping[str, Candidate], rounds: int, after: Candidate | None = None) -> dict[str, list[float]]:
    """Seconds of each candidate in each round. The first round is a warm-up. `after` cleans up after each round."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(rounds + 1):
        for name, candidate in candidates.items():
            started = time.perf_counter()
            candidate(number)
            if number:
                seconds[name].append(time.perf_counter() - started)
        if after:
            after(number)
    return seconds


def show(seconds: Mapping[str, list[float]], base: str, *, amount: float = 0, unit: str = "") -> None:
    """Print a line for each candidate: its median time, and the median and spread of its ratio to `base`."""
    width = max(map(len, seconds))
    for name, values in seconds.items():
        ratios = [own / other for own, other in zip(values, seconds[base], strict=True)]
        median = statistics.median(values)
        speed = f"  {amount / median:7.1f} {unit}/s" if amount else ""
        spread = f"{statistics.median(ratios):5.2f} x  ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{name:<{width}}  {median * 1000:9.1f} ms{speed}  {spread}", flush=True)
    print(f"x: time relative to {base!r} in the same round, median and spread of {len(seconds[base])} rounds")


def median_ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(ours) / statistics.median(theirs)
