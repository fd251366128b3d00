"""The leased work of operations: one item for each upload."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any

from uploads import access
from uploads.domain.roles import Action, Place
from uploads.domain.states import ITEM_STATES, ItemState, OperationKind
from uploads.models import OperationItem
from uploads.problems import Problem
from uploads.services.operations.order import dispatch_operation, dispatch_operations, due_operations, end_item
from uploads.services.operations.outcomes import end_of, may_have_begun
from uploads.services.work.kinds import register
from uploads.services.work.leases import Kind, Lease
from uploads.services.work.queue import enqueue_on_commit
from uploads.services.work.tasks import dispatch_batches, guard, record_worker_lost


def refusal_of(item: OperationItem) -> Problem | None:
    """Why the request is not sent: its actor may not do it any more. One that was sent is followed to its outcome."""
    if may_have_begun(item):
        return None
    operation = item.operation
    place = Place(operation.store_id, operation.bucket, item.key)
    action = ACTIONS[OperationKind(operation.kind)]
    return access.no_longer_allowed(operation.actor, action, place, operation.access_token_id)


ACTIONS = {OperationKind.ABORT: Action.ABORT_UPLOADS, OperationKind.COMPLETE: Action.COMPLETE_UPLOADS}


def _resume(item: OperationItem, seconds: float) -> None:
    enqueue_on_commit("dispatch_operation", [item.operation_id], countdown=seconds)


def _give_up(lease: Lease[OperationItem], error: dict[str, Any]) -> None:
    state, columns = end_of(lease.row, error)
    end_item(lease, state, **columns)


def dispatch_guarded(operation_id: uuid.UUID) -> None:
    """`dispatch_operation`; an internal error counts as a failed attempt of each item that waits."""
    rows = ITEMS.waiting_rows().filter(operation_id=operation_id)
    guard(ITEMS, rows, partial(dispatch_operation, operation_id))


def _dispatch_due(limit: int) -> int:
    return dispatch_batches(due_operations(limit), dispatch_operations, dispatch_guarded)


ITEMS = register(
    Kind(
        name="item",
        model=OperationItem,
        table=ITEM_STATES,
        waiting=ItemState.ORDERED,
        running=ItemState.RUNNING,
        related=("operation__store", "operation__actor"),
        facts=lambda item: {"order": item.operation_id, "upload_id": item.upload_id},
        resume=_resume,
        give_up=_give_up,
        worker_lost=record_worker_lost,
        dispatch_due=_dispatch_due,
    )
)
