"""Rows of the inventory for the browser's tests, written in the stack: `python -m` cannot scan as fast."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from uploads.models import InventoryBucket, InventorySum, InventoryUpload, Store
from uploads.models.inventory import upload_identity

GIB = 1024**3
VERDICTS = (("dead", 5, 40), ("stalled", 2, 3), ("alive", 1, 0), ("completable", 3, 100), ("unchecked", None, 1))


def create(store_name: str, bucket_name: str) -> str:
    """Uploads of several verdicts in one bucket, and the sums of it."""
    store, now = Store.objects.get(name=store_name), timezone.now()
    bucket = InventoryBucket.objects.create(store=store, name=bucket_name, listed_at=now)
    for verdict, size, days in VERDICTS:
        for number in range(3):
            key = f"{verdict}/{number}/file.bin"
            at = now - timedelta(days=days)
            bytes_of = None if size is None else size * GIB + number
            InventoryUpload.objects.create(
                store=store,
                bucket=bucket,
                identity=upload_identity(bucket.pk, key, f"id-{key}"),
                key=key,
                upload_id=f"id-{key}",
                started_at=at,
                active_at=at,
                first_seen_at=at,
                last_seen_at=now,
                parts=None if size is None else 3,
                bytes=bytes_of,
                verdict=verdict,
            )
        known = 0 if size is None else 3
        InventorySum.objects.create(
            bucket=bucket, verdict=verdict, uploads=3, checked=known, bytes=known and 3 * (size or 0) * GIB + 3
        )
    return bucket_name
