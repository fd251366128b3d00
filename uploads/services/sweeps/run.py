"""The run of a sweep: each upload is read and judged again, and aborted by an operation only if nothing has changed."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from django.db import transaction
from django.utils import timezone

from uploads import access, audit, crash, grants
from uploads.domain.inventory_filter import InventoryFilter
from uploads.domain.roles import Action, Place
from uploads.domain.states import ItemState, OperationKind, SweepItemState, SweepState
from uploads.domain.sweeps import MAX_TRIES, Judged, why_spared
from uploads.domain.verdicts import Verdict
from uploads.models import InventoryBucket, InventoryUpload, Operation, OperationItem, Store, Sweep, SweepItem
from uploads.models.operation import active_key
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.types import UploadRef
from uploads.problems import Code, Problem
from uploads.services.browse.browsing import head_object, is_gone
from uploads.services.browse.ownership import owner_of
from uploads.services.inventory import reading
from uploads.services.inventory.judging import judge_rows
from uploads.services.operations.outcomes import UNANSWERED_AT
from uploads.services.operations.run import run_item
from uploads.services.people.tokens import limits_of
from uploads.services.stores import pace
from uploads.services.sweeps.dispatch import end_item
from uploads.services.sweeps.ending import end_operation_item
from uploads.services.sweeps.kinds import SWEEP_ITEMS
from uploads.services.sweeps.recording import sweep_queue
from uploads.services.work.attempts import backoff_seconds
from uploads.services.work.failures import NO_ERROR, error_fields, problem_fields
from uploads.services.work.leases import Lease, in_seconds
from uploads.services.work.tasks import task

log = logging.getLogger(__name__)

OPERATION_ITEMS = 500
"""Uploads of one bucket that one operation has at most."""


READ = (
    "parts",
    "bytes",
    "gaps",
    "first_part_at",
    "last_part_at",
    "highest_part",
    "smallest_inner_bytes",
    "active_at",
    "checked_at",
    "check_error",
    "verdict",
    "verdict_until",
    "object_modified_at",
    "object_seen_at",
)
"""The columns of the inventory that a run writes."""

WAIT_SECONDS = 5.0


class Spared(Exception):
    """The upload is not aborted. `columns` are the error columns that say why."""

    def __init__(self, columns: dict[str, Any]) -> None:
        super().__init__(columns["error_reason"])
        self.columns = columns


def ready() -> Any:
    """Items of runs that are not paused or ended."""
    return SweepItem.objects.filter(sweep__in=Sweep.objects.filter(state=SweepState.RUNNING))


@task(SWEEP_ITEMS, ready, queue=sweep_queue, store="store")
def run_sweep_item(lease: Lease[SweepItem]) -> None:
    """Look at one upload again, and abort it if it still is as it was planned."""
    item = lease.row
    ordered = item.operation_item
    if ordered is not None and (_has_ended(lease, ordered) or _waits(lease, ordered)):
        return
    try:
        _look_again(item)
    except Spared as spared:
        _spare(lease, spared.columns)
        return
    except ObjectStoreError as error:
        _cannot_be_read(lease, error)
        return
    crash.point("sweep.judged")
    _abort(lease)


# --- Looking again ----------------------------------------------------------------------------------------------------


def _look_again(item: SweepItem) -> None:
    """Raises Spared if the upload is not to be aborted, and ObjectStoreError if its parts cannot be read."""
    sweep = item.sweep
    place = Place(item.store_id, item.bucket, item.key)
    if sweep.run_token is not None and sweep.started_by is not None:
        grants.limit(sweep.started_by, limits_of(sweep.run_token))
    refusal = access.no_longer_allowed(sweep.started_by, Action.ABORT_UPLOADS, place, sweep.run_token_id)
    if refusal is not None:
        raise Spared(problem_fields(Problem(Code.SPARED_NOT_ALLOWED), [refusal]))
    row = InventoryUpload.objects.select_related("bucket").filter(pk=item.upload_row).first()
    if row is None or (row.ended_at is not None and item.operation_item is None):
        raise Spared(problem_fields(Problem(Code.SPARED_GONE)))
    now = _read(item, row)
    planned = Judged(Verdict(item.verdict), item.parts, item.bytes, item.last_part_at)
    code = why_spared(planned, now, InventoryFilter.from_json(sweep.rule).verdicts)
    if code is not None:
        at = now.last_part_at.isoformat() if now.last_part_at else None
        raise Spared(problem_fields(Problem(code, last_part_at=at)))


def _read(item: SweepItem, row: InventoryUpload) -> Judged:
    """The upload as the store has it now. The inventory keeps what was read."""
    try:
        facts = reading.read_facts(item.store, item.bucket, UploadRef(item.key, item.upload_id))
    except ObjectStoreError as error:
        if not is_gone(error):
            raise
        if _was_requested(item):
            # Our own abort may have removed it. Another one finds that out.
            return Judged(Verdict(item.verdict), item.parts, item.bytes, item.last_part_at)
        _note_gone(row)
        raise Spared(problem_fields(Problem(Code.SPARED_GONE))) from error
    at = timezone.now()
    reading.apply(row, facts, at)
    if item.verdict == Verdict.SUPERSEDED:
        found = head_object(item.store, item.bucket, item.key)
        row.object_modified_at = found.facts.last_modified if found.facts else None
        row.object_seen_at = at
    judge_rows(item.store, [row], at)
    row.save(update_fields=READ)
    InventoryBucket.objects.filter(pk=row.bucket_id, changed_at=None).update(changed_at=at)
    is_owned = owner_of(item.store, item.bucket, item.key, item.upload_id) is not None
    return Judged(Verdict(row.verdict), facts.parts, facts.bytes, facts.last_part_at, is_owned)


def _was_requested(item: SweepItem) -> bool:
    return item.operation_item is not None and (item.operation_item.tries > 0 or bool(item.operation_item.outcome))


def _note_gone(row: InventoryUpload) -> None:
    InventoryUpload.objects.filter(pk=row.pk, ended_at=None).update(ended_at=timezone.now())


def _spare(lease: Lease[SweepItem], columns: dict[str, Any]) -> None:
    """If an abort was requested without a response, the outcome is not known."""
    ordered = lease.row.operation_item
    state = SweepItemState.SPARED
    if ordered is not None:
        if UNANSWERED_AT in ordered.outcome:
            state = SweepItemState.UNKNOWN
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


def _abort(lease: Lease[SweepItem]) -> None:
    """Let the item of an operation do it, here and now: with its own lease, its check of the owner and its audit."""
    ordered = lease.row.operation_item or _order(lease)
    if ordered is None:
        return
    crash.point("sweep.ordered")
    with pace.request(lease.row.store):
        run_item(ordered.pk)
    crash.point("sweep.aborted")
    ordered.refresh_from_db()
    if _has_ended(lease, ordered):
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
    if lease.release(not_before=not_before):
        lease.kind.resume(lease.row, max(0.0, (not_before - timezone.now()).total_seconds()))
    return True


def _has_ended(lease: Lease[SweepItem], ordered: OperationItem) -> bool:
    """Take over the end of the item of the operation."""
    states = {
        ItemState.DONE: SweepItemState.DONE,
        ItemState.FAILED: SweepItemState.FAILED,
        ItemState.UNKNOWN: SweepItemState.UNKNOWN,
    }
    state = states.get(ItemState(ordered.state))
    if state is None:
        return False
    columns = {name: getattr(ordered, name) for name in NO_ERROR}
    if state is SweepItemState.DONE and ordered.outcome.get("already_gone"):
        # Somebody else has ended it since it was read.
        state, columns = SweepItemState.SPARED, problem_fields(Problem(Code.SPARED_GONE))
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
