"""Reading operations for pages: their progress, those in progress, and the one that ended an upload."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery

from uploads import access
from uploads.access import AnyUser
from uploads.domain.states import (
    ACTIVE_ITEM_STATES,
    ItemState,
)
from uploads.models import Operation, OperationItem, Store
from uploads.problems import Code, Problem


@dataclass(frozen=True, slots=True)
class OperationProgress:
    total: int
    done: int
    failed: int
    unknown: int
    active: int
    state: Literal["running", "done", "failed", "partly-failed", "unknown"]


def operation_progress(operations: Sequence[Operation]) -> dict[uuid.UUID, OperationProgress]:
    """The progress of each operation of a page: one query."""
    rows = (
        OperationItem.objects.filter(operation__in=[operation.pk for operation in operations])
        .order_by()
        .values("operation_id")
        .annotate(
            total=Count("pk"),
            done=Count("pk", filter=Q(state=ItemState.DONE)),
            failed=Count("pk", filter=Q(state=ItemState.FAILED)),
            unknown=Count("pk", filter=Q(state=ItemState.UNKNOWN)),
        )
    )
    return {
        row["operation_id"]: _operation_progress(row["total"], row["done"], row["failed"], row["unknown"])
        for row in rows
    }


def first_items(operations: Sequence[Operation]) -> dict[uuid.UUID, OperationItem]:
    """The first upload of each operation of a page: one query."""
    first = OperationItem.objects.filter(operation=OuterRef("pk")).order_by("id").values("pk")[:1]
    numbers = Operation.objects.filter(pk__in=[each.pk for each in operations]).annotate(first=Subquery(first))
    items = OperationItem.objects.filter(pk__in=numbers.order_by().values("first"))
    return {item.operation_id: item for item in items}


def _operation_progress(total: int, done: int, failed: int, unknown: int) -> OperationProgress:
    active = total - done - failed - unknown
    state: Literal["running", "done", "failed", "partly-failed", "unknown"]
    if active:
        state = "running"
    elif failed:
        state = "failed" if failed == total else "partly-failed"
    else:
        state = "unknown" if unknown else "done"
    return OperationProgress(total, done, failed, unknown, active, state)


def why_operation_waits(operation: Operation, progress: OperationProgress) -> Problem | None:
    """Why all of an operation waits; None if it does not. An error of one upload is in its item."""
    silent_since = operation.store.not_answering_since
    if progress.state != "running" or silent_since is None:
        return None
    return Problem(Code.STORE_NOT_ANSWERING, since_at=silent_since.isoformat())


def operations_in_progress(user: AnyUser) -> QuerySet[Operation]:
    return access.visible_operations(user).filter(items__state__in=ACTIVE_ITEM_STATES).distinct()


def ending_operation(user: AnyUser, store: Store, bucket: str, key: str, upload_id: str) -> OperationItem | None:
    """The item that aborted or completed this upload. Stores do not reuse upload ids, so the upload is gone.

    The store may not report it: Swift keeps listing the parts of a completed upload. An abort that was not verified
    does not count: the store has to be asked.
    """
    items = OperationItem.objects.filter(
        key=key,
        upload_id=upload_id,
        state=ItemState.DONE,
        operation__in=access.visible_operations(user).filter(store=store, bucket=bucket),
    )
    return next((item for item in items.select_related("operation__actor") if item.outcome_error is None), None)
