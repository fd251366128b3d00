"""Ends of uploads are in the inventory as soon as Partway knows them, and not only after the next scan."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.services.drive import MIB, Drive
from tests.services.sweeps.make import bucket_row, upload_row
from uploads.domain.states import EndedHow, ItemState, Phase, StoreUploadState
from uploads.models import InventoryBucket, InventoryUpload, Operation, OperationItem, StoreCheck, StoreUpload, Transfer
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import FileSlice, MultipartUpload, UploadRef
from uploads.services.ended.noting import End, note_ended, note_found_gone
from uploads.services.inventory.scans.rows import Seen, write_listed
from uploads.services.inventory.sums import compute_sums
from uploads.services.operations.order import request_abort
from uploads.services.operations.run import run_item
from uploads.services.stores.checks.request import request_check
from uploads.services.stores.checks.run import run_store_check
from uploads.services.transfers.cancel import cancel_transfer
from uploads.services.transfers.create import drop_late_upload
from uploads.services.transfers.steps import request_cancel

PART = 5 * MIB
Known = Callable[..., UploadRef]


@pytest.fixture
def known(drive: Drive, client: ObjectStoreClient, tmp_path: Path) -> Known:
    """Starts an upload of another program, of which the inventory knows."""
    (tmp_path / "body").write_bytes(b"x" * 10)

    def start(key: str = "foreign/key") -> UploadRef:
        ref = UploadRef(key, client.create_multipart_upload(drive.bucket, key))
        client.upload_part(drive.bucket, key, ref.upload_id, 1, FileSlice(tmp_path / "body", 0, 10))
        scanned(drive, ref)
        return ref

    return start


def scanned(drive: Drive, ref: UploadRef) -> InventoryUpload:
    """The row of an upload as a scan leaves it, and sums that are up to date."""
    row = upload_row(drive.store, drive.bucket, ref, parts=1, bytes=10)
    row.save()
    compute_sums(row.bucket_id)
    InventoryBucket.objects.update(changed_at=None)
    return row


def end_of(ref: UploadRef) -> tuple[str, Any, Any]:
    """How the upload has ended, and by which operation and transfer."""
    row = InventoryUpload.objects.get(upload_id=ref.upload_id)
    assert (row.ended_at is None) == (row.ended_how == "")
    return row.ended_how, row.ended_operation, row.ended_transfer


def counted(drive: Drive) -> int:
    """The uploads of the bucket by its sums, which are computed again if the bucket has changed."""
    bucket = bucket_row(drive.store, drive.bucket)
    if bucket.changed_at is not None:
        compute_sums(bucket.pk)
    return sum(bucket.sums.values_list("uploads", flat=True))


def test_aborts_of_one_and_of_many(drive: Drive, known: Known) -> None:
    one, others = known(), [known(f"k{number}") for number in range(3)]
    assert counted(drive) == 4
    operation = request_abort(drive.user, drive.store, drive.bucket, [one])
    drive.work_off()
    assert end_of(one) == ("aborted", operation.pk, None)
    assert counted(drive) == 3, "the sums follow"
    operation = request_abort(drive.user, drive.store, drive.bucket, others)
    drive.work_off()
    assert [end_of(each) for each in others] == [("aborted", operation.pk, None)] * 3
    assert counted(drive) == 0


def test_an_abort_that_finds_nothing(drive: Drive, known: Known, client: ObjectStoreClient) -> None:
    gone = known()
    client.abort_multipart_upload(drive.bucket, gone.key, gone.upload_id)
    request_abort(drive.user, drive.store, drive.bucket, [gone])
    drive.work_off()
    assert end_of(gone) == ("elsewhere", None, None)


def test_an_abort_that_is_not_verified_is_left_to_the_scan(
    drive: Drive, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = known()
    request_abort(drive.user, drive.store, drive.bucket, [ref])
    item = OperationItem.objects.get()
    monkeypatch.setattr("uploads.services.operations.run._abort", lambda lease: {"not_verified": {"error_code": "X"}})
    run_item(item.pk)
    item.refresh_from_db()
    assert item.state == ItemState.DONE
    assert end_of(ref) == ("", None, None)


def test_a_completion_is_noted_with_the_response_of_the_store(
    drive: Drive, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before HEAD has verified the object, which may take long."""
    ref = known()
    seen: list[str] = []

    def prove(*_: object) -> object:
        seen.append(end_of(ref)[0])
        raise SystemExit

    operation = drive.complete(ref)
    with monkeypatch.context() as patched:
        patched.setattr("uploads.services.multipart.complete.prove_object", prove)
        with pytest.raises(SystemExit):
            run_item(OperationItem.objects.get().pk)
    assert seen == ["completed"]
    assert end_of(ref) == ("completed", operation.pk, None)


