"""Sweeps that are planned again by a schedule, and run by themselves within the limits that were approved."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from uploads import audit
from uploads.domain.inventory_filter import InventoryFilter
from uploads.domain.states import SWEEP_STATES, SweepState
from uploads.domain.sweeps import needs_other_person, next_time, why_waits
from uploads.models import RepeatingSweep, Sweep
from uploads.problems import Code, Problem
from uploads.services.sweeps.dispatch import dispatch_sweep
from uploads.services.sweeps.plan import check_rule, request_sweep
from uploads.services.sweeps.recording import record
from uploads.services.sweeps.steps import StepRefused
from uploads.services.work.transitions import change

BUSY = (SweepState.PLANNING, SweepState.RUNNING, SweepState.PAUSED, SweepState.PROVING)


def add_repeating(
    author: User,
    rule: InventoryFilter,
    schedule: str,
    *,
    minute: int,
    weekday: int,
    max_uploads: int,
    max_bytes: int,
) -> RepeatingSweep:
    """A rule with its schedule. Until it is approved, each of its plans waits for approval. Raises RuleRefused."""
    check_rule(rule)
    with transaction.atomic():
        repeating = RepeatingSweep.objects.create(
            rule=rule.to_json(),
            author=author,
            schedule=schedule,
            minute=minute,
            weekday=weekday,
            max_uploads=max_uploads,
            max_bytes=max_bytes,
            next_at=next_time(timezone.now(), schedule, minute, weekday),
        )
        _record(author, "repeating-added", repeating, rule=repeating.rule, schedule=schedule)
    return repeating


def approve_repeating(actor: User, repeating: RepeatingSweep) -> None:
    """Let plans within the limits run by themselves. Raises StepRefused."""
    if needs_other_person(repeating.author_id, actor.pk, required=settings.SWEEP_SECOND_PERSON):
        raise StepRefused(Problem(Code.SWEEP_OTHER_PERSON))
    with transaction.atomic():
        rows = RepeatingSweep.objects.filter(pk=repeating.pk, approved_at=None)
        if rows.update(approver=actor, approved_at=timezone.now()):
            limits = {"max_uploads": repeating.max_uploads, "max_bytes": repeating.max_bytes}
            _record(actor, "repeating-approved", repeating, **limits)


def disable_repeating(actor: User, repeating: RepeatingSweep) -> None:
    with transaction.atomic():
        if RepeatingSweep.objects.filter(pk=repeating.pk, next_at__isnull=False).update(next_at=None):
            _record(actor, "repeating-disabled", repeating)


def _record(actor: User, action: str, repeating: RepeatingSweep, **detail: object) -> None:
    rule = InventoryFilter.from_json(repeating.rule)
    details = {"repeating": str(repeating.pk), **detail}
    audit.record(actor, f"sweep.{action}", store=rule.store, bucket=rule.bucket, detail=details)


def plan_repeating(limit: int) -> int:
    """Request the plans that are due, at most `limit`. None while an earlier one is at work."""
    now = timezone.now()
    due = RepeatingSweep.objects.filter(next_at__isnull=False, next_at__lte=now).select_related("author")
    found = list(due[:limit])
    for each in found:
        following = next_time(now, each.schedule, each.minute, each.weekday)
        with transaction.atomic():
            is_ours = RepeatingSweep.objects.filter(pk=each.pk, next_at=each.next_at).update(next_at=following)
            if is_ours and not each.sweeps.filter(state__in=BUSY).exists():
                request_sweep(each.author, InventoryFilter.from_json(each.rule), repeating=each)
    return len(found)


def waits_because(sweep: Sweep) -> Problem | None:
    """Why a plan that a schedule has made waits for approval; None for plans that were requested or that need not."""
    repeating = sweep.repeating
    if repeating is None or sweep.planned_at is None or not sweep.uploads:
        return None
    limits = {"max_uploads": repeating.max_uploads, "max_bytes": repeating.max_bytes}
    return why_waits(sweep.uploads, sweep.bytes, is_approved=repeating.approver_id is not None, **limits)


def run_by_itself(sweep: Sweep) -> None:
    """Approve and run a repeated plan within its approved limits. Any other plan waits for somebody."""
    repeating = sweep.repeating
    if repeating is None or repeating.next_at is None or not sweep.uploads:
        return
    problem = waits_because(sweep)
    if problem is not None or repeating.approver is None:
        limits = {"max_uploads": repeating.max_uploads, "max_bytes": repeating.max_bytes}
        record(None, "waits", sweep, uploads=sweep.uploads, bytes=sweep.bytes, **limits)
        return
    now, rows = timezone.now(), Sweep.objects.filter(pk=sweep.pk)
    started = {"started_by": repeating.approver, "started_at": now}
    if change(SWEEP_STATES, rows, SweepState.APPROVED, approver=repeating.approver, approved_at=now) and change(
        SWEEP_STATES, rows, SweepState.RUNNING, {SweepState.APPROVED}, **started
    ):
        record(repeating.approver, "started", sweep, uploads=sweep.uploads, repeating=str(repeating.pk))
        dispatch_sweep(sweep.pk)
