"""The run of a sweep: each upload is read and judged again, and aborted by an operation only if nothing has changed."""

from __future__ import annotations

import logging
import time
import uuid
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from uploads import audit, crash
from uploads.domain.states import ItemState, OperationKind, SweepItemState, SweepState
from uploads.domain.sweeps import MAX_TRIES
from uploads.models import Operation, OperationItem, Store, Sweep, SweepItem
from uploads.models.operation import active_key
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.problems import Code, Problem
from uploads.services.operations.run import run_item
from uploads.services.sweeps.dispatch import end_item
from uploads.services.sweeps.ending import end_of, end_operation_item
from uploads.services.sweeps.kinds import SWEEP_ITEMS
from uploads.services.sweeps.looking import Spared, look_again, was_requested
from uploads.services.sweeps.pausing import pause_if_disabled
from uploads.services.sweeps.recording import sweep_queue
from uploads.services.work.attempts import backoff_seconds
from uploads.services.work.failures import error_fields, problem_fields
from uploads.services.work.leases import Lease, in_seconds
from uploads.services.work.tasks import task

log = logging.getLogger(__name__)

OPERATION_ITEMS = 500
"""Uploads of one bucket that one operation has at most."""


LOOK_SECONDS = 5.0
"""How long after an upload was looked at its abort may begin."""

WAIT_SECONDS = 5.0
"""The pause while another process has the item of the operation."""

TURN_SECONDS = 1.0
"""The pause of work whose turn at the store did not come."""


def ready() -> Any:
    """Items of runs that are not paused or ended."""
    return SweepItem.objects.filter(sweep__in=Sweep.objects.filter(state=SweepState.RUNNING))


@task(SWEEP_ITEMS, ready, queue=sweep_queue, store="store")
def run_sweep_item(lease: Lease[SweepItem]) -> None:
    """Look at one upload again, and abort it if it still is as it was planned."""
    item = lease.row
    if _is_paused(lease):
        return
    ordered = item.operation_item
    if ordered is not None and (_has_ended(lease, ordered) or _waits(lease, ordered)):
        return
    try:
        look_again(item)
        looked_at = time.monotonic()
    except Spared as spared:
        _spare(lease, spared.columns)
        return
    except ObjectStoreError as error:
        _cannot_be_read(lease, error)
        return
    crash.point("sweep.judged")
    _abort(lease, looked_at)


def _is_paused(lease: Lease[SweepItem]) -> bool:
    """Whether the store is disabled: the upload waits, and the whole run is paused."""
    item = lease.row
    if Store.objects.filter(pk=item.store_id, enabled=True).exists():
        return False
    log.warning("sweep %s: the store %s is disabled", item.sweep_id, item.store.name)
    with transaction.atomic():
        lease.release()
        pause_if_disabled(item.sweep)
    return True


# --- Sparing -------------------------------------------------------------------------------------------------------


def _spare(lease: Lease[SweepItem], columns: dict[str, Any]) -> None:
    """If an earlier abort may have had an effect, the outcome is not known."""
    ordered = lease.row.operation_item
    state = SweepItemState.UNKNOWN if was_requested(lease.row) else SweepItemState.SPARED
    if ordered is not None:
        end_operation_item(ordered)
    if state is SweepItemState.SPARED:
        audit.record(None, "sweep.spared", **_names(lease.row), detail=_detail(lease.row, columns["error_reason"]))
    end_item(lease, state, **columns)


def _names(item: SweepItem) -> dict[str, Any]:
    return {"store": item.store.name, "bucket": item.bucket, "key": item.key, "upload_id": item.upload_id}


def _detail(item: SweepItem, reason: str) -> dict[str, Any]:
    return {"sweep": str(item.sweep_id), "reason": reason}


def _cannot_be_read(lease: Lease[SweepItem], error: ObjectStoreError) -> None:
    """Attempted again a few times. Then the upload is spared, which counts as a failure of the run."""
    item = lease.row
    if error.reason is Reason.STORE_BUSY:
        _wait(lease, in_seconds(TURN_SECONDS))
        return
    log.warning("sweep %s: an upload could not be read again: %s", item.sweep_id, error)
    if error.retryable and item.tries + 1 < MAX_TRIES:
        _later(lease, **error_fields(error))
        return
    _spare(lease, error_fields(error, reason=Code.SPARED_UNREADABLE))


