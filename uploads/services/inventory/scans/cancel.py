"""Cancelling scans. What they have read stays in the inventory."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from uploads import audit
from uploads.domain.states import ITEM_STATES, ItemState
from uploads.models import BucketScan, PartsBatch, Scan
from uploads.problems import Code
from uploads.services.work.leases import RELEASED
from uploads.services.work.transitions import change

CANCELLED = {"error_code": Code.SCAN_CANCELLED.value, "error_reason": Code.SCAN_CANCELLED.value}


@transaction.atomic
def cancel_scan(actor: User | None, scan: Scan) -> bool:
    """End a scan. Its tasks lose their leases and write nothing more. False if it has ended already."""
    active = Scan.objects.select_for_update().filter(pk=scan.pk, finished_at__isnull=True)
    if not active.exists():
        return False
    now = timezone.now()
    buckets = BucketScan.objects.filter(scan=scan)
    ended = {**RELEASED, **CANCELLED, "finished_at": now}
    change(ITEM_STATES, PartsBatch.objects.filter(bucket_scan__scan=scan), ItemState.FAILED, **ended)
    change(ITEM_STATES, buckets, ItemState.FAILED, **ended, active_key=None)
    # The uploads of these were listed, and the parts of some not read.
    buckets.filter(finished_at__isnull=True).update(finished_at=now, active_key=None, **CANCELLED)
    change(ITEM_STATES, Scan.objects.filter(pk=scan.pk), ItemState.FAILED, **RELEASED)
    Scan.objects.filter(pk=scan.pk).update(finished_at=now, **CANCELLED)
    scan.refresh_from_db()
    audit.record(actor, "scan.cancelled", store=scan.store.name, detail={"scan": str(scan.pk)})
    return True
