"""Deleting old rows: sessions, ended transfers, operations, sweeps, store checks, scans, ended uploads and old days of
the inventory, and audit entries, after a set time.

What still owns something in a store or on a disk is kept, whatever its age. Rows are deleted in batches that lock them
for a moment, in rounds of limited time. The audit log is kept unless KEEP_AUDIT_DAYS says otherwise.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from uploads.domain.states import ACTIVE_ITEM_STATES, FINAL_PHASES, STORE_UPLOAD_STATES, ItemState
from uploads.models import (
    Alert,
    AlertDelivery,
    BucketScan,
    InventoryUpload,
    Operation,
    OperationItem,
    Part,
    PartsBatch,
    Scan,
    StoreCheck,
    StoreUpload,
    Sweep,
    SweepItem,
    SweepPlace,
    Transfer,
)
from uploads.problems import Code
from uploads.services.inventory import days
from uploads.services.sign_in import lockout, sessions
from uploads.services.upkeep.audit_retention import remove_entries
from uploads.services.work.leases import LeaseLost
from uploads.services.work.rounds import Held, only_one

log = logging.getLogger(__name__)

EVERY = timedelta(hours=1)

SECONDS = 30.0
"""How long one round deletes rows of a kind. The next round continues."""

BATCH = 200
"""Rows that one transaction deletes."""

MAX_DEPENDENT = 2000
"""Parts, or items, that one transaction deletes with their transfers or operations; more if a single one has more."""


@dataclass(frozen=True, slots=True)
class Old:
    """Rows of a kind. `before`: those that ended before this time are deleted; None: none. `delete` deletes a batch."""

    name: str
    before: Callable[[], datetime | None]
    delete: Callable[[datetime], int]


def delete_old_rows() -> dict[str, int]:
    """One round, at most one in an hour on all nodes. Returns how many rows were deleted, by kind."""
    counts: dict[str, int] = {}
    with only_one("deletion of old rows", every=EVERY) as held:
        if held is None:
            return counts
        for old in KINDS_OF_ROWS:
            counts[old.name] = _delete(old, held)
    if any(counts.values()):
        log.info("deleted old rows: %s", ", ".join(f"{count} {name}" for name, count in counts.items()))
    return counts


def _delete(old: Old, held: Held) -> int:
    """Delete rows in batches until none is left or the time is up. An exception does not stop the other kinds."""
    count, deadline, before = 0, monotonic() + SECONDS, old.before()
    try:
        while before is not None and monotonic() < deadline:
            held.renew()
            deleted = old.delete(before)
            count += deleted
            if not deleted:
                break
    except LeaseLost:
        raise
    except Exception:
        log.exception("old %s could not be deleted, after %s of them", old.name, count)
    return count


def _days_ago(setting: str) -> datetime | None:
    days = getattr(settings, setting)
    return timezone.now() - timedelta(days=days) if days else None


def _whole_days_ago(setting: str) -> datetime | None:
    """The midnight before that time: what leaves an entry itself is done once a day."""
    before = _days_ago(setting)
    return before and before.replace(hour=0, minute=0, second=0, microsecond=0)


# --- Transfers --------------------------------------------------------------------------------------------------------

ENDED_UPLOADS = STORE_UPLOAD_STATES.final


def deletable_transfers(before: datetime) -> QuerySet[Transfer]:
    """Ended transfers that own nothing: no upload in a store that may exist, no staged bytes, no unknown outcome."""
    uploads = StoreUpload.objects.filter(transfer=OuterRef("pk")).exclude(state__in=ENDED_UPLOADS)
    staged = Part.objects.filter(transfer=OuterRef("pk"), reserved_bytes__gt=0)
    rows = Transfer.objects.filter(
        phase__in=FINAL_PHASES, finished_at__lt=before, release_at=None, lost_creates=0, create_sent_at=None
    )
    # An abort that was not verified may have left parts in the store, which only this row says.
    return rows.exclude(error_reason=Code.ABORT_NOT_VERIFIED).filter(~Exists(uploads), ~Exists(staged))


def _delete_transfers(before: datetime) -> int:
    with transaction.atomic():
        rows = deletable_transfers(before).order_by("finished_at").select_for_update(skip_locked=True)
        ids = _at_most(rows.values_list("pk", "part_count")[:BATCH])
        Part.objects.filter(transfer__in=ids).delete()
        Transfer.objects.filter(pk__in=ids).delete()
    return len(ids)


def _at_most(rows: Iterable[tuple[Any, int]]) -> list[Any]:
    """The ids of the first rows that have MAX_DEPENDENT rows together, but at least one."""
    ids: list[Any] = []
    total = 0
    for pk, count in rows:
        total += count
        if ids and total > MAX_DEPENDENT:
            break
        ids.append(pk)
    return ids


# --- Operations -------------------------------------------------------------------------------------------------------


def deletable_operations(before: datetime) -> QuerySet[Operation]:
    """Operations whose items have all ended before that time, and of which the store's state is known."""
    items = OperationItem.objects.filter(operation=OuterRef("pk")).order_by()
    has_not_ended = Q(state__in=ACTIVE_ITEM_STATES) | Q(finished_at__gte=before)
    is_unknown = Q(state=ItemState.UNKNOWN) | Q(outcome__has_key="not_verified")
    return Operation.objects.filter(~Exists(items.filter(has_not_ended | is_unknown)), created_at__lt=before)


