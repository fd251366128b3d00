"""Looking up objects on a real store: which silent uploads are superseded, and what is not known of others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.db import transaction
from django.utils import timezone

from tests.killed import Killed, kill_at
from tests.services.inventory.scanning import scan
from tests.stores.running import RunningStore
from tests.system.fault_proxy import CannedResponse, Fault, FaultProxy
from tests.system.test_crash_points import LOOKING_UP
from uploads.domain.verdicts import Verdict
from uploads.models import InventoryBucket, InventorySettings, InventoryUpload, ObjectsBatch, Store
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import FileSlice
from uploads.services.browse.browsing import ExistingObject, head_object
from uploads.services.inventory import judging, objects
from uploads.services.inventory.judging import rejudge_due
from uploads.services.inventory.scans.rows import judge_read, write_read
from uploads.services.stores import pace
from uploads.services.upkeep.watchdog import watch

LONG_AGO = timedelta(days=10)


@pytest.fixture
def proxy(store: Store) -> Iterator[FaultProxy]:
    """All requests of the store go through it."""
    with FaultProxy(store.endpoint_url) as proxy:
        store.endpoint_url = proxy.url
        store.save()
        InventorySettings.objects.create(store=store, requests_per_second=100_000, requests_in_flight=8)
        pace.forget_limits()
        yield proxy


@pytest.fixture
def body(tmp_path: Path) -> FileSlice:
    path = tmp_path / "body"
    path.write_bytes(b"x" * 5000)
    return FileSlice(path, 0, 5000)


@pytest.fixture
def silent(proxy: FaultProxy, store: Store, client: ObjectStoreClient, bucket: str, body: FileSlice) -> list[str]:
    """Ids of two uploads of the key `k`, which has an object, one of `none`, which has none, and an empty one."""
    ids = [client.create_multipart_upload(bucket, key) for key in ("k", "k", "none", "k")]
    for key, upload_id in zip(("k", "k", "none"), ids, strict=False):
        client.upload_part(bucket, key, upload_id, 2, body)
    client.put_object(bucket, "k", body)
    scan(store, [(bucket, "")])
    grow_old(bucket)
    assert set(verdicts(bucket).values()) == {Verdict.DEAD}
    proxy.requests.clear()
    return ids


def grow_old(bucket: str) -> None:
    """As if the uploads had been started long ago, and nothing had arrived since."""
    then = timezone.now() - LONG_AGO
    rows = InventoryUpload.objects.filter(bucket__name=bucket)
    rows.filter(parts__gt=0).update(first_part_at=then, last_part_at=then)
    rows.update(initiated=then, started_at=then, active_at=then, verdict_until=timezone.now())
    rejudge_due(100)


def verdicts(bucket: str) -> dict[str, str]:
    return dict(InventoryUpload.objects.filter(bucket__name=bucket).values_list("upload_id", "verdict"))


def work_off(limit: int = 20) -> int:
    """Run the tasks of all batches that wait, without pauses; how many."""
    for done in range(limit):
        objects.dispatch_objects(10)
        ObjectsBatch.objects.update(not_before=None)
        waiting = ObjectsBatch.objects.exclude(state="failed").values_list("pk", flat=True).first()
        if waiting is None:
            return done
        objects.look_up_objects(waiting)
    raise AssertionError("lookups do not end")


def test_newer_objects_supersede_uploads_with_one_request_for_each_key(
    silent: list[str], bucket: str, proxy: FaultProxy
) -> None:
    assert work_off() == 1
    first, second, third, empty = silent
    found = {first: Verdict.SUPERSEDED, second: Verdict.SUPERSEDED, third: Verdict.DEAD, empty: Verdict.DEAD}
    assert verdicts(bucket) == found
    assert proxy.requests == Counter({"HeadObject": 2})
    assert InventoryBucket.objects.get(name=bucket).changed_at is not None, "the sums follow"
    assert not ObjectsBatch.objects.exists()
    row = InventoryUpload.objects.get(upload_id=third)
    assert (row.object_modified_at, row.object_error) == (None, "")
    assert row.object_seen_at is not None
    assert work_off() == 0


@pytest.mark.parametrize("point", LOOKING_UP)
def test_a_batch_of_a_process_that_died_is_looked_up_again(
    point: str, silent: list[str], bucket: str, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr("uploads.crash.point", kill_at(point))
        work_off()
    assert set(verdicts(bucket).values()) == {Verdict.DEAD}
    ObjectsBatch.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    watch()
    assert work_off() == 1
    assert list(verdicts(bucket).values()).count(Verdict.SUPERSEDED) == 2
    assert proxy.requests == Counter({"HeadObject": 4})


def test_uploads_of_one_key_share_the_answer_across_batches(
    silent: list[str], bucket: str, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "BATCH", 1)
    assert work_off() == 3
    assert proxy.requests == Counter({"HeadObject": 2})
    assert list(verdicts(bucket).values()).count(Verdict.SUPERSEDED) == 2


def test_objects_that_were_removed_or_are_older_supersede_nothing(
    silent: list[str], bucket: str, any_store: RunningStore
) -> None:
    work_off()
    rows = InventoryUpload.objects.filter(upload_id__in=silent[:2])
    first, second = rows.order_by("pk")
    # The object is as new as the last part of the first upload now.
    rows.filter(pk=first.pk).update(last_part_at=first.object_modified_at, active_at=timezone.now() - LONG_AGO)
    assert verdict_of(first, now=timezone.now() + LONG_AGO) == Verdict.DEAD
    assert verdict_of(second, now=timezone.now() + LONG_AGO) == Verdict.SUPERSEDED
    assert work_off() == 0, "not due yet"
    remove_object(any_store, bucket, "k")
    rows.update(object_seen_at=timezone.now() - judging.OBJECT_REST, object_due_at=timezone.now())
    work_off()
    assert verdicts(bucket)[second.upload_id] == Verdict.DEAD


def verdict_of(row: InventoryUpload, now: datetime) -> str:
    """Judged at another time: its parts are read again then, and are the same."""
    row.refresh_from_db()
    row.checked_at = now
    judging.judge_rows(row.store, [row], now)
    return row.verdict


def remove_object(any_store: RunningStore, bucket: str, key: str) -> None:
    import boto3
    from botocore.config import Config

    s3 = boto3.client(
        "s3",
        endpoint_url=any_store.endpoint_url,
        region_name=any_store.region,
        aws_access_key_id=any_store.access_key,
        aws_secret_access_key=any_store.secret_key,
        config=Config(s3={"addressing_style": "path"}),
    )
    s3.delete_object(Bucket=bucket, Key=key)


@pytest.mark.parametrize(
    "answer",
    [
        CannedResponse(403),
        CannedResponse(200, has_length=False),
        CannedResponse(301, location="http://127.0.0.1:9/"),
    ],
    ids=["denied", "nonsense", "redirect"],
)
def test_what_cannot_be_looked_up_is_unknown(
    silent: list[str], bucket: str, proxy: FaultProxy, answer: CannedResponse
) -> None:
    proxy.answer("HeadObject", answer)
    work_off()
    rows = InventoryUpload.objects.filter(upload_id__in=silent[:3])
    assert set(verdicts(bucket).values()) == {Verdict.DEAD}
    assert {row.object_modified_at for row in rows} == {None}
    assert all(row.object_error and row.object_seen_at for row in rows), [row.object_error for row in rows]
    assert all(row.object_due_at == row.object_seen_at + judging.UNKNOWN_REST for row in rows if row.object_seen_at)
    proxy.clear()
    rows.update(object_due_at=timezone.now())
    work_off()
    assert verdicts(bucket)[silent[0]] == Verdict.SUPERSEDED
    proxy.answer("HeadObject", answer)
    rows.update(object_due_at=timezone.now())
    work_off()
    assert verdicts(bucket)[silent[0]] == Verdict.SUPERSEDED, "what was known stays"


def test_dates_that_are_missing_or_in_the_future_prove_nothing(
    silent: list[str], bucket: str, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong in (None, timezone.now() + timedelta(days=1)):

        def undated(store: Store, bucket: str, key: str, *_: object, wrong: datetime | None = wrong) -> ExistingObject:
            found = head_object(store, bucket, key)
            facts = replace(found.facts, last_modified=wrong) if found.facts else None
            return replace(found, facts=facts)

        monkeypatch.setattr(objects, "head_object", undated)
        InventoryUpload.objects.filter(upload_id=silent[0]).update(object_due_at=timezone.now())
        work_off()
        row = InventoryUpload.objects.get(upload_id=silent[0])
        assert (row.verdict, row.object_modified_at, row.object_error) == (Verdict.DEAD, None, "ObjectUndated")


def test_a_bucket_that_is_gone_is_not_asked(silent: list[str], bucket: str, proxy: FaultProxy) -> None:
    InventoryBucket.objects.filter(name=bucket).update(gone_at=timezone.now())
    work_off()
    assert not proxy.requests
    assert set(verdicts(bucket).values()) == {Verdict.DEAD}
    assert work_off() == 0


def test_a_disabled_store_is_not_asked(silent: list[str], store: Store, proxy: FaultProxy) -> None:
    objects.begin(store)
    Store.objects.update(enabled=False)
    objects.look_up_objects(ObjectsBatch.objects.get().pk)
    assert work_off() == 0
    assert not proxy.requests
    Store.objects.update(enabled=True)
    assert work_off() == 1


def test_a_store_that_fails_is_given_up_for_a_while(silent: list[str], bucket: str, proxy: FaultProxy) -> None:
    proxy.always("HeadObject", Fault.RESET_BEFORE_BODY)
    assert work_off(10) == 6
    batch = ObjectsBatch.objects.get()
    assert (batch.state, bool(batch.error_code)) == ("failed", True)
    proxy.clear()
    InventoryUpload.objects.filter(upload_id__in=silent[:3]).update(object_due_at=timezone.now())
    assert work_off() == 1
    assert verdicts(bucket)[silent[0]] == Verdict.SUPERSEDED
    assert not ObjectsBatch.objects.exists()


def test_parts_read_by_a_scan_meanwhile_keep_what_was_found_out(silent: list[str], store: Store, bucket: str) -> None:
    """A scan holds rows for seconds before it writes them. The lookup happens in between."""
    held = list(InventoryUpload.objects.filter(bucket__name=bucket))
    work_off()
    with transaction.atomic():
        judge_read(store, InventoryBucket.objects.get(name=bucket), held, timezone.now())
        write_read(held)
    assert verdicts(bucket)[silent[0]] == verdicts(bucket)[silent[1]] == Verdict.SUPERSEDED
    assert not InventoryUpload.objects.filter(object_due_at__lte=timezone.now()).exists()
