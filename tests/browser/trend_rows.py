"""Days of the inventory for the browser's tests, written in the stack."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from uploads.models import InventoryBucket, InventoryDay, Store

GIB = 1024**3
MISSING = (4, 5)
"""Days ago without a total."""


def create(store_name: str, bucket_name: str) -> str:
    """Twelve days of growth in one bucket, two of which are not known."""
    store, now = Store.objects.get(name=store_name), timezone.now()
    bucket, _ = InventoryBucket.objects.get_or_create(store=store, name=bucket_name, defaults={"listed_at": now})
    for ago in range(12):
        if ago not in MISSING:
            size = (20 - ago) * GIB
            InventoryDay.objects.update_or_create(
                bucket=bucket,
                day=now.date() - timedelta(days=ago),
                defaults={"uploads": 3, "checked": 3, "bytes": size, "by_verdict": {"dead": [3, size]}},
            )
    return bucket_name
