"""The end of a transfer: failed, done or cancelled."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import transaction
from django.utils import timezone

from uploads import audit, crash
from uploads.domain.states import PHASES, DesiredState, Phase, StoreUploadState
from uploads.models import Transfer
from uploads.models.node import silent_since
from uploads.models.transfer import steps_queue
from uploads.problems import Code
from uploads.services.staging import quota
from uploads.services.work import leases
from uploads.services.work.leases import Lease
from uploads.services.work.queue import enqueue_on_commit
from uploads.services.work.transitions import change


def fail_transfer(transfer_id: uuid.UUID, error: dict[str, Any], token: uuid.UUID | None = None) -> bool:
    """Record that a transfer failed, and why; its staged bytes stay until it is retried or discarded.

    With the `token` of a lease, only while that lease is held. False if the transfer was not changed.
    """
    with transaction.atomic():
        # A transfer that is being cancelled does not fail: the store misses what our own abort removed.
        rows = Transfer.objects.filter(pk=transfer_id).exclude(desired_state=DesiredState.CANCEL)
        if token is not None:
            rows = rows.filter(lease_token=token)
        if not change(PHASES, rows, Phase.FAILED, finished_at=timezone.now(), **leases.RELEASED, **error):
            return False
        transfer = Transfer.objects.select_related("store").get(pk=transfer_id)
        audit.record_transfer(None, "failed", transfer, **error)
        return True


SHOWN_WRONG = frozenset({Code.OBJECT_MISSING, Code.COMPLETED_OBJECT_MISSING, Code.OBJECT_DIFFERS, Code.CRC64_MISMATCH})
"""Problems of a completed transfer that fails: the store has shown repeatedly that its object is missing or wrong."""


def ends_unverified(transfer: Transfer, error: dict[str, Any]) -> bool:
    """Whether a transfer that is given up is done: the store has confirmed its completion, and only HEAD failed.

    An object sent by PutObject has one other problem: another ETag than the MD5 of its bytes. These are still staged,
    so the transfer fails and can be retried. The bytes of a multipart upload are not staged any more.
    """
    is_completed = transfer.phase == Phase.COMPLETING and transfer.completed_at is not None
    shown_wrong = SHOWN_WRONG | {Code.OBJECT_ETAG_DIFFERS} if transfer.by_put_object else SHOWN_WRONG
    return is_completed and error["error_reason"] not in shown_wrong


def finish_transfer(lease: Lease[Transfer], phase: Phase, *, request_id: str = "", **facts: Any) -> bool:
    """End a transfer as done or cancelled. False if the lease was lost.

    `request_id`: the store's, for the audit log, of what ended it; that of its completion is known.
    Its staged bytes are removed here, or by their own node; one that is silent removes them when it comes back.
    """
    with transaction.atomic():
        now = timezone.now()
        if not lease.end(phase, finished_at=now, release_at=now, **facts):
            return False
        if not lease.row.by_put_object:
            # Uploads that are left are aborted later, by the watchdog.
            lease.row.store_uploads.filter(state=StoreUploadState.OPEN).update(drop_at=now)
        request_id = lease.row.complete_request_id if phase is Phase.DONE else request_id
        audit.record_transfer(None, phase.value, lease.row, request_id=request_id, **facts)
    crash.point("transfer.ended")
    if lease.row.is_staged_here:
        quota.release_all(lease.row)
    elif silent_since(lease.row.node) is None:
        enqueue_on_commit("remove_staged", [lease.row.pk], queue=steps_queue(lease.row.node))
    return True
