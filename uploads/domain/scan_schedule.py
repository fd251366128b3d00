"""When scans of a store are due. Pure: times are aware and in UTC.

A slot is a time at which a schedule starts a scan.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

DAY_MINUTES = 24 * 60


class Repeat(StrEnum):
    OFF = "off"
    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"


INTERVAL = {Repeat.HOURLY: timedelta(hours=1), Repeat.DAILY: timedelta(days=1), Repeat.WEEKLY: timedelta(days=7)}

GRACE = {Repeat.HOURLY: timedelta(hours=1), Repeat.DAILY: timedelta(hours=6), Repeat.WEEKLY: timedelta(days=1)}
"""How long after a slot a scan may end before it counts as overdue."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Hourly: at the full hour. Daily: at `minute` of the day. Weekly: at that time of `weekday`, 0 for Monday."""

    repeat: Repeat
    minute: int = 0
    weekday: int = 0

    def last_slot(self, now: datetime) -> datetime | None:
        """The last slot that is not after `now`; None if the schedule is off."""
        if self.repeat is Repeat.OFF:
            return None
        slot = self._slot_near(now)
        return slot if slot <= now else slot - INTERVAL[self.repeat]

    def next_slot(self, now: datetime) -> datetime | None:
        """The first slot after `now`; None if the schedule is off."""
        last = self.last_slot(now)
        return last and last + INTERVAL[self.repeat]

    def overdue_slot(self, now: datetime) -> datetime | None:
        """The last slot whose scan should have ended by `now`; None if the schedule is off."""
        return None if self.repeat is Repeat.OFF else self.last_slot(now - GRACE[self.repeat])

    def _slot_near(self, now: datetime) -> datetime:
        """The slot of this hour, day or week, which may be after `now`."""
        hour = now.replace(minute=0, second=0, microsecond=0)
        if self.repeat is Repeat.HOURLY:
            return hour
        today = hour.replace(hour=0) + timedelta(minutes=self.minute)
        return today if self.repeat is Repeat.DAILY else today + timedelta(days=self.weekday - now.weekday())
