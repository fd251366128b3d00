"""Results of benchmarks: printed, compared with their limits, and kept for the JSON file and the plots."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.usage import Usage

OURS = "Partway"


@dataclass(frozen=True, slots=True)
class Limit:
    """Our median time is at most `ratio` times that of the candidate `base`."""

    base: str
    ratio: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Several candidates that did the same work in turns: what each used in each round.

    `amount` of `unit` was done in each round, for the speed. `ours` is the candidate that the limits are for.
    """

    work: str
    rounds: Mapping[str, Sequence[Usage]]
    limits: Sequence[Limit] = ()
    ours: str = OURS
    amount: float = 0
    unit: str = ""

    @property
    def is_met(self) -> bool:
        return all(self.ratio(limit.base) <= limit.ratio for limit in self.limits)

    def seconds(self, candidate: str) -> list[float]:
        return [usage.seconds for usage in self.rounds[candidate]]

    def ratio(self, base: str, candidate: str | None = None) -> float:
        """The median time of a candidate, ours unless named, relative to that of another."""
        return statistics.median(self.seconds(candidate or self.ours)) / statistics.median(self.seconds(base))

    def spread(self, base: str, candidate: str | None = None) -> tuple[float, float]:
        """The least and the largest ratio within one round."""
        pairs = zip(self.seconds(candidate or self.ours), self.seconds(base), strict=True)
        ratios = [own / other for own, other in pairs]
        return min(ratios), max(ratios)

    def cpu(self, candidate: str) -> float | None:
        known = [usage.cpu for usage in self.rounds[candidate] if usage.cpu is not None]
        return statistics.median(known) if known else None

    def lines(self) -> list[str]:
        base = next(iter(self.rounds))
        width = max(map(len, self.rounds))
        count = len(self.seconds(base))
        return [
            f"{self.work} (medians of {count} rounds; x: time relative to {base!r}, with the spread in one round)",
            *(self._line(name, base, width) for name in self.rounds),
            *(self._verdict(limit) for limit in self.limits),
        ]

    def _line(self, name: str, base: str, width: int) -> str:
        median, cpu = statistics.median(self.seconds(name)), self.cpu(name)
        speed = f"  {self.amount / median:8.1f} {self.unit}/s" if self.amount else ""
        used = f"  {cpu:6.2f} s CPU" if cpu is not None else ""
        low, high = self.spread(base, name)
        ratio = f"{self.ratio(base, name):5.2f} x ({low:.2f} to {high:.2f})"
        return f"  {name:<{width}}  {median:8.3f} s{speed}{used}  {ratio}"

    def _verdict(self, limit: Limit) -> str:
        low, high = self.spread(limit.base)
        verdict = "met" if self.ratio(limit.base) <= limit.ratio else "NOT MET"
        measured = f"{self.ratio(limit.base):.2f} x ({low:.2f} to {high:.2f})"
        return f"  {self.ours}: {measured} of {limit.base}, limit {limit.ratio:g} x: {verdict}"

    def as_json(self) -> dict[str, Any]:
        return {
            "work": self.work,
            "is_met": self.is_met,
            "candidates": {
                name: {"seconds": self.seconds(name), "cpu_seconds": [usage.cpu for usage in usages]}
                for name, usages in self.rounds.items()
            },
            "limits": [
                {"base": each.base, "at_most": each.ratio, "measured": self.ratio(each.base)} for each in self.limits
            ],
        }


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with a limit of its own: the limit is the largest one that is allowed, or the least if `is_least`."""

    work: str
    value: float
    unit: str
    limit: float | None = None
    is_least: bool = False

    @property
    def is_met(self) -> bool:
        if self.limit is None:
            return True
        return self.value >= self.limit if self.is_least else self.value <= self.limit

    def lines(self) -> list[str]:
        if self.limit is None:
            return [f"{self.work}: {self.value:.4g} {self.unit}"]
        allowed = f"{'at least' if self.is_least else 'at most'} {self.limit:g}"
        return [f"{self.work}: {self.value:.4g} {self.unit}, {allowed}: {'met' if self.is_met else 'NOT MET'}"]

    def as_json(self) -> dict[str, Any]:
        return {"work": self.work, "is_met": self.is_met, "value": self.value, "unit": self.unit, "limit": self.limit}


@dataclass(slots=True)
class Results:
    """The results of a run, in their order."""

    all: list[Comparison | Figure] = field(default_factory=list)

    def add(self, *results: Comparison | Figure) -> None:
        for result in results:
            self.all.append(result)
            print("\n".join(result.lines()), flush=True)

    @property
    def are_met(self) -> bool:
        return all(result.is_met for result in self.all)
