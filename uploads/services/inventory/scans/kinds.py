"""The leased work of scans: finding the buckets, listing the uploads of each, and reading the parts of batches."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from uploads.domain.states import ITEM_STATES, ItemState
from uploads.models import BucketScan, InventoryBucket, PartsBatch, Scan, Store
from uploads.models.work import WorkFields
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.problems import Code, Problem
from uploads.services.inventory.scans import steps
from uploads.services.inventory.scans.ending import end_if_unavailable
from uploads.services.work.failures import error_fields
from uploads.services.work.kinds import register
from uploads.services.work.leases import Kind, Lease, Row, in_seconds
from uploads.services.work.queue import enqueue_on_commit, enqueue_waiting
from uploads.services.work.tasks import SCAN_QUEUE, record_worker_lost

log = logging.getLogger(__name__)

MAX_FAILURES = 6
"""Failed requests in a row after which a scan names the error and goes on. The next scan tries again."""

PAUSE_SECONDS = 2.0
"""The pause after a failed request that followed successful ones."""

TURN_SECONDS = 1.0
"""The pause of work whose turn at the store did not come."""

MAX_SCANS = 100
"""Active scans that one round of the watchdog continues."""


@contextmanager
def giving_up(lease: Lease[Row]) -> Iterator[None]:
    """End the row after some errors of the store in a row. A store that asks to slow down is waited for.

    The work sets `tries` of the row to zero when it has written a result.
    """
    row: WorkFields = lease.row
    before = row.tries
    try:
        yield
    except ObjectStoreError as error:
        if error.reason is Reason.STORE_BUSY:
            # It is not the store that failed. Meanwhile, this thread works for other stores.
            if lease.release(not_before=in_seconds(TURN_SECONDS)):
                lease.kind.resume(lease.row, TURN_SECONDS)
            return
        if row.tries < before:
            if lease.release(not_before=in_seconds(PAUSE_SECONDS), **error_fields(error)):
                lease.kind.resume(lease.row, PAUSE_SECONDS)
            return
        if error.reason is Reason.THROTTLED or row.tries + 1 < MAX_FAILURES:
            raise
        log.warning("%s %s: given up: %s", lease.kind.name, row.pk, error)
        lease.kind.give_up(lease, error_fields(error))


def _give_up_scan(lease: Lease[Scan], error: dict[str, Any]) -> None:
    lease.end(ItemState.FAILED, finished_at=timezone.now(), **error)


def _give_up_bucket(lease: Lease[BucketScan], error: dict[str, Any]) -> None:
    """What the inventory knows of the bucket stays, with the error next to it."""
    now = timezone.now()
    with transaction.atomic():
        if lease.end(ItemState.FAILED, finished_at=now, active_key=None, **error):
            gone = {"gone_at": now} if error["error_reason"] == Reason.NO_SUCH_BUCKET else {}
            InventoryBucket.objects.filter(pk=lease.row.bucket_id).update(**error, **gone)
    _go_on(lease.row.scan_id, error)


def _give_up_batch(lease: Lease[PartsBatch], error: dict[str, Any]) -> None:
    with transaction.atomic():
        if lease.end(ItemState.FAILED, finished_at=timezone.now(), **error):
            rows = BucketScan.objects.filter(pk=lease.row.bucket_scan_id)
            rows.update(refused=F("refused") + len(lease.row.uploads), **error)
    _go_on(scan_of(lease.row), error)


def _go_on(scan_id: uuid.UUID, error: dict[str, Any]) -> None:
    """After work of the scan was given up."""
    if not end_if_unavailable(scan_id, error):
        steps.advance(scan_id)


def refusal_of(row: Scan | BucketScan | PartsBatch) -> Problem | None:
    """Why a scan that was requested does not go on."""
    store = _store_of(row)
    return None if store.enabled else Problem(Code.STORE_DISABLED, store=store.name)


def _store_of(row: Scan | BucketScan | PartsBatch) -> Store:
    if isinstance(row, PartsBatch):
        row = row.bucket_scan
    return row.scan.store if isinstance(row, BucketScan) else row.store


def scan_of(batch: PartsBatch) -> uuid.UUID:
    return BucketScan.objects.values_list("scan_id", flat=True).get(pk=batch.bucket_scan_id)


def _dispatch_scans(limit: int) -> int:
    return enqueue_waiting("find_buckets", limit)


def _continue_scans(_limit: int) -> int:
    """Continue all active scans: they enqueue what waits, within their windows."""
    active = Scan.objects.filter(finished_at__isnull=True, state=ItemState.DONE).order_by("created_at")
    for pk in list(active.values_list("pk", flat=True)[:MAX_SCANS]):
        steps.advance(pk)
    return 0


SCANS = register(
    Kind(
        name="scan",
        model=Scan,
        table=ITEM_STATES,
        waiting=ItemState.ORDERED,
        running=ItemState.RUNNING,
        related=("store",),
        facts=lambda scan: {"order": scan.pk},
        resume=lambda scan, seconds: enqueue_on_commit("find_buckets", [scan.pk], queue=SCAN_QUEUE, countdown=seconds),
        give_up=_give_up_scan,
        worker_lost=record_worker_lost,
        dispatch_due=_dispatch_scans,
    )
)

BUCKET_SCANS = register(
    Kind(
        name="bucket-scan",
        model=BucketScan,
        table=ITEM_STATES,
        waiting=ItemState.ORDERED,
        running=ItemState.RUNNING,
        related=("scan__store", "bucket"),
        facts=lambda row: {"order": row.scan_id},
        resume=lambda row, seconds: enqueue_on_commit("list_bucket", [row.pk], queue=SCAN_QUEUE, countdown=seconds),
        give_up=_give_up_bucket,
        worker_lost=record_worker_lost,
        dispatch_due=_continue_scans,
    )
)

BATCHES = register(
    Kind(
        name="parts-batch",
        model=PartsBatch,
        table=ITEM_STATES,
        waiting=ItemState.ORDERED,
        running=ItemState.RUNNING,
        related=("bucket_scan__scan__store", "bucket_scan__bucket"),
        facts=lambda batch: {"order": batch.pk},
        resume=lambda row, seconds: enqueue_on_commit("read_parts", [row.pk], queue=SCAN_QUEUE, countdown=seconds),
        give_up=_give_up_batch,
        worker_lost=record_worker_lost,
    )
)
