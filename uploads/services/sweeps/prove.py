"""The proof of a run: ListParts of each upload that was aborted, or whose outcome is not known."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from uploads.domain.states import SweepItemState
from uploads.models import InventoryBucket, InventoryUpload, Sweep, SweepItem
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.services.browse.browsing import is_gone
from uploads.services.stores import pace
from uploads.services.stores.clients import client_for
from uploads.services.sweeps.ending import end_left_items
from uploads.services.work.leases import SUCCEEDED, Lease

BATCH = 50
"""Uploads that one task proves. Each takes one request."""

GONE, THERE, NOT_KNOWN = SweepItem.PROOFS


def prove_batch(lease: Lease[Sweep]) -> bool:
    """Prove the next uploads. Returns whether all are proved. Uploads that are still being aborted are waited for."""
    sweep = lease.row
    end_left_items(sweep)
    to_prove = SweepItem.objects.filter(
        sweep=sweep, proof="", state__in=(SweepItemState.DONE, SweepItemState.UNKNOWN)
    ).select_related("store", "operation_item")
    items = list(to_prove.order_by("number")[:BATCH])
    for item in items:
        item.proof = _proof_of(item)
        lease.renew()
    with transaction.atomic():
        freed = sum(item.bytes or 0 for item in items if item.proof == GONE and item.state == SweepItemState.DONE)
        lease.renew(freed_bytes=F("freed_bytes") + freed, **SUCCEEDED)
        SweepItem.objects.bulk_update(items, ["proof"])
        note_ended(items)
    is_busy = SweepItem.objects.filter(sweep=sweep, state=SweepItemState.RUNNING).exists()
    return not items and not is_busy


def _proof_of(item: SweepItem) -> str:
    try:
        with pace.request(item.store):
            client_for(item.store).list_parts(item.bucket, item.key, item.upload_id, max_parts=1)
    except ObjectStoreError as error:
        return GONE if is_gone(error) or error.reason is Reason.NO_SUCH_BUCKET else NOT_KNOWN
    return THERE


def note_ended(items: Sequence[SweepItem]) -> None:
    """The inventory no longer has those that are gone: one statement for each operation."""
    now = timezone.now()
    gone = [item for item in items if item.proof == GONE]
    rows = InventoryUpload.objects.filter(pk__in=[item.upload_row for item in gone], ended_at__isnull=True)
    buckets = list(rows.order_by().values_list("bucket_id", flat=True).distinct())
    by_operation: dict[uuid.UUID | None, list[int]] = {}
    for item in gone:
        operation = item.operation_item.operation_id if item.operation_item else None
        by_operation.setdefault(operation, []).append(item.upload_row)
    for operation, ids in by_operation.items():
        rows.filter(pk__in=ids).update(ended_at=now, ended_how="aborted", ended_operation=operation)
    InventoryBucket.objects.filter(Q(changed_at=None), pk__in=buckets).update(changed_at=now)
