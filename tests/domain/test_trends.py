"""Growth and forecast of hidden bytes."""

from __future__ import annotations

from datetime import date, timedelta

from uploads.domain.trends import LEAST_DAYS, DayTotal, Growth, forecast, growth_in_a_week

FIRST = date(2026, 1, 1)


def days(*sizes: int) -> list[DayTotal]:
    return [DayTotal(FIRST + timedelta(days=number), number, size) for number, size in enumerate(sizes)]


def test_a_straight_line_goes_on_without_a_range() -> None:
    found = forecast(days(*range(0, 1000, 100)), ahead=10)
    assert found is not None
    assert (found.days, found.per_week, found.expected, found.low, found.high) == (10, 700, 1900, 1900, 1900)


def test_days_off_the_line_widen_the_range_and_bytes_are_never_negative() -> None:
    found = forecast(days(1000, 700, 900, 500, 600, 200, 300, 0), ahead=30)
    assert found is not None
    assert found.per_week < 0
    assert (found.low, found.expected) == (0, 0)
    found = forecast(days(100, 300, 200, 400, 300, 500, 400), ahead=1)
    assert found is not None
    assert found.low < found.expected < found.high


def test_too_few_days_forecast_nothing() -> None:
    assert forecast(days(*range(LEAST_DAYS - 1)), ahead=7) is None
    assert forecast([], ahead=7) is None


def test_growth_is_since_the_day_a_week_ago() -> None:
    assert growth_in_a_week(days(*range(0, 800, 100))) == Growth(FIRST, 7, 7, 700)
    assert growth_in_a_week(days(1, 2, 3)) is None
    assert growth_in_a_week([]) is None
    assert growth_in_a_week([DayTotal(FIRST, 1, 5), DayTotal(FIRST + timedelta(days=8), 1, 9)]) is None
