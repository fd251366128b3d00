"""Scans of a real store: the inventory afterwards is what the store has."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tests.services.drive import Drive
from tests.services.inventory.scanning import one_round, scan, work_off
from tests.stores.running import RunningStore
from tests.stores.swift import SwiftStore
from uploads.domain.states import EndedHow, ItemState
from uploads.domain.verdicts import Verdict
from uploads.models import BucketScan, InventoryBucket, InventorySettings, InventoryUpload, PartsBatch, Store
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import FileSlice, UploadRef
from uploads.services.inventory.scans import listing, steps
from uploads.services.inventory.scans.buckets import find_buckets
from uploads.services.inventory.scans.listing import list_bucket
from uploads.services.inventory.scans.parts import read_parts, schedule_checks
from uploads.services.inventory.scans.request import request_scan
from uploads.services.operations.order import request_abort
from uploads.services.stores import pace

KEYS = ("plain", "a/../b//c", "ü/日本 +%?#&", "<xml>&amp;", "-leading", "x" * 1000, "trailing/", "a", "a/b")


@pytest.fixture(scope="module")
def any_store(swift_store: SwiftStore) -> SwiftStore:
    """Swift has keys that are no paths."""
    return swift_store


@pytest.fixture(autouse=True)
def no_limits(store: Store) -> None:
    InventorySettings.objects.create(store=store, requests_per_second=100_000, requests_in_flight=8)
    pace.forget_limits()


@pytest.fixture
def body(tmp_path: Path) -> FileSlice:
    path = tmp_path / "body"
    path.write_bytes(b"x" * 5000)
    return FileSlice(path, 0, 5000)


Facts = dict[tuple[str, str], tuple[int | None, int | None]]


def in_progress(bucket: str) -> Facts:
    """Parts and bytes by key and upload id."""
    rows = InventoryUpload.objects.filter(bucket__name=bucket, ended_at__isnull=True)
    return {(row.key, row.upload_id): (row.parts, row.bytes) for row in rows}


def test_uploads_that_start_get_parts_and_end_between_scans(
    store: Store, client: ObjectStoreClient, bucket: str, body: FileSlice
) -> None:
    truth: Facts = {}
    for key in KEYS:
        truth[key, client.create_multipart_upload(bucket, key)] = (0, 0)
    for key, upload_id in list(truth)[::2]:
        client.upload_part(bucket, key, upload_id, 2, body)
        truth[key, upload_id] = (1, 5000)
    done = scan(store, [(bucket, "")])
    assert in_progress(bucket) == truth
    counted = done.buckets.get()
    assert (counted.listed, counted.to_check, counted.checked, counted.refused) == (9, 9, 9, 0)
    assert not PartsBatch.objects.exists()

    first, second, third = list(truth)[:3]
    client.abort_multipart_upload(bucket, *first)
    del truth[first]
    client.upload_part(bucket, *second, 1, body)
    client.upload_part(bucket, *third, 1, body)
    truth[second], truth[third] = (1, 5000), (2, 10_000)
    truth["new", client.create_multipart_upload(bucket, "new")] = (0, 0)
    scan(store, [(bucket, "")])
    assert in_progress(bucket) == truth
    ended = InventoryUpload.objects.get(key=first[0], ended_at__isnull=False)
    assert ended.ended_how == EndedHow.ELSEWHERE


def test_a_whole_store_with_its_buckets(store: Store, client: ObjectStoreClient, any_store: RunningStore) -> None:
    buckets = [any_store.new_bucket() for _ in range(3)]
    truth = {name: {("k", client.create_multipart_upload(name, "k")): (0, 0)} for name in buckets[:2]}
    done = scan(store)
    assert done.listed_at is not None
    assert {name: in_progress(name) for name in buckets} == {**truth, buckets[2]: {}}
    assert InventoryBucket.objects.filter(name__in=buckets, listed_at__isnull=False, error_code="").count() == 3


def test_an_upload_that_an_operator_aborted_names_the_operation(
    store: Store, client: ObjectStoreClient, bucket: str, drive: Drive, user: User
) -> None:
    upload_id = client.create_multipart_upload(bucket, "k")
    scan(store, [(bucket, "")])
    operation = request_abort(user, store, bucket, [UploadRef("k", upload_id)])
    drive.work_off()
    scan(store, [(bucket, "")])
    row = InventoryUpload.objects.get(upload_id=upload_id)
    assert (row.ended_how, row.ended_operation) == (EndedHow.ABORTED, operation.pk)


def test_a_scan_of_a_prefix_ends_only_what_is_under_it(store: Store, client: ObjectStoreClient, bucket: str) -> None:
    ids = {key: client.create_multipart_upload(bucket, key) for key in ("a/1", "a/2", "aa/1", "b/1")}
    scan(store, [(bucket, "")])
    for key, upload_id in ids.items():
        if key != "a/2":
            client.abort_multipart_upload(bucket, key, upload_id)
    scan(store, [(bucket, "a/")])
    assert {key for key, _ in in_progress(bucket)} == {"a/2", "aa/1", "b/1"}
    scan(store, [(bucket, "")])
    assert {key for key, _ in in_progress(bucket)} == {"a/2"}


def test_a_prefix_selects_keys_exactly(store: Store, client: ObjectStoreClient, bucket: str) -> None:
    """Also on a database whose LIKE ignores case."""
    ids = {key: client.create_multipart_upload(bucket, key) for key in ("a_b/1", "A_B/2", "axb/3")}
    scan(store, [(bucket, "")])
    client.abort_multipart_upload(bucket, "A_B/2", ids["A_B/2"])
    done = scan(store, [(bucket, "a_b/")])
    row = done.buckets.get()
    assert (row.listed, row.to_check, row.checked) == (1, 1, 1)
    assert {key for key, _ in in_progress(bucket)} == set(ids)


def test_work_without_a_turn_waits_as_a_row_and_not_in_its_thread(
    store: Store, client: ObjectStoreClient, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "SHORT_WAIT_SECONDS", 0.05)
    InventorySettings.objects.filter(store=store).update(requests_in_flight=1)
    pace.forget_limits()
    client.create_multipart_upload(bucket, "k")
    requested = request_scan(None, store, "command", [(bucket, "")])
    find_buckets(requested.pk)
    for model, work in ((BucketScan, list_bucket), (PartsBatch, read_parts)):
        row = model._default_manager.get()
        with pace.request(store):
            work(row.pk)
        row.refresh_from_db()
        assert (row.state, row.tries, row.failing_since, row.error_code) == (ItemState.ORDERED, 0, None, "")
        assert row.not_before is not None
        model._default_manager.update(not_before=None)
        work(row.pk)
    requested.refresh_from_db()
    assert requested.finished_at is not None
    assert in_progress(bucket).popitem()[1] == (0, 0)


def test_pages_resume_at_their_marker(
    store: Store, client: ObjectStoreClient, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MAX_PAGE", 3)
    monkeypatch.setattr(listing, "PAGES", 1)
    monkeypatch.setattr(steps, "BATCH", 4)
    truth = {(f"k{n:02}", client.create_multipart_upload(bucket, f"k{n:02}")): (0, 0) for n in range(10)}
    requested = request_scan(None, store, "command", [(bucket, "")])
    one_round(requested)
    row = BucketScan.objects.get(scan=requested)
    assert (row.pages, row.listed, row.key_marker[:1]) == (1, 3, "k")
    work_off(requested)
    row.refresh_from_db()
    assert (row.pages, row.listed, row.checked) == (4, 10, 10)
    assert in_progress(bucket) == truth


def test_equal_requests_join_and_others_wait(store: Store, client: ObjectStoreClient, bucket: str) -> None:
    client.create_multipart_upload(bucket, "k")
    first = request_scan(None, store, "page", [(bucket, "")])
    assert request_scan(None, store, "command", [(bucket, "")]) == first
    second = request_scan(None, store, "page", [(bucket, "k")])
    assert second != first
    find_buckets(first.pk)
    find_buckets(second.pk)
    assert BucketScan.objects.get(scan=first).active_key
    list_bucket(BucketScan.objects.get(scan=second).pk)
    assert BucketScan.objects.get(scan=second).pages == 0
    work_off(first)
    work_off(second)
    second_row = BucketScan.objects.get(scan=second)
    assert (second_row.listed, second_row.checked) == (1, 0), "the first scan read the parts after the request"


def test_a_deleted_bucket_keeps_its_rows_and_is_named(
    store: Store, client: ObjectStoreClient, any_store: RunningStore
) -> None:
    bucket = any_store.new_bucket()
    upload_id = client.create_multipart_upload(bucket, "k")
    scan(store, [(bucket, "")])
    InventoryBucket.objects.filter(name=bucket).update(name="vanished-bucket")
    scan(store)
    row = InventoryBucket.objects.get(name="vanished-bucket")
    assert row.gone_at is not None
    assert row.error_code == "NoSuchBucket"
    assert InventoryUpload.objects.get(upload_id=upload_id, bucket=row).ended_at is None


def test_a_scan_of_a_store_that_fails_as_a_whole_ends_and_names_all_buckets(
    store: Store, client: ObjectStoreClient, bucket: str
) -> None:
    """After the attempts of one bucket, not of each."""
    client.create_multipart_upload(bucket, "k")
    scan(store, [(bucket, "")])
    before = in_progress(bucket)
    Store.objects.filter(pk=store.pk).update(endpoint_url="http://127.0.0.1:9", health="unreachable")
    places = [(f"bucket-{n:02}", "") for n in range(40)] + [(bucket, "")]
    done = scan(Store.objects.get(pk=store.pk), places)
    assert done.error_code == "Unreachable"
    assert set(done.buckets.values_list("state", "error_code")) == {(ItemState.FAILED.value, "Unreachable")}
    assert set(InventoryBucket.objects.values_list("error_code", flat=True)) == {"Unreachable"}
    assert done.buckets.filter(tries__gt=0).count() <= steps.WINDOW_AHEAD + 8
    assert in_progress(bucket) == before


@pytest.mark.parametrize("rounds", [1, 2])
def test_a_scan_ends_when_its_store_is_disabled(
    store: Store, client: ObjectStoreClient, any_store: RunningStore, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While uploads are listed, and while parts are read."""
    monkeypatch.setattr(steps, "BATCH", 1)
    InventorySettings.objects.filter(store=store).update(requests_in_flight=1)
    pace.forget_limits()
    buckets = [any_store.new_bucket() for _ in range(3 + steps.WINDOW_AHEAD)]
    for name in buckets:
        client.create_multipart_upload(name, "k")
    requested = request_scan(None, store, "command", [(name, "") for name in buckets])
    for _ in range(rounds):
        one_round(requested)
    read = InventoryUpload.objects.filter(checked_at__isnull=False).count()
    Store.objects.filter(pk=store.pk).update(enabled=False)
    work_off(requested)
    requested.refresh_from_db()
    assert (requested.error_code, requested.error_params["store"]) == ("StoreDisabled", store.name)
    assert InventoryUpload.objects.filter(checked_at__isnull=False).count() == read
    assert not BucketScan.objects.filter(active_key__isnull=False).exists()
    assert not InventoryUpload.objects.filter(ended_at__isnull=False).exists()


