"""Each upload is looked at again immediately before its abort, and spared unless the store says that nothing changed.

The verdicts are real: the uploads of the store are 30 days old.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tests.services.inventory.scanning import scan
from tests.services.sweeps.conftest import SIZE, DatedServer, Left, answer, silence
from tests.services.sweeps.make import approved, planned, read_row, started, work_off
from uploads.domain.inventory_filter import InventoryFilter
from uploads.domain.states import SweepItemState, SweepState
from uploads.models import (
    AuditEntry,
    InventoryBucket,
    InventorySettings,
    InventoryUpload,
    Operation,
    Store,
    StoreUpload,
    Sweep,
    SweepItem,
    Transfer,
)
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import UploadRef
from uploads.problems import Code
from uploads.services.operations.outcomes import SENT_AT
from uploads.services.sweeps.run import run_sweep_item
from uploads.services.sweeps.steps import run_sweep

ALL = InventoryFilter(verdicts=("dead", "stalled", "superseded", "completable"))
GARBAGE = b"<html>It works!</html>"


def spared_as(sweep: Sweep) -> str:
    """The reason of the only upload of a run, which must have been spared without any abort."""
    sweep = work_off(sweep)
    item = sweep.items.get()
    assert (item.state, sweep.freed_bytes, item.operation_item) == (SweepItemState.SPARED, 0, None)
    assert not Operation.objects.exists()
    assert sweep.state in (SweepState.DONE, SweepState.STOPPED)
    assert AuditEntry.objects.get(action="sweep.spared").detail["reason"] == item.error_reason
    return item.error_reason


def test_a_client_that_keeps_sending_is_never_dead(store: Store, left: Left, user: User, server: DatedServer) -> None:
    """One part per minute to an upload that was started 30 days ago."""
    ref, minute = left.start("kept", 0), timedelta(minutes=1)
    for number in range(1, 6):
        left.send(ref, number)
        server.age(left.bucket, ref, minute * (5 - number) if number < 5 else timedelta(0))
        if number == 1:
            server.age(left.bucket, ref, timedelta(0))
        scan(store, [(left.bucket, "")])
        row = InventoryUpload.objects.get()
        assert (row.parts, row.verdict) == (number, "alive")
        assert timezone.now() - row.started_at > timedelta(days=29)
        sweep = planned(user, ALL)
        assert (sweep.state, sweep.uploads, sweep.spared) == (SweepState.DONE, 0, {Code.SPARED_ALIVE: 1})


def test_a_part_that_arrives_after_the_approval_spares_the_upload(store: Store, left: Left, user: User) -> None:
    ref = left.start()
    scan(store, [(left.bucket, "")])
    assert InventoryUpload.objects.get().verdict == "dead"
    sweep = approved(user)
    assert sweep.uploads == 1
    left.send(ref, 3)
    run_sweep(user, sweep)
    assert spared_as(sweep) == Code.SPARED_ARRIVED
    assert left.is_there(ref)
    row = InventoryUpload.objects.get()
    assert (row.parts, row.verdict) == (2, "alive")


def test_a_part_that_arrives_during_a_pause_of_the_run_spares_the_upload(
    store: Store, left: Left, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker dies between its look and the abort. The one that takes over looks again."""
    ref = left.start()
    read_row(store, left.bucket, ref)
    sweep = started(user)

    def die(name: str) -> None:
        if name == "sweep.ordered":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("uploads.crash.point", die)
        with pytest.raises(KeyboardInterrupt):
            run_sweep_item(sweep.items.get().pk)
    left.send(ref, 3)
    SweepItem.objects.update(lease_token=None, lease_until=None, state="ordered")
    sweep = work_off(sweep)
    item = sweep.items.get()
    assert (item.state, item.error_reason) == (SweepItemState.SPARED, Code.SPARED_ARRIVED)
    assert left.is_there(ref)


