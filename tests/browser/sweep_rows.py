"""Sweeps in every state, with plans, spared uploads, failures and a proof, for tests that look at all pages.

Runs in the installation of a test. The sweeps are rows only: no worker continues one that has ended or that waits.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from uploads.domain.states import SweepItemState, SweepState
from uploads.models import RepeatingSweep, Store, Sweep, SweepItem, SweepPlace
from uploads.problems import Code, Problem
from uploads.services.work.failures import problem_fields

NAMES = {"sweep-author", "sweep-key"}
WAITING = (SweepState.PLANNED, SweepState.APPROVED, SweepState.PAUSED)
ENDED = (SweepState.DONE, SweepState.STOPPED, SweepState.CANCELLED, SweepState.FAILED, SweepState.EXPIRED)
STARTED = (SweepState.PAUSED, SweepState.DONE, SweepState.STOPPED, SweepState.CANCELLED)

ITEMS: tuple[tuple[SweepItemState, str, Code | None], ...] = (
    (SweepItemState.DONE, "gone", None),
    (SweepItemState.DONE, "there", None),
    (SweepItemState.UNKNOWN, "not-known", Code.WORKER_LOST),
    (SweepItemState.FAILED, "", Code.SWEEP_ENDED),
    (SweepItemState.SPARED, "", Code.SPARED_ARRIVED),
    (SweepItemState.SPARED, "", Code.SPARED_UNREADABLE),
    (SweepItemState.PLANNED, "", None),
)
REPEATED = (
    {"max_uploads": 1000, "max_bytes": 10 * 1024**3},
    {"max_uploads": 1, "max_bytes": 10 * 1024**3},
    {"max_uploads": 1000, "max_bytes": 1},
    {"max_uploads": 1000, "max_bytes": 10 * 1024**3},
)


def create(store_name: str, bucket: str, key: str = "sweep-key") -> list[str]:
    """The addresses of the sweeps: of every state, of one without an upload, and of repeating rules that are not
    approved, above their limits, or changed since the plan; and of the form of a repeating rule.
    """
    store = Store.objects.get(name=store_name)
    author = User.objects.get_or_create(username="sweep-author")[0]
    sweeps = [_sweep(store, bucket, key, author, state) for state in (*WAITING, *ENDED)]
    sweeps.append(_sweep(store, bucket, key, author, SweepState.DONE, is_empty=True))
    for number, limits in enumerate(REPEATED):
        repeating = _repeating(author, bucket, limits, is_approved=number > 0)
        rule = repeating.rule if number < len(REPEATED) - 1 else {"bucket": bucket, "verdicts": ["stalled"]}
        sweeps.append(_sweep(store, bucket, key, author, SweepState.PLANNED, repeating=repeating, rule=rule))
    return [*(f"/sweeps/{sweep.pk}/" for sweep in sweeps), f"/sweeps/repeating/{repeating.pk}/edit/"]


def _repeating(author: User, bucket: str, limits: dict[str, int], *, is_approved: bool) -> RepeatingSweep:
    now = timezone.now()
    approved = {"approver": author, "approved_at": now} if is_approved else {}
    next_at = now + timedelta(days=300) if is_approved else None
    rule = {"bucket": bucket, "verdicts": ["dead"]}
    return RepeatingSweep.objects.create(
        rule=rule, author=author, schedule="daily", next_at=next_at, **limits, **approved
    )


def _sweep(
    store: Store, bucket: str, key: str, author: User, state: SweepState, *, is_empty: bool = False, **more: Any
) -> Sweep:
    now = timezone.now()
    is_started, is_planned = state in STARTED and not is_empty, state is not SweepState.FAILED
    has_uploads = is_planned and not is_empty
    rule = {"store": store.name, "bucket": bucket, "verdicts": ["dead", "completable"], "idle_for": 864000}
    sweep = Sweep.objects.create(
        store=store,
        bucket=bucket,
        state=state,
        author=author,
        planned_at=now if is_planned else None,
        uploads=len(ITEMS) if has_uploads else 0,
        known=len(ITEMS) if has_uploads else 0,
        bytes=5 * 1024**3 if has_uploads else 0,
        spared={Code.SPARED_ALIVE.value: 3, Code.SPARED_UNCHECKED.value: 12345},
        approver=author if is_started else None,
        approved_at=now if is_started else None,
        started_by=author if is_started else None,
        started_at=now if is_started else None,
        finished_at=now if state in ENDED else None,
        **(problem_fields(Problem(Code.INTERNAL_ERROR)) if state is SweepState.FAILED else {}),
        **{"rule": rule, **more},
    )
    if has_uploads:
        _plan(sweep, store, bucket, key)
    return sweep


def _plan(sweep: Sweep, store: Store, bucket: str, key: str) -> None:
    SweepPlace.objects.create(sweep=sweep, store=store, bucket=bucket, uploads=len(ITEMS), bytes=5 * 1024**3)
    for number, (state, proof, code) in enumerate(ITEMS):
        is_new = sweep.started_at is None
        SweepItem.objects.create(
            sweep=sweep,
            number=number,
            upload_row=number,
            store=store,
            bucket=bucket,
            key=key,
            upload_id=f"sweep-{number}",
            verdict="dead",
            parts=number,
            bytes=number * 1000,
            active_at=timezone.now(),
            last_part_at=timezone.now() - timedelta(days=30) if number else None,
            state=SweepItemState.PLANNED if is_new else state,
            proof="" if is_new else proof,
            **(problem_fields(Problem(code)) if code is not None and not is_new else {}),
        )
