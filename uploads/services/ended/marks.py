"""Noting that the sums of buckets are not up to date. Who changes uploads of the inventory locks their bucket so."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db.models import F, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from uploads.models import InventoryBucket


def mark_changed(bucket: InventoryBucket) -> None:
    """Note that the sums of the bucket are not up to date. Call it in the transaction that changes its uploads.

    The row is written even if it says so already: a computation that has begun does not know of this change.
    """
    mark([bucket.pk], timezone.now())


def mark_those_changed(buckets: Iterable[int]) -> None:
    """As `mark_changed`, of several buckets. They are locked in the order of their ids."""
    rows = InventoryBucket.objects.filter(pk__in=list(buckets)).order_by("pk").select_for_update()
    mark(list(rows.values_list("pk", flat=True)), timezone.now())


def mark_all_changed(buckets: Iterable[int], now: datetime) -> set[int]:
    """Lock buckets that nobody else is changing, and note that their sums are not up to date. Returns their ids."""
    rows = InventoryBucket.objects.filter(pk__in=list(buckets)).order_by("pk").select_for_update(skip_locked=True)
    free = set(rows.values_list("pk", flat=True))
    mark(list(free), now)
    return free


def mark(ids: list[int], now: datetime) -> None:
    """Buckets that are locked already, or one alone."""
    changes = {"changed_at": Coalesce("changed_at", Value(now)), "changes": F("changes") + 1}
    InventoryBucket.objects.filter(pk__in=ids).update(**changes)
