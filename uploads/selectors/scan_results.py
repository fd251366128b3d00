"""What a scan has found, for the command line."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from uploads.domain.states import ItemState
from uploads.models import BucketScan, InventoryUpload, Scan


@dataclass(frozen=True, slots=True)
class Found:
    """`listed`, `to_check` and `read` are of the scan itself; the others are what the inventory has of its buckets.

    `bytes` are those of `known` uploads.
    """

    buckets: int
    listed: int
    to_check: int
    read: int
    uploads: int
    known: int
    bytes: int


def found_by(scan: Scan) -> Found:
    """Two queries."""
    rows = BucketScan.objects.filter(scan=scan)
    names = ("listed", "to_check", "checked", "refused")
    counts = rows.aggregate(buckets=Count("pk"), **{f"sum_{name}": Coalesce(Sum(name), 0) for name in names})
    in_progress = InventoryUpload.objects.filter(bucket__in=rows.values("bucket"), ended_at__isnull=True)
    sums = in_progress.aggregate(uploads=Count("pk"), known=Count("bytes"), total=Coalesce(Sum("bytes"), 0))
    return Found(
        buckets=counts["buckets"],
        listed=counts["sum_listed"],
        to_check=counts["sum_to_check"],
        read=counts["sum_checked"] + counts["sum_refused"],
        uploads=sums["uploads"],
        known=sums["known"],
        bytes=sums["total"],
    )


def incomplete_buckets(scan: Scan) -> QuerySet[BucketScan]:
    """The buckets of a scan that could not be listed, or of which the parts of some uploads could not be read."""
    wrong = Q(state=ItemState.FAILED) | ~Q(error_code="") | Q(refused__gt=0)
    return BucketScan.objects.filter(wrong, scan=scan).select_related("bucket").order_by("bucket__name", "prefix")
