"""Pausing runs: for a user, or because a store is disabled. A paused run leaves nothing that others wait for."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef

from uploads.domain.states import SWEEP_ITEM_STATES, SWEEP_STATES, SweepItemState, SweepState
from uploads.models import Store, Sweep, SweepItem, SweepPlace
from uploads.problems import Code, Problem
from uploads.services.sweeps.recording import record
from uploads.services.work.failures import problem_fields
from uploads.services.work.transitions import change

UNFINISHED = (SweepItemState.PLANNED, SweepItemState.ORDERED, SweepItemState.RUNNING)


def pause(actor: User | None, sweep: Sweep, problem: Problem | None = None) -> bool:
    """Begin no further upload, and take back those that wait. False if the sweep does not run.

    An upload whose abort was requested keeps its place: its outcome has to be found out after the pause. Call it in a
    transaction.
    """
    columns: dict[str, Any] = problem_fields(problem) if problem else {}
    if not change(SWEEP_STATES, Sweep.objects.filter(pk=sweep.pk), SweepState.PAUSED, **columns):
        return False
    waiting = SweepItem.objects.filter(sweep=sweep.pk, state=SweepItemState.ORDERED, operation_item=None)
    change(SWEEP_ITEM_STATES, waiting, SweepItemState.PLANNED, queued_at=None, not_before=None)
    record(actor, "paused", sweep, **({"reason": problem} if problem else {}))
    return True


def disabled_stores_of(sweep: Sweep) -> Problem | None:
    """The problem that names the disabled stores with uploads of the plan that have not ended; None without one."""
    left = SweepItem.objects.filter(sweep=sweep.pk, state__in=UNFINISHED, store=OuterRef("pk"))
    places = SweepPlace.objects.filter(sweep=sweep.pk).values("store")
    stores = Store.objects.filter(Exists(left), pk__in=places, enabled=False)
    names = list(stores.order_by("name").values_list("name", flat=True))
    return Problem(Code.SWEEP_STORE_DISABLED, stores=names) if names else None


def pause_for_disabled_stores(limit: int) -> int:
    """Pause runs with uploads left in a store that is disabled, at most `limit`. Returns how many."""
    places = SweepPlace.objects.filter(sweep=OuterRef("pk"), store__enabled=False)
    rows = Sweep.objects.filter(Exists(places), finished_at__isnull=True, state=SweepState.RUNNING)
    return sum(pause_if_disabled(sweep) for sweep in rows.select_related("store")[:limit])


def pause_if_disabled(sweep: Sweep) -> bool:
    """Pause a run with uploads left in a store that is disabled. Whether it was paused."""
    problem = disabled_stores_of(sweep)
    if problem is None:
        return False
    with transaction.atomic():
        return pause(None, sweep, problem)