def _later(lease: Lease[SweepItem], **changes: Any) -> None:
    tries = lease.row.tries + 1
    seconds = backoff_seconds(tries)
    if lease.release(tries=tries, not_before=in_seconds(seconds), **changes):
        lease.kind.resume(lease.row, seconds)


# --- Aborting ---------------------------------------------------------------------------------------------------------


def _abort(lease: Lease[SweepItem], looked_at: float) -> None:
    """Let the item of an operation do it, here and now: with its own lease, its check of the owner and its audit."""
    if _is_paused(lease):
        return
    ordered = lease.row.operation_item or _order(lease)
    if ordered is None:
        return
    crash.point("sweep.ordered")
    if time.monotonic() - looked_at > LOOK_SECONDS:
        # The database or the whole process stood still: a part may have arrived.
        _wait(lease, timezone.now())
        return
    tries = ordered.tries
    run_item(ordered.pk)
    crash.point("sweep.aborted")
    ordered.refresh_from_db()
    if _has_ended(lease, ordered):
        return
    if ordered.tries == tries and ordered.not_before is not None:
        # Its turn did not come. The upload is looked at again before the next one.
        _wait(lease, ordered.not_before)
        return
    if lease.row.tries + 1 < MAX_TRIES:
        _later(lease)
        return
    end_operation_item(ordered)
    ordered.refresh_from_db()
    if not _has_ended(lease, ordered):
        _later(lease)


def _waits(lease: Lease[SweepItem], ordered: OperationItem) -> bool:
    """Wait for an item that another process has, or that is deferred. That is no attempt."""
    if ordered.state == ItemState.RUNNING:
        not_before = in_seconds(WAIT_SECONDS)
    elif ordered.not_before is not None and ordered.not_before > timezone.now():
        not_before = ordered.not_before
    else:
        return False
    _wait(lease, not_before)
    return True


def _wait(lease: Lease[SweepItem], not_before: datetime) -> None:
    if lease.release(not_before=not_before):
        lease.kind.resume(lease.row, max(0.0, (not_before - timezone.now()).total_seconds()))


def _has_ended(lease: Lease[SweepItem], ordered: OperationItem) -> bool:
    """Take over the end of the item of the operation."""
    found = end_of(ordered)
    if found is None:
        return False
    state, columns = found
    end_item(lease, state, **columns)
    return True


def _order(lease: Lease[SweepItem]) -> OperationItem | None:
    """The item of an operation for this upload. None, and the upload is spared, if another operation works on it."""
    item = lease.row
    sweep = item.sweep
    name = active_key(item.store_id, item.bucket, item.key, item.upload_id)
    with transaction.atomic():
        # As for every request of an abort: two of the same upload would violate the unique active key.
        Store.objects.select_for_update().get(pk=item.store_id)
        if not OperationItem.objects.filter(active_key=name).exists():
            operation = _operation(item)
            ordered = OperationItem.objects.create(
                operation=operation, key=item.key, upload_id=item.upload_id, active_key=name
            )
            audit.record_item(sweep.started_by, "ordered", operation, ordered, sweep=str(sweep.pk))
            lease.renew(operation_item=ordered)
            item.operation_item = ordered
            return ordered
    _spare(lease, problem_fields(Problem(Code.ALREADY_ORDERED)))
    return None


def _operation(item: SweepItem) -> Operation:
    """The operation of this part of the plan: its id follows from the place of the upload in the plan."""
    part = f"{item.store_id}/{item.bucket}/{item.number // OPERATION_ITEMS}"
    sweep = item.sweep
    fields = {
        "kind": OperationKind.ABORT.value,
        "actor": sweep.started_by,
        "access_token_id": sweep.run_token_id,
        "store_id": item.store_id,
        "bucket": item.bucket,
        "sweep": sweep,
    }
    return Operation.objects.get_or_create(pk=uuid.uuid5(sweep.pk, part), defaults=fields)[0]
