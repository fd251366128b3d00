"""How hidden bytes grow, from one total per day. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

LEAST_DAYS = 7
"""Days with totals that a forecast needs."""

WEEK = 7


@dataclass(frozen=True, slots=True)
class DayTotal:
    """The uploads in progress at the end of a UTC day, or lately for today.

    `bytes` are those of the `checked` uploads. `by_verdict` has the uploads and the bytes of each verdict.
    """

    day: date
    uploads: int
    bytes: int
    checked: int = 0
    by_verdict: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Growth:
    """What was added between two days, `days` apart; less than zero if it became less."""

    since: date
    days: int
    uploads: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """Bytes `ahead` days after the last one, if they go on as in the `days` days that have totals.

    A straight line goes through these totals: `per_week` bytes are added in a week. `low` and `high` are two standard
    deviations of the totals from the line away from `expected`.
    """

    days: int
    ahead: int
    per_week: int
    expected: int
    low: int
    high: int


def calendar(series: Sequence[DayTotal], until: date) -> list[tuple[date, DayTotal | None]]:
    """Every day from the first one of the series, with its total; None where it has none."""
    by_day = {each.day: each for each in series}
    count = (until - series[0].day).days + 1 if series else 0
    days = [series[0].day + timedelta(days=number) for number in range(count)]
    return [(day, by_day.get(day)) for day in days]


def growth_in_a_week(series: Sequence[DayTotal]) -> Growth | None:
    """Since seven days before the last day; None if that day has no total."""
    last = series[-1] if series else None
    before = next((each for each in series if last and (last.day - each.day).days == WEEK), None)
    if last is None or before is None:
        return None
    return Growth(before.day, WEEK, last.uploads - before.uploads, last.bytes - before.bytes)


def forecast(series: Sequence[DayTotal], ahead: int) -> Forecast | None:
    """By least squares over all days of the series; None if there are too few."""
    if len(series) < LEAST_DAYS:
        return None
    xs = [(each.day - series[0].day).days for each in series]
    ys = [each.bytes for each in series]
    middle_x, middle_y = sum(xs) / len(xs), sum(ys) / len(ys)
    slope = sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True))
    slope /= sum((x - middle_x) ** 2 for x in xs)
    off = sum((y - middle_y - slope * (x - middle_x)) ** 2 for x, y in zip(xs, ys, strict=True))
    spread = 2 * (off / len(xs)) ** 0.5
    expected = middle_y + slope * (xs[-1] + ahead - middle_x)
    low, most_likely, high = (max(0, round(each)) for each in (expected - spread, expected, expected + spread))
    return Forecast(len(series), ahead, round(slope * WEEK), most_likely, low, high)
