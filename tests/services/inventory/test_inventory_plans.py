"""How databases answer the questions of the inventory: by an index or from a stored sum, never by sorting all rows."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from itertools import islice, product
from pathlib import Path
from time import perf_counter

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from dashboard.inventory.serializers import COLUMNS, uploads_json
from dashboard.shared.exports import csv_lines
from tests.on_postgresql import run_again
from tests.services.inventory.plans import plan_of
from tests.services.inventory.rows import NOW, fill_skewed
from tests.stores.postgresql import Cluster
from uploads.domain.inventory_filter import Grouping, InventoryFilter, Sort
from uploads.domain.roles import Role
from uploads.models import Grant, InventoryBucket, InventoryDay, InventoryUpload, Store
from uploads.selectors.growth import find_trend
from uploads.selectors.inventory import covering, find_page, groups, iter_uploads, page, plan, totals, uploads_of
from uploads.selectors.inventory.order import Order
from uploads.selectors.inventory.verdicts import bytes_by_age
from uploads.selectors.trends import DAYS
from uploads.services.inventory.judging import rejudge_due
from uploads.services.sweeps.drive import drive_sweep
from uploads.services.sweeps.plan import request_sweep

MANY = int(os.environ.get("INVENTORY_ROWS", "6000"))
"""Uploads of the tests of plans. With many, the tests log how long each question takes instead."""

IS_LARGE = MANY > 100_000

ASKED = re.compile(os.environ.get("INVENTORY_FILTERS", ""))
"""Which filters are asked for, because those of a large inventory take long."""

pytestmark = pytest.mark.django_db(transaction=IS_LARGE)

log = logging.getLogger(__name__)

FILTERS: dict[str, InventoryFilter] = {
    "nothing": InventoryFilter(),
    "rare store": InventoryFilter(store="rare"),
    "store": InventoryFilter(store="store-1"),
    "small bucket": InventoryFilter(store="store-2", bucket="bucket-7"),
    "deep prefix": InventoryFilter(prefix="deep/1/2/3/"),
    "rare bucket": InventoryFilter(store="rare", bucket="rare"),
    "bucket": InventoryFilter(store="store-1", bucket="bucket-3"),
    "bucket of any store": InventoryFilter(bucket="bucket-3"),
    "rare prefix": InventoryFilter(prefix="rare/"),
    "prefix": InventoryFilter(prefix="logs/"),
    "prefix of a bucket": InventoryFilter(store="store-1", bucket="bucket-3", prefix="logs/2026/d1/"),
    "rare initiator": InventoryFilter(initiator="rare"),
    "initiator": InventoryFilter(initiator="user-7"),
    "without initiator": InventoryFilter(without=("initiator",)),
    "without folder": InventoryFilter(without=("folder",)),
    "without folder below": InventoryFilter(prefix="logs/2026/d1/", without=("folder",)),
    "few parts of a bucket": InventoryFilter(store="store-1", bucket="bucket-3", min_parts=1, max_parts=3),
    "dead and large": InventoryFilter(verdicts=("dead",), min_bytes=10_000_000),
    "short text": InventoryFilter(q="~1"),
    "rare class": InventoryFilter(storage_class="RARE"),
    "class": InventoryFilter(storage_class="STANDARD_IA"),
    "rare verdict": InventoryFilter(verdicts=("superseded",)),
    "verdict": InventoryFilter(verdicts=("dead",)),
    "verdicts": InventoryFilter(verdicts=("dead", "stalled")),
    "empty": InventoryFilter(verdicts=("empty",)),
    "verdict or empty": InventoryFilter(verdicts=("alive", "empty")),
    "oldest": InventoryFilter(older_than=timedelta(days=3000)),
    "old": InventoryFilter(older_than=timedelta(days=1)),
    "ages": InventoryFilter(older_than=timedelta(days=1), younger_than=timedelta(days=30)),
    "selected": InventoryFilter(ids=(1, 2, 3)),
    "idle": InventoryFilter(idle_for=timedelta(days=1)),
    "largest": InventoryFilter(min_bytes=2**44),
    "size": InventoryFilter(min_bytes=10_000_000, max_bytes=10**9),
    "parts": InventoryFilter(min_parts=2, max_parts=4),
    "several": InventoryFilter(store="store-0", verdicts=("dead", "stalled"), min_parts=1, prefix="logs/"),
    "part of a key": InventoryFilter(q="d3/file-1"),
    "rare part": InventoryFilter(q="rare-one"),
    "upload id": InventoryFilter(q="uploadId=upload%7E00000011 HTTP/1.1"),
    "no such text": InventoryFilter(q="no such text"),
    "no such store": InventoryFilter(store="nowhere"),
}


MOST_READ = 3_500 if not IS_LARGE else 300_000
MOST_GROUPED = 3_500 if not IS_LARGE else 2_100_000
MOST_SORTED = 1_100 if not IS_LARGE else 210_000
"""Uploads that PostgreSQL may read for a statement, for one that groups them, and to sort them otherwise."""


@dataclass(frozen=True, slots=True)
class Statement:
    sql: str
    plan: str

    @property
    def reads_few(self) -> bool:
        """Whether it reads uploads by their ids, which another statement has found by an index."""
        return '"uploads_inventoryupload"."id" IN (' in self.sql

    @property
    def is_grouped(self) -> bool:
        """Groups are built from candidates, of which there is a limited number, and may sort these."""
        return " GROUP BY v0" in self.sql

    @property
    def counts(self) -> bool:
        """Whether it finds out if there are more than the candidates: it reads the index up to that number."""
        return re.search(r" LIMIT 1 OFFSET \d+$", self.sql) is not None


def statements_of(question: Callable[[], object]) -> list[str]:
    """The statements that read uploads for an answer."""
    with CaptureQueriesContext(connection) as captured:
        question()
    statements = [query["sql"] for query in captured.captured_queries]
    return [sql for sql in statements if sql.startswith("SELECT") and 'FROM "uploads_inventoryupload"' in sql]


def planned(sql: str) -> str:
    """The plan of a statement. Of so few rows, an index of trigrams is used if there is no other."""
    is_search = "::text LIKE " in sql and "passes" not in sql and '"id" IN (' not in sql
    if IS_LARGE or not is_search or connection.vendor != "postgresql":
        return plan_of(sql)
    with transaction.atomic(), connection.cursor() as cursor:
        for index in InventoryUpload._meta.indexes:
            cursor.execute(f"DROP INDEX {index.name}")
        cursor.execute("SET LOCAL enable_bitmapscan = on")
        found = plan_of(sql)
        transaction.set_rollback(True)
    assert "_trigrams" in found, found
    return found


def is_slow(statement: Statement) -> bool:
    """Whether it may read all uploads without a limit, or sorts more than the few that one condition finds."""
    if connection.vendor == "postgresql":
        return is_slow_on_postgresql(statement)
    lines = statement.plan.splitlines()
    reads = [line for line in lines if re.search(r"\b(SCAN|SEARCH) uploads_inventoryupload", line)]
    by_no_index = [line for line in reads if " INDEX inventory_" not in line and "(rowid=?)" not in line]
    sorts = any("TEMP B-TREE" in line for line in lines) and not (statement.is_grouped or statement.reads_few)
    return bool(by_no_index) or sorts


def is_slow_on_postgresql(statement: Statement) -> bool:
    """The plan says how many rows each step had, and how many it left out."""
    read, is_uploads, is_by_id = 0, False, False
    for line in statement.plan.splitlines():
        if rows := re.search(r"\(actual rows=(\d+) loops=(\d+)\)", line):
            is_uploads, is_by_id = "uploads_inventoryupload" in line, "_pkey on uploads_inventoryupload" in line
            read += int(rows[1]) * int(rows[2]) * is_uploads
        elif removed := re.search(r"Rows Removed by .*: (\d+)", line):
            # Of few rows, those with a common value are found as fast by their ids.
            read += int(removed[1]) * is_uploads * (IS_LARGE or not is_by_id)
    # An incremental sort sorts what is equal in the order of the index.
    sorts = re.search(r"(?<!Incremental )Sort  ", statement.plan) is not None and read > MOST_SORTED
    is_by_no_index = "Seq Scan on uploads_inventoryupload" in statement.plan
    if statement.is_grouped or statement.counts:
        return is_by_no_index or read > MOST_GROUPED
    return is_by_no_index or (not statement.reads_few and (read > MOST_READ or sorts))


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that are as much smaller as there are fewer rows, so that plans are those of many rows."""
    if IS_LARGE:
        return
    monkeypatch.setattr(plan, "FEW", 300)
    monkeypatch.setattr(plan, "SEARCHED", 2000)
    monkeypatch.setattr(page, "CANDIDATES", 1000)
    monkeypatch.setattr(plan, "TRIED", 1000)
    monkeypatch.setattr(covering, "COVERED", 2000)
    for function, name, limit in ((groups, "COUNTED", 1000), (totals, "COUNTED", 1000)):
        # The package has functions by the names of these modules.
        monkeypatch.setattr(sys.modules[function.__module__], name, limit)


