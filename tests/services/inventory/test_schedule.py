"""Scans by schedule: one for each slot, whoever asks, and one after downtime. Settings, cancelling and old rows."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from uploads.domain.states import ItemState
from uploads.models import AuditEntry, BucketScan, InventoryBucket, InventorySettings, PartsBatch, Scan, Store
from uploads.services.inventory.scans.cancel import cancel_scan
from uploads.services.inventory.scans.schedule import overdue_scans, request_due_scans
from uploads.services.inventory.settings import change_settings, settings_of, values_of
from uploads.services.upkeep.retention import _delete_scans


@pytest.fixture
def store(db: None) -> Store:
    return Store.objects.create(name="s", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


def scheduled(store: Store, repeat: str = "hourly") -> None:
    InventorySettings.objects.create(store=store, schedule=repeat, scan_minute=0)


def aged(scan: Scan, created: timedelta, finished: timedelta | None = None) -> Scan:
    now = timezone.now()
    Scan.objects.filter(pk=scan.pk).update(
        created_at=now - created, finished_at=None if finished is None else now - finished
    )
    scan.refresh_from_db()
    return scan


def test_due_scan_is_requested_once(store: Store) -> None:
    scheduled(store)
    for _ in range(3):
        request_due_scans()
    scan = Scan.objects.get()
    assert (scan.origin, scan.actor, scan.places) == ("schedule", None, [])
    aged(scan, timedelta(0), timedelta(0))
    request_due_scans()
    assert Scan.objects.count() == 1


def test_downtime_of_many_slots_is_made_up_for_once(store: Store) -> None:
    scheduled(store)
    aged(Scan.objects.create(store=store, origin="schedule"), timedelta(days=3), timedelta(days=3))
    request_due_scans()
    request_due_scans()
    assert Scan.objects.count() == 2


def test_active_scan_is_not_joined_by_a_second_one(store: Store) -> None:
    scheduled(store)
    aged(Scan.objects.create(store=store, origin="page"), timedelta(days=3))
    request_due_scans()
    assert Scan.objects.count() == 1


def test_scan_of_some_buckets_does_not_count(store: Store) -> None:
    scheduled(store)
    Scan.objects.create(store=store, origin="page", places=[["b", ""]])
    request_due_scans()
    assert Scan.objects.filter(places=[]).count() == 1


def test_disabled_store_and_schedule_that_is_off_are_left_alone(store: Store) -> None:
    scheduled(store, "off")
    request_due_scans()
    InventorySettings.objects.update(schedule="hourly")
    Store.objects.update(enabled=False)
    request_due_scans()
    assert not Scan.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_several_processes_request_one_scan(store: Store) -> None:
    scheduled(store)
    start = threading.Barrier(4)

    def run() -> None:
        try:
            start.wait()
            request_due_scans()
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert Scan.objects.count() == 1


def test_scan_is_overdue_if_none_has_ended_long_after_a_slot(store: Store) -> None:
    scheduled(store)
    now = timezone.now()
    assert overdue_scans(now) == []
    scan = aged(Scan.objects.create(store=store, origin="schedule"), timedelta(minutes=1))
    assert overdue_scans(now) == []
    aged(scan, timedelta(hours=5))
    [overdue] = overdue_scans(now)
    assert overdue.store == store
    assert overdue.scanned_at is None
    assert overdue.since <= now - timedelta(hours=1)
    aged(scan, timedelta(hours=5), timedelta(0))
    assert overdue_scans(timezone.now()) == []


def test_settings_are_checked_and_recorded(store: Store) -> None:
    values = values_of(settings_of(store))
    for wrong in (
        replace(values, alive_hours=24 * 7),
        replace(values, dead_days=0),
        replace(values, requests_per_second=0),
        replace(values, schedule="sometimes"),
        replace(values, scan_minute=1440),
    ):
        with pytest.raises(ValidationError):
            change_settings(None, store, wrong)
    assert not InventorySettings.objects.exists()
    assert change_settings(None, store, values) == frozenset()
    assert change_settings(None, store, replace(values, alive_hours=12, schedule="daily")) == {
        "alive_hours",
        "schedule",
    }
    entry = AuditEntry.objects.get(action="inventory.changed")
    assert (entry.before, entry.after) == (
        {"alive_hours": 24, "schedule": "off"},
        {"alive_hours": 12, "schedule": "daily"},
    )


def test_cancelled_scan_leaves_nothing_at_work(store: Store) -> None:
    scan = Scan.objects.create(store=store, origin="page", state=ItemState.DONE.value)
    states = (ItemState.ORDERED, ItemState.RUNNING, ItemState.DONE)
    for number, state in enumerate(states):
        bucket = InventoryBucket.objects.create(store=store, name=f"b{number}")
        row = BucketScan.objects.create(scan=scan, bucket=bucket, state=state.value, active_key=str(bucket.pk))
        PartsBatch.objects.create(bucket_scan=row, state=state.value)
    assert cancel_scan(None, scan)
    assert not cancel_scan(None, scan)
    assert scan.finished_at is not None
    assert not BucketScan.objects.filter(finished_at__isnull=True).exists()
    assert not BucketScan.objects.filter(active_key__isnull=False).exists()
    active = {"state__in": [ItemState.ORDERED.value, ItemState.RUNNING.value]}
    assert not BucketScan.objects.filter(**active).exists()
    assert not PartsBatch.objects.filter(**active).exists()
    assert AuditEntry.objects.filter(action="scan.cancelled").count() == 1


def test_old_scans_are_deleted_but_not_the_last(store: Store) -> None:
    old = aged(Scan.objects.create(store=store, origin="page"), timedelta(days=9), timedelta(days=9))
    BucketScan.objects.create(scan=old, bucket=InventoryBucket.objects.create(store=store, name="b"))
    last = aged(Scan.objects.create(store=store, origin="page"), timedelta(days=8), timedelta(days=8))
    before = timezone.now() - timedelta(days=1)
    while _delete_scans(before):
        pass
    assert [each.pk for each in Scan.objects.all()] == [last.pk]
    assert not BucketScan.objects.exists()