def test_a_completion_that_finds_nothing(drive: Drive, known: Known, client: ObjectStoreClient) -> None:
    ref = known()
    operation = drive.complete(ref)
    client.abort_multipart_upload(drive.bucket, ref.key, ref.upload_id)
    drive.work_off()
    assert Operation.objects.get() == operation
    assert operation.items.get().state == ItemState.FAILED
    assert end_of(ref) == ("elsewhere", None, None)


def sent(drive: Drive, parts: int | None = None, key: str = "own/key") -> tuple[Transfer, UploadRef]:
    transfer = drive.upload(os.urandom(2 * PART), key, part_size=PART)
    drive.send(transfer, parts=parts)
    ref = UploadRef(key, transfer.store_uploads.get().upload_id)
    scanned(drive, ref)
    return transfer, ref


def test_a_transfer_that_completes_and_one_that_is_cancelled(drive: Drive) -> None:
    transfer, ref = sent(drive)
    assert drive.finish(transfer).phase == Phase.DONE
    assert end_of(ref) == ("completed", None, transfer.pk)
    transfer, ref = sent(drive, 1, "other/key")
    request_cancel(drive.user, transfer)
    cancel_transfer(transfer.pk)
    transfer.refresh_from_db()
    assert transfer.phase == Phase.CANCELLED
    assert end_of(ref) == ("aborted", None, transfer.pk)
    assert counted(drive) == 0


def test_a_transfer_whose_upload_somebody_else_ended(drive: Drive, client: ObjectStoreClient) -> None:
    transfer, ref = sent(drive, 1)
    client.abort_multipart_upload(drive.bucket, ref.key, ref.upload_id)
    drive.finish(transfer)
    assert transfer.store_uploads.get(upload_id=ref.upload_id).state == StoreUploadState.GONE
    assert end_of(ref) == ("elsewhere", None, None)


def test_an_upload_that_was_created_too_late(drive: Drive, client: ObjectStoreClient) -> None:
    transfer = drive.upload(os.urandom(2 * PART), part_size=PART)
    ref = UploadRef(transfer.key, client.create_multipart_upload(drive.bucket, transfer.key))
    scanned(drive, ref)
    late = StoreUpload.objects.create(
        transfer=transfer, upload_id=ref.upload_id, state=StoreUploadState.OPEN, drop_at=timezone.now()
    )
    drop_late_upload(late.pk)
    late.refresh_from_db()
    assert (late.state, late.drop_at) == (StoreUploadState.GONE, None)
    assert end_of(ref) == ("aborted", None, transfer.pk)


def test_a_lost_creation_that_is_found_and_aborted(drive: Drive, client: ObjectStoreClient) -> None:
    transfer = drive.upload(os.urandom(2 * PART), part_size=PART)
    Transfer.objects.update(create_sent_at=timezone.now())
    ref = UploadRef(transfer.key, client.create_multipart_upload(drive.bucket, transfer.key))
    scanned(drive, ref)
    drive.send(transfer, parts=1)
    assert end_of(ref) == ("aborted", None, transfer.pk)


def test_what_reconcile_finds_and_aborts(drive: Drive, client: ObjectStoreClient) -> None:
    transfer, left = sent(drive, 1)
    gone = UploadRef(transfer.key, client.create_multipart_upload(drive.bucket, transfer.key))
    client.abort_multipart_upload(drive.bucket, gone.key, gone.upload_id)
    StoreUpload.objects.create(transfer=transfer, upload_id=gone.upload_id, state=StoreUploadState.SUSPECT)
    scanned(drive, gone)
    Transfer.objects.update(phase=Phase.CANCELLED)
    call_command("reconcile")
    assert end_of(left) == ("aborted", None, transfer.pk)
    assert end_of(gone) == ("elsewhere", None, None)


