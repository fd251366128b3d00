"""The leased work of operations: one item for each upload."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any

from uploads.domain.states import ITEM_STATES, ItemState
from uploads.models import OperationItem
from uploads.services.operations.order import dispatch_operation, dispatch_operations, due_operations, end_item
from uploads.services.operations.outcomes import end_of
from uploads.services.work.kinds import register
from uploads.services.work.leases import Kind, Lease
from uploads.services.work.queue import enqueue_on_commit
from uploads.services.work.tasks import dispatch_batches, guard, record_worker_lost


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
