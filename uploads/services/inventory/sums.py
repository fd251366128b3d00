"""The sums of the inventory: uploads and bytes of each bucket, by verdict and storage class."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, Q, Sum, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from uploads.models import InventoryBucket, InventorySum, InventoryUpload

SETTLING = timedelta(seconds=10)
"""The time between a change and the new sums, and so between two computations of the sums of a bucket."""


def mark_changed(bucket: InventoryBucket) -> None:
    """Note that the sums of the bucket are not up to date. Call it in the transaction that changes its uploads.

    The row is written even if it says so already: a computation that has begun must wait for this transaction.
    """
    now = timezone.now()
    InventoryBucket.objects.filter(pk=bucket.pk).update(changed_at=Coalesce("changed_at", Value(now)))


def mark_all_changed(buckets: Iterable[int], now: datetime) -> set[int]:
    """Lock buckets that nobody else is changing, and note that their sums are not up to date. Returns their ids."""
    rows = InventoryBucket.objects.filter(pk__in=list(buckets)).order_by("pk").select_for_update(skip_locked=True)
    free = set(rows.values_list("pk", flat=True))
    InventoryBucket.objects.filter(pk__in=free).update(changed_at=Coalesce("changed_at", Value(now)))
    return free


def refresh_sums(limit: int) -> int:
    """Compute the sums of buckets that have changed, those first that changed first. Returns how many."""
    before = timezone.now() - SETTLING
    due = InventoryBucket.objects.filter(changed_at__isnull=False, changed_at__lte=before).order_by("changed_at")
    buckets = list(due[:limit])
    for bucket in buckets:
        compute_sums(bucket)
    return len(buckets)


def compute_sums(bucket: InventoryBucket) -> None:
    """Compute the sums of a bucket with one GROUP BY, whatever they were before.

    The mark is removed first, which locks the row of the bucket: a change that is not committed yet is waited for, or
    marks the bucket again.
    """
    with transaction.atomic():
        InventoryBucket.objects.filter(pk=bucket.pk).update(changed_at=None)
        uploads = InventoryUpload.objects.filter(bucket=bucket, ended_at__isnull=True).order_by()
        sums = uploads.values("verdict", "storage_class").annotate(
            count=Count("pk"),
            no_parts=Count("pk", filter=Q(parts=0)),
            known=Count("bytes"),
            total=Coalesce(Sum("bytes"), 0),
        )
        rows = [
            InventorySum(
                bucket=bucket,
                verdict=each["verdict"],
                storage_class=each["storage_class"],
                uploads=each["count"],
                empty=each["no_parts"],
                checked=each["known"],
                bytes=each["total"],
            )
            for each in sums
        ]
        InventorySum.objects.filter(bucket=bucket).delete()
        InventorySum.objects.bulk_create(rows, 200)
