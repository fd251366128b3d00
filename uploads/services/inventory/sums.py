"""The sums of the inventory: uploads and bytes of each bucket, by verdict and storage class.

They are computed again after changes (see `ended/marks.py`), by whatever process has time. The number of changes of a
bucket says whether the sums that were computed are those of its present uploads. Nobody waits for a computation.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, OuterRef, Q, Subquery, Sum, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from uploads.models import InventoryBucket, InventorySum, InventoryUpload

SETTLING = timedelta(seconds=10)
"""The least time between a change and the new sums, and so between two computations of the sums of a bucket."""

SETTLED_PER_SECOND = 20_000
"""A bucket with more uploads waits a second longer for each so many, because they take as much longer to add up."""

LOOKED_AT = 100
"""Changed buckets that are looked at for those that have settled."""


def refresh_sums(limit: int) -> int:
    """Compute the sums of buckets that have changed and settled, those first that changed first. Returns how many."""
    now = timezone.now()
    ids = [pk for pk, changed_at, uploads in _changed(now) if changed_at + _settling(uploads) <= now][:limit]
    for pk in ids:
        compute_sums(pk)
    return len(ids)


def is_due() -> bool:
    """Whether the sums of a bucket have to be computed."""
    now = timezone.now()
    return any(changed_at + _settling(uploads) <= now for _, changed_at, uploads in _changed(now))


def _changed(now: datetime) -> list[tuple[int, datetime, int]]:
    """Buckets with the time of their first change, and their uploads by the present sums."""
    sums = InventorySum.objects.filter(bucket=OuterRef("pk")).order_by().values("bucket")
    counted = Subquery(sums.annotate(all=Sum("uploads")).values("all"))
    rows = InventoryBucket.objects.filter(changed_at__isnull=False, changed_at__lte=now - SETTLING)
    columns = rows.annotate(counted=Coalesce(counted, 0)).order_by("changed_at").values_list
    return list(columns("pk", "changed_at", "counted")[:LOOKED_AT])


def _settling(uploads: int) -> timedelta:
    return SETTLING + timedelta(seconds=uploads / SETTLED_PER_SECOND)


def sum_up(bucket: int) -> None:
    """Compute the sums of a bucket now if it has changed: a scan or a sweep of it has ended."""
    if InventoryBucket.objects.filter(pk=bucket, changed_at__isnull=False).exists():
        compute_sums(bucket)


def compute_sums(bucket: int) -> None:
    """Compute the sums of a bucket with one GROUP BY, whatever they were before.

    It holds no lock: a large bucket takes seconds. If its uploads have changed since, or another process has computed
    newer sums, these may be older, so they are written with the mark that they have to be computed again.
    """
    changes = InventoryBucket.objects.values_list("changes", flat=True).filter(pk=bucket).first()
    if changes is None:
        return
    rows = _added_up(bucket)
    with transaction.atomic():
        exact = InventoryBucket.objects.filter(pk=bucket, changes=changes).update(changed_at=None)
        if not exact:
            mark = Coalesce("changed_at", Value(timezone.now()))
            InventoryBucket.objects.filter(pk=bucket).update(changed_at=mark)
        InventorySum.objects.filter(bucket=bucket).delete()
        InventorySum.objects.bulk_create(rows, 200)


def _added_up(bucket: int) -> list[InventorySum]:
    uploads = InventoryUpload.objects.filter(bucket=bucket, ended_at__isnull=True).order_by()
    sums = uploads.values("verdict", "storage_class").annotate(
        count=Count("pk"),
        no_parts=Count("pk", filter=Q(parts=0)),
        known=Count("bytes"),
        total=Coalesce(Sum("bytes"), 0),
    )
    return [
        InventorySum(
            bucket_id=bucket,
            verdict=each["verdict"],
            storage_class=each["storage_class"],
            uploads=each["count"],
            empty=each["no_parts"],
            checked=each["known"],
            bytes=each["total"],
        )
        for each in sums
    ]
