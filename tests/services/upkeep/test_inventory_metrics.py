"""The metrics of the inventory: exact, and with a bounded number of lines and statements."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from uploads.models import InventoryBucket, InventorySum, Scan, Store
from uploads.services.upkeep.inventory_metrics import MAX_BUCKETS, OTHER, inventory

BUCKETS = MAX_BUCKETS + 20


@pytest.mark.django_db
def test_small_buckets_are_summed() -> None:
    now = timezone.now()
    store = Store.objects.create(name="s", endpoint_url="http://127.0.0.1:1", access_key="a", secret_key="b")
    for number in range(BUCKETS):
        listed = now - timedelta(hours=number)
        bucket = InventoryBucket.objects.create(store=store, name=f"b{number:03}", listed_at=listed)
        for verdict in ("alive", "dead"):
            for name in ("", "STANDARD_IA"):
                InventorySum.objects.create(
                    bucket=bucket, verdict=verdict, storage_class=name, uploads=1, checked=1, bytes=number
                )
    scan = Scan.objects.create(store=store, origin="command", finished_at=now)
    Scan.objects.filter(pk=scan.pk).update(created_at=now - timedelta(minutes=2))
    with CaptureQueriesContext(connection) as queries:
        found = {metric.name: metric.samples for metric in inventory()}
    assert len(queries) <= 5
    uploads, sizes = found["partway_inventory_uploads"], found["partway_inventory_bytes"]
    assert len(uploads) == len(sizes) == (MAX_BUCKETS + 1) * 2
    assert sum(sample.value for sample in uploads) == BUCKETS * 4
    assert sum(sample.value for sample in sizes) == 4 * sum(range(BUCKETS))
    others = [sample.value for sample in sizes if sample.labels == {"store": "s", "bucket": OTHER, "verdict": "dead"}]
    assert others == [2 * sum(range(BUCKETS - MAX_BUCKETS))]
    (age,), (duration,) = (found[f"partway_inventory_scan_{name}_seconds"] for name in ("age", "duration"))
    assert age.value >= (BUCKETS - 1) * 3600
    assert duration.value == 120
