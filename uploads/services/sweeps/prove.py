"""The proof of a run: ListParts of each upload that was aborted, or whose outcome is not known."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import F

from uploads.domain.states import EndedHow, SweepItemState
from uploads.models import InventoryUpload, Sweep, SweepItem
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.services.browse.browsing import is_gone
from uploads.services.ended.marks import mark_those_changed
from uploads.services.ended.noting import End, note_rows_ended
from uploads.services.inventory.refresh import request_sums
from uploads.services.stores import pace
from uploads.services.stores.clients import ONCE, client_for
from uploads.services.sweeps.ending import end_left_items
from uploads.services.work.attempts import backoff_seconds
from uploads.services.work.leases import SUCCEEDED, Lease, in_seconds

log = logging.getLogger(__name__)

BATCH = 50
"""Uploads that one task proves. Each takes one request."""

MAX_TRIES = 6
"""Batches in a row with a request that failed, before the proof says that something is not known."""

GONE, THERE, NOT_KNOWN = SweepItem.PROOFS


def prove_batch(lease: Lease[Sweep]) -> bool:
    """Prove the next uploads. Returns whether all are proved. Uploads that are still being aborted are waited for.

    A request that failed is repeated later, with a longer pause after each batch in which one did.
    """
    sweep = lease.row
    end_left_items(sweep)
    to_prove = SweepItem.objects.filter(
        sweep=sweep, proof="", state__in=(SweepItemState.DONE, SweepItemState.UNKNOWN)
    ).select_related("store", "operation_item")
    items = list(to_prove.order_by("number")[:BATCH])
    failed = _prove(lease, items)
    if failed and sweep.tries + 1 >= MAX_TRIES:
        for item in failed:
            item.proof = NOT_KNOWN
    proved = [item for item in items if item.proof]
    pause: dict[str, Any] = SUCCEEDED
    if failed:
        tries = min(sweep.tries + 1, MAX_TRIES)
        pause = {"tries": tries, "not_before": in_seconds(backoff_seconds(tries) if len(proved) < len(items) else 0)}
    with transaction.atomic():
        freed = sum(item.bytes or 0 for item in proved if item.proof == GONE and item.state == SweepItemState.DONE)
        lease.renew(freed_bytes=F("freed_bytes") + freed, **pause)
        SweepItem.objects.bulk_update(proved, ["proof"])
        note_ended(proved)
    is_busy = SweepItem.objects.filter(sweep=sweep, state=SweepItemState.RUNNING).exists()
    return not items and not is_busy


def _prove(lease: Lease[Sweep], items: Sequence[SweepItem]) -> list[SweepItem]:
    """Set the proof of each item. Returns those whose request failed. The others of their stores wait."""
    failing, failed = set[int](), []
    for item in items:
        if item.store_id in failing:
            continue
        try:
            item.proof = _proof_of(item)
        except ObjectStoreError as error:
            log.warning("sweep %s: an upload could not be proved: %s", item.sweep_id, error)
            failing.add(item.store_id)
            if error.reason is not Reason.STORE_BUSY:
                failed.append(item)
        lease.renew()
    return failed


def _proof_of(item: SweepItem) -> str:
    """Raises ObjectStoreError for an error that may pass."""
    try:
        with pace.request(item.store):
            client_for(item.store, ONCE).list_parts(item.bucket, item.key, item.upload_id, max_parts=1)
    except ObjectStoreError as error:
        if is_gone(error) or error.reason is Reason.NO_SUCH_BUCKET:
            return GONE
        if error.retryable:
            raise
        return NOT_KNOWN
    return THERE


def note_ended(items: Sequence[SweepItem]) -> None:
    """The inventory no longer has those that are gone: one statement for each operation.

    Those whose abort was confirmed are noted already. The sums are computed at once.
    """
    gone = [item for item in items if item.proof == GONE]
    rows = InventoryUpload.objects.filter(pk__in=[item.upload_row for item in gone])
    buckets = list(rows.order_by().values_list("bucket_id", flat=True).distinct())
    left = rows.filter(ended_at__isnull=True)
    mark_those_changed(left.order_by().values_list("bucket_id", flat=True).distinct())
    by_operation: dict[uuid.UUID | None, list[int]] = {}
    for item in gone:
        operation = item.operation_item.operation_id if item.operation_item else None
        by_operation.setdefault(operation, []).append(item.upload_row)
    for operation, ids in by_operation.items():
        note_rows_ended(ids, End(EndedHow.ABORTED, operation))
    request_sums(buckets)
