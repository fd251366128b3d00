"""Aborts of a sweep: at the pace of the store, and with a note of what may have had an effect."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from uploads.models import OperationItem, Store
from uploads.objectstore.errors import ObjectStoreError, Reason, certainly_not_done
from uploads.services.multipart.abort import AbortOutcome, abort_until_gone
from uploads.services.operations.outcomes import SENT_AT
from uploads.services.stores import pace
from uploads.services.stores.clients import ONCE, client_for
from uploads.services.work.leases import Lease, in_seconds

FIRST_TURN_SECONDS = 2.0
"""How long the first abort waits for its turn. Later the upload is judged again, because a part may have arrived."""

PAUSE_SECONDS = 1.0
"""The pause after a turn that did not come."""


@dataclass(slots=True)
class _Turns:
    """The turns of one attempt. The second one follows an abort that the store has accepted, and waits longer."""

    store: Store
    taken: int = 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with pace.request(self.store, pace.LONGEST_WAIT_SECONDS if self.taken else FIRST_TURN_SECONDS):
            self.taken += 1
            yield


def abort_in_turn(lease: Lease[OperationItem]) -> AbortOutcome:
    """As `abort_until_gone`, without repeating a request. Raises ObjectStoreError.

    That the abort may have an effect is written first, and removed again only if it certainly had none.
    """
    item, before = lease.row, dict(lease.row.outcome)
    turns = _Turns(item.operation.store)
    item.outcome = {SENT_AT: timezone.now().isoformat(), **before}
    lease.renew(outcome=item.outcome)
    try:
        client = client_for(turns.store, ONCE)
        return abort_until_gone(client, item.operation.bucket, item.key, item.upload_id, turns)
    except ObjectStoreError as error:
        if not turns.taken or (turns.taken == 1 and certainly_not_done(error)):
            item.outcome = before
        raise


def was_sent(item: OperationItem) -> bool:
    """Whether an earlier abort may have had an effect. Each end of an item keeps what is known about it."""
    return SENT_AT in item.outcome


def wait_for_turn(lease: Lease[OperationItem], error: ObjectStoreError) -> bool:
    """Whether the turn did not come, which is no failed attempt."""
    if error.reason is not Reason.STORE_BUSY or lease.row.operation.sweep_id is None:
        return False
    deferred: dict[str, Any] = {"not_before": in_seconds(PAUSE_SECONDS), "outcome": lease.row.outcome}
    lease.release(**deferred)
    return True
