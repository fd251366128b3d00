"""Reading the parts of a batch of uploads, with ListParts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from uploads import crash
from uploads.domain.states import ItemState
from uploads.domain.verdicts import Verdict
from uploads.models import BucketScan, InventoryUpload, PartsBatch
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.objectstore.types import UploadRef
from uploads.services.browse.browsing import is_gone
from uploads.services.ended.noting import write_ended
from uploads.services.inventory.reading import apply, apply_error, read_facts_in
from uploads.services.inventory.scans import steps
from uploads.services.inventory.scans.kinds import BATCHES, giving_up, refusal_of
from uploads.services.inventory.scans.rows import judge_read, write_read
from uploads.services.stores import pace
from uploads.services.work.failures import NO_ERROR
from uploads.services.work.leases import SUCCEEDED, Lease, LeaseLost
from uploads.services.work.tasks import scanners, task

WRITE_SECONDS = 10.0
"""How long the results of requests are held before they are written. Writing renews the lease."""

OF_THE_UPLOAD = frozenset(
    {
        *(Reason.PERMISSION, Reason.FORBIDDEN, Reason.UNREADABLE_RESPONSE, Reason.STORE_FAULT, Reason.REFUSED),
        *(Reason.BAD_KEY, Reason.BAD_ARGUMENT, Reason.KEY_NOT_ALLOWED),
    }
)
"""Errors that are noted with the upload. After others, the rest of the batch waits for another attempt."""

REST = timedelta(days=7)
"""The longest time between two checks of an upload."""

ACTIVE = timedelta(days=1)
"""An upload that was active so shortly ago is checked in every scan, whatever the thresholds of its store."""


@dataclass(slots=True)
class _Results:
    """What was read and not written yet."""

    left: list[int]
    read: list[InventoryUpload] = field(default_factory=list)
    ended: list[InventoryUpload] = field(default_factory=list)
    refused: int = 0
    requests: int = 0
    written_at: float = field(default_factory=time.monotonic)

    @property
    def is_old(self) -> bool:
        return time.monotonic() - self.written_at > WRITE_SECONDS


@task(BATCHES, PartsBatch.objects.all, queue=scanners, refusal=refusal_of, store="bucket_scan__scan__store")
def read_parts(lease: Lease[PartsBatch]) -> None:
    """Read the parts of the uploads of a batch that are still in progress."""
    with giving_up(lease):
        _read_batch(lease)
    steps.advance(lease.row.bucket_scan.scan_id)


def _read_batch(lease: Lease[PartsBatch]) -> None:
    batch = lease.row
    rows = InventoryUpload.objects.filter(pk__in=batch.uploads, ended_at__isnull=True).in_bulk()
    results = _Results(list(batch.uploads))
    with pace.Slot(batch.bucket_scan.scan.store) as slot:
        for pk in batch.uploads:
            if pk in rows:
                _read_or_write(slot, lease, rows[pk], results)
            results.left.remove(pk)
            if results.is_old:
                _write(lease, results)
                results = _Results(results.left)
    crash.point("scan.parts-read")
    _write(lease, results, last=True)


def _read_or_write(slot: pace.Slot, lease: Lease[PartsBatch], row: InventoryUpload, results: _Results) -> None:
    """Write what was read before, if this upload cannot be read now. Raises ObjectStoreError."""
    try:
        _read(slot, lease.row, row, results)
    except ObjectStoreError:
        # The others come before it at the next attempt.
        results.left.append(results.left.pop(results.left.index(row.pk)))
        _write(lease, results)
        raise


def _read(slot: pace.Slot, batch: PartsBatch, row: InventoryUpload, results: _Results) -> None:
    """Raises ObjectStoreError for an error that is not only of this upload."""
    scanned = batch.bucket_scan
    try:
        ref = UploadRef(row.key, row.upload_id)
        facts = read_facts_in(slot, scanned.bucket.name, ref, pace.SHORT_WAIT_SECONDS)
    except ObjectStoreError as error:
        results.requests += 1
        if is_gone(error):
            results.ended.append(row)
        elif error.reason in OF_THE_UPLOAD:
            apply_error(row, error)
            results.read.append(row)
            results.refused += 1
        else:
            raise
    else:
        results.requests += facts.requests
        apply(row, facts, max(timezone.now(), scanned.scan.created_at))
        results.read.append(row)


def _write(lease: Lease[PartsBatch], results: _Results, *, last: bool = False) -> None:
    """Write the results, and what is left of the batch. Raises LeaseLost."""
    has_results = bool(results.read or results.ended)
    scanned, now = lease.row.bucket_scan, timezone.now()
    store = scanned.scan.store
    with transaction.atomic():
        if not last:
            lease.renew(uploads=results.left, **(SUCCEEDED | NO_ERROR if has_results else {}))
        elif not lease.end(ItemState.DONE, uploads=[], finished_at=now):
            raise LeaseLost
        judge_read(store, scanned.bucket, results.read, now)
        schedule_checks(results.read, max(now, scanned.scan.created_at))
        write_read(results.read)
        write_ended(store, scanned.bucket, results.ended, now)
        BucketScan.objects.filter(pk=scanned.pk).update(
            checked=F("checked") + len(results.read) + len(results.ended) - results.refused,
            refused=F("refused") + results.refused,
            requests=F("requests") + results.requests,
        )
        if last:
            # A row for each hundred uploads of every scan would be of no use.
            PartsBatch.objects.filter(pk=lease.row.pk).delete()
    lease.row.uploads = results.left
    lease.row.tries = 0 if has_results else lease.row.tries


def schedule_checks(rows: Sequence[InventoryUpload], now: datetime) -> None:
    """When the parts are read again: in the next scan while the upload is alive, and rarely after a long silence."""
    for row in rows:
        idle = now - row.active_at
        if row.check_error:
            row.check_due_at = now + steps.REFUSED_REST
        elif row.verdict == Verdict.ALIVE or idle < ACTIVE:
            row.check_due_at = now
        else:
            row.check_due_at = now + min(REST, idle / 4)
