"""Cancelling scans. What they have read stays in the inventory."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction

from uploads import audit
from uploads.models import Scan
from uploads.problems import Code
from uploads.services.inventory.scans.ending import end_scan

CANCELLED = {"error_code": Code.SCAN_CANCELLED.value, "error_reason": Code.SCAN_CANCELLED.value}


@transaction.atomic
def cancel_scan(actor: User | None, scan: Scan) -> bool:
    """End a scan. Its tasks lose their leases and write nothing more. False if it has ended already."""
    if not end_scan(scan.pk, CANCELLED):
        return False
    scan.refresh_from_db()
    audit.record(actor, "scan.cancelled", store=scan.store.name, detail={"scan": str(scan.pk)})
    return True
