"""Stored verdicts and sums: judged in sets, when time passes and when thresholds change."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from uploads.domain.verdicts import Verdict
from uploads.models import InventoryBucket, InventorySettings, InventorySum, InventoryUpload, Store
from uploads.models.inventory import upload_identity
from uploads.services.inventory.judging import judge_rows, judge_store_again, rejudge_due
from uploads.services.inventory.sums import compute_sums, mark_changed, refresh_sums

pytestmark = pytest.mark.django_db
NOW = datetime.fromisoformat("2026-06-01T12:00:00+00:00")


@pytest.fixture
def place(store: Store) -> InventoryBucket:
    return InventoryBucket.objects.create(store=store, name="judged")


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


def test_new_thresholds_judge_the_store_again(place: InventoryBucket) -> None:
    add(place, "five days", timedelta(days=5), verdict="stalled")
    InventorySettings.objects.create(store=place.store, dead_days=3)
    assert rejudge_due(10) == 0
    judge_store_again(place.store)
    assert rejudge_due(10) == 1
    assert verdicts(place) == {"five days": Verdict.DEAD}


def test_sums_are_computed_again_after_a_change_however_often_it_was_marked(place: InventoryBucket) -> None:
    add(place, "a", timedelta(days=9), parts=0, bytes=0, gaps=0, last_part_at=None, verdict="dead")
    add(place, "b", timedelta(days=9), parts=None, bytes=None, verdict="unchecked", storage_class="COLD")
    mark_changed(place)
    first = InventoryBucket.objects.get(pk=place.pk).changed_at
    mark_changed(place)
    assert InventoryBucket.objects.get(pk=place.pk).changed_at == first is not None
    compute_sums(place)
    compute_sums(place)
    assert InventoryBucket.objects.get(pk=place.pk).changed_at is None
    rows = InventorySum.objects.filter(bucket=place).order_by("verdict")
    assert list(rows.values_list("verdict", "storage_class", "uploads", "empty", "checked", "bytes")) == [
        ("dead", "", 1, 1, 1, 0),
        ("unchecked", "COLD", 1, 0, 0, 0),
    ]
