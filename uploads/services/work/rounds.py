"""Rounds of background work: one at a time in all processes, whatever the database.

A round holds a row with a fencing token and a deadline. A process that is killed lets it expire. A process that is
slower than that stops at its next step, because its token is no longer in the row.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from uploads.models import Round
from uploads.services.work.leases import LeaseLost, in_seconds

log = logging.getLogger(__name__)

HOLD_SECONDS = 30.0
"""How long a round is held without a renewal. Longer than any step of a round takes."""


@dataclass(frozen=True, slots=True)
class Held:
    """A round that this process runs now."""

    name: str
    token: uuid.UUID

    def renew(self) -> None:
        """Before each step. Raises LeaseLost if another process may run the round."""
        if not self._rows().update(until=in_seconds(HOLD_SECONDS)):
            raise LeaseLost

    def _rows(self) -> QuerySet[Round]:
        return Round.objects.filter(name=self.name, token=self.token)

    def end(self) -> None:
        self._rows().update(token=None, until=None)


@contextmanager
def only_one(name: str, *, every: timedelta = timedelta(0)) -> Iterator[Held | None]:
    """Hold a round; None if another process runs it, or if the last one started less than `every` ago.

    A round that another process has taken over ends without an exception.
    """
    held = _take(name, every)
    if held is None:
        yield None
        return
    try:
        yield held
    except LeaseLost:
        log.warning("%s: another process has taken over this round", name)
    finally:
        held.end()


def _take(name: str, every: timedelta) -> Held | None:
    held = Held(name, uuid.uuid4())
    if _claim(held, every):
        return held
    if Round.objects.filter(name=name).exists():
        return None
    Round.objects.bulk_create([Round(name=name)], ignore_conflicts=True)
    return held if _claim(held, every) else None


def _claim(held: Held, every: timedelta) -> bool:
    now = timezone.now()
    is_free = Q(until=None) | Q(until__lt=now)
    is_due = Q(started_at=None) | Q(started_at__lte=now - every)
    # The clock of another node may be ahead, or have been wrong: the round does not wait for that time to come.
    is_due |= Q(started_at__gt=now + every)
    rows = Round.objects.filter(is_free, is_due, name=held.name)
    return bool(rows.update(token=held.token, until=in_seconds(HOLD_SECONDS), started_at=now))
