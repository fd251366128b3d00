"""The task of a sweep itself: its plan and its proof, one batch at a time."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from uploads import access
from uploads.domain.roles import Action
from uploads.domain.states import SWEEP_STATES, SweepState
from uploads.models import Sweep
from uploads.problems import Problem
from uploads.services.sweeps.kinds import SWEEPS
from uploads.services.sweeps.plan import plan_batch
from uploads.services.sweeps.prove import prove_batch
from uploads.services.sweeps.recording import record, sweep_queue
from uploads.services.sweeps.repeat import run_by_itself
from uploads.services.work.leases import RELEASED, Lease
from uploads.services.work.queue import enqueue_rows
from uploads.services.work.tasks import task
from uploads.services.work.transitions import change


def refusal_of(sweep: Sweep) -> Problem | None:
    """A plan is not made for an author who may plan none any more. A proof only reads."""
    if sweep.state != SweepState.PLANNING:
        return None
    return access.no_longer_allowed(sweep.author, Action.PLAN_SWEEPS, None, sweep.access_token_id)


@task(
    SWEEPS,
    lambda: Sweep.objects.filter(state__in=(SweepState.PLANNING, SweepState.PROVING)),
    queue=sweep_queue,
    refusal=refusal_of,
)
def drive_sweep(lease: Lease[Sweep]) -> None:
    """Plan or prove the next batch, and enqueue the task again until there is none."""
    sweep = lease.row
    if sweep.state == SweepState.PLANNING:
        if plan_batch(lease):
            _end_plan(lease)
            return
    elif prove_batch(lease):
        _end_proof(lease)
        return
    _continue(lease)


def _continue(lease: Lease[Sweep]) -> None:
    not_before = lease.rows().values_list("not_before", flat=True).first()
    seconds = max(0.0, (not_before - timezone.now()).total_seconds()) if not_before else 0.0
    with transaction.atomic():
        if lease.release() and seconds:
            SWEEPS.resume(lease.row, seconds)
        elif not seconds:
            enqueue_rows("drive_sweep", [lease.row.pk])


def _end_plan(lease: Lease[Sweep]) -> None:
    """The plan waits for approval. A plan without uploads is done."""
    sweep = lease.row
    with transaction.atomic():
        if not change(SWEEP_STATES, lease.rows(), SweepState.PLANNED, planned_at=timezone.now(), **RELEASED):
            return
        sweep.refresh_from_db()
        if not sweep.uploads:
            change(SWEEP_STATES, Sweep.objects.filter(pk=sweep.pk), SweepState.DONE, finished_at=timezone.now())
        record(None, "plan-ready", sweep, uploads=sweep.uploads, bytes=sweep.bytes)
        run_by_itself(sweep)


def _end_proof(lease: Lease[Sweep]) -> None:
    sweep = lease.row
    with transaction.atomic():
        if lease.end(SweepState(sweep.ends_as), finished_at=timezone.now()):
            sweep.refresh_from_db()
            record(sweep.started_by, "proved", sweep, state=sweep.ends_as, freed_bytes=sweep.freed_bytes)
