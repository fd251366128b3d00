"""Alerts: what a rule watches, when its condition holds, and when it is silent. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from urllib.parse import urlsplit

from uploads.problems import Problem


class What(StrEnum):
    """What a rule compares with its threshold: bytes, uploads, money in a month, bytes per day, places, hours."""

    BYTES = "bytes"
    UPLOADS = "uploads"
    COST = "cost"
    GROWTH = "growth"
    SCAN_FAILED = "scan-failed"
    SCAN_OVERDUE = "scan-overdue"


OF_VERDICTS = frozenset({What.BYTES, What.UPLOADS, What.COST})
"""What can be watched for the uploads with one verdict only."""


MASK = "…"
"""In place of what is not shown of an address."""


def masked_address(url: str) -> str:
    """The scheme and the server of an address. Its path is often all that a sender needs to know."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return MASK
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/{MASK}"


class Event(StrEnum):
    START = "start"
    END = "end"
    TEST = "test"


class Channel(StrEnum):
    WEBHOOK = "webhook"
    EMAIL = "email"


@dataclass(frozen=True, slots=True)
class Measured:
    """What a rule measures. If something is missing, the value is a lower bound, or None if nothing is known."""

    value: Decimal | None
    missing: Problem | None = None


def holds(measured: Measured, threshold: Decimal) -> bool | None:
    """Whether the value is above the threshold; None if that cannot be said, which neither starts nor ends an alert."""
    if measured.value is None:
        return None
    if measured.value > threshold:
        return True
    return False if measured.missing is None else None


@dataclass(frozen=True, slots=True)
class Quiet:
    """Minutes of the day in UTC in which nothing is sent each day, and a time until when nothing is sent at all.

    The hours may go over midnight. The same minute twice means no quiet hours.
    """

    from_minute: int | None = None
    until_minute: int | None = None
    until: datetime | None = None

    def includes(self, now: datetime) -> bool:
        if self.until is not None and now < self.until:
            return True
        if self.from_minute is None or self.until_minute is None or self.from_minute == self.until_minute:
            return False
        minute = now.hour * 60 + now.minute
        if self.from_minute < self.until_minute:
            return self.from_minute <= minute < self.until_minute
        return minute >= self.from_minute or minute < self.until_minute


SAMPLES = 8
"""Days whose bytes a rule about growth remembers."""

Sample = tuple[date, int]


def with_sample(samples: Sequence[Sample], day: date, size: int) -> list[Sample]:
    """The samples with the first one of this day, the latest last."""
    if samples and samples[-1][0] >= day:
        return list(samples)
    return [*samples, (day, size)][-SAMPLES:]


def growth_per_day(samples: Sequence[Sample], today: date, size: int) -> Decimal | None:
    """Bytes per day since the oldest sample of the last days; None if there is none of an earlier day."""
    recent = [each for each in samples if today - timedelta(days=SAMPLES) <= each[0] < today]
    if not recent:
        return None
    day, before = recent[0]
    return Decimal(size - before) / (today - day).days


FIRST_WAIT_SECONDS = 10.0
LONGEST_WAIT_SECONDS = 3600.0
MAX_DELIVERIES = 12
"""Attempts of a delivery: about four hours in all."""


def wait_after(attempts: int) -> float | None:
    """Seconds until the next attempt after so many failed ones; None: no further one."""
    if attempts >= MAX_DELIVERIES:
        return None
    return min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** max(0, attempts - 1))
