"""What users do with a sweep: approve, run, pause, resume and cancel it."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from uploads.domain.states import SWEEP_STATES, SweepState
from uploads.domain.sweeps import is_expired, needs_other_person
from uploads.models import Sweep
from uploads.origin import current
from uploads.problems import Code, Problem, ProblemError
from uploads.services.sweeps.dispatch import begin_proof, dispatch_sweep
from uploads.services.sweeps.pausing import disabled_stores_of, pause
from uploads.services.sweeps.recording import record
from uploads.services.work.failures import NO_ERROR
from uploads.services.work.transitions import change

BEFORE_RUN = frozenset({SweepState.PLANNING, SweepState.PLANNED, SweepState.APPROVED})


class StepRefused(ProblemError):
    """Nothing was changed: the sweep is in another state, its plan is another one, or somebody else has to do it."""


def approve_sweep(actor: User, sweep: Sweep, digest: str) -> None:
    """Approve the plan with this digest. Raises StepRefused."""
    if needs_other_person(sweep.author_id, actor.pk, required=settings.SWEEP_SECOND_PERSON):
        raise StepRefused(Problem(Code.SWEEP_OTHER_PERSON))
    if sweep.state == SweepState.APPROVED and sweep.digest == digest:
        return
    if sweep.state == SweepState.PLANNED and sweep.digest != digest:
        raise StepRefused(Problem(Code.SWEEP_CHANGED))
    require_fresh(sweep)
    approved = {"approver": actor, "approved_at": timezone.now()}
    with transaction.atomic():
        rows = Sweep.objects.filter(pk=sweep.pk, digest=digest)
        _require(change(SWEEP_STATES, rows, SweepState.APPROVED, **approved), sweep)
        record(actor, "approved", sweep, uploads=sweep.uploads, bytes=sweep.bytes, digest=digest)


def run_sweep(actor: User, sweep: Sweep) -> None:
    """Begin to abort the uploads of an approved plan. A second request changes nothing. Raises StepRefused."""
    if sweep.state == SweepState.RUNNING:
        return
    if sweep.state != SweepState.APPROVED:
        raise StepRefused(Problem(Code.SWEEP_NOT_NOW, state=sweep.state))
    require_fresh(sweep)
    require_enabled_stores(sweep)
    started = {"started_by": actor, "run_token_id": current().token_id, "started_at": timezone.now()}
    with transaction.atomic():
        rows = Sweep.objects.filter(pk=sweep.pk)
        _require(change(SWEEP_STATES, rows, SweepState.RUNNING, {SweepState.APPROVED}, **started), sweep)
        record(actor, "started", sweep, uploads=sweep.uploads)
    dispatch_sweep(sweep.pk)


def pause_sweep(actor: User, sweep: Sweep) -> None:
    """No further upload is begun. Raises StepRefused."""
    with transaction.atomic():
        _require(int(pause(actor, sweep)), sweep)


def resume_sweep(actor: User, sweep: Sweep) -> None:
    """Continue a paused run. Each upload is read again before its abort, however long the pause was.

    Raises StepRefused, also while a store with uploads that are left is disabled.
    """
    require_enabled_stores(sweep)
    with transaction.atomic():
        rows = Sweep.objects.filter(pk=sweep.pk)
        _require(change(SWEEP_STATES, rows, SweepState.RUNNING, {SweepState.PAUSED}, **NO_ERROR), sweep)
        record(actor, "resumed", sweep)
    dispatch_sweep(sweep.pk)


def cancel_sweep(actor: User, sweep: Sweep) -> None:
    """No further upload is begun, and what was aborted is proved. Raises StepRefused if the sweep has ended."""
    ended = {"finished_at": timezone.now(), "lease_token": None, "lease_until": None}
    with transaction.atomic():
        rows = Sweep.objects.filter(pk=sweep.pk)
        if change(SWEEP_STATES, rows, SweepState.CANCELLED, BEFORE_RUN, **ended):
            record(actor, "cancelled", sweep)
            return
        _require(int(begin_proof(sweep, SweepState.CANCELLED)), sweep)
        record(actor, "cancelled", sweep)


def require_fresh(sweep: Sweep) -> None:
    hours = settings.SWEEP_PLAN_HOURS
    if sweep.planned_at is not None and is_expired(sweep.planned_at, timezone.now(), hours):
        raise StepRefused(Problem(Code.SWEEP_EXPIRED, hours=hours))


def require_enabled_stores(sweep: Sweep) -> None:
    problem = disabled_stores_of(sweep)
    if problem is not None:
        raise StepRefused(problem)


def _require(changed: int, sweep: Sweep) -> None:
    if not changed:
        sweep.refresh_from_db(fields=["state"])
        raise StepRefused(Problem(Code.SWEEP_NOT_NOW, state=sweep.state))
