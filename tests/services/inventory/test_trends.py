"""The rows of days, and the trend that a user sees."""

from __future__ import annotations

import logging
import os
from datetime import date, datetime, timedelta
from time import perf_counter

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.grants import grant
from tests.on_postgresql import run_again
from tests.services.inventory.rows import store_of
from tests.stores.postgresql import Cluster
from uploads import access
from uploads.domain.inventory_filter import Grouping
from uploads.domain.roles import Role
from uploads.domain.trends import DayTotal, Growth
from uploads.domain.verdicts import Verdict
from uploads.models import InventoryBucket, InventoryDay, InventorySum, InventoryUpload, Store
from uploads.models.inventory import upload_identity
from uploads.selectors.trends import _sums, growth_since_last_week, leaders, series
from uploads.services.inventory import days

pytestmark = pytest.mark.django_db


@pytest.fixture
def store(db: None) -> Store:
    """Nothing here asks a store."""
    return store_of("store")


def scanned(store: Store, name: str, **sizes: int) -> InventoryBucket:
    """A bucket with sums: bytes by verdict, of two uploads each, one of which has known bytes."""
    bucket = InventoryBucket.objects.create(store=store, name=name, listed_at=timezone.now())
    for verdict, size in sizes.items():
        InventorySum.objects.create(bucket=bucket, verdict=verdict, uploads=2, checked=1, bytes=size)
    return bucket


def rows_of(bucket: InventoryBucket) -> list[tuple[date, int, int, int, dict[str, list[int]]]]:
    return list(bucket.days.order_by("day").values_list("day", "uploads", "checked", "bytes", "by_verdict"))


