"""When scans are due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from uploads.domain.scan_schedule import INTERVAL, Repeat, Schedule

NOW = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)  # a Wednesday


@pytest.mark.parametrize(
    ("schedule", "last"),
    [
        (Schedule(Repeat.HOURLY, 180), datetime(2026, 3, 4, 12, 0, tzinfo=UTC)),
        (Schedule(Repeat.DAILY, 180), datetime(2026, 3, 4, 3, 0, tzinfo=UTC)),
        (Schedule(Repeat.DAILY, 12 * 60 + 30), NOW),
        (Schedule(Repeat.DAILY, 12 * 60 + 31), datetime(2026, 3, 3, 12, 31, tzinfo=UTC)),
        (Schedule(Repeat.WEEKLY, 180, 2), datetime(2026, 3, 4, 3, 0, tzinfo=UTC)),
        (Schedule(Repeat.WEEKLY, 180, 3), datetime(2026, 2, 26, 3, 0, tzinfo=UTC)),
        (Schedule(Repeat.WEEKLY, 13 * 60, 2), datetime(2026, 2, 25, 13, 0, tzinfo=UTC)),
    ],
)
def test_last_and_next_slot(schedule: Schedule, last: datetime) -> None:
    assert schedule.last_slot(NOW) == last
    assert schedule.next_slot(NOW) == last + INTERVAL[schedule.repeat]


@pytest.mark.parametrize("repeat", [Repeat.HOURLY, Repeat.DAILY, Repeat.WEEKLY])
def test_slots_follow_each_other_without_a_gap(repeat: Repeat) -> None:
    schedule = Schedule(repeat, 75, 6)
    slots = {schedule.last_slot(NOW + timedelta(minutes=30) * step) for step in range(2 * 48 * 7)}
    ordered = sorted(slot for slot in slots if slot is not None)
    assert {later - earlier for earlier, later in pairwise(ordered)} == {INTERVAL[repeat]}


@pytest.mark.parametrize("day", [datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 10, 24, tzinfo=UTC)])
def test_slots_are_in_utc_when_clocks_change(day: datetime) -> None:
    """Nowhere is a scan left out or repeated: a day of the schedule always has 24 hours."""
    schedule = Schedule(Repeat.DAILY, 90)
    slots = {schedule.last_slot(day + timedelta(minutes=15) * step) for step in range(4 * 72)}
    assert sorted(slot.hour * 60 + slot.minute for slot in slots if slot is not None) == [90] * 4


def test_schedule_that_is_off_has_no_slot() -> None:
    off = Schedule(Repeat.OFF)
    assert off.last_slot(NOW) is off.next_slot(NOW) is off.overdue_slot(NOW) is None
