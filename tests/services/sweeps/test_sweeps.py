"""Sweeps on a real store: what is planned, who approves, what is spared, and what the proof says."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from tests.grants import make_operator
from tests.services.drive import MIB, Drive
from tests.services.sweeps.make import read_row, upload_row, work_off
from uploads.domain.inventory_filter import InventoryFilter
from uploads.domain.roles import Role
from uploads.domain.states import ItemState, SweepItemState, SweepState
from uploads.domain.verdicts import Verdict
from uploads.models import (
    AuditEntry,
    Grant,
    InventoryUpload,
    Operation,
    OperationItem,
    RepeatingSweep,
    Store,
    Sweep,
    SweepItem,
)
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import NotSent, ObjectStoreError, Reason
from uploads.objectstore.types import FileSlice, UploadRef
from uploads.problems import Code
from uploads.services.browse.browsing import is_gone
from uploads.services.operations.order import request_abort
from uploads.services.sweeps import run as running
from uploads.services.sweeps.drive import drive_sweep
from uploads.services.sweeps.kinds import expire_plans
from uploads.services.sweeps.plan import RuleRefused, request_sweep
from uploads.services.sweeps.repeat import add_repeating, approve_repeating, disable_repeating, plan_repeating
from uploads.services.sweeps.run import run_sweep_item
from uploads.services.sweeps.steps import (
    StepRefused,
    approve_sweep,
    cancel_sweep,
    pause_sweep,
    resume_sweep,
    run_sweep,
)

SIZE = 1000
Start = Callable[..., UploadRef]
DEAD = InventoryFilter(verdicts=("dead",))


@pytest.fixture(autouse=True)
def as_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """These uploads are seconds old: their verdict is the one that the row has, as if they were old."""
    for module in ("plan", "run"):
        monkeypatch.setattr(f"uploads.services.sweeps.{module}.judge_rows", lambda *_: None)


@pytest.fixture
def start(client: ObjectStoreClient, bucket: str, tmp_path: Path) -> Start:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(SIZE))

    def start_upload(key: str = "left/key", parts: int = 1) -> UploadRef:
        upload_id = client.create_multipart_upload(bucket, key)
        for number in range(1, parts + 1):
            client.upload_part(bucket, key, upload_id, number, FileSlice(source, 0, SIZE))
        return UploadRef(key, upload_id)

    return start_upload


def planned(user: User, rule: InventoryFilter = DEAD) -> Sweep:
    sweep = request_sweep(user, rule)
    drive_sweep(sweep.pk)
    sweep.refresh_from_db()
    return sweep


def started(user: User, rule: InventoryFilter = DEAD) -> Sweep:
    sweep = planned(user, rule)
    approve_sweep(user, sweep, sweep.digest)
    sweep.refresh_from_db()
    run_sweep(user, sweep)
    sweep.refresh_from_db()
    return sweep


def is_there(client: ObjectStoreClient, bucket: str, ref: UploadRef) -> bool:
    try:
        client.list_parts(bucket, ref.key, ref.upload_id)
    except ObjectStoreError as error:
        if is_gone(error):
            return False
        raise
    return True


def test_plan_approval_run_and_proof(drive: Drive, start: Start, client: ObjectStoreClient, user: User) -> None:
    dead, alive = start("a/dead", 2), start("a/alive")
    row = read_row(drive.store, drive.bucket, dead)
    read_row(drive.store, drive.bucket, alive, Verdict.ALIVE)
    sweep = planned(user, InventoryFilter(store="swift", bucket=drive.bucket, verdicts=("dead",)))
    assert (sweep.state, sweep.uploads, sweep.bytes, sweep.known) == (SweepState.PLANNED, 1, 2 * SIZE, 1)
    assert sweep.spared == {Code.SPARED_ALIVE: 1}
    place = sweep.places.get()
    assert (place.bucket, place.uploads, place.bytes) == (drive.bucket, 1, 2 * SIZE)
    with pytest.raises(StepRefused):
        run_sweep(user, sweep)
    with pytest.raises(StepRefused) as refused:
        approve_sweep(user, sweep, "another plan")
    assert refused.value.problem.code == Code.SWEEP_CHANGED
    approve_sweep(user, sweep, sweep.digest)
    sweep.refresh_from_db()
    run_sweep(user, sweep)
    sweep = work_off(sweep)
    assert (sweep.state, sweep.freed_bytes) == (SweepState.DONE, 2 * SIZE)
    item = sweep.items.get()
    assert item.operation_item is not None
    assert (item.state, item.proof, item.operation_item.state) == ("done", "gone", ItemState.DONE)
    assert not is_there(client, drive.bucket, dead)
    assert is_there(client, drive.bucket, alive)
    row.refresh_from_db()
    assert row.ended_at is not None
    assert row.ended_operation == item.operation_item.operation_id
    actions = list(AuditEntry.objects.order_by("id").values_list("action", flat=True))
    steps = ["sweep.planned", "sweep.plan-ready", "sweep.approved", "sweep.started", "abort.ordered", "abort.done"]
    assert [each for each in actions if each.startswith(("sweep", "abort"))] == [*steps, "sweep.proved"]


def test_a_second_request_executes_nothing_again(drive: Drive, start: Start, user: User) -> None:
    read_row(drive.store, drive.bucket, start())
    sweep = started(user)
    run_sweep(user, sweep)
    work_off(sweep)
    item = sweep.items.get()
    run_sweep_item(item.pk)
    drive_sweep(sweep.pk)
    with pytest.raises(StepRefused):
        run_sweep(user, Sweep.objects.get())
    assert (Operation.objects.count(), OperationItem.objects.count()) == (1, 1)


def test_a_part_that_arrives_after_the_approval_spares_the_upload(
    drive: Drive, start: Start, client: ObjectStoreClient, user: User, tmp_path: Path
) -> None:
    ref = start()
    row = read_row(drive.store, drive.bucket, ref)
    sweep = planned(user)
    approve_sweep(user, sweep, sweep.digest)
    client.upload_part(drive.bucket, ref.key, ref.upload_id, 2, FileSlice(tmp_path / "source", 0, 10))
    sweep.refresh_from_db()
    run_sweep(user, sweep)
    sweep = work_off(sweep)
    item = sweep.items.get()
    assert (sweep.state, sweep.freed_bytes, item.state) == (SweepState.DONE, 0, SweepItemState.SPARED)
    assert item.error_reason in (Code.SPARED_ARRIVED, Code.SPARED_CHANGED)
    assert is_there(client, drive.bucket, ref)
    assert not Operation.objects.exists()
    row.refresh_from_db()
    assert row.parts == 2
    assert AuditEntry.objects.get(action="sweep.spared").detail["reason"] == item.error_reason


def test_an_upload_that_became_alive_is_spared(
    drive: Drive, start: Start, client: ObjectStoreClient, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = start()
    read_row(drive.store, drive.bucket, ref)

    def judge_alive(_store: Store, rows: list[InventoryUpload], _now: Any) -> None:
        for row in rows:
            row.verdict = Verdict.ALIVE.value

    sweep = started(user)
    monkeypatch.setattr(running, "judge_rows", judge_alive)
    work_off(sweep)
    assert sweep.items.get().error_reason == Code.SPARED_ALIVE
    assert is_there(client, drive.bucket, ref)


def test_an_upload_that_is_gone_is_spared(drive: Drive, start: Start, client: ObjectStoreClient, user: User) -> None:
    ref = start()
    row = read_row(drive.store, drive.bucket, ref)
    sweep = started(user)
    client.abort_multipart_upload(drive.bucket, ref.key, ref.upload_id)
    work_off(sweep)
    item = sweep.items.get()
    row.refresh_from_db()
    assert (item.state, item.error_reason) == (SweepItemState.SPARED, Code.SPARED_GONE)
    assert row.ended_at is not None


@pytest.mark.parametrize("verdict", [Verdict.ALIVE, Verdict.UNCHECKED, Verdict.UNJUDGED])
def test_what_is_not_judged_is_never_planned(store: Store, user: User, verdict: Verdict) -> None:
    upload_row(store, "b", UploadRef("k", "u"), verdict).save()
    sweep = planned(user, InventoryFilter(verdicts=("dead", "stalled", "superseded", "completable")))
    assert (sweep.state, sweep.uploads, list(sweep.spared.values())) == (SweepState.DONE, 0, [1])


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


def test_a_plan_expires(store: Store, user: User) -> None:
    upload_row(store, "b", UploadRef("k", "u")).save()
    sweep = planned(user)
    Sweep.objects.update(planned_at=timezone.now() - timedelta(hours=25))
    sweep.refresh_from_db()
    with pytest.raises(StepRefused) as refused:
        approve_sweep(user, sweep, sweep.digest)
    assert refused.value.problem.code == Code.SWEEP_EXPIRED
    assert expire_plans(10) == 1
    sweep.refresh_from_db()
    assert sweep.state == SweepState.EXPIRED


def test_pause_resume_and_cancel(drive: Drive, start: Start, client: ObjectStoreClient, user: User) -> None:
    refs = [start(f"k{number}", 0) for number in range(3)]
    for ref in refs:
        read_row(drive.store, drive.bucket, ref)
    sweep = started(user)
    first, *others = sweep.items.order_by("number")
    run_sweep_item(first.pk)
    pause_sweep(user, sweep)
    for item in others:
        run_sweep_item(item.pk)
    assert [is_there(client, drive.bucket, each) for each in refs] == [False, True, True]
    resume_sweep(user, sweep)
    run_sweep_item(others[0].pk)
    cancel_sweep(user, sweep)
    run_sweep_item(others[1].pk)
    sweep = work_off(sweep)
    assert sweep.state == SweepState.CANCELLED
    assert [each.state for each in sweep.items.order_by("number")] == ["done", "done", "planned"]
    assert is_there(client, drive.bucket, refs[2])
    with pytest.raises(StepRefused):
        resume_sweep(user, sweep)


def test_the_run_stops_after_too_many_failures(store: Store, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        upload_row(store, "b", UploadRef(f"k{number}", f"u{number}")).save()

    def fail(*_: Any) -> None:
        raise NotSent("", reason=Reason.UNREACHABLE, operation="ListParts", retryable=False)

    sweep = started(user)
    monkeypatch.setattr("uploads.services.inventory.reading.read_facts", fail)
    sweep = work_off(sweep)
    assert sweep.state == SweepState.STOPPED
    assert sweep.items.exclude(state="planned").count() < 20
    assert set(sweep.items.exclude(state="planned").values_list("error_reason", flat=True)) == {Code.SPARED_UNREADABLE}
    assert not Operation.objects.exists()


def test_a_role_that_was_taken_away_ends_the_aborts(
    drive: Drive, start: Start, client: ObjectStoreClient, user: User
) -> None:
    ref = start()
    read_row(drive.store, drive.bucket, ref)
    sweep = started(user)
    Grant.objects.filter(user=user).delete()
    Grant.objects.create(user=user, role=Role.VIEWER)
    work_off(sweep)
    assert sweep.items.get().error_reason == Code.SPARED_NOT_ALLOWED
    assert is_there(client, drive.bucket, ref)


def test_an_upload_that_another_operation_has_is_spared(drive: Drive, start: Start, user: User) -> None:
    ref = start()
    read_row(drive.store, drive.bucket, ref)
    sweep = started(user)
    request_abort(user, drive.store, drive.bucket, [ref])
    work_off(sweep)
    assert sweep.items.get().error_reason == Code.ALREADY_ORDERED


def test_a_plan_takes_few_statements_whatever_its_size(store: Store, user: User) -> None:
    count = int(os.environ.get("SWEEP_ROWS", "2000"))
    InventoryUpload.objects.bulk_create(
        upload_row(store, f"b{number % 5}", UploadRef(f"k{number}", f"u{number}"), bytes=1) for number in range(count)
    )
    sweep = request_sweep(user, DEAD)
    statements = []
    while sweep.state == SweepState.PLANNING:
        with CaptureQueriesContext(connection) as queries:
            drive_sweep(sweep.pk)
        statements.append(len(queries))
        sweep.refresh_from_db()
    assert (sweep.uploads, sweep.bytes, SweepItem.objects.count()) == (count, count, count)
    assert max(statements) < 40


def test_a_repeating_sweep_runs_by_itself_within_its_limits(
    drive: Drive, start: Start, client: ObjectStoreClient, user: User
) -> None:
    ref = start()
    read_row(drive.store, drive.bucket, ref)
    limits = {"minute": 0, "weekday": 0, "max_uploads": 1, "max_bytes": SIZE}
    repeating = add_repeating(user, DEAD, "daily", **limits)

    def plan_now() -> Sweep:
        RepeatingSweep.objects.update(next_at=timezone.now() - timedelta(minutes=1))
        plan_repeating(10)
        sweep = Sweep.objects.order_by("-created_at").first()
        assert sweep is not None
        drive_sweep(sweep.pk)
        sweep.refresh_from_db()
        return sweep

    assert plan_now().state == SweepState.PLANNED
    approve_repeating(user, repeating)
    RepeatingSweep.objects.update(max_bytes=SIZE - 1)
    assert plan_now().state == SweepState.PLANNED
    RepeatingSweep.objects.update(max_bytes=SIZE)
    sweep = plan_now()
    assert sweep.state == SweepState.RUNNING
    assert work_off(sweep).state == SweepState.DONE
    assert not is_there(client, drive.bucket, ref)
    disable_repeating(user, repeating)
    repeating.refresh_from_db()
    assert repeating.next_at is None
