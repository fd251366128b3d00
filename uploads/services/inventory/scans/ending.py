"""Ending scans before their time. What they have read stays in the inventory."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from uploads.domain.states import ITEM_STATES, ItemState
from uploads.domain.store_health import FAILING
from uploads.models import BucketScan, InventoryBucket, PartsBatch, Scan, Store
from uploads.services.work.leases import RELEASED
from uploads.services.work.transitions import change

ACTIVE = (ItemState.ORDERED, ItemState.RUNNING)


@transaction.atomic
def end_scan(scan_id: uuid.UUID, error: Mapping[str, Any]) -> bool:
    """End all that is left of a scan, with these error columns. False if it has ended already.

    Its tasks lose their leases and write nothing more.
    """
    active = Scan.objects.select_for_update().filter(pk=scan_id, finished_at__isnull=True)
    if not active.exists():
        return False
    now = timezone.now()
    buckets = BucketScan.objects.filter(scan=scan_id)
    ended = {**RELEASED, **error, "finished_at": now}
    change(ITEM_STATES, PartsBatch.objects.filter(bucket_scan__scan=scan_id), ItemState.FAILED, **ended)
    change(ITEM_STATES, buckets, ItemState.FAILED, **ended, active_key=None)
    # The uploads of these were listed, and the parts of some not read.
    buckets.filter(finished_at__isnull=True).update(finished_at=now, active_key=None, **error)
    change(ITEM_STATES, Scan.objects.filter(pk=scan_id), ItemState.FAILED, **RELEASED)
    Scan.objects.filter(pk=scan_id).update(finished_at=now, **error)
    return True


@transaction.atomic
def end_if_unavailable(scan_id: uuid.UUID, error: Mapping[str, Any]) -> bool:
    """End a scan if its store is disabled, or fails as a whole: otherwise each bucket would be tried for itself.

    All of its buckets that are not listed yet get the error.
    """
    store = Store.objects.filter(scans=scan_id).first()
    if store is None or (store.enabled and store.shown_health not in FAILING):
        return False
    # In the order in which tasks lock rows.
    Scan.objects.select_for_update().filter(pk=scan_id).first()
    unlisted = BucketScan.objects.filter(scan=scan_id, state__in=ACTIVE)
    InventoryBucket.objects.filter(pk__in=list(unlisted.values_list("bucket", flat=True))).update(**error)
    return end_scan(scan_id, error)
