"""How SQLite runs the questions of the inventory: by an index or from a stored sum, never by sorting all rows."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import islice, product
from time import perf_counter

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.services.inventory.rows import NOW, fill
from uploads.domain.inventory_filter import Grouping, InventoryFilter, Sort
from uploads.domain.roles import Role
from uploads.models import Grant, InventoryBucket, InventoryUpload, Store
from uploads.selectors.inventory import find_page, groups, iter_uploads, page, plan, totals, uploads_of
from uploads.selectors.inventory.order import Order
from uploads.selectors.inventory.verdicts import bytes_by_age
from uploads.services.inventory.judging import rejudge_due
from uploads.services.inventory.objects import begin

pytestmark = pytest.mark.django_db

MANY = int(os.environ.get("INVENTORY_ROWS", "6000"))
"""Uploads of the tests of plans. With many, the tests log how long each question takes instead."""

IS_LARGE = MANY > 100_000

log = logging.getLogger(__name__)

FILTERS: dict[str, InventoryFilter] = {
    "nothing": InventoryFilter(),
    "rare store": InventoryFilter(store="rare"),
    "store": InventoryFilter(store="store-1"),
    "rare bucket": InventoryFilter(store="rare", bucket="rare"),
    "bucket": InventoryFilter(store="store-1", bucket="bucket-3"),
    "bucket of any store": InventoryFilter(bucket="bucket-3"),
    "rare prefix": InventoryFilter(prefix="rare/"),
    "prefix": InventoryFilter(prefix="logs/"),
    "prefix of a bucket": InventoryFilter(store="store-1", bucket="bucket-3", prefix="logs/2026/d1/"),
    "rare initiator": InventoryFilter(initiator="rare"),
    "initiator": InventoryFilter(initiator="user-7"),
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


@dataclass(frozen=True, slots=True)
class Statement:
    sql: str
    plan: str

    @property
    def reads_few(self) -> bool:
        """Whether it reads uploads by their ids, which another statement has found by an index."""
        return '"uploads_inventoryupload"."id" IN (' in self.sql


def statements_of(question: Callable[[], object], seen: set[str] | None = None) -> Iterator[Statement]:
    """The statements that read uploads for an answer, and how the database runs them; not those seen before."""
    seen = set() if seen is None else seen
    with CaptureQueriesContext(connection) as captured:
        question()
    for query in captured.captured_queries:
        if (
            query["sql"].startswith("SELECT")
            and 'FROM "uploads_inventoryupload"' in query["sql"]
            and query["sql"] not in seen
        ):
            seen.add(query["sql"])
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
                yield Statement(query["sql"], "\n".join(str(row[-1]) for row in cursor.fetchall()))


def is_slow(statement: Statement) -> bool:
    """Whether it may read all uploads without a limit, or sorts more than the few that one condition finds.

    Groups are built from candidates, of which there is a limited number, and may sort these.
    """
    is_grouped = " GROUP BY v0" in statement.sql
    lines = statement.plan.splitlines()
    reads = [line for line in lines if re.search(r"\b(SCAN|SEARCH) uploads_inventoryupload", line)]
    by_no_index = [line for line in reads if " INDEX inventory_" not in line and "(rowid=?)" not in line]
    sorts = any("TEMP B-TREE" in line for line in lines) and not (is_grouped or statement.reads_few)
    return bool(by_no_index) or sorts


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that are as much smaller as there are fewer rows, so that plans are those of many rows."""
    if IS_LARGE:
        return
    monkeypatch.setattr(plan, "FEW", 300)
    monkeypatch.setattr(page, "CANDIDATES", 1000)
    for function, name, limit in ((groups, "COUNTED", 1000), (totals, "COUNTED", 1000), (groups, "COVERED", 2000)):
        # The package has functions by the names of these modules.
        monkeypatch.setattr(sys.modules[function.__module__], name, limit)


@pytest.fixture
def buckets(limits: None) -> list[InventoryBucket]:
    started = perf_counter()
    found = fill(MANY)
    if IS_LARGE:
        log.warning("%8.0f s  writing %s rows", perf_counter() - started, MANY)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE uploads_inventoryupload")
    return found


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", is_staff=True)


@pytest.fixture
def olga(buckets: list[InventoryBucket]) -> User:
    """A user who may see a prefix of one bucket."""
    olga = User.objects.create_user("olga")
    store = Store.objects.get(name="store-1")
    Grant.objects.create(user=olga, role=Role.OPERATOR, store=store, bucket="bucket-3", prefix="logs/")
    return olga


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
    row = uploads_of(user, wanted, NOW).filter(pk__gte=MANY // 2).order_by("pk").first()
    if row is None:
        return
    for sort in Sort:
        order = Order(sort, largest_first=True)
        cursor = order.write(order.place_of(row))
        yield f"deep page by {sort}", partial(find_page, user, wanted, sort=sort, cursor=cursor, limit=100, now=NOW)


def test_every_question_reads_few_rows_by_an_index(ada: User, olga: User) -> None:
    slow, took, seen = [], dict[str, float](), set[str]()
    for user, (name, wanted) in [*product([ada], FILTERS.items()), *list(product([olga], FILTERS.items()))[::5]]:
        questions = dict([*questions_of(user, wanted), *deep_pages_of(user, wanted)])
        for what, question in questions.items():
            if IS_LARGE:
                started = perf_counter()
                question()
                took[f"{user.username}, {name}, {what}"] = perf_counter() - started
                continue
            found = list(statements_of(question, seen))
            slow += [f"{name}, {what}\n{each.sql}\n{each.plan}" for each in found if is_slow(each)]
    if IS_LARGE:
        log.warning("%s", "\n".join(f"{seconds * 1000:8.1f} ms  {name}" for name, seconds in took.items()))
    assert not slow, "\n\n".join(slow[:20]) + f"\n{len(slow)} statements"


def test_exports_and_what_is_due_are_found_by_an_index(ada: User, buckets: list[InventoryBucket]) -> None:
    def export(name: str) -> None:
        list(islice(iter_uploads(ada, FILTERS[name], batch=200, now=NOW), 1000))

    found = [each for name in ("nothing", "verdict", "part of a key") for each in statements_of(partial(export, name))]
    InventoryUpload.objects.filter(pk__lte=5).update(verdict_until=NOW)
    due = list(statements_of(partial(rejudge_due, 3)))
    assert "inventory_verdict_due" in due[0].plan, due[0].plan
    InventoryUpload.objects.filter(pk__lte=5).update(object_due_at=NOW)
    lookups = list(statements_of(partial(begin, Store.objects.get(name="store-1"))))
    assert "inventory_object_due" in lookups[0].plan, lookups[0].plan
    slow = [f"{each.sql}\n{each.plan}" for each in [*found, *due, *lookups] if is_slow(each)]
    assert not slow, "\n\n".join(slow)
