"""Sweeps that are planned again by a schedule, and run by themselves within the limits that were approved."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

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
from uploads.services.sweeps.pausing import disabled_stores_of
from uploads.services.sweeps.plan import check_rule, request_sweep
from uploads.services.sweeps.recording import record
from uploads.services.sweeps.steps import StepRefused
from uploads.services.work.transitions import change

BUSY = (SweepState.PLANNING, SweepState.RUNNING, SweepState.PROVING)
"""A run that is paused may stay so for long, and keeps no later plan from being made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """When a rule is planned again, and what its plans may remove by themselves once they are approved.

    `minute` is the minute of the day in UTC, `weekday` the day of weekly plans, 0 for Monday.
    """

    schedule: str
    minute: int = 240
    weekday: int = 6
    max_uploads: int
    max_bytes: int

    def next_after(self, now: datetime) -> datetime:
        return next_time(now, self.schedule, self.minute, self.weekday)


TIMES = ("schedule", "minute", "weekday")
APPROVED = ("rule", "max_uploads", "max_bytes")
"""What an approval is of. If it changes, nobody has approved it."""


def add_repeating(author: User, rule: InventoryFilter, repetition: Repetition) -> RepeatingSweep:
    """A rule with its schedule. Until it is approved, each of its plans waits for approval. Raises RuleRefused."""
    check_rule(rule)
    with transaction.atomic():
        next_at = repetition.next_after(timezone.now())
        repeating = RepeatingSweep(author=author, next_at=next_at, **_columns(rule, repetition))
        repeating.save(force_insert=True)
        _record(author, "repeating-added", repeating, rule=repeating.rule, schedule=repeating.schedule)
    return repeating


def _columns(rule: InventoryFilter, repetition: Repetition) -> dict[str, Any]:
    return {"rule": rule.to_json(), **asdict(repetition)}


def _facts(repeating: RepeatingSweep) -> dict[str, Any]:
    return {name: getattr(repeating, name) for name in (*APPROVED, *TIMES)}


def version_of(repeating: RepeatingSweep) -> str:
    """Names the rule with its schedule and its limits: who approves or changes it says which one was seen."""
    return hashlib.sha256(json.dumps(_facts(repeating), sort_keys=True).encode()).hexdigest()


def change_repeating(
    actor: User, repeating: RepeatingSweep, rule: InventoryFilter, repetition: Repetition, *, seen: str
) -> None:
    """Change a rule, its schedule or its limits. Raises RuleRefused, and StepRefused if it is not the one `seen`.

    A rule or limits that are new have no approval, and the actor becomes the author: plans are made with the roles of
    whoever has written the rule. Plans that exist keep their rule. Nothing is recorded if nothing changes.
    """
    check_rule(rule)
    with transaction.atomic():
        row = _locked(repeating, seen)
        before, after = _facts(row), _columns(rule, repetition)
        changed = [name for name, value in after.items() if before[name] != value]
        if not changed:
            return
        for name in changed:
            setattr(row, name, after[name])
        if any(name in changed for name in APPROVED):
            before["approver"] = row.approver.get_username() if row.approver else ""
            after["approver"] = ""
            row.author, row.approver, row.approved_at = actor, None, None
        if row.next_at is not None and any(name in changed for name in TIMES):
            row.next_at = repetition.next_after(timezone.now())
        row.save()
        names = [*changed, *(["approver"] if before.get("approver") else [])]
        changes = [{name: values[name] for name in names} for values in (before, after)]
        _record(actor, "repeating-changed", row, *changes)


def _locked(repeating: RepeatingSweep, seen: str) -> RepeatingSweep:
    """The row as it is now. Raises StepRefused if it is another rule than the one that was seen."""
    row = RepeatingSweep.objects.select_for_update().get(pk=repeating.pk)
    if version_of(row) != seen:
        raise StepRefused(Problem(Code.SWEEP_RULE_OTHER))
    return row


def approve_repeating(actor: User, repeating: RepeatingSweep, *, seen: str) -> None:
    """Let plans within the limits run by themselves. Raises StepRefused."""
    with transaction.atomic():
        row = _locked(repeating, seen)
        if needs_other_person(row.author_id, actor.pk, required=settings.SWEEP_SECOND_PERSON):
            raise StepRefused(Problem(Code.SWEEP_OTHER_PERSON))
        if row.approved_at is None:
            row.approver, row.approved_at = actor, timezone.now()
            row.save(update_fields=["approver", "approved_at"])
            _record(actor, "repeating-approved", row, max_uploads=row.max_uploads, max_bytes=row.max_bytes)


def enable_repeating(actor: User, repeating: RepeatingSweep) -> None:
    """Plan a disabled rule again from its next time on."""
    now = timezone.now()
    next_at = next_time(now, repeating.schedule, repeating.minute, repeating.weekday)
    with transaction.atomic():
        if RepeatingSweep.objects.filter(pk=repeating.pk, next_at__isnull=True).update(next_at=next_at):
            _record(actor, "repeating-enabled", repeating)


def disable_repeating(actor: User, repeating: RepeatingSweep) -> None:
    with transaction.atomic():
        if RepeatingSweep.objects.filter(pk=repeating.pk, next_at__isnull=False).update(next_at=None):
            _record(actor, "repeating-disabled", repeating)


def _record(
    actor: User,
    action: str,
    repeating: RepeatingSweep,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    **detail: object,
) -> None:
    rule = InventoryFilter.from_json(repeating.rule)
    details = {"repeating": str(repeating.pk), **detail}
    audit.record(
        actor, f"sweep.{action}", store=rule.store, bucket=rule.bucket, before=before, after=after, detail=details
    )


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
                # It may have been changed since it was found. Its row is locked now.
                each.refresh_from_db()
                request_sweep(each.author, InventoryFilter.from_json(each.rule), repeating=each)
    return len(found)


def has_other_rule(sweep: Sweep) -> bool:
    """Whether the repeating rule was changed since this plan was requested."""
    return sweep.repeating is not None and sweep.repeating.rule != sweep.rule


def waits_because(sweep: Sweep) -> Problem | None:
    """Why a plan that a schedule has made waits for approval; None for plans that were requested or that need not."""
    repeating = sweep.repeating
    if repeating is None or sweep.planned_at is None or not sweep.uploads:
        return None
    return disabled_stores_of(sweep) or why_waits(
        sweep.uploads,
        sweep.bytes,
        is_same_rule=not has_other_rule(sweep),
        is_approved=repeating.approver_id is not None,
        max_uploads=repeating.max_uploads,
        max_bytes=repeating.max_bytes,
    )


def run_by_itself(sweep: Sweep) -> None:
    """Approve and run a repeated plan within its approved limits. Any other plan waits for somebody.

    Call it in a transaction: the rule is locked, because it may be changed or disabled at the same time.
    """
    if sweep.repeating_id is None:
        return
    repeating = RepeatingSweep.objects.select_for_update().get(pk=sweep.repeating_id)
    if repeating.next_at is None or not sweep.uploads:
        return
    sweep.repeating = repeating
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
