"""What the inventory's page says of scans: those that run, with their progress, and when each store was scanned."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from uploads import access
from uploads.models import Store
from uploads.selectors.scans import last_scans, scan_progress

MOST_SHOWN = 4
LIVE_SECONDS, IDLE_SECONDS = 3, 30


def scan_state_context(request: HttpRequest, store: str) -> dict[str, Any]:
    """Of all stores, or of one: a fixed number of statements."""
    scans = access.visible_scans(request.user).filter(finished_at__isnull=True).order_by("created_at", "pk")
    stores = access.visible_stores(request.user).filter(enabled=True).order_by("name")
    if store:
        scans, stores = scans.filter(store__name=store), stores.filter(name=store)
    active = list(scans[: MOST_SHOWN + 1])
    progress = scan_progress(request.user, active, timezone.now())
    return {
        "active_scans": [(scan, progress[scan.pk]) for scan in active[:MOST_SHOWN]],
        "has_more_active": len(active) > MOST_SHOWN,
        "scanned": _scanned(request, list(stores), {scan.store_id for scan in active}),
        "scan_store": store,
        "may_scan": _may_scan(request, store),
        "poll_url": request.get_full_path(),
        "poll_seconds": LIVE_SECONDS if active else IDLE_SECONDS,
    }


def _scanned(request: HttpRequest, stores: list[Store], at_work: set[int]) -> dict[str, Any]:
    """When the stores were scanned that are not scanned now, the longest ago first."""
    last = last_scans(request.user, stores)
    ended = sorted(
        (scan for pk, scan in last.items() if pk not in at_work and scan.finished_at), key=lambda scan: scan.created_at
    )
    return {"scans": ended[:MOST_SHOWN], "more": max(0, len(ended) - MOST_SHOWN)}


def _may_scan(request: HttpRequest, store: str) -> bool:
    if not store:
        return access.may_scan(request.user)
    found = access.visible_stores(request.user).filter(name=store, enabled=True).first()
    return found is not None and access.may_scan(request.user, found)