@pytest.fixture
def inventory(limits: None) -> None:
    started = perf_counter()
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite" and IS_LARGE:
            cursor.execute("PRAGMA cache_size = -200000")
        fill_skewed(MANY, buckets=1000 if IS_LARGE else 40)
        log.info("%.0f s for writing %s rows", perf_counter() - started, MANY)
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA cache_size = -2000")
        if connection.vendor == "postgresql" and IS_LARGE:
            cursor.execute("VACUUM ANALYZE uploads_inventoryupload")
            return
        cursor.execute("ANALYZE uploads_inventoryupload")
        if connection.vendor == "postgresql":
            # So few rows are read and sorted as fast without an index. What matters is that there is one.
            for way in ("enable_seqscan", "enable_bitmapscan", "enable_sort", "enable_incremental_sort", "jit"):
                cursor.execute(f"SET LOCAL {way} = off")


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", is_staff=True)


@pytest.fixture
def olga(inventory: None) -> User:
    """A user who may see a prefix of one bucket."""
    olga = User.objects.create_user("olga")
    store = Store.objects.get(name="store-1")
    Grant.objects.create(user=olga, role=Role.OPERATOR, store=store, bucket="bucket-3", prefix="logs/")
    return olga


@pytest.fixture
def piet(inventory: None) -> User:
    """A user who may see a bucket, and a folder of another one."""
    piet = User.objects.create_user("piet")
    store = Store.objects.get(name="store-1")
    Grant.objects.create(user=piet, role=Role.OPERATOR, store=store, bucket="bucket-3", prefix="logs/2026/d1/")
    Grant.objects.create(user=piet, role=Role.OPERATOR, store=store, bucket="bucket-5")
    return piet


