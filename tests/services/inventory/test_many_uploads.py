"""Many uploads in many buckets: after one scan, the inventory equals what the test created.

`INVENTORY_UPLOADS=100000 INVENTORY_BUCKETS=50 pytest -k ceph` repeats it with more of them.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.services.inventory.many import PREFIXES, THREADS, Facts, create
from tests.services.inventory.scanning import one_round
from tests.stores.running import RunningStore
from tests.stores.servers import KINDS
from uploads.models import BucketScan, InventorySettings, InventoryUpload, PartsBatch, Store
from uploads.objectstore.types import FileSlice
from uploads.services.inventory.scans import steps
from uploads.services.inventory.scans.buckets import find_buckets
from uploads.services.inventory.scans.listing import list_bucket
from uploads.services.inventory.scans.parts import read_parts
from uploads.services.inventory.scans.request import request_scan
from uploads.services.stores import pace
from uploads.services.stores.clients import client_for
from uploads.services.stores.settings import StoreValues, add_store

log = logging.getLogger(__name__)

UPLOADS = int(os.environ.get("INVENTORY_UPLOADS", "40"))
BUCKETS = int(os.environ.get("INVENTORY_BUCKETS", "2"))


def new_store(running: RunningStore, name: str) -> Store:
    values = StoreValues(
        name=name,
        endpoint_url=running.endpoint_url,
        region=running.region,
        provider=KINDS[name].provider,
        access_key=running.access_key,
        secret_key=running.secret_key,
    )
    store = add_store(None, values)
    Store.objects.filter(pk=store.pk).update(overrides=dict(KINDS[name].overrides))
    InventorySettings.objects.create(store=store, requests_per_second=100_000, requests_in_flight=THREADS)
    pace.forget_limits()
    return Store.objects.get(pk=store.pk)


@pytest.mark.parametrize("name", ["ceph", "swift", "versity", "oss"])
def test_the_inventory_of_many_uploads_is_exact(
    transactional_db: None, request: pytest.FixtureRequest, tmp_path: Path, name: str
) -> None:
    running: RunningStore = request.getfixturevalue(f"{name}_store")
    store = new_store(running, name)
    path = tmp_path / "body"
    path.write_bytes(b"x" * 1000)
    buckets = [running.new_bucket() for _ in range(BUCKETS)]
    prefixes = [each for each in PREFIXES if not (store.profile.keys_are_paths and "//" in each)]
    truth = create(client_for(store), buckets, UPLOADS, FileSlice(path, 0, 1000), prefixes)
    started = time.monotonic()
    scan = request_scan(None, store, "command", [(bucket, "") for bucket in buckets])
    while one_round(scan):
        pass
    ended = time.monotonic()
    rows = InventoryUpload.objects.filter(ended_at__isnull=True).select_related("bucket")
    found: Facts = {(row.bucket.name, row.key, row.upload_id): (row.parts, row.bytes) for row in rows.iterator()}
    scan.refresh_from_db()
    counts = list(BucketScan.objects.filter(scan=scan).values_list("requests", "listed", "checked"))
    requests, listed, checked = (sum(each) for each in zip(*counts, strict=True))
    listing_seconds = (scan.listed_at - scan.created_at).total_seconds() if scan.listed_at else 0
    log.warning(
        "%s: %s uploads in %s buckets, listed in %.1f s, scanned in %.1f s, %.3f requests per upload",
        *(name, UPLOADS, BUCKETS, listing_seconds, ended - started, requests / UPLOADS),
    )
    assert found == truth
    assert (listed, checked) == (UPLOADS, UPLOADS)


def test_statements_of_a_page_and_of_a_batch_do_not_grow(
    transactional_db: None, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine, the limits would be read again in one of the two.
    monkeypatch.setattr(pace, "SETTINGS_SECONDS", 1e6)
    store = new_store(request.getfixturevalue("swift_store"), "swift")
    pace.limits_of(store)
    client = client_for(store)
    counts = []
    for uploads in (5, 25):
        bucket = request.getfixturevalue("swift_store").new_bucket()
        for number in range(uploads):
            client.create_multipart_upload(bucket, f"k{number}")
        scan = request_scan(None, store, "command", [(bucket, "")])
        find_buckets(scan.pk)
        with CaptureQueriesContext(connection) as page:
            list_bucket(BucketScan.objects.get(scan=scan).pk)
        with CaptureQueriesContext(connection) as batch:
            read_parts(PartsBatch.objects.get(bucket_scan__scan=scan).pk)
        counts.append((len(page), len(batch)))
    assert counts[0] == counts[1], counts
    assert max(counts[0]) <= 60, counts


def test_a_window_of_batches_is_created_at_a_time(
    transactional_db: None, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store with many uploads creates no message for each of them."""
    store = new_store(request.getfixturevalue("swift_store"), "swift")
    InventorySettings.objects.filter(store=store).update(requests_in_flight=1)
    pace.forget_limits()
    monkeypatch.setattr(steps, "BATCH", 2)
    bucket = request.getfixturevalue("swift_store").new_bucket()
    for number in range(20):
        client_for(store).create_multipart_upload(bucket, f"k{number}")
    scan = request_scan(None, store, "command", [(bucket, "")])
    find_buckets(scan.pk)
    list_bucket(BucketScan.objects.get(scan=scan).pk)
    assert PartsBatch.objects.count() == 1 + steps.WINDOW_AHEAD
    read_parts(PartsBatch.objects.first().pk)  # type: ignore[union-attr]
    assert PartsBatch.objects.count() == 1 + steps.WINDOW_AHEAD
