"""Sweeps on a real store: what is planned, who approves, how a run is steered, and what the proof says."""

from __future__ import annotations

import os
from copy import copy
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from tests.grants import make_operator
from tests.on_postgresql import run_again
from tests.services.drive import MIB, Drive
from tests.services.sweeps.conftest import SIZE, DatedServer, Left, answer, silence
from tests.services.sweeps.make import (
    DEAD,
    LONG_AGO,
    approved,
    bucket_row,
    planned,
    read_row,
    started,
    upload_row,
    work_off,
)
from tests.stores.postgresql import Cluster
from uploads.domain.inventory_filter import InventoryFilter
from uploads.domain.roles import Role
from uploads.domain.states import ItemState, SweepItemState, SweepState
from uploads.models import (
    AuditEntry,
    Grant,
    InventoryBucket,
    InventoryUpload,
    Operation,
    OperationItem,
    RepeatingSweep,
    Store,
    Sweep,
    SweepItem,
)
from uploads.objectstore.errors import NotSent, Reason
from uploads.objectstore.types import UploadRef
from uploads.problems import Code, Problem
from uploads.services.operations.order import request_abort
from uploads.services.operations.paced import FIRST_TURN_SECONDS
from uploads.services.stores import pace
from uploads.services.sweeps.drive import drive_sweep
from uploads.services.sweeps.kinds import expire_plans
from uploads.services.sweeps.plan import RuleRefused, request_sweep
from uploads.services.sweeps.repeat import (
    Repetition,
    add_repeating,
    approve_repeating,
    change_repeating,
    disable_repeating,
    enable_repeating,
    plan_repeating,
    version_of,
    waits_because,
)
from uploads.services.sweeps.run import run_sweep_item
from uploads.services.sweeps.steps import (
    StepRefused,
    approve_sweep,
    cancel_sweep,
    pause_sweep,
    resume_sweep,
    run_sweep,
)


def test_plan_approval_run_and_proof(store: Store, left: Left, user: User) -> None:
    dead, alive = left.start("a/dead", 2), left.start("a/alive", idle=timedelta(0))
    row = read_row(store, left.bucket, dead)
    read_row(store, left.bucket, alive)
    sweep = planned(user, InventoryFilter(store="oss", bucket=left.bucket, verdicts=("dead",)))
    assert (sweep.state, sweep.uploads, sweep.bytes, sweep.known) == (SweepState.PLANNED, 1, 2 * SIZE, 1)
    assert sweep.spared == {Code.SPARED_ALIVE: 1}
    place = sweep.places.get()
    assert (place.bucket, place.uploads, place.bytes) == (left.bucket, 1, 2 * SIZE)
    with pytest.raises(StepRefused):
        run_sweep(user, sweep)
    with pytest.raises(StepRefused) as refused:
        approve_sweep(user, sweep, "another plan")
    assert refused.value.problem.code == Code.SWEEP_CHANGED
    approve_sweep(user, sweep, sweep.digest)
    sweep.refresh_from_db()
    run_sweep(user, sweep)
    InventoryBucket.objects.update(changed_at=None)
    sweep = work_off(sweep)
    assert (sweep.state, sweep.freed_bytes) == (SweepState.DONE, 2 * SIZE)
    item = sweep.items.get()
    assert item.operation_item is not None
    assert (item.state, item.proof, item.operation_item.state) == ("done", "gone", ItemState.DONE)
    assert not left.is_there(dead)
    assert left.is_there(alive)
    row.refresh_from_db()
    assert (row.ended_how, row.ended_operation) == ("aborted", item.operation_item.operation_id)
    assert row.ended_at is not None
    assert InventoryBucket.objects.get().changed_at is not None, "the sums of the bucket are computed again"
    actions = list(AuditEntry.objects.order_by("id").values_list("action", flat=True))
    steps = ["sweep.planned", "sweep.plan-ready", "sweep.approved", "sweep.started", "abort.ordered", "abort.done"]
    assert [each for each in actions if each.startswith(("sweep", "abort"))] == [*steps, "sweep.proved"]