def _delete_operations(before: datetime) -> int:
    items = OperationItem.objects.filter(operation=OuterRef("pk")).order_by().values("operation_id")
    counted = items.annotate(count=Count("pk")).values("count")
    with transaction.atomic():
        rows = deletable_operations(before).order_by("created_at").select_for_update(skip_locked=True)
        rows = rows.annotate(count=Coalesce(Subquery(counted), 0))
        ids = _at_most(rows.values_list("pk", "count")[:BATCH])
        OperationItem.objects.filter(operation__in=ids).delete()
        Operation.objects.filter(pk__in=ids).delete()
    return len(ids)


def deletable_sweeps(before: datetime) -> QuerySet[Sweep]:
    """Sweeps that ended before that time, and whose operations are deleted already."""
    operations = Operation.objects.filter(sweep=OuterRef("pk"))
    return Sweep.objects.filter(~Exists(operations), finished_at__lt=before)


def _delete_sweeps(before: datetime) -> int:
    """A sweep may have many uploads: they are deleted in batches too."""
    with transaction.atomic():
        old = deletable_sweeps(before).order_by("finished_at").select_for_update(of=("self",), skip_locked=True)
        ids = list(old.values_list("pk", flat=True)[:BATCH])
        items = list(SweepItem.objects.filter(sweep__in=ids).values_list("pk", flat=True)[:MAX_DEPENDENT])
        if items:
            return SweepItem.objects.filter(pk__in=items).delete()[0]
        SweepPlace.objects.filter(sweep__in=ids).delete()
        Sweep.objects.filter(pk__in=ids).delete()
    return len(ids)


# --- Store checks -----------------------------------------------------------------------------------------------------


def deletable_checks(before: datetime) -> QuerySet[StoreCheck]:
    """Ended checks that have left nothing in their bucket and are not the last result for it."""
    ended = StoreCheck.objects.exclude(state__in=ACTIVE_ITEM_STATES).filter(created_at__lt=before)
    newer = StoreCheck.objects.filter(
        store=OuterRef("store"), bucket=OuterRef("bucket"), state=ItemState.DONE, created_at__gt=OuterRef("created_at")
    )
    return ended.filter(Exists(newer), created={}, leftovers=[])


def _delete_checks(before: datetime) -> int:
    ids = list(deletable_checks(before).order_by("created_at").values_list("pk", flat=True)[:BATCH])
    return StoreCheck.objects.filter(pk__in=ids).delete()[0]


# --- Scans and the inventory ------------------------------------------------------------------------------------------


def deletable_scans(before: datetime) -> QuerySet[Scan]:
    """Ended scans of which there is a newer one of all buckets of the store that has ended."""
    newer = Scan.objects.filter(
        store=OuterRef("store"), places=[], finished_at__isnull=False, created_at__gt=OuterRef("created_at")
    )
    return Scan.objects.filter(Exists(newer), finished_at__lt=before)


