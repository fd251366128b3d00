"""Rows of the inventory for the browser's tests, in a store that nobody scans: a scan would end them."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from uploads.models import InventoryBucket, InventorySum, InventoryUpload, Store
from uploads.models.inventory import upload_identity

GIB = 1024**3
STORE, BUCKET = "far-away", "old-backups"
VERDICTS = (("dead", 5, 40), ("stalled", 2, 3), ("alive", 1, 0), ("completable", 3, 100), ("unchecked", None, 1))
LONG = "a-name-without-a-place-to-break-it-" * 8


def create() -> str:
    """Three uploads of each verdict, and the sums of them. Returns the name of the bucket."""
    store, is_new = Store.objects.get_or_create(
        name=STORE,
        defaults={"endpoint_url": "http://127.0.0.1:9", "access_key": "a", "secret_key": "b", "enabled": False},
    )
    if not is_new:
        return BUCKET
    now = timezone.now()
    bucket = InventoryBucket.objects.create(store=store, name=BUCKET, listed_at=now)
    for verdict, size, days in VERDICTS:
        for number in range(3):
            key = f"{verdict}/{number}/{LONG if verdict == 'alive' else 'file'}.bin"
            at = now - timedelta(days=days)
            bytes_of = None if size is None else size * GIB + number
            InventoryUpload.objects.create(
                store=store,
                bucket=bucket,
                identity=upload_identity(bucket.pk, key, f"id-{key}"),
                key=key,
                upload_id=f"id-{key}",
                initiator=f"user-{number}",
                initiated=at,
                started_at=at,
                active_at=at,
                first_seen_at=at,
                last_seen_at=now,
                last_part_at=None if size is None else at,
                checked_at=None if size is None else now,
                parts=None if size is None else 3,
                bytes=bytes_of,
                verdict=verdict,
            )
        known = 0 if size is None else 3
        InventorySum.objects.create(
            bucket=bucket, verdict=verdict, uploads=3, checked=known, bytes=known and 3 * (size or 0) * GIB + 3
        )
    return BUCKET
