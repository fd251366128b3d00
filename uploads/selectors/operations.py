"""Reading operations for pages: their progress, those in progress, and the one that ended an upload."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from uploads import access
from uploads.access import AnyUser
from uploads.domain.states import ACTIVE_ITEM_STATES, DesiredState, ItemState
from uploads.models import Operation, OperationItem, Store
from uploads.problems import Code, Problem

OperationState = Literal[
    "running", "pausing", "paused", "stopping", "done", "failed", "partly-failed", "unknown", "halted"
]

LATELY = timedelta(minutes=1)
"""The time in which the rate of an operation is measured."""


@dataclass(frozen=True, slots=True)
class OperationProgress:
    """Numbers of uploads. `active` have not ended, `left` were not begun, `lately` ended within the last minute."""

    total: int
    done: int
    failed: int
    unknown: int
    spared: int
    left: int
    active: int
    lately: int
    state: OperationState


def operation_progress(operations: Sequence[Operation]) -> dict[uuid.UUID, OperationProgress]:
    """The progress of each operation of a page: one query."""
    desired = {operation.pk: DesiredState(operation.desired_state) for operation in operations}
    rows = (
        OperationItem.objects.filter(operation__in=[operation.pk for operation in operations])
        .order_by()
        .values("operation_id")
        .annotate(
            total=Count("pk"),
            done=Count("pk", filter=Q(state=ItemState.DONE)),
            failed=Count("pk", filter=Q(state=ItemState.FAILED)),
            unknown=Count("pk", filter=Q(state=ItemState.UNKNOWN)),
            spared=Count("pk", filter=Q(state=ItemState.SPARED)),
            left=Count("pk", filter=Q(state=ItemState.LEFT)),
            running=Count("pk", filter=Q(state=ItemState.RUNNING)),
            lately=Count("pk", filter=Q(finished_at__gt=timezone.now() - LATELY)),
        )
    )
    return {row["operation_id"]: _operation_progress(desired[row["operation_id"]], row) for row in rows}


def first_items(operations: Sequence[Operation]) -> dict[uuid.UUID, OperationItem]:
    """The first upload of each operation of a page: one query."""
    first = OperationItem.objects.filter(operation=OuterRef("pk")).order_by("id").values("pk")[:1]
    numbers = Operation.objects.filter(pk__in=[each.pk for each in operations]).annotate(first=Subquery(first))
    items = OperationItem.objects.filter(pk__in=numbers.order_by().values("first"))
    return {item.operation_id: item for item in items}


def _operation_progress(desired: DesiredState, counts: Mapping[str, Any]) -> OperationProgress:
    ended = {name: int(counts[name]) for name in ("done", "failed", "unknown", "spared", "left")}
    total = int(counts["total"])
    active = total - sum(ended.values())
    state = _active_state(desired, counts["running"]) if active else _final_state(total, **ended)
    return OperationProgress(total=total, active=active, lately=counts["lately"], state=state, **ended)


def _active_state(desired: DesiredState, running: int) -> OperationState:
    if desired is DesiredState.PAUSE:
        return "pausing" if running else "paused"
    return "stopping" if desired is DesiredState.CANCEL else "running"


def _final_state(total: int, *, failed: int, unknown: int, left: int, **_: int) -> OperationState:
    if failed:
        return "failed" if failed == total else "partly-failed"
    if unknown:
        return "unknown"
    return "halted" if left else "done"


def seconds_left(operation: Operation, progress: OperationProgress) -> tuple[float, float] | None:
    """Uploads per second in the last minute, and the seconds that the others take at this rate; None if not known."""
    if progress.state != "running" or not progress.lately:
        return None
    began = max(operation.created_at, operation.desired_at or operation.created_at)
    seconds = min(LATELY, max(timezone.now() - began, timedelta(seconds=1))).total_seconds()
    rate = progress.lately / seconds
    return rate, progress.active / rate


def why_operation_waits(operation: Operation, progress: OperationProgress) -> Problem | None:
    """Why all of an operation waits; None if it does not. An error of one upload is in its item."""
    silent_since = operation.store.not_answering_since
    if progress.state not in {"running", "stopping"} or silent_since is None:
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