def test_uploads_of_a_store_check(drive: Drive, client: ObjectStoreClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan that runs during the check has listed them."""

    def scan(_: str) -> None:
        known = set(InventoryUpload.objects.values_list("upload_id", flat=True))
        for upload in client.list_multipart_uploads(drive.bucket).uploads:
            if upload.upload_id not in known:
                scanned(drive, UploadRef(upload.key, upload.upload_id))

    monkeypatch.setattr("uploads.crash.point", scan)
    check = request_check(None, drive.store, drive.bucket, here=True)
    run_store_check(check.pk)
    check.refresh_from_db()
    assert (check.state, check.created) == (ItemState.DONE, {})
    ends = list(InventoryUpload.objects.values_list("ended_how", flat=True))
    assert set(ends) == {"aborted", "completed"}
    assert len(ends) > 10
    assert counted(drive) == 0


def test_uploads_that_an_earlier_store_check_has_left(drive: Drive, known: Known) -> None:
    earlier = request_check(None, drive.store, drive.bucket, here=True)
    ref = known(f"{earlier.prefix}key")
    created = {"uploads": [[ref.key, ref.upload_id]], "objects": []}
    StoreCheck.objects.update(created=created, state=ItemState.FAILED, active_key=None)
    run_store_check(request_check(None, drive.store, drive.bucket, here=True).pk)
    assert end_of(ref) == ("aborted", None, None)


# --- What a page that was read before says ----------------------------------------------------------------------------


def write_page(drive: Drive, place: InventoryBucket, ref: UploadRef, asked_at: datetime) -> None:
    """Write a page with one upload that was requested at that time."""
    with transaction.atomic():
        uploads = [MultipartUpload(ref.key, ref.upload_id, timezone.now())]
        write_listed(drive.store, place, uploads, Seen(asked_at, timezone.now(), ended_stay=False))


def test_a_page_from_before_the_end_brings_nothing_back(drive: Drive, known: Known) -> None:
    """A scan has requested the page, then the upload is aborted, then the page is written."""
    ref = known()
    place = bucket_row(drive.store, drive.bucket)
    asked_at = timezone.now()
    request_abort(drive.user, drive.store, drive.bucket, [ref])
    drive.work_off()
    write_page(drive, place, ref, asked_at)
    assert end_of(ref)[0] == "aborted"
    write_page(drive, place, ref, timezone.now())
    assert end_of(ref)[0] == "", "a page that was requested later is right"


def test_a_page_from_before_the_end_adds_nothing(drive: Drive, known: Known) -> None:
    """As above, when no scan knew of the upload."""
    ref = known()
    InventoryUpload.objects.all().delete()
    place, asked_at = bucket_row(drive.store, drive.bucket), timezone.now()
    operation = request_abort(drive.user, drive.store, drive.bucket, [ref])
    drive.work_off()
    write_page(drive, place, ref, asked_at)
    assert end_of(ref) == ("aborted", operation.pk, None)


# --- Noting -----------------------------------------------------------------------------------------------------------


def test_many_uploads_take_as_many_statements_as_one(drive: Drive) -> None:
    refs = [UploadRef(f"k{number}", f"id{number}") for number in range(100)]
    InventoryUpload.objects.bulk_create(upload_row(drive.store, drive.bucket, ref) for ref in refs)
    counts = []
    for some in (refs[:1], refs[1:]):
        with CaptureQueriesContext(connection) as captured:
            assert note_ended(drive.store, drive.bucket, some, End(EndedHow.ABORTED)) == len(some)
        counts.append(len(captured))
    assert counts[0] == counts[1] <= 6
    with CaptureQueriesContext(connection) as captured:
        assert note_ended(drive.store, "unknown", refs, End(EndedHow.ABORTED)) == 0
    assert len(captured) <= 3, "a bucket that no scan has seen"


def test_the_first_end_stays_but_for_a_better_one(drive: Drive) -> None:
    ref = UploadRef("key", "id")
    scanned(drive, ref)
    note_found_gone(drive.store, drive.bucket, ref)
    assert end_of(ref) == ("elsewhere", None, None)
    operation = Operation.objects.create(kind="abort", actor=drive.user, store=drive.store, bucket=drive.bucket)
    note_ended(drive.store, drive.bucket, [ref], End(EndedHow.ABORTED, operation.pk))
    assert end_of(ref) == ("aborted", operation.pk, None)
    for how in (EndedHow.ELSEWHERE, EndedHow.COMPLETED):
        assert note_ended(drive.store, drive.bucket, [ref], End(how)) == 0
    assert end_of(ref) == ("aborted", operation.pk, None)


def test_what_is_found_gone_names_the_lifecycle_rule(drive: Drive) -> None:
    ref = UploadRef("key", "id")
    row = scanned(drive, ref)
    InventoryUpload.objects.filter(pk=row.pk).update(abort_at=timezone.now() - timedelta(hours=1))
    note_found_gone(drive.store, drive.bucket, ref)
    assert end_of(ref) == ("rule", None, None)
