"""Scans by schedule: the watchdog requests one for each slot that has passed, and one for all that it has missed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from uploads.domain.scan_schedule import GRACE, Repeat, Schedule
from uploads.models import InventorySettings, Scan, Store
from uploads.services.inventory.scans.request import request_scan

log = logging.getLogger(__name__)


def schedule_of(settings: InventorySettings) -> Schedule:
    return Schedule(Repeat(settings.schedule), settings.scan_minute, settings.scan_weekday)


def request_due_scans() -> None:
    """Request the scans that are due now. May run in several processes at the same time."""
    for store, schedule in _schedules():
        slot = schedule.last_slot(timezone.now())
        if slot is not None and _is_due(store, slot):
            _request(store, slot)


@dataclass(frozen=True, slots=True)
class OverdueScan:
    """A store whose scan should have ended. `since` is the slot, `scanned_at` the end of its last scan, if any."""

    store: Store
    since: datetime
    scanned_at: datetime | None


def overdue_scans(now: datetime) -> list[OverdueScan]:
    """The enabled stores with a schedule of which no scan has ended since a slot, long after it.

    A store whose first scan was requested a short time ago is not overdue yet.
    """
    found = []
    for store, schedule in _schedules():
        slot = schedule.overdue_slot(now)
        scans = _whole_scans(store)
        if slot is None or scans.filter(finished_at__gte=slot).exists():
            continue
        if scans.filter(created_at__lt=now - GRACE[schedule.repeat]).exists():
            ended = scans.filter(finished_at__isnull=False).order_by("-finished_at")
            found.append(OverdueScan(store, slot, ended.values_list("finished_at", flat=True).first()))
    return found


def _schedules() -> Iterator[tuple[Store, Schedule]]:
    rows = InventorySettings.objects.filter(store__enabled=True).exclude(schedule=Repeat.OFF)
    for each in rows.select_related("store").order_by("store__name"):
        yield each.store, schedule_of(each)


def _whole_scans(store: Store) -> QuerySet[Scan]:
    """The scans of all buckets of a store, whoever requested them."""
    return Scan.objects.filter(store=store, places=[])


def _is_due(store: Store, slot: datetime) -> bool:
    """Whether the store was not scanned as a whole since the slot, and is not being scanned now."""
    scans = _whole_scans(store)
    return not (scans.filter(created_at__gte=slot).exists() or scans.filter(finished_at__isnull=True).exists())


@transaction.atomic
def _request(store: Store, slot: datetime) -> Scan | None:
    """Under the lock of the store: of two processes, the second one finds the scan of the first."""
    locked = Store.objects.select_for_update().get(pk=store.pk)
    if not (locked.enabled and _is_due(locked, slot)):
        return None
    log.info("a scan of %s is due since %s", store.name, slot.isoformat())
    return request_scan(None, locked, "schedule")
