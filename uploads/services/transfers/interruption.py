"""Stopping a part that is being sent: the transfer was paused or cancelled, the lease was lost, the process stops."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django.db.models import Q
from django.utils import timezone

from uploads import database
from uploads.domain.pace import add_mark
from uploads.domain.states import DesiredState
from uploads.models import Part, Transfer
from uploads.services.work.attempts import TRANSIENT
from uploads.services.work.leases import Lease, LeaseLost

log = logging.getLogger(__name__)

RENEWAL_SECONDS = 1.0
"""How often the progress of a part that is being sent is recorded, which also renews its lease."""


class Interrupted(Exception):
    """Stops the request that sends a part: the transfer was paused or cancelled, or the process has to stop."""


_is_sending = False
_has_to_end = False


@contextmanager
def interruptible() -> Iterator[None]:
    """Only in this context does `interrupt_sending` interrupt: a part that was interrupted is sent again."""
    global _is_sending  # noqa: PLW0603 - one process sends one part at a time, and a signal has no other way to know
    _is_sending = True
    try:
        yield
    finally:
        _is_sending = False


def interrupt_sending() -> None:
    """Stop sending the current part, if there is one. Called from a signal handler when the process has to stop."""
    global _has_to_end  # noqa: PLW0603 - as above
    _has_to_end = True
    if _is_sending:
        raise Interrupted


def has_to_end() -> bool:
    """Whether the process was told to stop, so that it starts nothing more."""
    return _has_to_end


class LeaseRenewal:
    """Counts the bytes of a part as they are sent, and renews the lease only while they are."""

    def __init__(self, lease: Lease[Part]) -> None:
        self._lease = lease
        running = Transfer.objects.filter(pk=lease.row.transfer_id, desired_state=DesiredState.RUN)
        self._condition = Q(transfer__in=running)
        self._moved = 0
        self._marks = add_mark([], timezone.now().timestamp(), 0)
        self._next = time.monotonic() + RENEWAL_SECONDS

    def __call__(self, count: int) -> None:
        self.count(count)
        if self.is_due:
            self.renew()

    def count(self, count: int) -> None:
        """Count bytes that were sent; negative: that will be sent again."""
        self._moved += count

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self._next

    def renew(self) -> None:
        """Record the progress. Raises Interrupted if the part is not to be sent any more."""
        self._next = time.monotonic() + RENEWAL_SECONDS
        try:
            # The store would not wait: the lease lasts longer than a short failure of the database.
            with database.waiting(0):
                self._lease.renew(self._condition, **self.progress(self._moved))
        except LeaseLost as error:
            raise Interrupted from error
        except TRANSIENT as error:
            if not database.is_unavailable(error):
                raise
            log.warning("part %s: the lease was not renewed, the database failed: %s", self._lease.row.pk, error)

    def progress(self, moved: int) -> dict[str, Any]:
        """The columns of a part of which so many bytes have been sent now."""
        now = timezone.now()
        at, before = self._marks[0]
        self._marks = add_mark(self._marks, now.timestamp(), moved)
        return {"moved": moved, "moved_at": now, "mark_moved": before, "mark_at": datetime.fromtimestamp(at, UTC)}
