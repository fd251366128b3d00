"""Stored verdicts and sums: judged in sets, when time passes and when thresholds change."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.services.inventory.rows import store_of
from uploads.models import InventoryBucket, InventorySum, InventoryUpload
from uploads.models.inventory import upload_identity
from uploads.services.ended.marks import mark_changed
from uploads.services.inventory import refresh, sums
from uploads.services.inventory.judging import apply_thresholds, judge_rows, rejudge_due
from uploads.services.inventory.settings import InventoryValues, change_settings, settings_of, values_of
from uploads.services.inventory.sums import compute_sums, refresh_sums
from uploads.services.upkeep.watchdog import _refresh_inventory
from uploads.services.work.tasks import SCAN_QUEUE
from uploads.tasks import refresh_inventory

pytestmark = pytest.mark.django_db
NOW = datetime.fromisoformat("2026-06-01T12:00:00+00:00")


@pytest.fixture
def place(db: None) -> InventoryBucket:
    return InventoryBucket.objects.create(store=store_of("judged"), name="judged")


def add(place: InventoryBucket, key: str, idle: timedelta, **known: object) -> InventoryUpload:
    """An upload whose last part arrived so long ago, and whose parts were just read."""
    at = timezone.now() - idle
    values: dict[str, object] = {"parts": 2, "bytes": 100, "gaps": 1, "last_part_at": at, "checked_at": timezone.now()}
    return InventoryUpload.objects.create(
        store=place.store,
        bucket=place,
        identity=upload_identity(place.pk, key, key),
        key=key,
        upload_id=key,
        initiated=at,
        first_seen_at=at,
        last_seen_at=timezone.now(),
        started_at=at,
        active_at=at,
        **{**values, **known},
    )


def verdicts(place: InventoryBucket) -> dict[str, str]:
    return dict(InventoryUpload.objects.filter(bucket=place).values_list("key", "verdict"))


def test_all_rows_of_a_batch_are_judged_with_as_many_statements(
    place: InventoryBucket, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    rows = [add(place, str(days), timedelta(days=days)) for days in range(30)]
    with django_assert_max_num_queries(3):
        judge_rows(place.store, rows, timezone.now())
    assert [row.verdict for row in rows] == ["alive", *["stalled"] * 6, *["dead"] * 23]


def test_time_changes_verdicts_and_sums(
    place: InventoryBucket, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    now = timezone.now()
    for number in range(30):
        add(place, str(number), timedelta(days=2), verdict="alive", verdict_until=now - timedelta(hours=number))
    add(place, "ended", timedelta(days=2), verdict="alive", verdict_until=now, ended_at=now)
    add(place, "later", timedelta(hours=1), verdict="alive", verdict_until=now + timedelta(hours=9))
    with django_assert_max_num_queries(12):
        assert rejudge_due(1000) == 30
    assert set(verdicts(place).values()) == {"stalled", "alive"}
    assert verdicts(place)["ended"] == verdicts(place)["later"] == "alive"
    assert rejudge_due(1000) == 0
    assert refresh_sums(10) == 0, "the sums wait for more changes"
    InventoryBucket.objects.filter(pk=place.pk).update(changed_at=now - timedelta(minutes=1))
    assert refresh_sums(10) == 1
    assert refresh_sums(10) == 0
    rows = InventorySum.objects.filter(bucket=place).order_by("verdict")
    assert list(rows.values_list("verdict", "uploads", "bytes")) == [("alive", 1, 100), ("stalled", 30, 3000)]


def changed(place: InventoryBucket, **values: Any) -> InventoryValues:
    return replace(values_of(settings_of(place.store)), **values)


def test_new_thresholds_are_applied_in_batches(
    place: InventoryBucket, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    other = InventoryBucket.objects.create(store=store_of("other"), name="other")
    for number in range(30):
        add(place, str(number), timedelta(days=5), verdict="stalled")
        add(other, str(number), timedelta(days=5), verdict="stalled")
    add(place, "ended", timedelta(days=5), verdict="stalled", ended_at=timezone.now())
    with django_assert_max_num_queries(20):
        change_settings(None, place.store, changed(place, dead_days=3))
    assert set(verdicts(place).values()) == {"stalled"}, "not in the request"
    assert settings_of(place.store).judged_to == 0
    with django_assert_max_num_queries(15):
        assert apply_thresholds(20) == 20
    assert list(verdicts(place).values()).count("dead") == 10
    change_settings(None, place.store, changed(place, dead_days=4))
    assert settings_of(place.store).judged_to == 0, "from the beginning"
    while apply_thresholds(20) == 20:
        pass
    assert settings_of(place.store).judged_to is None
    assert verdicts(place).pop("ended") == "stalled"
    assert [*verdicts(place).values()].count("dead") == 30
    assert set(verdicts(other).values()) == {"stalled"}
    assert InventoryBucket.objects.filter(changed_at__isnull=False).get() == place
    assert apply_thresholds(20) == 0


def test_other_settings_judge_nothing_again(place: InventoryBucket) -> None:
    change_settings(None, place.store, changed(place, requests_per_second=7))
    assert settings_of(place.store).judged_to is None


def added_up(place: InventoryBucket) -> list[tuple[str, str, int, int, int, int]]:
    rows = InventorySum.objects.filter(bucket=place).order_by("verdict")
    return list(rows.values_list("verdict", "storage_class", "uploads", "empty", "checked", "bytes"))


def test_sums_are_computed_again_after_a_change_however_often_it_was_marked(place: InventoryBucket) -> None:
    add(place, "a", timedelta(days=9), parts=0, bytes=0, gaps=0, last_part_at=None, verdict="dead")
    add(place, "b", timedelta(days=9), parts=None, bytes=None, verdict="unchecked", storage_class="COLD")
    mark_changed(place)
    first = InventoryBucket.objects.get(pk=place.pk).changed_at
    mark_changed(place)
    assert InventoryBucket.objects.get(pk=place.pk).changed_at == first is not None
    compute_sums(place.pk)
    compute_sums(place.pk)
    assert InventoryBucket.objects.get(pk=place.pk).changed_at is None
    assert added_up(place) == [("dead", "", 1, 1, 1, 0), ("unchecked", "COLD", 1, 0, 0, 0)]


def test_a_large_bucket_waits_longer_for_its_sums(place: InventoryBucket) -> None:
    InventorySum.objects.create(bucket=place, verdict="dead", uploads=1_000_000)
    InventoryBucket.objects.filter(pk=place.pk).update(changed_at=timezone.now() - timedelta(seconds=50))
    assert (refresh.is_due(), refresh_sums(5)) == (False, 0)
    InventoryBucket.objects.filter(pk=place.pk).update(changed_at=timezone.now() - timedelta(seconds=70))
    assert (refresh.is_due(), refresh_sums(5)) == (True, 1)
    assert added_up(place) == []


@pytest.mark.parametrize("newer", [False, True], ids=["a change", "a newer computation"])
def test_sums_that_were_overtaken_are_computed_again(
    place: InventoryBucket, monkeypatch: pytest.MonkeyPatch, newer: bool
) -> None:
    """Another process changes the uploads, and maybe adds them up, after this one has read them."""
    add(place, "a", timedelta(days=9), verdict="dead")
    mark_changed(place)
    read = sums._added_up
    monkeypatch.setattr(sums, "_added_up", lambda bucket: overtaken(read(bucket)))

    def overtaken(rows: list[InventorySum]) -> list[InventorySum]:
        monkeypatch.setattr(sums, "_added_up", read)
        add(place, "b", timedelta(days=9), verdict="dead")
        mark_changed(place)
        if newer:
            compute_sums(place.pk)
        return rows

    compute_sums(place.pk)
    assert InventoryBucket.objects.get(pk=place.pk).changed_at is not None
    compute_sums(place.pk)
    assert InventoryBucket.objects.get(pk=place.pk).changed_at is None
    assert added_up(place) == [("dead", "", 2, 0, 2, 200)]


@pytest.mark.django_db(transaction=True)
def test_sums_are_exact_after_processes_change_and_compute_them_at_once(place: InventoryBucket) -> None:
    """Threads with connections of their own, as processes have."""
    ends = threading.Barrier(5)
    failures: list[Exception] = []

    def run(act: Callable[[int], object]) -> None:
        try:
            ends.wait()
            for number in range(15):
                act(number)
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    def change(name: str) -> Callable[[int], object]:
        def one(number: int) -> None:
            with transaction.atomic():
                add(place, f"{name}{number}", timedelta(days=9), verdict="dead")
                mark_changed(place)

        return one

    acts = [change("a"), change("b"), *[lambda _: compute_sums(place.pk)] * 2, lambda _: refresh.refresh()]
    threads = [threading.Thread(target=run, args=[act]) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    sums.sum_up(place.pk)
    assert added_up(place) == [("dead", "", 30, 0, 30, 3000)]
    assert InventoryBucket.objects.get(pk=place.pk).changed_at is None


def test_the_watchdog_only_requests_what_a_scanner_does(
    place: InventoryBucket, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    sent: list[tuple[Any, ...]] = []
    monkeypatch.setattr("uploads.services.work.queue._publish", lambda *arguments: sent.append(arguments))
    monkeypatch.setattr("uploads.services.upkeep.watchdog._is_served", lambda _: True)
    add(place, "a", timedelta(days=9), verdict="alive", verdict_until=timezone.now())
    InventoryBucket.objects.filter(pk=place.pk).update(changed_at=timezone.now() - timedelta(minutes=1))
    with django_capture_on_commit_callbacks(execute=True):
        _refresh_inventory()
    assert [(name, queue) for name, _, queue, _ in sent] == [("refresh_inventory", SCAN_QUEUE)]
    assert verdicts(place) == {"a": "alive"}
    refresh_inventory("now")
    assert verdicts(place) == {"a": "dead"}
    assert added_up(place) == [("dead", "", 1, 0, 1, 100)]
    with django_capture_on_commit_callbacks(execute=True):
        _refresh_inventory()
    assert len(sent) == 1, "nothing is due"
