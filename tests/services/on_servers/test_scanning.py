"""Scans of every test server: the inventory equals what the test created, with hostile keys and after faults."""

from __future__ import annotations

from contextlib import suppress

import pytest

from tests.services.inventory.scanning import one_round, scan, work_off
from tests.services.on_servers.backend import Others
from tests.system.fault_proxy import CannedResponse, Fault, FaultProxy
from uploads.models import BucketScan, InventoryBucket, InventorySettings, InventoryUpload, PartsBatch, Store
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.types import UploadRef
from uploads.services.inventory.scans import listing, steps
from uploads.services.inventory.scans.request import request_scan
from uploads.services.stores import pace

pytestmark = pytest.mark.django_db(transaction=True)

only = pytest.mark.parametrize("backend", ["ceph"], indirect=True)
HOSTILE = ("a//b", "ü/日本", "e\u0301", "é", "a+b%2F?#&<>", "k" * 200, "a", "a/b", "trailing/", " a ", "a\u202eb")

Facts = dict[tuple[str, str], tuple[int | None, int | None]]


@pytest.fixture(autouse=True)
def fast(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    InventorySettings.objects.create(store=store, requests_per_second=100_000, requests_in_flight=8)
    pace.forget_limits()
    monkeypatch.setattr(listing, "MAX_PAGE", 4)
    monkeypatch.setattr(steps, "BATCH", 3)


def in_progress() -> Facts:
    rows = InventoryUpload.objects.filter(ended_at__isnull=True)
    return {(row.key, row.upload_id): (row.parts, row.bytes) for row in rows}


def create(truth: ObjectStoreClient, bucket: str, others: Others) -> Facts:
    """Uploads of all keys that the server accepts; every third has a part."""
    found: Facts = {}
    for number, key in enumerate(HOSTILE):
        with suppress(ObjectStoreError):
            upload = truth.create_multipart_upload(bucket, key)
            found[key, upload] = (0, 0)
            if number % 3 == 0:
                others.send_part(UploadRef(key, upload), 2, b"x" * 10)
                found[key, upload] = (1, 10)
    return found


def test_the_inventory_is_exact(store: Store, truth: ObjectStoreClient, bucket: str, others: Others) -> None:
    expected = create(truth, bucket, others)
    requested = request_scan(None, store, "command", [(bucket, "")])
    one_round(requested)
    during = truth.create_multipart_upload(bucket, "started-during-the-scan")
    work_off(requested)
    assert expected.items() <= in_progress().items()
    expected["started-during-the-scan", during] = (0, 0)

    gone, grown = list(expected)[:2]
    truth.abort_multipart_upload(bucket, *gone)
    others.send_part(UploadRef(*grown), 1, b"y" * 5)
    del expected[gone]
    parts, size = expected[grown]
    expected[grown] = ((parts or 0) + 1, (size or 0) + 5)
    scan(store, [(bucket, "")])
    assert in_progress() == expected
    assert not PartsBatch.objects.exists()


@only
def test_a_listing_that_is_refused_keeps_the_rows_and_is_named(
    store: Store, truth: ObjectStoreClient, bucket: str, proxy: FaultProxy
) -> None:
    truth.create_multipart_upload(bucket, "k")
    scan(store, [(bucket, "")])
    before = in_progress()
    proxy.answer("ListMultipartUploads", CannedResponse(403, "AccessDenied"))
    done = scan(store, [(bucket, "")])
    assert in_progress() == before != {}
    assert done.buckets.get().error_code == InventoryBucket.objects.get().error_code == "AccessDenied"
    proxy.clear()
    scan(store, [(bucket, "")])
    assert InventoryBucket.objects.get().error_code == ""


@only
def test_parts_that_may_not_be_listed_are_named_and_no_zero(
    store: Store, truth: ObjectStoreClient, bucket: str, proxy: FaultProxy
) -> None:
    upload_id = truth.create_multipart_upload(bucket, "k")
    proxy.answer("ListParts", CannedResponse(403, "AccessDenied"))
    done = scan(store, [(bucket, "")])
    row = InventoryUpload.objects.get(upload_id=upload_id)
    assert (row.parts, row.bytes, row.check_error) == (None, None, "AccessDenied")
    assert (done.buckets.get().checked, done.buckets.get().refused) == (0, 1)


@only
def test_slow_down_is_obeyed_and_nothing_is_lost(
    store: Store, truth: ObjectStoreClient, bucket: str, proxy: FaultProxy, others: Others
) -> None:
    expected = create(truth, bucket, others)
    pace._turns.clear()
    proxy.next("ListMultipartUploads", Fault.SLOW_DOWN)
    proxy.next("ListParts", Fault.NONE, Fault.SLOW_DOWN)
    done = scan(store, [(bucket, "")])
    assert in_progress() == expected
    assert pace._local(store.pk).share < 1
    assert done.buckets.get().checked == len(expected)


@only
def test_a_store_that_does_not_respond_is_given_up_and_named(
    store: Store, truth: ObjectStoreClient, bucket: str, proxy: FaultProxy
) -> None:
    truth.create_multipart_upload(bucket, "k")
    scan(store, [(bucket, "")])
    before = in_progress()
    proxy.always("ListMultipartUploads", Fault.RESET_AFTER_BODY)
    done = scan(store, [(bucket, "")])
    assert in_progress() == before
    assert done.buckets.get().error_code == "ConnectionLost"
    assert InventoryBucket.objects.get().error_code == "ConnectionLost"


@only
def test_a_store_that_forgets_is_asked_by_list_parts(
    store: Store, truth: ObjectStoreClient, bucket: str, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not listed any more is gone only when ListParts says so."""
    kept, gone = (truth.create_multipart_upload(bucket, key) for key in ("kept", "gone"))
    scan(store, [(bucket, "")])
    truth.abort_multipart_upload(bucket, "gone", gone)
    empty = b"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"
    proxy.answer("ListMultipartUploads", CannedResponse(200, page=empty))
    Store.objects.filter(pk=store.pk).update(overrides={**store.overrides, "loses_pages": True})
    scan(Store.objects.get(pk=store.pk), [(bucket, "")])
    assert {upload_id for _, upload_id in in_progress()} == {kept}


@only
def test_a_listing_without_end_ends_with_an_error(
    store: Store, truth: ObjectStoreClient, bucket: str, proxy: FaultProxy
) -> None:
    page = (
        "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>"
        "<NextUploadIdMarker>u</NextUploadIdMarker></ListMultipartUploadsResult>"
    )
    proxy.answer("ListMultipartUploads", CannedResponse(200, page=page.encode()))
    done = scan(store, [(bucket, "")])
    row = BucketScan.objects.get(scan=done)
    assert (row.error_code, row.pages < 10) == ("UnreadableResponse", True)
