"""Stopping a part that is being sent: the transfer was paused or cancelled, the lease was lost, the process stops."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db.models import Q

from uploads.domain.states import DesiredState
from uploads.models import Part, Transfer
from uploads.services.work.leases import Lease, LeaseLost

log = logging.getLogger(__name__)

RENEWAL_SECONDS = 1.0
"""How often a part on its way writes down how far it is, which also renews its lease."""


class Interrupted(Exception):
    """The part on its way is no longer wanted, no longer ours, or our process has to stop."""


_on_its_way = False


@contextmanager
def interruptible() -> Iterator[None]:
    """Here, and only here, `hand_back` may cut in: a part that was cut is simply sent again."""
    global _on_its_way  # noqa: PLW0603 - one process sends one part at a time, and a signal has no other way to know
    _on_its_way = True
    try:
        yield
    finally:
        _on_its_way = False


def hand_back() -> None:
    """Called from a signal handler when the process has to stop: give up the part on its way, if there is one."""
    if _on_its_way:
        raise Interrupted


class LeaseRenewal:
    """Counts the bytes of a part as they move; renews the lease while they do, and only then."""

    def __init__(self, lease: Lease[Part]) -> None:
        self._lease = lease
        running = Transfer.objects.filter(pk=lease.row.transfer_id, desired_state=DesiredState.RUN)
        self._condition = Q(transfer__in=running)
        self._moved = 0
        self._next = time.monotonic() + RENEWAL_SECONDS

    def __call__(self, count: int) -> None:
        self._moved += count
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + RENEWAL_SECONDS
        try:
            self._lease.renew(self._condition, moved=self._moved)
        except LeaseLost as error:
            raise Interrupted from error
