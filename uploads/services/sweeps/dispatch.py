"""The window of a run: which uploads of a sweep are enqueued next, and what happens after the last one."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from uploads.domain.states import SWEEP_ITEM_STATES, SWEEP_STATES, SweepItemState, SweepState
from uploads.domain.sweeps import should_stop
from uploads.models import Sweep, SweepItem
from uploads.problems import Code
from uploads.services.sweeps.recording import record
from uploads.services.work.leases import Lease, due
from uploads.services.work.queue import enqueue_rows
from uploads.services.work.transitions import change

WINDOW = 8
"""Uploads of one sweep that are enqueued or running at a time."""


@transaction.atomic
def dispatch_sweep(sweep_id: uuid.UUID) -> None:
    """Enqueue the next uploads of a run, or let the proof begin after the last one. Can be called at any time."""
    sweep = Sweep.objects.select_for_update().filter(pk=sweep_id, state=SweepState.RUNNING).first()
    if sweep is None:
        return
    items = SweepItem.objects.filter(sweep=sweep_id)
    active = items.filter(state__in=(SweepItemState.ORDERED, SweepItemState.RUNNING))
    waiting = list(
        active.filter(due(), state=SweepItemState.ORDERED, queued_at__isnull=True)
        .order_by("number")
        .values_list("pk", flat=True)
    )
    busy = active.count()
    planned = items.filter(state=SweepItemState.PLANNED).order_by("number")
    following = list(planned.values_list("pk", flat=True)[: max(0, WINDOW - busy)])
    if following:
        change(SWEEP_ITEM_STATES, SweepItem.objects.filter(pk__in=following), SweepItemState.ORDERED)
    if busy or following:
        enqueue_rows("run_sweep_item", [*waiting, *following])
    else:
        begin_proof(sweep, SweepState.DONE)


def due_sweeps(limit: int) -> list[uuid.UUID]:
    """At most `limit` runs with space in their window."""
    waiting = SweepItem.objects.filter(due(), state=SweepItemState.ORDERED, queued_at__isnull=True)
    rows = Sweep.objects.filter(finished_at__isnull=True, state=SweepState.RUNNING)
    idle = rows.exclude(
        pk__in=SweepItem.objects.filter(state__in=(SweepItemState.ORDERED, SweepItemState.RUNNING)).values("sweep")
    )
    found = rows.filter(pk__in=waiting.values("sweep")) | idle
    return list(found.order_by().values_list("pk", flat=True)[:limit])


def begin_proof(sweep: Sweep, ends_as: SweepState, **changes: Any) -> bool:
    """End a run: what has not begun is not begun any more, and the proof follows. False if it has ended already."""
    rows = Sweep.objects.filter(pk=sweep.pk)
    if not change(SWEEP_STATES, rows, SweepState.PROVING, ends_as=ends_as.value, **changes):
        return False
    ordered = SweepItem.objects.filter(sweep=sweep.pk, state=SweepItemState.ORDERED)
    change(SWEEP_ITEM_STATES, ordered, SweepItemState.PLANNED, queued_at=None, not_before=None)
    enqueue_rows("drive_sweep", [sweep.pk])
    return True


def end_item(lease: Lease[SweepItem], state: SweepItemState, **changes: Any) -> None:
    """Write what became of an upload, stop the run after too many failures, and enqueue the next ones."""
    item = lease.row
    is_failure = state in (SweepItemState.FAILED, SweepItemState.UNKNOWN)
    is_failure |= changes.get("error_reason") == Code.SPARED_UNREADABLE
    with transaction.atomic():
        if not lease.end(state, finished_at=timezone.now(), **changes):
            return
        counted = {"attempted": F("attempted") + 1, "failures": F("failures") + int(is_failure)}
        Sweep.objects.filter(pk=item.sweep_id).update(**counted)
        if is_failure:
            _stop_after_failures(item.sweep)
    dispatch_sweep(item.sweep_id)


def _stop_after_failures(sweep: Sweep) -> None:
    sweep.refresh_from_db(fields=["attempted", "failures"])
    is_over = should_stop(sweep.attempted, sweep.failures, percent=settings.SWEEP_STOP_PERCENT)
    if is_over and begin_proof(sweep, SweepState.STOPPED):
        record(None, "stopped", sweep, attempted=sweep.attempted, failed=sweep.failures)
