"""Which work of a scan comes next: a window of it is enqueued at a time, whatever the number of uploads.

First the uploads of all buckets are listed, then parts are read: those of uploads that were never checked first, then
those of the others that are due, each bucket by the time of the last check.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from uploads.domain.states import ItemState
from uploads.grants import starts_with
from uploads.models import BucketScan, InventoryUpload, PartsBatch, Scan
from uploads.models.inventory import IN_PROGRESS, keys_below
from uploads.services.inventory.refresh import request_sums
from uploads.services.stores import pace
from uploads.services.work.leases import due
from uploads.services.work.queue import enqueue_rows

BATCH = 100
"""Uploads whose parts one task reads."""

WINDOW_AHEAD = 4
"""Tasks that wait in the queue beyond the requests in flight, so that no worker waits for the next one."""

MAX_STEPS = 50
"""Buckets that are looked at at a time for the next batches."""

FEW = 2000
"""So many uploads with the prefix of a scan are found by their keys; more among those of the bucket."""

REFUSED_REST = timedelta(hours=6)
"""The time until an upload is checked again whose parts could not be read."""

ACTIVE = (ItemState.ORDERED, ItemState.RUNNING)


@transaction.atomic
def advance(scan_id: uuid.UUID) -> None:
    """Enqueue what comes next in the scan, and end it after the last of its work. May be called at any time."""
    active = Scan.objects.select_for_update(of=("self",)).select_related("store")
    scan = active.filter(pk=scan_id, state=ItemState.DONE, finished_at__isnull=True).first()
    if scan is None:
        return
    window = pace.limits_of(scan.store).in_flight + WINDOW_AHEAD
    _enqueue_listings(scan, window)
    if not _listings(scan).filter(active_key__isnull=False, failing_since__isnull=True).exists():
        _enqueue_batches(scan, window)
    _finish(scan)


def _listings(scan: Scan) -> QuerySet[BucketScan]:
    """The buckets that are not listed yet."""
    return BucketScan.objects.filter(scan=scan, state__in=ACTIVE)


def _enqueue_listings(scan: Scan, window: int) -> None:
    on_their_way = Q(state=ItemState.RUNNING) | Q(queued_at__isnull=False)
    room = window - _listings(scan).filter(on_their_way, active_key__isnull=False).count()
    if room <= 0:
        return
    scanned_elsewhere = Exists(BucketScan.objects.filter(bucket=OuterRef("bucket"), active_key__isnull=False))
    waiting = _listings(scan).filter(due(), state=ItemState.ORDERED, queued_at__isnull=True)
    # The first pages of all buckets come first: a bucket with many uploads does not delay the counts of the others.
    free = waiting.filter(Q(active_key__isnull=False) | ~scanned_elsewhere).order_by("pages", "pk")
    enqueue_rows("list_bucket", [row.pk for row in free[:room] if row.active_key or _claim(row)])


def _claim(row: BucketScan) -> bool:
    """Be the only scan of the bucket; False if another one was faster."""
    with suppress(IntegrityError), transaction.atomic():
        return bool(BucketScan.objects.filter(pk=row.pk, active_key=None).update(active_key=str(row.bucket_id)))
    return False


def _enqueue_batches(scan: Scan, window: int) -> None:
    waiting = PartsBatch.objects.filter(bucket_scan__scan=scan)
    room = window - waiting.filter(state__in=ACTIVE).count()
    lost = waiting.filter(due(), state=ItemState.ORDERED, queued_at__isnull=True).order_by("pk")
    ids = list(lost.values_list("pk", flat=True)[:window])
    for _ in range(MAX_STEPS):
        if room <= 0:
            break
        row = _next_bucket(scan)
        if row is None:
            break
        batch = _next_batch(scan, row)
        if batch is not None:
            ids.append(batch.pk)
            room -= 1
    enqueue_rows("read_parts", ids)


def _next_bucket(scan: Scan) -> BucketScan | None:
    listed = BucketScan.objects.filter(scan=scan, state=ItemState.DONE, checks__gt=BucketScan.NONE)
    return listed.order_by("checks", "pk").first()


def _next_batch(scan: Scan, row: BucketScan) -> PartsBatch | None:
    """The uploads after the cursors of the bucket, and the cursors after them; None if there are none."""
    uploads = list[tuple[int, datetime | None]]()
    for segment in _after_cursors(scan, row):
        uploads += segment.values_list("pk", "check_due_at")[: BATCH - len(uploads)]
    changes: dict[str, Any]
    if len(uploads) < BATCH:
        checks = BucketScan.KNOWN if row.checks == BucketScan.NEW else BucketScan.NONE
        changes = {"checks": checks, "due_cursor": None, "id_cursor": 0}
    else:
        changes = {"id_cursor": uploads[-1][0], "due_cursor": uploads[-1][1]}
    BucketScan.objects.filter(pk=row.pk).update(**changes)
    return PartsBatch.objects.create(bucket_scan=row, uploads=[pk for pk, _ in uploads]) if uploads else None


def to_check(scan: Scan, row: BucketScan) -> QuerySet[InventoryUpload]:
    """The uploads of the bucket whose parts this scan reads.

    A check sets the time of the next one to a time after the start of the scan, so none is checked twice.
    """
    uploads = InventoryUpload.objects.filter(IN_PROGRESS, bucket=row.bucket_id)
    if not scan.places:
        uploads = uploads.filter(Q(check_due_at__isnull=True) | Q(check_due_at__lt=scan.created_at))
    return uploads.filter(keys_below(row.prefix)) if row.prefix else uploads


def _after_cursors(scan: Scan, row: BucketScan) -> Iterator[QuerySet[InventoryUpload]]:
    """What is after the cursors, as ranges of the index of what is due, in its order."""
    uploads = _in_bucket(row)
    if row.checks == BucketScan.NEW:
        yield uploads.filter(check_due_at__isnull=True, pk__gt=row.id_cursor).order_by("check_due_at", "pk")
        return
    # Somebody wants to know now what is below the places, whether it is due or not.
    unread = _not_read_since(scan.created_at) if scan.places else Q(check_due_at__lt=scan.created_at)
    uploads = uploads.filter(unread).order_by("check_due_at", "pk")
    if row.due_cursor is None:
        yield uploads.filter(check_due_at__isnull=False)
        return
    yield uploads.filter(check_due_at=row.due_cursor, pk__gt=row.id_cursor)
    yield uploads.filter(check_due_at__gt=row.due_cursor)


def _in_bucket(row: BucketScan) -> QuerySet[InventoryUpload]:
    """The uploads of the bucket with the prefix, which the database reads in the order of what is due."""
    uploads = InventoryUpload.objects.filter(IN_PROGRESS, bucket=row.bucket_id)
    if not row.prefix:
        return uploads
    few = list(uploads.filter(keys_below(row.prefix)).order_by("key", "pk").values_list("pk", flat=True)[: FEW + 1])
    if len(few) <= FEW:
        return uploads.filter(pk__in=few)
    # SQLite would search by the range and sort. PostgreSQL estimates by it how many they are.
    is_range = connection.vendor == "postgresql"
    return uploads.filter(keys_below(row.prefix) if is_range else starts_with("key", row.prefix))


def _not_read_since(time: datetime) -> Q:
    """Uploads whose parts were neither read nor refused since. One that is read comes after the cursors again."""
    read = Q(check_error="") & (Q(checked_at__isnull=True) | Q(checked_at__lt=time))
    return read | (~Q(check_error="") & Q(check_due_at__lt=time + REFUSED_REST))


def _finish(scan: Scan) -> None:
    now = timezone.now()
    buckets = BucketScan.objects.filter(scan=scan)
    if scan.listed_at is None and not _listings(scan).exists():
        Scan.objects.filter(pk=scan.pk).update(listed_at=now)
    batches = Exists(PartsBatch.objects.filter(bucket_scan=OuterRef("pk"), state__in=ACTIVE))
    read = buckets.filter(~batches, state=ItemState.DONE, checks=BucketScan.NONE, finished_at__isnull=True)
    changed = list(read.filter(bucket__changed_at__isnull=False).values_list("bucket_id", flat=True))
    read.update(finished_at=now, active_key=None)
    request_sums(changed)
    if not buckets.filter(finished_at__isnull=True).exists():
        Scan.objects.filter(pk=scan.pk).update(finished_at=now)