def test_a_process_that_stood_still_looks_again(
    store: Store, left: Left, user: User, server: DatedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part arrives while the process does not run, between its look and the abort."""
    ref = left.start()
    read_row(store, left.bucket, ref)
    sweep = started(user)

    def stand_still(name: str) -> None:
        if name == "sweep.judged":
            left.send(ref, 3)
            patched.setattr("uploads.services.sweeps.run.LOOK_SECONDS", -1.0)

    with monkeypatch.context() as patched:
        patched.setattr("uploads.crash.point", stand_still)
        run_sweep_item(sweep.items.get().pk)
    assert "AbortMultipartUpload" not in server.requests
    work_off(sweep)
    assert sweep.items.get().error_reason == Code.SPARED_ARRIVED
    assert left.is_there(ref)


@pytest.mark.parametrize(
    "fault",
    [
        silence,
        answer(200),
        answer(200, GARBAGE, {"Content-Type": "text/html"}),
        answer(403, b"<Error><Code>AccessDenied</Code></Error>"),
        answer(404, GARBAGE),
        answer(404),
        answer(500, GARBAGE),
        answer(503, b"<Error><Code>SlowDown</Code></Error>"),
    ],
    ids=["nothing", "empty", "garbage", "403", "404 of a proxy", "404 without a body", "500", "slow down"],
)
def test_an_upload_that_cannot_be_read_is_spared(
    store: Store, left: Left, user: User, server: DatedServer, fault: Callable[[], None]
) -> None:
    ref = left.start()
    read_row(store, left.bucket, ref)
    sweep = started(user)
    server.faults["ListParts"] = fault  # type: ignore[assignment]
    assert spared_as(sweep) == Code.SPARED_UNREADABLE
    assert left.is_there(ref)
    assert InventoryUpload.objects.get().ended_at is None


LISTED = b"""<?xml version="1.0"?><ListPartsResult><Bucket>%s</Bucket><Key>left/key</Key><UploadId>%s</UploadId>
<IsTruncated>false</IsTruncated>%s</ListPartsResult>"""
PART = b'<Part><PartNumber>2</PartNumber><ETag>"0"</ETag>%s</Part>'


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (b"", Code.SPARED_CHANGED),
        (PART % b"<Size>1000</Size><LastModified>nonsense</LastModified>", Code.SPARED_INCOMPLETE),
        (PART % b"<LastModified>2020-01-01T00:00:00.000Z</LastModified>", Code.SPARED_INCOMPLETE),
        (PART % b"<Size>1000</Size><LastModified>2020-01-01T00:00:00.000Z</LastModified>", Code.SPARED_CHANGED),
    ],
    ids=["no parts", "no time", "no size", "another time"],
)
def test_parts_that_the_store_describes_otherwise_spare_the_upload(
    store: Store, left: Left, user: User, server: DatedServer, rows: bytes, reason: Code
) -> None:
    ref = left.start()
    read_row(store, left.bucket, ref)
    sweep = started(user)
    body = LISTED % (left.bucket.encode(), ref.upload_id.encode(), rows)
    server.faults["ListParts"] = answer(200, body, {"Content-Type": "application/xml"})
    assert spared_as(sweep) == reason
    assert left.is_there(ref)


def test_an_upload_that_is_gone_is_spared(store: Store, left: Left, user: User, client: ObjectStoreClient) -> None:
    ref = left.start()
    row = read_row(store, left.bucket, ref)
    sweep = started(user)
    client.abort_multipart_upload(left.bucket, ref.key, ref.upload_id)
    InventoryBucket.objects.update(changed_at=None)
    assert spared_as(sweep) == Code.SPARED_GONE
    row.refresh_from_db()
    assert row.ended_at is not None
    assert row.ended_how == "elsewhere"
    assert InventoryBucket.objects.get().changed_at is not None, "the sums of the bucket are computed again"


# --- Uploads without parts --------------------------------------------------------------------------------------------


def started_again(store: Store, left: Left, server: DatedServer) -> UploadRef:
    """The row of an upload without parts that was ended after it was read, and that came back with the same id."""
    ref = left.start(parts=0)
    read_row(store, left.bucket, ref)
    server.age(left.bucket, ref, -timedelta(days=29, hours=23))
    return ref


def test_an_upload_that_came_back_with_the_same_id_is_spared(
    store: Store, left: Left, user: User, server: DatedServer
) -> None:
    sweep_of = started_again(store, left, server)
    assert spared_as(started(user)) == Code.SPARED_STARTED
    assert left.is_there(sweep_of)


def test_an_upload_without_parts_that_nothing_lists_is_spared(
    store: Store, left: Left, user: User, server: DatedServer
) -> None:
    ref = left.start(parts=0)
    read_row(store, left.bucket, ref)
    sweep = started(user)
    body = b"<ListMultipartUploadsResult><Bucket>%s</Bucket></ListMultipartUploadsResult>" % left.bucket.encode()
    server.faults["ListMultipartUploads"] = answer(200, body, {"Content-Type": "application/xml"})
    assert spared_as(sweep) == Code.SPARED_UNLISTED
    assert left.is_there(ref)


def test_a_store_that_loses_pages_need_not_list_them(
    store: Store, left: Left, user: User, server: DatedServer, client: ObjectStoreClient
) -> None:
    ref = left.start(parts=0)
    read_row(store, left.bucket, ref)
    Store.objects.update(overrides={"loses_pages": True})
    sweep = started(user)
    body = b"<ListMultipartUploadsResult><Bucket>%s</Bucket></ListMultipartUploadsResult>" % left.bucket.encode()
    server.faults["ListMultipartUploads"] = answer(200, body, {"Content-Type": "application/xml"})
    assert work_off(sweep).items.get().state == SweepItemState.DONE
    assert not left.is_there(ref)


# --- Superseded uploads -----------------------------------------------------------------------------------------------


SUPERSEDED = InventoryFilter(verdicts=("superseded", "dead"))


@pytest.fixture
def superseded(store: Store, left: Left, client: ObjectStoreClient, user: User) -> tuple[UploadRef, Sweep]:
    """An upload, a newer object with its key, and a run that removes what is superseded or dead."""
    ref = left.start()
    client.put_object(left.bucket, ref.key, left.body)
    row = read_row(store, left.bucket, ref, object_modified_at=timezone.now(), object_seen_at=timezone.now())
    assert row.verdict == "superseded"
    return ref, started(user, SUPERSEDED)


def test_an_upload_is_aborted_while_the_newer_object_is_there(left: Left, superseded: tuple[UploadRef, Sweep]) -> None:
    ref, sweep = superseded
    assert work_off(sweep).freed_bytes == SIZE
    assert not left.is_there(ref)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (None, Code.SPARED_OBJECT),
        (answer(404), Code.SPARED_OBJECT),
        (answer(403), Code.SPARED_OBJECT),
        (answer(200, headers={"ETag": '"x"', "Last-Modified": "nonsense"}), Code.SPARED_OBJECT),
        (answer(200, headers={"ETag": '"x"', "Last-Modified": "Wed, 01 Jan 2020 00:00:00 GMT"}), Code.SPARED_OBJECT),
        (silence, Code.SPARED_UNREADABLE),
        (answer(503), Code.SPARED_UNREADABLE),
    ],
    ids=["deleted", "404", "403", "no time", "older", "nothing", "503"],
)
def test_without_the_newer_object_the_upload_is_spared(
    left: Left,
    server: DatedServer,
    client: ObjectStoreClient,
    superseded: tuple[UploadRef, Sweep],
    fault: Callable[[], None] | None,
    reason: Code,
) -> None:
    """Although the rule includes what is dead: the parts may be all that is left of the data."""
    ref, sweep = superseded
    if fault is None:
        client.delete_object(left.bucket, ref.key)
    else:
        server.faults["HeadObject"] = fault  # type: ignore[assignment]
    assert spared_as(sweep) == reason
    assert left.is_there(ref)


# --- What Partway knows by itself -------------------------------------------------------------------------------------


def test_a_transfer_that_owns_the_upload_since_the_plan_spares_it(store: Store, left: Left, user: User) -> None:
    ref = left.start()
    read_row(store, left.bucket, ref)
    sweep = started(user)
    facts = {"owner": user, "store": store, "bucket": left.bucket, "key": ref.key, "filename": "f"}
    transfer = Transfer.objects.create(size=20, part_size=10, part_count=2, phase="sending", **facts)
    StoreUpload.objects.create(transfer=transfer, upload_id=ref.upload_id)
    assert spared_as(sweep) == Code.SPARED_OWNED
    assert left.is_there(ref)


@pytest.mark.parametrize(
    ("thresholds", "reason"),
    [({"dead_days": 60}, Code.SPARED_VERDICT), ({"alive_hours": 24 * 60, "dead_days": 60}, Code.SPARED_ALIVE)],
)
def test_thresholds_that_were_changed_since_the_plan_count(
    store: Store, left: Left, user: User, thresholds: dict[str, int], reason: Code
) -> None:
    ref = left.start()
    read_row(store, left.bucket, ref)
    sweep = started(user)
    InventorySettings.objects.create(store=store, **thresholds)
    assert spared_as(sweep) == reason
    assert left.is_there(ref)


def test_a_rule_that_no_longer_matches_spares_the_upload(store: Store, left: Left, user: User) -> None:
    ref = left.start(idle=timedelta(days=6, hours=23, minutes=59))
    read_row(store, left.bucket, ref)
    sweep = started(user, InventoryFilter(verdicts=("stalled",)))
    left.server.age(left.bucket, ref, timedelta(0))
    InventorySettings.objects.create(store=store, dead_days=6)
    assert spared_as(sweep) == Code.SPARED_VERDICT
    assert left.is_there(ref)


def test_a_condition_of_the_rule_that_no_longer_holds_spares_the_upload(store: Store, left: Left, user: User) -> None:
    ref = left.start()
    read_row(store, left.bucket, ref, initiator="ci")
    sweep = started(user, InventoryFilter(verdicts=("dead",), initiator="ci"))
    InventoryUpload.objects.update(initiator="backup")
    assert spared_as(sweep) == Code.SPARED_RULE
    assert left.is_there(ref)


# --- Aborts without a response ----------------------------------------------------------------------------------------


def test_an_abort_whose_response_was_lost_is_followed_to_its_end(
    store: Store, left: Left, user: User, server: DatedServer
) -> None:
    ref = left.start()
    read_row(store, left.bucket, ref)
    sweep = started(user)

    def abort_silently() -> None:
        server.faults.clear()
        del server.state.buckets[left.bucket].uploads[ref.key, ref.upload_id]
        silence()

    server.faults["AbortMultipartUpload"] = abort_silently  # type: ignore[assignment]
    run_sweep_item(sweep.items.get().pk)
    item = sweep.items.get()
    assert item.operation_item is not None
    assert SENT_AT in item.operation_item.outcome
    sweep = work_off(sweep)
    item = sweep.items.get()
    assert (item.state, item.proof, sweep.freed_bytes) == (SweepItemState.DONE, "gone", SIZE)


def test_a_part_after_an_abort_without_a_response_leaves_the_outcome_unknown(
    store: Store, left: Left, user: User, server: DatedServer
) -> None:
    ref = left.start()
    read_row(store, left.bucket, ref)
    sweep = started(user)
    server.faults["AbortMultipartUpload"] = silence
    run_sweep_item(sweep.items.get().pk)
    left.send(ref, 3)
    server.faults.clear()
    sweep = work_off(sweep)
    item = sweep.items.get()
    assert (item.state, item.error_reason) == (SweepItemState.UNKNOWN, Code.SPARED_ARRIVED)
    assert (item.proof, sweep.freed_bytes, sweep.failures) == ("there", 0, 1)
    assert left.is_there(ref)


def test_an_abort_that_was_certainly_refused_is_no_open_outcome(
    store: Store, left: Left, user: User, server: DatedServer
) -> None:
    ref = left.start()
    read_row(store, left.bucket, ref)
    sweep = started(user)
    server.faults["AbortMultipartUpload"] = answer(429, b"<Error><Code>TooManyRequests</Code></Error>")
    run_sweep_item(sweep.items.get().pk)
    left.send(ref, 3)
    sweep = work_off(sweep)
    item = sweep.items.get()
    assert (item.state, item.error_reason) == (SweepItemState.SPARED, Code.SPARED_ARRIVED)


def test_an_upload_that_somebody_else_ends_meanwhile_is_not_claimed(
    store: Store, left: Left, user: User, server: DatedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = left.start()
    read_row(store, left.bucket, ref)
    sweep = started(user)

    def end(name: str) -> None:
        if name == "sweep.judged":
            del server.state.buckets[left.bucket].uploads[ref.key, ref.upload_id]

    with monkeypatch.context() as patched:
        patched.setattr("uploads.crash.point", end)
        run_sweep_item(sweep.items.get().pk)
    sweep = work_off(sweep)
    item = sweep.items.get()
    assert (item.state, item.error_reason, sweep.freed_bytes) == (SweepItemState.SPARED, Code.SPARED_GONE, 0)
    assert InventoryUpload.objects.get().ended_how == "elsewhere"
