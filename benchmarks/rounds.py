"""Several ways to do one thing, taken in turns round by round, so that all of them meet the same weather."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

Way = Callable[[int], object]
"""Does the thing once; gets the number of the round."""


def measure(ways: Mapping[str, Way], rounds: int, after: Way | None = None) -> dict[str, list[float]]:
    """Seconds of each way in each round. The first round warms up and is not counted; `after` tidies each up."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way(number)
            if number:
                seconds[name].append(time.perf_counter() - started)
        if after:
            after(number)
    return seconds


def show(seconds: Mapping[str, list[float]], base: str, *, amount: float = 0, unit: str = "") -> None:
    """A line for each way: median seconds, and its ratio to `base` in the same round as median and spread."""
    width = max(map(len, seconds))
    for name, values in seconds.items():
        ratios = [mine / theirs for mine, theirs in zip(values, seconds[base], strict=True)]
        middle = statistics.median(values)
        speed = f"  {amount / middle:7.1f} {unit}/s" if amount else ""
        spread = f"{statistics.median(ratios):5.2f} x  ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{name:<{width}}  {middle * 1000:9.1f} ms{speed}  {spread}", flush=True)
    print(f"x: times as long as {base!r} in the same round, median and spread of {len(seconds[base])} rounds")