def test_a_rescan_asks_only_for_what_is_due(store: Store, client: ObjectStoreClient, bucket: str) -> None:
    """One request for the listing, and one for each upload that may have changed."""
    for number in range(12):
        client.create_multipart_upload(bucket, f"k{number}")
    scan(store)
    silent = [f"k{number}" for number in range(9)]
    InventoryUpload.objects.filter(key__in=silent).update(check_due_at=timezone.now() + timedelta(days=1))
    again = scan(store).buckets.get(bucket__name=bucket)
    assert (again.listed, again.to_check, again.checked, again.requests) == (12, 3, 3, 1 + 3)
    everything = scan(store, [(bucket, "")]).buckets.get()
    assert everything.requests == 1 + 12, "somebody wants to know it now"


@pytest.mark.parametrize(
    ("verdict", "idle", "error", "after"),
    [
        (Verdict.ALIVE, timedelta(days=3), "", timedelta(0)),
        (Verdict.STALLED, timedelta(hours=23), "", timedelta(0)),
        (Verdict.STALLED, timedelta(days=2), "", timedelta(hours=12)),
        (Verdict.DEAD, timedelta(days=300), "", timedelta(days=7)),
        (Verdict.UNJUDGED, timedelta(days=300), "AccessDenied", timedelta(hours=6)),
    ],
)
def test_silent_uploads_are_checked_rarely(verdict: Verdict, idle: timedelta, error: str, after: timedelta) -> None:
    now = timezone.now()
    row = InventoryUpload(active_at=now - idle, verdict=verdict.value, check_error=error)
    schedule_checks([row], now)
    assert row.check_due_at == now + after