def test_rounds_of_a_day_write_one_row_and_the_next_day_another(
    store: Store, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    bucket = scanned(store, "a", dead=100, alive=20)
    unlisted = InventoryBucket.objects.create(store=store, name="never listed")
    now = timezone.now()
    not_added_up = InventoryBucket.objects.create(store=store, name="listed", listed_at=now, changed_at=now)
    gone = scanned(store, "gone", dead=5)
    InventoryBucket.objects.filter(pk=gone.pk).update(gone_at=timezone.now())
    InventorySum.objects.create(bucket=bucket, verdict="dead", storage_class="COLD", uploads=1, checked=1, bytes=7)
    first = datetime.fromisoformat("2026-03-01T23:30:00+00:00")

    def write_at(now: datetime) -> None:
        monkeypatch.setattr(timezone, "now", lambda: now)
        days.write_today()

    with django_assert_max_num_queries(20):
        write_at(first)
    InventorySum.objects.filter(bucket=bucket, verdict="alive").update(bytes=50)
    write_at(first + timedelta(minutes=1))
    written = (first.date(), 5, 3, 127, {"dead": [3, 107], "alive": [2, 20]})
    assert rows_of(bucket) == [written], "two rounds are some minutes apart"
    write_at(first + days.EVERY)
    later = (first.date(), 5, 3, 157, {"dead": [3, 107], "alive": [2, 50]})
    assert rows_of(bucket) == [later]
    InventorySum.objects.filter(bucket=bucket).delete()
    write_at(first + timedelta(days=1))
    assert rows_of(bucket) == [later, (date(2026, 3, 2), 0, 0, 0, {})]
    assert not unlisted.days.exists()
    assert not not_added_up.days.exists()
    assert not gone.days.exists()
    assert days.delete_old(date(2026, 3, 2), 10) == 1
    assert days.delete_old(date(2026, 3, 2), 10) == 0
    assert InventoryDay.objects.count() == 1


def test_all_buckets_of_a_round_take_few_statements(
    store: Store, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    monkeypatch.setattr(days, "CHUNK", 7)
    for number in range(20):
        scanned(store, f"b{number}", dead=number)
    days.write_today()
    assert InventoryDay.objects.count() == 20
    monkeypatch.setattr(days, "CHUNK", 500)
    with django_assert_max_num_queries(6):
        days.write_rows([bucket.pk for bucket in InventoryBucket.objects.all()], date(2026, 1, 1))
    assert InventoryDay.objects.count() == 40


def test_a_series_has_the_whole_buckets_that_the_user_may_list(store: Store, admin_user: User) -> None:
    today = timezone.now().date()
    first, second = scanned(store, "first"), scanned(store, "second")
    for bucket, size in ((first, 1), (second, 10)):
        for ago, count in ((7, 1), (0, 3)):
            InventoryDay.objects.create(
                bucket=bucket,
                day=today - timedelta(days=ago),
                uploads=count,
                checked=1,
                bytes=count * size,
                by_verdict={"dead": [count, count * size]},
            )
    InventoryDay.objects.create(bucket=first, day=today - timedelta(days=30), uploads=1)
    week_ago = today - timedelta(days=7)
    assert series(admin_user, 30) == [
        DayTotal(week_ago, 2, 11, 2, {"dead": (2, 11)}),
        DayTotal(today, 6, 33, 2, {"dead": (6, 33)}),
    ]
    assert len(series(admin_user, 31)) == 3
    assert [each.bytes for each in series(admin_user, 30, store=store.name, bucket="second")] == [10, 30]
    assert series(admin_user, 30, store="other") == []
    assert growth_since_last_week(admin_user) == Growth(week_ago, 7, 4, 22)

    user = User.objects.create_user("limited")
    grant(user, Role.VIEWER, store=store, bucket="first")
    grant(user, Role.VIEWER, store=store, bucket="second", prefix="logs/")
    user = User.objects.get(pk=user.pk)
    assert [each.bytes for each in series(user, 30)] == [1, 3]
    only_a_prefix = User.objects.create_user("prefix")
    grant(only_a_prefix, Role.VIEWER, store=store, bucket="second", prefix="logs/")
    assert series(only_a_prefix, 30) == []
    assert growth_since_last_week(only_a_prefix) is None


YEAR_OF = int(os.environ.get("TREND_BUCKETS", "3"))
"""Buckets with a row for each day of a year. 1000 make 365,000 rows."""


def test_a_year_is_added_up_by_the_database(
    store: Store, admin_user: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    today = timezone.now().date()
    verdicts = {verdict.value: [2, 10] for verdict in Verdict}
    for number in range(YEAR_OF):
        bucket = scanned(store, f"b{number}")
        rows = [
            InventoryDay(bucket=bucket, day=today - timedelta(days=ago), uploads=14, bytes=70, by_verdict=verdicts)
            for ago in range(365)
        ]
        InventoryDay.objects.bulk_create(rows)
    started = perf_counter()
    with django_assert_max_num_queries(5):
        found = series(admin_user, 365)
    logging.getLogger(__name__).warning("a year of %s buckets: %.2f s", YEAR_OF, perf_counter() - started)
    assert [each.day for each in found] == [today - timedelta(days=ago) for ago in reversed(range(365))]
    total = DayTotal(today, 14 * YEAR_OF, 70 * YEAR_OF, 0, dict.fromkeys(verdicts, (2 * YEAR_OF, 10 * YEAR_OF)))
    assert found[-1] == total
    if connection.vendor == "sqlite":
        week = access.visible_inventory_days(admin_user).filter(day__gte=today - timedelta(days=7))
        assert "uploads_inventoryday USING INDEX" in _sums(week).explain()


def test_leaders_left_most_behind(store: Store, admin_user: User) -> None:
    bucket, now = scanned(store, "leaks"), timezone.now()
    uploads = (
        ("backup", "db/1", "dead", 50),
        ("backup", "db/2", "stalled", 60),
        ("web", "img/1", "dead", 20),
        ("cron", "img/2", "alive", 900),
    )
    for number, (initiator, key, verdict, size) in enumerate(uploads):
        InventoryUpload.objects.create(
            store=store,
            bucket=bucket,
            identity=upload_identity(bucket.pk, key, str(number)),
            key=key,
            upload_id=str(number),
            initiator=initiator,
            verdict=verdict,
            bytes=size,
            first_seen_at=now,
            last_seen_at=now,
            started_at=now,
            active_at=now,
        )
    found = leaders(admin_user, Grouping.INITIATOR)
    assert [(each.value, each.totals.uploads, each.totals.bytes) for each in found] == [
        ("backup", 2, 110),
        ("web", 1, 20),
    ]
    assert [each.value for each in leaders(admin_user, Grouping.PREFIX)] == ["db/", "img/"]
    assert leaders(admin_user, Grouping.PREFIX, store="other") == []


def test_on_postgresql(postgresql_cluster: Cluster) -> None:
    run_again(__file__, postgresql_cluster)
