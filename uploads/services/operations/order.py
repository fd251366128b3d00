"""Requests for aborts and completions: first rows, then the queue. What is requested twice is done once."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Coalesce
from django.utils import timezone

from uploads import audit
from uploads.database.prepared import Exists, Given, Rows
from uploads.domain.confirmation import Confirmation
from uploads.domain.states import ITEM_STATES, DesiredState, EndedHow, ItemState, OperationKind
from uploads.models import Operation, OperationItem, Store
from uploads.models.operation import active_key
from uploads.objectstore.types import UploadRef
from uploads.origin import current
from uploads.problems import Code, Problem
from uploads.services.browse.ownership import OwnedByTransfer, Owners, owners
from uploads.services.browse.preflight import active_operation
from uploads.services.ended.noting import End, note_ended, settle_possible_orphans
from uploads.services.operations.outcomes import ended_how
from uploads.services.work.failures import NO_ERROR, problem_fields
from uploads.services.work.leases import RELEASED, Lease, due
from uploads.services.work.queue import enqueue_rows
from uploads.services.work.transitions import prepared_change

WINDOW = 8
"""Tasks of one operation that are enqueued or running at a time, so that 1,000 uploads do not delay other work."""

TASK = "run_items"
"""The message for an upload. Its task aborts others of the same operation too."""

__all__ = [
    "OwnedByTransfer",
    "UploadRef",
    "dispatch_operation",
    "request_abort",
    "request_complete",
]


def request_abort(
    actor: User, store: Store, bucket: str, uploads: Sequence[UploadRef], spare_after: datetime | None = None
) -> Operation:
    """Have a task abort uploads. For a single upload with an active operation, returns that operation.

    `spare_after`: each upload is read immediately before its abort, and left out if a part is newer than this time.
    Raises OwnedByTransfer for a single upload that a transfer owns; among many it becomes an item that failed.
    """
    return _request(OperationKind.ABORT, actor, store, bucket, list(dict.fromkeys(uploads)), spare_after=spare_after)


def request_complete(
    actor: User,
    store: Store,
    bucket: str,
    upload: UploadRef,
    confirmation: Confirmation,
) -> Operation:
    """Have a task complete an upload, if it is still as it was confirmed. Raises OwnedByTransfer."""
    return _request(
        OperationKind.COMPLETE,
        actor,
        store,
        bucket,
        [upload],
        allow_gaps=bool(confirmation.gaps),
        forbid_overwrite=confirmation.replacement.forbidden,
        confirmed=confirmation.as_json(),
    )


def _request(
    kind: OperationKind, actor: User, store: Store, bucket: str, uploads: Sequence[UploadRef], **options: Any
) -> Operation:
    if not uploads:
        raise ValueError("no uploads")
    with transaction.atomic():
        # Without the lock, two requests at the same time could violate the unique active key.
        Store.objects.select_for_update().get(pk=store.pk)
        owned = owners(store, bucket, [upload.upload_id for upload in uploads])
        earlier = _earlier_operation(kind, store, bucket, uploads[0], owned) if len(uploads) == 1 else None
        if earlier:
            return earlier
        operation = Operation.objects.create(
            kind=kind, actor=actor, access_token_id=current().token_id, store=store, bucket=bucket, **options
        )
        _create_items(operation, uploads, owned)
    dispatch_operation(operation.pk)
    return operation


def _earlier_operation(
    kind: OperationKind, store: Store, bucket: str, upload: UploadRef, owned: Owners
) -> Operation | None:
    """The operation that works on this upload or has done the same. Raises OwnedByTransfer."""
    if (upload.key, upload.upload_id) in owned:
        raise OwnedByTransfer(owned[upload.key, upload.upload_id])
    return active_operation(store, bucket, upload) or _done_operation(kind, store, bucket, upload)


def _create_items(operation: Operation, uploads: Sequence[UploadRef], owned: Owners) -> None:
    busy = _busy(operation.store, operation.bucket, uploads)
    items = [
        _new_item(operation, upload, owned=(upload.key, upload.upload_id) in owned, busy=busy) for upload in uploads
    ]
    OperationItem.objects.bulk_create(items)
    audit.record_items(operation.actor, "ordered", operation, {item: _refusal_of(item) for item in items})


def _refusal_of(item: OperationItem) -> dict[str, str]:
    return {"refused": item.error_code} if item.error else {}


def _new_item(operation: Operation, upload: UploadRef, *, owned: bool, busy: set[str]) -> OperationItem:
    name = active_key(operation.store_id, operation.bucket, upload.key, upload.upload_id)
    item = OperationItem(operation=operation, key=upload.key, upload_id=upload.upload_id)
    if owned:
        _refuse(item, Problem(Code.OWNED_BY_TRANSFER))
    elif name in busy:
        _refuse(item, Problem(Code.ALREADY_ORDERED))
    else:
        item.active_key = name
    return item


def _refuse(item: OperationItem, problem: Problem) -> None:
    item.state = ItemState.FAILED
    item.finished_at = timezone.now()
    for name, value in problem_fields(problem).items():
        setattr(item, name, value)


def _busy(store: Store, bucket: str, uploads: Iterable[UploadRef]) -> set[str]:
    names = [active_key(store.pk, bucket, upload.key, upload.upload_id) for upload in uploads]
    return set(OperationItem.objects.filter(active_key__in=names).values_list("active_key", flat=True))  # type: ignore[arg-type]


def _done_operation(kind: OperationKind, store: Store, bucket: str, upload: UploadRef) -> Operation | None:
    """An earlier operation that did the same. A store never uses an upload id again, so its result still holds.

    An abort that was not verified can be requested again.
    """
    done = OperationItem.objects.filter(
        key=upload.key,
        upload_id=upload.upload_id,
        state=ItemState.DONE,
        operation__kind=kind,
        operation__store=store,
        operation__bucket=bucket,
    ).select_related("operation")
    return next((item.operation for item in done if item.outcome_error is None), None)


@transaction.atomic
def dispatch_operation(operation_id: uuid.UUID) -> None:
    """Enqueue the next uploads of an operation, unless it is paused or a sweep runs them. Can be called at any time."""
    if _LOCK(id=operation_id):
        _enqueue_next(_NEXT_OF_ONE(id=operation_id, now=timezone.now()))


@transaction.atomic
def dispatch_operations(operation_ids: Collection[uuid.UUID]) -> None:
    """As `dispatch_operation`, without those that another process changes now. One takes as many statements as many."""
    locked = _to_dispatch().select_for_update(skip_locked=True).filter(pk__in=operation_ids)
    ids = list(locked.order_by().values_list("pk", flat=True))
    _enqueue_next(_next(Operation.objects.filter(pk__in=ids), timezone.now()))


def _to_dispatch() -> QuerySet[Operation]:
    return Operation.objects.filter(sweep=None).exclude(desired_state=DesiredState.PAUSE)


def _next(operations: QuerySet[Operation], now: datetime | Given) -> QuerySet[Any, Any]:
    """Of each operation, how many tasks it has, and the next uploads to enqueue: as many columns as tasks it may have.

    Those after the last upload are None.
    """
    items = OperationItem.objects.filter(operation=OuterRef("pk")).order_by("id")
    waiting = items.filter(due(now), **TO_ENQUEUE).values("pk")
    columns = {f"next_{number}": Subquery(waiting[number : number + 1]) for number in range(WINDOW)}
    return operations.annotate(busy=_busy_tasks(), **columns).order_by().values_list("busy", *columns)


def _enqueue_next(found: Iterable[Sequence[Any]]) -> None:
    chosen: list[int] = []
    for busy, *candidates in found:
        chosen += [each for each in candidates if each is not None][: max(0, WINDOW - busy)]
    enqueue_rows("run_item", chosen, message=TASK)


_LOCK = Exists(lambda: _to_dispatch().select_for_update().filter(pk=Given(Operation, "id")).order_by())
_NEXT_OF_ONE = Rows(
    lambda: _next(Operation.objects.filter(pk=Given(Operation, "id")), Given(OperationItem, "not_before", "now"))
)


def due_operations(limit: int) -> list[uuid.UUID]:
    """At most `limit` operations with uploads that nobody has enqueued: a process died, or a message was lost."""
    waiting = OperationItem.objects.filter(due(), **TO_ENQUEUE).order_by().values("operation_id")
    found = _to_dispatch().filter(pk__in=waiting).annotate(busy=_busy_tasks()).filter(busy__lt=WINDOW)
    return list(found.order_by().values_list("pk", flat=True)[:limit])


TO_ENQUEUE = {"state": ItemState.ORDERED, "queued_at__isnull": True}
"""The condition of the index `item_to_enqueue`."""


def _busy_tasks() -> CombinedExpression:
    """How many tasks of an operation are enqueued or running. Uploads that one task has taken have the same token."""
    items = OperationItem.objects.filter(operation=OuterRef("pk")).order_by()
    running = items.filter(state=ItemState.RUNNING)
    return _count(running, Count("lease_token", distinct=True)) + _count(
        items.filter(queued_at__isnull=False), Count("pk")
    )


def _count(items: QuerySet[OperationItem], count: Count) -> Coalesce:
    counted = items.values("operation_id").annotate(count=count).values("count")
    return Coalesce(Subquery(counted), 0)


def end_item(lease: Lease[OperationItem], state: ItemState, **changes: Any) -> None:
    """Write the result of an item, and enqueue the next ones."""
    item = lease.row
    with transaction.atomic():
        if not lease.end(state, active_key=None, finished_at=timezone.now(), **changes):
            return
        if state is ItemState.DONE:
            _note_ends(item.operation, {item: changes.get("outcome", item.outcome)})
        audit.record_item(item.operation.actor, state.value, item.operation, item, **changes)
    dispatch_operation(item.operation_id)


def end_together(operation: Operation, done: Sequence[tuple[Lease[OperationItem], dict[str, Any]]]) -> bool:
    """As `end_item` for several items of an operation that are done, each with its outcome. Enqueues no others.

    False if nothing was written, because one of the leases was lost.
    """
    by_item = {lease.row: outcome for lease, outcome in done}
    now = timezone.now()
    ends = [
        {"id": lease.row.pk, "lease_token": lease.token, "finished_at": now, "outcome": outcome}
        for lease, outcome in done
    ]
    with transaction.atomic():
        if _END.for_each(ends) != len(done):
            transaction.set_rollback(True)
            return False
        _note_ends(operation, by_item)
        details = {item: {"outcome": outcome, **NO_ERROR} for item, outcome in by_item.items()}
        audit.record_items(operation.actor, ItemState.DONE.value, operation, details)
    return True


_END = prepared_change(
    ITEM_STATES,
    lambda: OperationItem.objects.filter(
        pk=Given(OperationItem, "id"), lease_token=Given(OperationItem, "lease_token")
    ),
    ItemState.DONE,
    {ItemState.RUNNING},
    lambda: {
        **{name: Given(OperationItem, name) for name in ("finished_at", "outcome")},
        "active_key": None,
        **RELEASED,
        **NO_ERROR,
    },
)


def _note_ends(operation: Operation, outcomes: Mapping[OperationItem, Mapping[str, Any]]) -> None:
    """Note that uploads are gone: for transfers that may have started them, and for the inventory."""
    by_end: dict[EndedHow | None, list[UploadRef]] = defaultdict(list)
    for item, outcome in outcomes.items():
        by_end[ended_how(OperationKind(operation.kind), outcome)].append(UploadRef(item.key, item.upload_id))
    settle_possible_orphans(operation.store, operation.bucket, [each for refs in by_end.values() for each in refs])
    for how, uploads in by_end.items():
        if how is not None:
            is_ours = how is not EndedHow.ELSEWHERE
            note_ended(operation.store, operation.bucket, uploads, End(how, operation.pk if is_ours else None))
