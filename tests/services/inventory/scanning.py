"""Does the work of the scanners: runs the tasks of all rows of scans that wait."""

from __future__ import annotations

from collections.abc import Iterable

from uploads.domain.states import ItemState
from uploads.models import BucketScan, PartsBatch, Scan, Store
from uploads.services.inventory.scans import steps
from uploads.services.inventory.scans.buckets import find_buckets
from uploads.services.inventory.scans.listing import list_bucket
from uploads.services.inventory.scans.parts import read_parts
from uploads.services.inventory.scans.request import request_scan


def scan(store: Store, places: Iterable[tuple[str, str]] = ()) -> Scan:
    """Request a scan and do all of its work."""
    return work_off(request_scan(None, store, "command", places))


def work_off(scan: Scan, rounds: int = 1000) -> Scan:
    """Pauses after failed attempts are skipped."""
    for _ in range(rounds):
        if not one_round(scan):
            break
    scan.refresh_from_db()
    assert scan.finished_at is not None
    return scan


def one_round(scan: Scan) -> bool:
    """Run the task of each row that waits now, and return whether the scan goes on."""
    for model in (Scan, BucketScan, PartsBatch):
        model._default_manager.filter(state=ItemState.ORDERED).update(not_before=None)
    find_buckets(scan.pk)
    steps.advance(scan.pk)
    enqueued = BucketScan.objects.filter(scan=scan, state=ItemState.ORDERED, queued_at__isnull=False)
    for pk in list(enqueued.values_list("pk", flat=True)):
        list_bucket(pk)
    batches = PartsBatch.objects.filter(bucket_scan__scan=scan, state=ItemState.ORDERED)
    for pk in list(batches.values_list("pk", flat=True)):
        read_parts(pk)
    return Scan.objects.filter(pk=scan.pk, finished_at__isnull=True).exists()