def test_credentials_that_become_wrong_end_nothing_in_the_inventory(
    store: Store, client: ObjectStoreClient, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While parts are read: what was read stays, the rest is named, and the next scan is exact again."""
    monkeypatch.setattr(steps, "BATCH", 1)
    InventorySettings.objects.filter(store=store).update(requests_in_flight=1)
    pace.forget_limits()
    count = 3 + steps.WINDOW_AHEAD
    truth = {(f"k{n}", client.create_multipart_upload(bucket, f"k{n}")): (0, 0) for n in range(count)}
    requested = request_scan(None, store, "command", [(bucket, "")])
    one_round(requested)
    read = InventoryUpload.objects.filter(checked_at__isnull=False).count()
    assert 0 < read < count
    right = Store.objects.get(pk=store.pk)
    wrong = Store.objects.get(pk=store.pk)
    wrong.secret_key = "wrong"
    wrong.save()
    work_off(requested)
    row = requested.buckets.get()
    assert (row.error_code, row.checked) == ("SignatureDoesNotMatch", read)
    assert len(in_progress(bucket)) == count
    right.save()
    scan(store, [(bucket, "")])
    assert in_progress(bucket) == truth


def test_a_profile_that_changes_during_a_scan_is_obeyed(
    store: Store, client: ObjectStoreClient, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store turns out to forget uploads while it is listed: ListParts decides."""
    monkeypatch.setattr(listing, "MAX_PAGE", 2)
    monkeypatch.setattr(listing, "PAGES", 1)
    upload_id = client.create_multipart_upload(bucket, "hidden")
    scan(store, [(bucket, "")])
    known = InventoryUpload.objects.get(upload_id=upload_id)
    for number in range(3):
        client.create_multipart_upload(bucket, f"k{number}")
    requested = request_scan(None, store, "command", [(bucket, "")])
    one_round(requested)
    Store.objects.filter(pk=store.pk).update(overrides={**store.overrides, "loses_pages": True})
    # As if the store had left it out.
    old = known.last_seen_at - timedelta(hours=1)
    monkeypatch.setattr(listing, "write_listed", lambda *_, **__: None)
    InventoryUpload.objects.filter(pk=known.pk).update(last_seen_at=old)
    work_off(requested)
    known.refresh_from_db()
    assert known.ended_at is None
    assert known.checked_at is not None
    assert known.checked_at > requested.created_at
