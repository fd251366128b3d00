"""One row for each bucket and UTC day. Today's is written again and again, so that the last one of a day stays."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from uploads.models import InventoryBucket, InventoryDay, InventorySum
from uploads.services.work.rounds import only_one

EVERY = timedelta(minutes=10)
"""The time between two rounds that write today's rows."""

CHUNK = 500
"""Buckets of one transaction."""

KEPT = timedelta(days=731)
"""How long the rows are kept."""


def write_today() -> None:
    """Write the rows of today from the sums, at most one round in EVERY on all nodes."""
    with only_one("days of the inventory", every=EVERY) as held:
        if held is None:
            return
        last = 0
        while few := list(_scanned().filter(pk__gt=last).values_list("pk", flat=True)[:CHUNK]):
            held.renew()
            write_rows(few, timezone.now().date())
            last = few[-1]


def _scanned() -> QuerySet[InventoryBucket]:
    """Buckets of which something is known: of others, and of those not added up yet, nothing is no sign of zero."""
    is_added_up = Q(changed_at__isnull=True) | Exists(InventorySum.objects.filter(bucket=OuterRef("pk")))
    return InventoryBucket.objects.filter(is_added_up, listed_at__isnull=False, gone_at__isnull=True).order_by("pk")


def write_rows(buckets: Sequence[int], day: date) -> None:
    """Write the rows of a day from the present sums, whatever they said before: a bucket without uploads has zeros."""
    with transaction.atomic():
        rows = {pk: InventoryDay(bucket_id=pk, day=day, by_verdict={}) for pk in buckets}
        for each in InventorySum.objects.filter(bucket__in=buckets):
            _add(rows[each.bucket_id], each)
        InventoryDay.objects.bulk_create(
            rows.values(),
            update_conflicts=True,
            unique_fields=["bucket", "day"],
            update_fields=["uploads", "checked", "bytes", "by_verdict"],
        )


def _add(row: InventoryDay, each: InventorySum) -> None:
    row.uploads += each.uploads
    row.checked += each.checked
    row.bytes += each.bytes
    uploads, size = row.by_verdict.get(each.verdict, (0, 0))
    row.by_verdict[each.verdict] = [uploads + each.uploads, size + each.bytes]


def delete_old(before: date, limit: int) -> int:
    """Delete at most so many rows of days before this one. Returns how many."""
    ids = list(InventoryDay.objects.filter(day__lt=before).order_by("day").values_list("pk", flat=True)[:limit])
    InventoryDay.objects.filter(pk__in=ids).delete()
    return len(ids)
