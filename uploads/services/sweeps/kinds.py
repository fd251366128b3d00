"""The leased work of sweeps: planning and proving one batch at a time, and the items of a run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from uploads.domain.states import SWEEP_ITEM_STATES, SWEEP_STATES, SweepItemState, SweepState
from uploads.models import Sweep, SweepItem
from uploads.services.sweeps.dispatch import dispatch_sweep, due_sweeps, end_item
from uploads.services.sweeps.ending import end_of, end_operation_item
from uploads.services.sweeps.pausing import pause_for_disabled_stores
from uploads.services.sweeps.recording import SWEEP_QUEUE, record
from uploads.services.sweeps.repeat import plan_repeating
from uploads.services.work.kinds import register
from uploads.services.work.leases import Kind, Lease, due, free
from uploads.services.work.queue import enqueue_on_commit, enqueue_rows
from uploads.services.work.tasks import dispatch_batches, record_worker_lost
from uploads.services.work.transitions import change

WORKING = (SweepState.PLANNING, SweepState.PROVING)
"""States in which the row of the sweep itself is worked on. A run is the work of its items."""


def _give_up(lease: Lease[Sweep], error: dict[str, Any]) -> None:
    sweep = lease.row
    with transaction.atomic():
        if lease.end(SweepState.FAILED, finished_at=timezone.now(), **error):
            record(None, "failed", sweep, error=error["error_reason"])


def _dispatch_due(limit: int) -> int:
    expire_plans(limit)
    plan_repeating(limit)
    with transaction.atomic():
        rows = Sweep.objects.filter(due(), free(), finished_at__isnull=True, queued_at__isnull=True)
        ids = list(rows.filter(state__in=WORKING).order_by().values_list("pk", flat=True)[:limit])
        enqueue_rows("drive_sweep", ids)
    return len(ids)


def expire_plans(limit: int) -> int:
    """End plans that nobody has run in time, at most `limit`. Returns how many."""
    old = timezone.now() - timedelta(hours=settings.SWEEP_PLAN_HOURS)
    waiting = Sweep.objects.filter(
        finished_at__isnull=True, state__in=(SweepState.PLANNED, SweepState.APPROVED), planned_at__lt=old
    )
    sweeps = list(waiting.select_related("store")[:limit])
    for sweep in sweeps:
        with transaction.atomic():
            if change(SWEEP_STATES, Sweep.objects.filter(pk=sweep.pk), SweepState.EXPIRED, finished_at=timezone.now()):
                record(None, "expired", sweep)
    return len(sweeps)


def _dispatch_due_items(limit: int) -> int:
    pause_for_disabled_stores(limit)
    return dispatch_batches(due_sweeps(limit), _dispatch_all, dispatch_sweep)


def _dispatch_all(ids: Any) -> None:
    for each in ids:
        dispatch_sweep(each)


SWEEPS = register(
    Kind(
        name="sweep",
        model=Sweep,
        table=SWEEP_STATES,
        related=("store", "author", "approver", "started_by", "repeating"),
        facts=lambda sweep: {"order": sweep.pk},
        resume=lambda sweep, seconds: enqueue_on_commit(
            "drive_sweep", [sweep.pk], queue=SWEEP_QUEUE, countdown=seconds
        ),
        give_up=_give_up,
        worker_lost=record_worker_lost,
        dispatch_due=_dispatch_due,
    )
)


def _give_up_item(lease: Lease[SweepItem], error: dict[str, Any]) -> None:
    """An upload whose abort may have been requested never counts as failed."""
    ordered = lease.row.operation_item
    if ordered is not None:
        end_operation_item(ordered)
        ordered.refresh_from_db()
    state, columns = (ordered and end_of(ordered)) or (SweepItemState.FAILED, error)
    end_item(lease, state, **columns)


SWEEP_ITEMS = register(
    Kind(
        name="sweep-item",
        model=SweepItem,
        table=SWEEP_ITEM_STATES,
        waiting=SweepItemState.ORDERED,
        running=SweepItemState.RUNNING,
        related=("sweep__started_by", "sweep__run_token", "sweep__store", "store", "operation_item"),
        facts=lambda item: {"order": item.sweep_id, "upload_id": item.upload_id},
        resume=lambda item, seconds: enqueue_on_commit(
            "run_sweep_item", [item.pk], queue=SWEEP_QUEUE, countdown=seconds
        ),
        give_up=_give_up_item,
        worker_lost=record_worker_lost,
        dispatch_due=_dispatch_due_items,
    )
)
