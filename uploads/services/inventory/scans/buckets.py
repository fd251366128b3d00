"""The first step of a scan: which buckets it lists."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from uploads.domain.states import ItemState
from uploads.models import BucketScan, InventoryBucket, Scan
from uploads.services.browse.browsing import BucketList, list_buckets
from uploads.services.inventory.scans import steps
from uploads.services.inventory.scans.kinds import MAX_FAILURES, SCANS, refusal_of
from uploads.services.stores import pace
from uploads.services.work.failures import NO_ERROR, error_fields, problem_fields
from uploads.services.work.leases import Lease, LeaseLost
from uploads.services.work.tasks import scanners, task

CHUNK = 500


@task(SCANS, Scan.objects.all, queue=scanners, refusal=refusal_of, store="store")
def find_buckets(lease: Lease[Scan]) -> None:
    """List the buckets of the store, unless places were requested, and begin to list their uploads."""
    scan = lease.row
    if scan.places:
        _begin(lease, [(bucket, prefix) for bucket, prefix in scan.places], dict(NO_ERROR))
    else:
        found = _found(lease)
        listed = {bucket.name for bucket in found.buckets}
        # A bucket that is not listed any more may only be hidden: its own listing says whether it exists.
        known = InventoryBucket.objects.filter(store=scan.store, gone_at__isnull=True)
        names = sorted(listed | set(known.values_list("name", flat=True)))
        _begin(lease, [(name, "") for name in names], _error_of(found))
    steps.advance(scan.pk)


def _found(lease: Lease[Scan]) -> BucketList:
    """The buckets. Raises the error of ListBuckets while another attempt may help."""
    with pace.request(lease.row.store):
        found = list_buckets(lease.row.store)
    if found.refusal is not None and found.refusal.retryable and lease.row.tries + 1 < MAX_FAILURES:
        raise found.refusal
    return found


def _error_of(found: BucketList) -> dict[str, Any]:
    if found.refusal is not None:
        return error_fields(found.refusal)
    return problem_fields(found.notes[0]) if found.notes else dict(NO_ERROR)


@transaction.atomic
def _begin(lease: Lease[Scan], places: list[tuple[str, str]], error: dict[str, Any]) -> None:
    """Raises LeaseLost."""
    scan = lease.row
    if not lease.end(ItemState.DONE, buckets_listed_at=timezone.now(), **error):
        raise LeaseLost
    names = dict.fromkeys(bucket for bucket, _ in places)
    new = [InventoryBucket(store=scan.store, name=name) for name in names]
    InventoryBucket.objects.bulk_create(new, CHUNK, ignore_conflicts=True)
    ids = dict(InventoryBucket.objects.filter(store=scan.store).values_list("name", "pk"))
    rows = [BucketScan(scan=scan, bucket_id=ids[bucket], prefix=prefix) for bucket, prefix in places]
    BucketScan.objects.bulk_create(rows, CHUNK)
