"""Old rows are deleted in batches, except those that still own something in a store or on a disk."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from tests.dashboard.make_transfer import make_transfer
from tests.services.inventory import rows as inventory
from uploads.domain.states import ItemState, Phase, StoreUploadState
from uploads.models import (
    BucketScan,
    InventoryBucket,
    InventoryUpload,
    Operation,
    OperationItem,
    Part,
    PartsBatch,
    Round,
    Scan,
    Session,
    Store,
    StoreCheck,
    StoreUpload,
    Sweep,
    SweepItem,
    SweepPlace,
    Transfer,
)
from uploads.problems import Code, Problem
from uploads.selectors.transfers import lost_creates, possible_orphans
from uploads.services.upkeep import retention
from uploads.services.upkeep.retention import delete_old_rows
from uploads.services.work.failures import problem_fields

pytestmark = pytest.mark.django_db

LONG_AGO = timedelta(days=400)


@pytest.fixture
def owner() -> User:
    return User.objects.create_user("olga", is_staff=True)


@pytest.fixture
def store() -> Store:
    return Store.objects.create(name="s", endpoint_url="http://127.0.0.1:1", access_key="a", secret_key="b")


def ended(owner: User, store: Store, ago: timedelta = LONG_AGO, **values: Any) -> Transfer:
    facts: dict[str, Any] = {"phase": Phase.DONE, "finished_at": timezone.now() - ago, "sent": 3}
    transfer = make_transfer(owner, store, **(facts | values))
    StoreUpload.objects.create(transfer=transfer, upload_id="u", state=StoreUploadState.COMPLETED)
    return transfer


def operation(owner: User, store: Store, *states: ItemState, ago: timedelta = LONG_AGO, **item: Any) -> Operation:
    made = Operation.objects.create(kind="abort", actor=owner, store=store, bucket="b")
    at = timezone.now() - ago
    Operation.objects.filter(pk=made.pk).update(created_at=at)
    for number, state in enumerate(states):
        OperationItem.objects.create(
            operation=made, key="k", upload_id=f"u{number}", state=state, **({"finished_at": at} | item)
        )
    return made


def check(store: Store, ago: timedelta = LONG_AGO, **values: Any) -> StoreCheck:
    made = StoreCheck.objects.create(store=store, **({"bucket": "b", "state": ItemState.DONE} | values))
    StoreCheck.objects.filter(pk=made.pk).update(created_at=timezone.now() - ago)
    return made


def run() -> dict[str, int]:
    Round.objects.all().delete()
    return delete_old_rows()


def test_old_rows_are_deleted_with_what_belongs_to_them(owner: User, store: Store) -> None:
    for name, days in (("old", -1), ("current", 1)):
        Session.objects.create(session_key=name, session_data="", expire_date=timezone.now() + timedelta(days=days))
    ended(owner, store)
    ended(owner, store, phase=Phase.CANCELLED)
    operation(owner, store, ItemState.DONE, ItemState.FAILED)
    check(store)
    check(store, timedelta(days=1))
    kept = ended(owner, store, timedelta(days=89))
    kept_operation = operation(owner, store, ItemState.DONE, ago=timedelta(days=89))
    of_scans = ("batches of scans", "scans", "ended uploads", "days of the inventory")
    others = dict.fromkeys(("failed sign-ins", "audit entries", "deliveries of alerts", "sweeps", *of_scans), 0)
    assert run() == {"sessions": 1, "transfers": 2, "operations": 1, "store checks": 1, **others}
    assert list(Transfer.objects.all()) == [kept]
    assert set(Part.objects.values_list("transfer", flat=True)) == {kept.pk}
    assert StoreUpload.objects.get().transfer_id == kept.pk
    assert Operation.objects.get() == kept_operation
    assert OperationItem.objects.get().operation_id == kept_operation.pk
    assert Session.objects.get().session_key == "current"
    assert set(run().values()) == {0}


def test_ended_uploads_are_deleted_and_others_kept(store: Store) -> None:
    bucket = InventoryBucket.objects.create(store=store, name="b")
    ago = {"ended long ago": LONG_AGO, "ended": timedelta(days=1), "in progress": None, "in progress for years": None}
    now = timezone.now()
    for number, (name, age) in enumerate(ago.items()):
        inventory.row_of(
            bucket, number, key=name, ended_at=now - age if age else None, last_seen_at=now - LONG_AGO
        ).save()
    assert run()["ended uploads"] == 1
    assert set(InventoryUpload.objects.values_list("key", flat=True)) == set(ago) - {"ended long ago"}
    assert not any(run().values())


def test_sweeps_are_deleted_after_their_operations(owner: User, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "MAX_DEPENDENT", 2)
    at = timezone.now() - LONG_AGO
    known = operation(owner, store, ItemState.DONE)
    unknown = operation(owner, store, ItemState.UNKNOWN)
    finished = {"proved": at, "with an unknown outcome": at, "lately": timezone.now(), "paused for years": None}
    sweeps = {name: Sweep.objects.create(rule={}, author=owner, finished_at=time) for name, time in finished.items()}
    for number, sweep in enumerate(sweeps.values()):
        SweepPlace.objects.create(sweep=sweep, store=store, bucket="b")
        for item in range(3):
            facts = {"store": store, "bucket": "b", "key": "k", "upload_id": "u", "verdict": "dead", "active_at": at}
            SweepItem.objects.create(sweep=sweep, number=item, upload_row=number * 3 + item, **facts)
    Operation.objects.filter(pk=known.pk).update(sweep=sweeps["proved"])
    Operation.objects.filter(pk=unknown.pk).update(sweep=sweeps["with an unknown outcome"])
    # The operations go first. A batch of uploads counts as much as a sweep.
    assert run()["sweeps"] == 4
    assert set(Sweep.objects.all()) == set(sweeps.values()) - {sweeps["proved"]}
    assert SweepItem.objects.count() == 9
    assert SweepPlace.objects.count() == 3
    assert run()["sweeps"] == 0


def scanned(store: Store, ago: timedelta, places: list[list[str]] | None = None, *, is_active: bool = False) -> Scan:
    """A scan of a bucket with a batch."""
    at = timezone.now() - ago
    made = Scan.objects.create(store=store, places=places or [], finished_at=None if is_active else at)
    Scan.objects.filter(pk=made.pk).update(created_at=at)
    bucket, _ = InventoryBucket.objects.get_or_create(store=store, name="b")
    PartsBatch.objects.create(bucket_scan=BucketScan.objects.create(scan=made, bucket=bucket), uploads=[1, 2])
    return made


def test_scans_are_deleted_with_their_buckets_and_batches(store: Store) -> None:
    scanned(store, LONG_AGO, [["b", "p/"]])
    scanned(store, LONG_AGO + timedelta(days=1))
    last = scanned(store, LONG_AGO)
    kept = {last, scanned(store, timedelta(hours=1), [["b", "q/"]]), scanned(store, LONG_AGO, is_active=True)}
    deleted = run()
    # The last scan of all buckets stays, and its batches go. Each round that deletes rows of a scan counts them.
    assert deleted["batches of scans"] == 3
    assert set(Scan.objects.all()) == kept | set(Scan.objects.filter(places=[["b", "p/"]]))
    assert set(BucketScan.objects.values_list("scan", flat=True)) == set(Scan.objects.values_list("pk", flat=True))
    assert PartsBatch.objects.count() == 2
    assert not any(run().values())


def test_zero_days_mean_never(owner: User, store: Store, settings: Settings) -> None:
    settings.KEEP_TRANSFERS_DAYS = settings.KEEP_OPERATIONS_DAYS = settings.KEEP_CHECKS_DAYS = 0
    ended(owner, store)
    operation(owner, store, ItemState.DONE)
    check(store)
    check(store, timedelta(0))
    assert not any(run().values())


@pytest.mark.parametrize(
    "values",
    [
        {"phase": Phase.FAILED},
        {"phase": Phase.SENDING},
        {"release_at": timezone.now()},
        {"lost_creates": 1},
        {"create_sent_at": timezone.now()},
        problem_fields(Problem(Code.ABORT_NOT_VERIFIED)),
    ],
    ids=["failed", "sending", "staged", "lost-create", "unknown-create", "abort-not-verified"],
)
def test_transfer_that_may_own_something_is_kept(owner: User, store: Store, values: dict[str, Any]) -> None:
    ended(owner, store, **values)
    assert run()["transfers"] == 0


@pytest.mark.parametrize("state", [StoreUploadState.OPEN, StoreUploadState.SUSPECT])
def test_transfer_with_an_upload_that_may_exist_is_kept(owner: User, store: Store, state: StoreUploadState) -> None:
    transfer = ended(owner, store)
    StoreUpload.objects.create(transfer=transfer, upload_id="other", state=state)
    assert run()["transfers"] == 0


def test_transfer_with_reserved_bytes_is_kept(owner: User, store: Store) -> None:
    transfer = ended(owner, store)
    Part.objects.filter(transfer=transfer, number=1).update(reserved_bytes=1)
    assert run()["transfers"] == 0


def test_overview_keeps_its_possible_orphans(owner: User, store: Store) -> None:
    suspect, lost = ended(owner, store), ended(owner, store, lost_creates=2)
    StoreUpload.objects.create(transfer=suspect, upload_id="suspect", state=StoreUploadState.SUSPECT)
    run()
    assert [each.upload_id for each in possible_orphans(owner)] == ["suspect"]
    assert list(lost_creates(owner)) == [lost]


@pytest.mark.parametrize(
    ("state", "item"),
    [
        (ItemState.ORDERED, {"finished_at": None}),
        (ItemState.RUNNING, {"finished_at": None}),
        (ItemState.UNKNOWN, {}),
        (ItemState.DONE, {"outcome": {"not_verified": {"error_code": "AccessDenied"}}}),
        (ItemState.DONE, {"finished_at": timezone.now()}),
    ],
)
def test_operation_of_which_something_is_open_is_kept(
    owner: User, store: Store, state: ItemState, item: dict[str, Any]
) -> None:
    made = operation(owner, store, ItemState.DONE)
    OperationItem.objects.create(
        operation=made, key="k", upload_id="x", state=state, **({"finished_at": timezone.now() - LONG_AGO} | item)
    )
    assert run()["operations"] == 0


@pytest.mark.parametrize(
    "values", [{"state": ItemState.RUNNING}, {"created": {"uploads": []}}, {"leftovers": [{"kind": "object"}]}]
)
def test_check_that_may_have_left_something_is_kept(store: Store, values: dict[str, Any]) -> None:
    check(store, **values)
    check(store, timedelta(0))
    assert run()["store checks"] == 0


def test_last_result_for_a_bucket_is_kept(store: Store) -> None:
    last = check(store, timedelta(days=500))
    check(store, timedelta(days=600))
    other = check(store, timedelta(days=700), bucket="other")
    failed = check(store, timedelta(days=450), state=ItemState.FAILED)
    assert run()["store checks"] == 1
    assert set(StoreCheck.objects.all()) == {last, other, failed}


def test_many_rows_are_deleted_in_batches(owner: User, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 4)
    monkeypatch.setattr(retention, "MAX_DEPENDENT", 25)
    for _ in range(10):
        ended(owner, store)
    with CaptureQueriesContext(connection) as captured:
        assert run()["transfers"] == 10
    batches = [
        each["sql"] for each in captured.captured_queries if each["sql"].startswith('DELETE FROM "uploads_part"')
    ]
    assert len(batches) >= 5, "each transfer has ten parts, so that two of them are a batch"


def test_round_stops_in_time_and_the_next_one_continues(
    owner: User, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 1)
    ticks = iter(range(0, 1000, 10))
    monkeypatch.setattr(retention, "monotonic", lambda: next(ticks))
    for _ in range(3):
        ended(owner, store)
    assert [run()["transfers"], run()["transfers"]] == [2, 1]


def test_failure_of_one_kind_does_not_stop_the_others(
    owner: User, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(retention, "deletable_transfers", lambda _: 1 / 0)
    operation(owner, store, ItemState.DONE)
    caplog.set_level("INFO")
    assert run()["operations"] == 1
    assert "old transfers could not be deleted" in caplog.text
    assert "deleted old rows: 0 sessions, 0 failed sign-ins, 0 transfers, 1 operations, 0 sweeps" in caplog.text


def test_rows_are_deleted_once_an_hour(owner: User, store: Store) -> None:
    assert run()
    ended(owner, store)
    assert delete_old_rows() == {}
    Round.objects.update(started_at=timezone.now() - timedelta(hours=1))
    assert delete_old_rows()["transfers"] == 1