def questions_of(user: User, wanted: InventoryFilter) -> Iterator[tuple[str, Callable[[], object]]]:
    for sort in Sort:
        yield f"first page by {sort}", partial(find_page, user, wanted, sort=sort, limit=100, now=NOW)
    yield "smallest", partial(find_page, user, wanted, largest_first=False, limit=100, now=NOW)
    yield "totals", partial(totals, user, wanted, NOW)
    for by in Grouping:
        yield f"groups by {by}", partial(groups, user, wanted, by, now=NOW)
    yield "bytes by age", partial(bytes_by_age, user, wanted, NOW)


def deep_pages_of(user: User, wanted: InventoryFilter) -> Iterator[tuple[str, Callable[[], object]]]:
    """Pages that begin at an upload in the middle of the table."""
    first = InventoryUpload.objects.order_by("pk").values_list("pk", flat=True)[0]
    row = uploads_of(user, wanted, NOW).filter(pk__gte=first + MANY // 2).order_by("pk").first()
    if row is None:
        return
    for sort in Sort:
        order = Order(sort, largest_first=True)
        cursor = order.write(order.place_of(row))
        yield f"deep page by {sort}", partial(find_page, user, wanted, sort=sort, cursor=cursor, limit=100, now=NOW)


def test_every_question_reads_few_rows_by_an_index(ada: User, olga: User, piet: User) -> None:
    slow, took, seen = [], dict[tuple[str, str], float](), set[str]()
    asked = [(name, wanted) for name, wanted in FILTERS.items() if ASKED.search(name)]
    for user, (name, wanted) in [*product([ada], asked), *product([olga, piet], asked[::5])]:
        for what, question in [*questions_of(user, wanted), *deep_pages_of(user, wanted)]:
            started = perf_counter()
            captured = statements_of(question)
            took[what, f"{user.username}, {name}"] = perf_counter() - started
            if IS_LARGE:
                log.info("%7.0f ms  %s: %s, %s", 1000 * (perf_counter() - started), what, user.username, name)
            found = [Statement(sql, planned(sql)) for sql in captured if sql not in seen]
            seen.update(captured)
            slow += [f"{user}, {name}, {what}\n{each.sql}\n{each.plan}" for each in found if is_slow(each)]
    if IS_LARGE:
        log.info("%s", "\n".join(summary(took)))
        measure_work(ada)
        measure_trend(ada)
    slow += [f"{what}\n{each.sql}\n{each.plan}" for what, each in other_statements(ada) if is_slow(each)]
    assert not slow, "\n\n".join(slow[:20]) + f"\n{len(slow)} statements"


@pytest.mark.parametrize("sort", [Sort.KEY, Sort.BYTES])
def test_a_page_of_the_only_bucket_of_a_user_reads_no_other(inventory: None, sort: Sort) -> None:
    user = User.objects.create_user("bea")
    Grant.objects.create(user=user, role=Role.OPERATOR, store=Store.objects.get(name="store-1"), bucket="bucket-3")
    found = statements_of(partial(find_page, user, InventoryFilter(), sort=sort, limit=100, now=NOW))
    pages = [sql for sql in found if " LIMIT 101" in sql]
    assert pages
    for sql in pages:
        # Of so few rows, PostgreSQL may find those of a large bucket by another index.
        assert '"bucket_id" = ' in sql
        assert connection.vendor == "postgresql" or "inventory_by_bucket" in plan_of(sql), plan_of(sql)


@pytest.mark.parametrize("by", [None, Grouping.STORE, Grouping.PREFIX])
def test_numbers_of_the_only_prefix_of_a_user_read_its_keys_from_an_index(
    monkeypatch: pytest.MonkeyPatch, olga: User, by: Grouping | None
) -> None:
    monkeypatch.setattr(plan, "FEW", 10)
    question = partial(groups, olga, InventoryFilter(), by, now=NOW) if by else partial(totals, olga, InventoryFilter())
    grouped = [sql for sql in statements_of(question) if " GROUP BY v0" in sql]
    assert len(grouped) == 1
    assert "inventory_by_bucket_key" in plan_of(grouped[0]), plan_of(grouped[0])


def measure_work(ada: User) -> None:
    """How long the first batches of a plan of a sweep take, and the memory of exports of few and many uploads."""
    for name in ("bucket", "initiator", "nothing"):
        rule = replace(FILTERS[name], verdicts=("dead",))
        sweep, started = request_sweep(ada, rule), perf_counter()
        for _ in range(20):
            drive_sweep(sweep.pk)
        log.info("sweep, %s: %.0f ms for each batch", name, (perf_counter() - started) * 50)
    for count in (20_000, 300_000):
        Path("/proc/self/clear_refs").write_text("5")
        rows = iter_uploads(ada, FILTERS["bucket"], now=NOW)
        started = perf_counter()
        lines = sum(1 for _line in csv_lines(COLUMNS, uploads_json(islice(rows, count))))
        peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
        log.info("export: %d lines, %.0f s, peak %s KiB", lines, perf_counter() - started, peak and peak[1])


def measure_trend(ada: User) -> None:
    """How long the trend of all buckets takes, with a year of days and with less, and of one bucket."""
    today = NOW.date()
    buckets = list(InventoryBucket.objects.values_list("pk", flat=True))
    for days in range(max(DAYS)):
        totals_of_day = {"uploads": 1000 + days, "checked": 900, "bytes": 10**9 + days * 10**6}
        verdicts = {"dead": [600, 10**9], "stalled": [300, 10**8], "alive": [100, 10**7]}
        day = {"day": today - timedelta(days=days), **totals_of_day, "by_verdict": verdicts}
        InventoryDay.objects.bulk_create(InventoryDay(bucket_id=pk, **day) for pk in buckets)
    for place in ({}, {"store": "store-1"}, {"store": "store-1", "bucket": "bucket-3"}):
        for length in DAYS:
            started = perf_counter()
            find_trend(ada, length, today=today, **place)
            log.info("trend: %.0f ms, %s days of %s", (perf_counter() - started) * 1000, length, place or "all")


def summary(took: dict[tuple[str, str], float]) -> Iterator[str]:
    """Median, slowest and its filter, for each question; then all that took long."""
    for question in dict.fromkeys(what for what, _filter in took):
        times = sorted((seconds, name) for (what, name), seconds in took.items() if what == question)
        middle, (slowest, name) = times[len(times) // 2][0], times[-1]
        yield f"| {question} | {middle * 1000:.0f} ms | {slowest * 1000:.0f} ms | {name} |"
    for (what, name), seconds in sorted(took.items(), key=lambda each: -each[1])[:60]:
        yield f"{seconds * 1000:8.0f} ms  {what}: {name}"


def other_statements(ada: User) -> Iterator[tuple[str, Statement]]:
    """Those of exports, and of verdicts that time changes."""

    def export(name: str) -> None:
        list(islice(iter_uploads(ada, FILTERS[name], batch=200, now=NOW), 1000))

    for name in ("nothing", "verdict", "part of a key"):
        for sql in statements_of(partial(export, name)):
            yield f"export, {name}", Statement(sql, planned(sql))
    few = InventoryUpload.objects.order_by("pk").values_list("pk", flat=True)[:5]
    InventoryUpload.objects.filter(pk__in=list(few)).update(verdict_until=NOW)
    due = [Statement(sql, planned(sql)) for sql in statements_of(partial(rejudge_due, 3))]
    assert "inventory_verdict_due" in due[0].plan, due[0].plan
    for each in due:
        yield "due", each


def test_on_postgresql(postgresql_cluster: Cluster) -> None:
    run_again(__file__, postgresql_cluster)