def test_an_abort_is_in_the_inventory_before_its_proof(store: Store, left: Left, user: User) -> None:
    row = read_row(store, left.bucket, left.start())
    sweep = started(user)
    item = SweepItem.objects.get()
    drive_sweep(sweep.pk)
    InventoryBucket.objects.update(changed_at=None)
    run_sweep_item(item.pk)
    item.refresh_from_db()
    row.refresh_from_db()
    assert item.operation_item is not None
    assert (item.proof, row.ended_how, row.ended_operation) == ("", "aborted", item.operation_item.operation_id)
    assert InventoryBucket.objects.get().changed_at is not None, "the sums of the bucket are computed again"


def test_a_second_request_executes_nothing_again(store: Store, left: Left, user: User) -> None:
    read_row(store, left.bucket, left.start())
    sweep = started(user)
    run_sweep(user, sweep)
    work_off(sweep)
    item = sweep.items.get()
    run_sweep_item(item.pk)
    drive_sweep(sweep.pk)
    with pytest.raises(StepRefused):
        run_sweep(user, Sweep.objects.get())
    assert (Operation.objects.count(), OperationItem.objects.count()) == (1, 1)


def test_each_request_of_a_run_has_a_turn_of_its_own(
    store: Store, left: Left, user: User, server: DatedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        read_row(store, left.bucket, left.start(f"k{number}", number))
    sweep = started(user)
    turns: list[float] = []
    take = pace._take

    def taken(store: Store, limits: pace.Limits, wants: pace._Wants, within: float) -> float:
        turns.append(within)
        return take(store, limits, wants, within)

    monkeypatch.setattr(pace, "_take", taken)
    server.requests.clear()
    assert work_off(sweep).state == SweepState.DONE
    assert server.requests.count("AbortMultipartUpload") == 3
    assert server.requests.count("ListMultipartUploads") == 1, "only for the upload without parts"
    assert len(turns) == len(server.requests) == 3 * 4 + 1


def test_a_busy_store_is_waited_for(
    store: Store, left: Left, user: User, server: DatedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A turn that does not come is no failure, however often."""
    ref = left.start()
    read_row(store, left.bucket, ref)
    sweep = started(user)
    item = sweep.items.get()

    def busy_for(least: float) -> None:
        """No turn comes within so many seconds."""

        def wait(_store: Store, _token: str, within: float) -> None:
            if within <= least:
                raise NotSent(Problem(Code.STORE_BUSY, count=1), reason=Reason.STORE_BUSY, retryable=True)

        patched.setattr(pace, "_wait", wait)
        for _ in range(10):
            SweepItem.objects.update(not_before=None)
            OperationItem.objects.update(not_before=None)
            run_sweep_item(item.pk)

    with monkeypatch.context() as patched:
        busy_for(pace.LONGEST_WAIT_SECONDS)
        assert not OperationItem.objects.exists()
        server.requests.clear()
        busy_for(FIRST_TURN_SECONDS)
        assert server.requests == ["ListParts"] * 10, "it is looked at again before each attempt"
    item.refresh_from_db()
    assert (item.state, item.tries) == (SweepItemState.ORDERED, 0)
    assert left.is_there(ref)
    assert work_off(sweep).state == SweepState.DONE
    assert sweep.items.get().proof == "gone"


def test_a_proof_is_repeated_and_then_not_known(store: Store, left: Left, user: User, server: DatedServer) -> None:
    for number in range(2):
        read_row(store, left.bucket, left.start(f"k{number}"))
    sweep = started(user)
    for item in sweep.items.all():
        run_sweep_item(item.pk)
    server.faults["ListParts"] = silence
    drive_sweep(sweep.pk)
    sweep.refresh_from_db()
    assert (sweep.state, sweep.tries, sweep.not_before is None) == (SweepState.PROVING, 1, False)
    work_off(sweep, rounds=4)
    assert sweep.state == SweepState.PROVING
    server.faults.clear()
    sweep = work_off(sweep)
    assert (sweep.state, sweep.freed_bytes) == (SweepState.DONE, 2 * SIZE)

    read_row(store, left.bucket, left.start())
    sweep = started(user)
    run_sweep_item(sweep.items.get().pk)
    server.faults["ListParts"] = silence
    sweep = work_off(sweep)
    assert (sweep.state, sweep.freed_bytes, sweep.items.get().proof) == (SweepState.DONE, 0, "not-known")


# --- Plans ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"idle": timedelta(hours=2)}, Code.SPARED_ALIVE),
        ({"parts": None, "bytes": None, "checked_at": None}, Code.SPARED_UNCHECKED),
        ({"check_error": "AccessDenied"}, Code.SPARED_UNJUDGED),
        ({"parts": 2, "bytes": None}, Code.SPARED_INCOMPLETE),
    ],
)
def test_what_is_not_judged_is_never_planned(store: Store, user: User, facts: dict[str, object], reason: Code) -> None:
    upload_row(store, "b", UploadRef("k", "u"), **facts).save()  # type: ignore[arg-type]
    sweep = planned(user, InventoryFilter(verdicts=("dead", "stalled", "superseded", "completable")))
    assert (sweep.state, sweep.uploads, sweep.spared) == (SweepState.DONE, 0, {reason: 1})


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (InventoryFilter(older_than=timedelta(days=9)), Code.SWEEP_WITHOUT_VERDICT),
        (InventoryFilter(verdicts=("empty",)), Code.SWEEP_WITHOUT_VERDICT),
        (InventoryFilter(verdicts=("dead", "alive")), Code.SWEEP_VERDICT_REFUSED),
    ],
)
def test_a_rule_needs_a_verdict_that_may_be_removed(user: User, rule: InventoryFilter, code: Code) -> None:
    with pytest.raises(RuleRefused) as refused:
        request_sweep(user, rule)
    assert refused.value.problem.code == code
    assert not Sweep.objects.exists()


def test_an_upload_of_a_transfer_is_never_planned(drive: Drive, user: User) -> None:
    transfer = drive.upload(os.urandom(6 * MIB), part_size=5 * MIB)
    drive.send(transfer, parts=1)
    own = transfer.store_uploads.get()
    upload_row(drive.store, drive.bucket, UploadRef(transfer.key, own.upload_id)).save()
    assert planned(user).spared == {Code.SPARED_OWNED: 1}


def test_a_plan_takes_few_statements_whatever_its_size(store: Store, user: User) -> None:
    count = int(os.environ.get("SWEEP_ROWS", "1200"))
    row = upload_row(store, "b", UploadRef("k", "u"), parts=1, bytes=1)
    buckets = [bucket_row(store, f"b{number}") for number in range(5)]
    rows = []
    for number in range(count):
        each = copy(row)
        each.bucket, each.key, each.upload_id, each.identity = (
            buckets[number % 5],
            f"k{number}",
            f"u{number}",
            f"{number}",
        )
        rows.append(each)
    InventoryUpload.objects.bulk_create(rows)
    sweep = request_sweep(user, DEAD)
    statements = []
    while sweep.state == SweepState.PLANNING:
        with CaptureQueriesContext(connection) as queries:
            drive_sweep(sweep.pk)
        statements.append(len(queries))
        sweep.refresh_from_db()
    assert (sweep.uploads, sweep.bytes, SweepItem.objects.count()) == (count, count, count)
    assert max(statements) < 40


# --- Approval and steering --------------------------------------------------------------------------------------------


def test_another_user_must_approve(store: Store, user: User, settings: Settings) -> None:
    settings.SWEEP_SECOND_PERSON = True
    upload_row(store, "b", UploadRef("k", "u")).save()
    sweep = planned(user)
    with pytest.raises(StepRefused) as refused:
        approve_sweep(user, sweep, sweep.digest)
    assert refused.value.problem.code == Code.SWEEP_OTHER_PERSON
    approve_sweep(make_operator("otto"), sweep, sweep.digest)
    sweep.refresh_from_db()
    assert sweep.approver is not None
    assert (sweep.state, sweep.approver.get_username()) == (SweepState.APPROVED, "otto")


@pytest.mark.parametrize("is_approved", [False, True])
def test_a_plan_expires(store: Store, user: User, is_approved: bool) -> None:
    upload_row(store, "b", UploadRef("k", "u")).save()
    sweep = approved(user) if is_approved else planned(user)
    assert expire_plans(10) == 0
    Sweep.objects.update(planned_at=timezone.now() - timedelta(hours=25))
    sweep.refresh_from_db()
    with pytest.raises(StepRefused) as refused:
        if is_approved:
            run_sweep(user, sweep)
        else:
            approve_sweep(user, sweep, sweep.digest)
    assert refused.value.problem.code == Code.SWEEP_EXPIRED
    assert expire_plans(10) == 1
    sweep.refresh_from_db()
    assert sweep.state == SweepState.EXPIRED


def test_pause_resume_and_cancel(store: Store, left: Left, user: User) -> None:
    refs = [left.start(f"k{number}", 0) for number in range(3)]
    for ref in refs:
        read_row(store, left.bucket, ref)
    sweep = started(user)
    first, *others = sweep.items.order_by("number")
    run_sweep_item(first.pk)
    pause_sweep(user, sweep)
    for item in others:
        run_sweep_item(item.pk)
    assert [left.is_there(each) for each in refs] == [False, True, True]
    resume_sweep(user, sweep)
    run_sweep_item(others[0].pk)
    cancel_sweep(user, sweep)
    run_sweep_item(others[1].pk)
    sweep = work_off(sweep)
    assert sweep.state == SweepState.CANCELLED
    assert [each.state for each in sweep.items.order_by("number")] == ["done", "done", "planned"]
    assert left.is_there(refs[2])
    with pytest.raises(StepRefused):
        resume_sweep(user, sweep)


def test_the_run_stops_after_too_many_failures(store: Store, user: User, server: DatedServer, bucket: str) -> None:
    for number in range(30):
        upload_row(store, bucket, UploadRef(f"k{number}", f"u{number}"), parts=1, bytes=1).save()
    sweep = started(user)
    server.faults["ListParts"] = answer(403, b"<Error><Code>AccessDenied</Code></Error>")
    sweep = work_off(sweep)
    assert sweep.state == SweepState.STOPPED
    assert sweep.items.exclude(state="planned").count() < 20
    assert set(sweep.items.exclude(state="planned").values_list("error_reason", flat=True)) == {Code.SPARED_UNREADABLE}
    assert not Operation.objects.exists()
    assert AuditEntry.objects.filter(action="sweep.stopped").count() == 1


def test_a_role_that_was_taken_away_ends_the_aborts(store: Store, left: Left, user: User) -> None:
    ref = left.start()
    read_row(store, left.bucket, ref)
    sweep = started(user)
    Grant.objects.filter(user=user).delete()
    Grant.objects.create(user=user, role=Role.VIEWER)
    work_off(sweep)
    assert sweep.items.get().error_reason == Code.SPARED_NOT_ALLOWED
    assert left.is_there(ref)


def test_an_upload_that_another_operation_has_is_spared(store: Store, left: Left, user: User) -> None:
    ref = left.start()
    read_row(store, left.bucket, ref)
    sweep = started(user)
    request_abort(user, store, left.bucket, [ref])
    work_off(sweep)
    assert sweep.items.get().error_reason == Code.ALREADY_ORDERED


# --- Sweeps that repeat -----------------------------------------------------------------------------------------------


DAILY = Repetition(schedule="daily", max_uploads=9, max_bytes=10**9)


def plan_now() -> Sweep:
    """The plan of the repeating sweep, as if its time had come."""
    RepeatingSweep.objects.update(next_at=timezone.now() - timedelta(minutes=1))
    plan_repeating(10)
    sweep = Sweep.objects.order_by("-created_at").first()
    assert sweep is not None
    drive_sweep(sweep.pk)
    sweep.refresh_from_db()
    return sweep


def why(sweep: Sweep) -> str:
    problem = waits_because(sweep)
    return problem.code if problem is not None else ""


def test_a_repeating_sweep_runs_by_itself_within_its_limits(store: Store, left: Left, user: User) -> None:
    refs = [left.start(f"k{number}") for number in range(2)]
    for ref in refs:
        read_row(store, left.bucket, ref)
    repeating = add_repeating(user, DEAD, Repetition(schedule="daily", max_uploads=2, max_bytes=2 * SIZE))
    waiting = plan_now()
    assert (waiting.state, why(waiting)) == (SweepState.PLANNED, Code.SWEEP_RULE_UNAPPROVED)
    approve_repeating(user, repeating, seen=version_of(repeating))
    RepeatingSweep.objects.update(max_bytes=2 * SIZE - 1)
    waiting = plan_now()
    assert (waiting.state, why(waiting)) == (SweepState.PLANNED, Code.SWEEP_BYTES_LIMIT)
    RepeatingSweep.objects.update(max_bytes=2 * SIZE, max_uploads=1)
    waiting = plan_now()
    assert (waiting.state, why(waiting)) == (SweepState.PLANNED, Code.SWEEP_UPLOADS_LIMIT)
    assert AuditEntry.objects.filter(action="sweep.waits").count() == 3
    assert left.is_there(refs[0])
    RepeatingSweep.objects.update(max_uploads=2)
    sweep = plan_now()
    assert (sweep.state, why(sweep)) == (SweepState.RUNNING, "")
    assert work_off(sweep).state == SweepState.DONE
    assert not any(map(left.is_there, refs))
    disable_repeating(user, repeating)
    repeating.refresh_from_db()
    assert repeating.next_at is None
    assert plan_repeating(10) == 0


def test_no_second_plan_is_made_while_one_runs(store: Store, left: Left, user: User) -> None:
    read_row(store, left.bucket, left.start())
    repeating = add_repeating(user, DEAD, DAILY)
    approve_repeating(user, repeating, seen=version_of(repeating))
    first = plan_now()
    assert first.state == SweepState.RUNNING
    assert plan_now().pk == first.pk
    repeating.refresh_from_db()
    assert repeating.next_at is not None
    assert repeating.next_at > timezone.now()


STALLED = InventoryFilter(verdicts=("stalled",))


def test_a_changed_rule_is_planned_next_and_needs_a_new_approval(store: Store, left: Left, user: User) -> None:
    """A plan of the old rule keeps it, and does not run by itself any more."""
    ref = left.start()
    read_row(store, left.bucket, ref)
    repeating = add_repeating(user, DEAD, DAILY)
    old = plan_now()
    approve_repeating(user, repeating, seen=version_of(repeating))
    change_repeating(user, repeating, STALLED, DAILY, seen=version_of(repeating))
    repeating.refresh_from_db()
    assert (repeating.approver, repeating.approved_at) == (None, None)
    old.refresh_from_db()
    assert (old.state, old.rule, why(old)) == (SweepState.PLANNED, DEAD.to_json(), Code.SWEEP_RULE_EDITED)
    approve_repeating(user, repeating, seen=version_of(repeating))
    old.refresh_from_db()
    assert why(old) == Code.SWEEP_RULE_EDITED, "what was approved is another rule"
    assert plan_now().rule == STALLED.to_json()
    assert left.is_there(ref)
    entry = AuditEntry.objects.get(action="sweep.repeating-changed")
    assert entry.before == {"rule": DEAD.to_json(), "approver": user.get_username()}
    assert entry.after == {"rule": STALLED.to_json(), "approver": ""}


def test_a_rule_that_is_changed_while_its_plan_is_made_does_not_run_it(store: Store, left: Left, user: User) -> None:
    ref = left.start()
    read_row(store, left.bucket, ref)
    repeating = add_repeating(user, DEAD, DAILY)
    approve_repeating(user, repeating, seen=version_of(repeating))
    RepeatingSweep.objects.update(next_at=timezone.now() - timedelta(minutes=1))
    plan_repeating(10)
    sweep = Sweep.objects.get()
    change_repeating(user, repeating, STALLED, DAILY, seen=version_of(repeating))
    repeating.refresh_from_db()
    approve_repeating(user, repeating, seen=version_of(repeating))
    drive_sweep(sweep.pk)
    sweep.refresh_from_db()
    assert (sweep.state, sweep.uploads, why(sweep)) == (SweepState.PLANNED, 1, Code.SWEEP_RULE_EDITED)


def test_the_schedule_of_an_approved_rule_can_be_changed(store: Store, user: User) -> None:
    other = make_operator("otto")
    repeating = add_repeating(user, DEAD, DAILY)
    approve_repeating(user, repeating, seen=version_of(repeating))
    weekly = Repetition(schedule="weekly", minute=30, weekday=2, max_uploads=9, max_bytes=10**9)
    change_repeating(other, repeating, DEAD, weekly, seen=version_of(repeating))
    repeating.refresh_from_db()
    assert (repeating.author, repeating.approver) == (user, user)
    assert repeating.next_at is not None
    assert (repeating.next_at.weekday(), repeating.next_at.hour, repeating.next_at.minute) == (2, 0, 30)
    changes = AuditEntry.objects.get(action="sweep.repeating-changed")
    assert changes.before == {"schedule": "daily", "minute": 240, "weekday": 6}
    assert changes.after == {"schedule": "weekly", "minute": 30, "weekday": 2}
    change_repeating(other, repeating, DEAD, replace(weekly, max_uploads=10), seen=version_of(repeating))
    repeating.refresh_from_db()
    assert (repeating.author, repeating.approver, repeating.max_uploads) == (other, None, 10)
    change_repeating(other, repeating, DEAD, replace(weekly, max_uploads=10), seen=version_of(repeating))
    assert AuditEntry.objects.filter(action="sweep.repeating-changed").count() == 2, "the last one changed nothing"


def test_a_rule_that_nobody_has_seen_is_neither_approved_nor_overwritten(user: User, settings: Settings) -> None:
    repeating = add_repeating(user, DEAD, DAILY)
    seen = version_of(repeating)
    change_repeating(user, repeating, STALLED, DAILY, seen=seen)
    with pytest.raises(StepRefused) as refused:
        approve_repeating(user, repeating, seen=seen)
    assert refused.value.problem.code == Code.SWEEP_RULE_OTHER
    with pytest.raises(StepRefused):
        change_repeating(user, repeating, DEAD, DAILY, seen=seen)
    with pytest.raises(RuleRefused):
        change_repeating(user, repeating, InventoryFilter(older_than=LONG_AGO), DAILY, seen=seen)
    settings.SWEEP_SECOND_PERSON = True
    repeating.refresh_from_db()
    assert repeating.rule == STALLED.to_json()
    other = make_operator("otto")
    change_repeating(other, repeating, DEAD, DAILY, seen=version_of(repeating))
    repeating.refresh_from_db()
    with pytest.raises(StepRefused) as refused:
        approve_repeating(other, repeating, seen=version_of(repeating))
    assert refused.value.problem.code == Code.SWEEP_OTHER_PERSON, "who has changed the rule is its author"
    approve_repeating(user, repeating, seen=version_of(repeating))


def test_a_disabled_rule_can_be_changed_and_enabled(user: User) -> None:
    repeating = add_repeating(user, DEAD, DAILY)
    disable_repeating(user, repeating)
    weekly = replace(DAILY, schedule="weekly")
    change_repeating(user, repeating, DEAD, weekly, seen=version_of(repeating))
    repeating.refresh_from_db()
    assert (repeating.schedule, repeating.next_at) == ("weekly", None)
    enable_repeating(user, repeating)
    repeating.refresh_from_db()
    assert repeating.next_at is not None
    assert repeating.next_at > timezone.now()


def test_sweeps_on_postgresql(postgresql_cluster: Cluster) -> None:
    """This file; all of them with `SWEEPS_ON_POSTGRESQL=all`."""
    is_all = os.environ.get("SWEEPS_ON_POSTGRESQL") == "all"
    run_again(str(Path(__file__).parent) if is_all else __file__, postgresql_cluster)