def _delete_scans(before: datetime) -> int:
    """A scan has many buckets, and these many batches: each is deleted in batches too."""
    with transaction.atomic():
        old = deletable_scans(before).order_by("finished_at").select_for_update(of=("self",), skip_locked=True)
        ids = list(old.values_list("pk", flat=True)[:BATCH])
        batches = PartsBatch.objects.filter(bucket_scan__scan__in=ids)
        rows: list[QuerySet[Any]] = [batches, BucketScan.objects.filter(scan__in=ids)]
        for dependent in rows:
            few = list(dependent.order_by("pk").values_list("pk", flat=True)[:MAX_DEPENDENT])
            if few:
                dependent.model._default_manager.filter(pk__in=few).delete()
                return len(few)
        Scan.objects.filter(pk__in=ids).delete()
    return len(ids)


def _delete_ended_batches(before: datetime) -> int:
    """What the tasks of ended scans have read: their numbers are in the scan."""
    ended = PartsBatch.objects.filter(bucket_scan__scan__finished_at__lt=before)
    ids = list(ended.order_by("pk").values_list("pk", flat=True)[:MAX_DEPENDENT])
    PartsBatch.objects.filter(pk__in=ids).delete()
    return len(ids)


def _delete_ended_uploads(before: datetime) -> int:
    """Uploads of the inventory that have ended. The store does not have them any more."""
    old = InventoryUpload.objects.filter(ended_at__isnull=False, ended_at__lt=before).order_by("ended_at")
    ids = list(old.values_list("pk", flat=True)[:MAX_DEPENDENT])
    InventoryUpload.objects.filter(pk__in=ids, ended_at__isnull=False).delete()
    return len(ids)


def _delete_old_days(before: datetime) -> int:
    return days.delete_old(before.date(), MAX_DEPENDENT)


def _delete_deliveries(before: datetime) -> int:
    """Deliveries that have ended, and then the ended alerts that have none any more."""
    old = AlertDelivery.objects.filter(finished_at__lt=before).exclude(state__in=ACTIVE_ITEM_STATES)
    ids = list(old.order_by("created_at").values_list("pk", flat=True)[:BATCH])
    if ids:
        return AlertDelivery.objects.filter(pk__in=ids).delete()[0]
    left = AlertDelivery.objects.filter(alert=OuterRef("pk"))
    alerts = Alert.objects.filter(~Exists(left), ended_at__lt=before).order_by("started_at")
    return Alert.objects.filter(pk__in=list(alerts.values_list("pk", flat=True)[:BATCH])).delete()[0]


DELIVERIES_KEPT = timedelta(days=90)
"""How long deliveries of alerts, and alerts that have ended, are kept."""

BATCHES_KEPT = timedelta(days=1)
"""How long the batches of an ended scan are kept, to look for faults."""

KINDS_OF_ROWS = (
    Old("sessions", timezone.now, lambda before: sessions.delete_expired(before, BATCH)),
    Old(
        "failed sign-ins",
        lambda: timezone.now() - lockout.lock_time(),
        lambda before: lockout.delete_old(before, BATCH),
    ),
    Old("transfers", lambda: _days_ago("KEEP_TRANSFERS_DAYS"), _delete_transfers),
    Old("operations", lambda: _days_ago("KEEP_OPERATIONS_DAYS"), _delete_operations),
    Old("sweeps", lambda: _days_ago("KEEP_OPERATIONS_DAYS"), _delete_sweeps),
    Old("store checks", lambda: _days_ago("KEEP_CHECKS_DAYS"), _delete_checks),
    Old("batches of scans", lambda: timezone.now() - BATCHES_KEPT, _delete_ended_batches),
    Old("scans", lambda: _days_ago("KEEP_SCANS_DAYS"), _delete_scans),
    Old("ended uploads", lambda: _days_ago("KEEP_ENDED_UPLOADS_DAYS"), _delete_ended_uploads),
    Old("deliveries of alerts", lambda: timezone.now() - DELIVERIES_KEPT, _delete_deliveries),
    Old("days of the inventory", lambda: timezone.now() - days.KEPT, _delete_old_days),
    Old("audit entries", lambda: _whole_days_ago("KEEP_AUDIT_DAYS"), remove_entries),
)
