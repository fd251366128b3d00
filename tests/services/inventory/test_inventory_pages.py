"""Exploring the inventory: pages both ways, totals, groups and search equal what all rows say, for every user."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import product

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.services.inventory.rows import NOW, add_up, fill, row_of, write
from uploads.domain.inventory_filter import Grouping, InventoryFilter, Sort
from uploads.domain.roles import Role
from uploads.models import Grant, InventoryBucket, InventoryUpload
from uploads.selectors.inventory import (
    BadCursor,
    Group,
    Totals,
    find_page,
    groups,
    iter_uploads,
    page,
    plan,
    totals,
    uploads_of,
)
from uploads.selectors.inventory.groups import AGES

pytestmark = pytest.mark.django_db

COUNT = 400

FILTERS: dict[str, tuple[InventoryFilter, Callable[[InventoryUpload], bool]]] = {
    "nothing": (InventoryFilter(), lambda row: True),
    "store": (InventoryFilter(store="store-1"), lambda row: row.store.name == "store-1"),
    "bucket": (InventoryFilter(bucket="bucket-1"), lambda row: row.bucket.name == "bucket-1"),
    "bucket of a store": (
        InventoryFilter(store="store-1", bucket="bucket-1"),
        lambda row: (row.store.name, row.bucket.name) == ("store-1", "bucket-1"),
    ),
    "prefix": (InventoryFilter(prefix="100%_/"), lambda row: row.key.startswith("100%_/")),
    "initiator": (InventoryFilter(initiator="user-3"), lambda row: row.initiator == "user-3"),
    "class": (InventoryFilter(storage_class="STANDARD_IA"), lambda row: row.storage_class == "STANDARD_IA"),
    "verdict": (InventoryFilter(verdicts=("dead",)), lambda row: row.verdict == "dead"),
    "verdicts": (InventoryFilter(verdicts=("alive", "empty")), lambda row: row.verdict == "alive" or row.parts == 0),
    "empty": (InventoryFilter(verdicts=("empty",)), lambda row: row.parts == 0),
    "age": (
        InventoryFilter(older_than=timedelta(minutes=200)),
        lambda row: row.started_at <= NOW - timedelta(minutes=200),
    ),
    "ages": (
        InventoryFilter(older_than=timedelta(minutes=100), younger_than=timedelta(minutes=200)),
        lambda row: NOW - timedelta(minutes=200) < row.started_at <= NOW - timedelta(minutes=100),
    ),
    "idle": (InventoryFilter(idle_for=timedelta(hours=1)), lambda row: row.active_at <= NOW - timedelta(hours=1)),
    "bytes": (
        InventoryFilter(min_bytes=10_000_000, max_bytes=20_000_000),
        lambda row: row.bytes is not None and 10_000_000 <= row.bytes <= 20_000_000,
    ),
    "parts": (
        InventoryFilter(min_parts=2, max_parts=4),
        lambda row: row.parts is not None and 2 <= row.parts <= 4,
    ),
    "key": (InventoryFilter(q="100%_/d"), lambda row: "100%_/d" in row.key),
    "part of an id": (InventoryFilter(q="~0000000"), lambda row: "~0000000" in row.upload_id),
    "line of a log": (
        InventoryFilter(q='403 "PUT /b/k?partNumber=7&uploadId=upload%7E00000011 HTTP/1.1" - 12'),
        lambda row: row.upload_id == "upload~00000011",
    ),
    "several": (
        InventoryFilter(store="store-0", verdicts=("dead", "stalled"), min_parts=1, prefix="logs/"),
        lambda row: (
            row.store.name == "store-0"
            and row.verdict in ("dead", "stalled")
            and bool(row.parts)
            and row.key.startswith("logs/")
        ),
    ),
    "without initiator": (InventoryFilter(without=("initiator",)), lambda row: not row.initiator),
    "without folder": (InventoryFilter(without=("folder",)), lambda row: "/" not in row.key),
    "without folder below": (
        InventoryFilter(prefix="logs/2026/d1", without=("folder", "initiator")),
        lambda row: row.key.startswith("logs/2026/d1") and "/" not in row.key[12:] and not row.initiator,
    ),
    "none": (InventoryFilter(store="nowhere"), lambda row: False),
}


@pytest.fixture(params=[5000, 20], ids=["few", "many"])
def buckets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[InventoryBucket]:
    """Rows, read by the index of the rarest condition or in the order of the page."""
    monkeypatch.setattr(plan, "FEW", request.param)
    found = fill(COUNT, stores=2, buckets=3)
    # Ended uploads are nowhere to be found, and many rows have the same values.
    write(row_of(found[0], COUNT + number, ended_at=NOW) for number in range(20))
    write(row_of(found[0], COUNT * 2 + number, bytes=7, parts=1, active_at=NOW) for number in range(20))
    # What groups have no name for.
    write(row_of(found[1], COUNT * 3 + number, initiator="") for number in range(20))
    write(row_of(found[2], COUNT * 4 + number, key=f"{'ab/' * (number % 3)}file-{number}") for number in range(20))
    write([row_of(found[3], COUNT * 5, key="logs/2026/d1-x", initiator="")])
    add_up()
    return found


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", is_staff=True)


def all_rows(passes: Callable[[InventoryUpload], bool] = lambda row: True) -> list[InventoryUpload]:
    rows = InventoryUpload.objects.select_related("store", "bucket").filter(ended_at__isnull=True)
    return [row for row in rows if passes(row)]


def keys_of(rows: Iterable[InventoryUpload]) -> list[int]:
    return [row.pk for row in rows]


def in_order(rows: list[InventoryUpload], sort: Sort, *, largest_first: bool) -> list[int]:
    """The ids as the page has them, computed in another way: unknown values last."""

    def value(row: InventoryUpload) -> object:
        match sort:
            case Sort.AGE:
                return NOW - row.started_at
            case Sort.IDLE:
                return NOW - row.active_at
            case Sort.KEY:
                return row.key.encode()
        return getattr(row, sort.value)

    by_age = sort in (Sort.AGE, Sort.IDLE)
    known = sorted((row for row in rows if value(row) is not None), key=lambda row: row.pk)
    known.sort(key=lambda row: row.pk, reverse=largest_first != by_age)
    known.sort(key=value, reverse=largest_first)  # type: ignore[arg-type]
    unknown = [row for row in rows if value(row) is None]
    unknown.sort(key=lambda row: row.pk, reverse=largest_first)
    return keys_of([*known, *unknown])


def test_pages_lead_both_ways_in_every_order(ada: User, buckets: list[InventoryBucket]) -> None:
    for name, sort, largest_first in product(("nothing", "verdicts"), Sort, (True, False)):
        wanted, passes = FILTERS[name]
        expected = in_order(all_rows(passes), sort, largest_first=largest_first)
        open_page = partial(find_page, ada, wanted, sort=sort, largest_first=largest_first, limit=60, now=NOW)
        found = open_page()
        forth = keys_of(found.uploads)
        assert found.previous is None
        while found.next is not None:
            found = open_page(cursor=found.next)
            forth += keys_of(found.uploads)
        assert forth == expected, (name, sort, largest_first)
        back = keys_of(found.uploads)
        while found.previous is not None:
            found = open_page(cursor=found.previous)
            back = [*keys_of(found.uploads), *back]
        assert back == expected, (name, sort, largest_first)


def test_every_filter_finds_what_it_says(ada: User, buckets: list[InventoryBucket]) -> None:
    for name, (wanted, passes) in FILTERS.items():
        expected = all_rows(passes)
        assert set(keys_of(uploads_of(ada, wanted, NOW))) == set(keys_of(expected)), name
        ids = keys_of(iter_uploads(ada, wanted, batch=70, now=NOW))
        assert ids == in_order(expected, Sort.BYTES, largest_first=True), name
        found = totals(ada, wanted, NOW)
        assert found.empty == sum(row.parts == 0 for row in expected), name
        assert as_sums(found) == sums_of(expected), name
        assert sum(each.bytes for each in found.by_class) == found.bytes, name


def sums_of(rows: list[InventoryUpload]) -> tuple[int, int, int, bool]:
    known = [row.bytes for row in rows if row.bytes is not None]
    return len(rows), sum(known), len(known), False


def test_groups_have_all_uploads(ada: User, buckets: list[InventoryBucket]) -> None:
    for name in ("nothing", "verdict", "empty", "prefix", "bucket of a store", "parts", "none"):
        wanted, passes = FILTERS[name]
        rows = all_rows(passes)
        for by in Grouping:
            expected: dict[object, list[InventoryUpload]] = {}
            for row in rows:
                expected.setdefault(common(row, by, wanted.prefix), []).append(row)
            found = groups(ada, wanted, by, now=NOW)
            sums = {name_of(each, by): as_sums(each.totals) for each in found.groups}
            assert sums == {value: sums_of(each) for value, each in expected.items()}, (name, by)
            assert (found.is_least, found.has_more) == (False, False), (name, by)


def common(row: InventoryUpload, by: Grouping, prefix: str) -> object:
    match by:
        case Grouping.STORE:
            return row.store.name
        case Grouping.BUCKET:
            return row.store.name, row.bucket.name
        case Grouping.INITIATOR:
            return row.initiator
        case Grouping.AGE:
            return next((limit for limit in reversed(AGES) if row.started_at <= NOW - limit), None)
    end = row.key.find("/", len(prefix)) + 1
    return row.key[: end or len(prefix)]


def name_of(group: Group, by: Grouping) -> object:
    if by == Grouping.BUCKET:
        return group.store, group.bucket
    return group.older_than if by == Grouping.AGE else group.value


def as_sums(found: Totals) -> tuple[int, int, int, bool]:
    return found.uploads, found.bytes, found.known, found.is_least


def test_prefixes_to_any_depth(ada: User, buckets: list[InventoryBucket]) -> None:
    for depth in (1, 2, 3):
        found = groups(ada, InventoryFilter(), Grouping.PREFIX, depth=depth, now=NOW)
        expected = {"/".join(row.key.split("/")[:-1][:depth]) + "/" * ("/" in row.key) for row in all_rows()}
        assert {each.value for each in found.groups} == expected
        assert sum(each.totals.uploads for each in found.groups) == len(all_rows())


GROUPED = ("nothing", "verdict", "prefix", "initiator", "without folder")


def test_every_group_leads_to_exactly_its_uploads(ada: User, buckets: list[InventoryBucket]) -> None:
    for name, by, depth in product(GROUPED, Grouping, (1, 2, 3)):
        if depth > 1 and by != Grouping.PREFIX:
            continue
        wanted, passes = FILTERS[name]
        left = set(keys_of(all_rows(passes)))
        for each in groups(ada, wanted, by, depth=depth, now=NOW).groups:
            ids = keys_of(uploads_of(ada, each.inside, NOW))
            assert len(ids) == each.totals.uploads, (name, by, depth, each)
            assert as_sums(totals(ada, each.inside, NOW)) == as_sums(each.totals), (name, by, depth, each)
            assert left.issuperset(ids), "in one group only"
            left -= set(ids)
        assert not left, (name, by, depth)


@pytest.mark.parametrize("most", [20_000, 7])
def test_groups_beyond_the_first_are_reachable_or_counted(
    ada: User, buckets: list[InventoryBucket], monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    module = sys.modules[groups.__module__]
    monkeypatch.setattr(module, "MAX_GROUPS", 3)
    monkeypatch.setattr(module, "MAX_ROWS", most)
    for by in (Grouping.PREFIX, Grouping.INITIATOR, Grouping.BUCKET):
        start: int | None = 0
        seen, values = 0, set[object]()
        while start is not None:
            found = groups(ada, InventoryFilter(), by, now=NOW, start=start)
            assert len(found.groups) <= 3
            assert not values & {name_of(each, by) for each in found.groups}
            values |= {name_of(each, by) for each in found.groups}
            seen += sum(each.totals.uploads for each in found.groups)
            assert seen + found.following.uploads == len(all_rows()), by
            assert sum(each.bytes for each in found.following.by_class) == found.following.bytes
            start = found.next
        is_cut = most == 7 and by != Grouping.BUCKET
        assert (found.further, found.has_more) == ((None, True) if is_cut else (0, False))
        assert is_cut or found.following == Totals()


# --- Access -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["store", "bucket", "prefix"])
def test_grants_limit_everything(buckets: list[InventoryBucket], place: str) -> None:
    olga, bucket = User.objects.create_user("olga"), buckets[0]
    Grant.objects.create(
        user=olga,
        role=Role.VIEWER,
        store=bucket.store,
        bucket=bucket.name if place != "store" else "",
        prefix="logs/2026/d" if place == "prefix" else "",
    )

    def sees(row: InventoryUpload) -> bool:
        return row.store_id == bucket.store_id and (
            place == "store"
            or (row.bucket_id == bucket.pk and (place == "bucket" or row.key.startswith("logs/2026/d")))
        )

    seen = all_rows(sees)
    assert seen
    for wanted, passes in FILTERS.values():
        expected = [row for row in seen if passes(row)]
        assert set(keys_of(iter_uploads(olga, wanted, batch=70, now=NOW))) == set(keys_of(expected)), wanted
        found = totals(olga, wanted, NOW)
        assert as_sums(found) == sums_of(expected), wanted
        for by in Grouping:
            in_groups = groups(olga, wanted, by, now=NOW).groups
            assert sum(each.totals.uploads for each in in_groups) == len(expected), (wanted, by)


def test_user_without_a_grant_there_sees_nothing(buckets: list[InventoryBucket]) -> None:
    olga = User.objects.create_user("olga")
    Grant.objects.create(user=olga, role=Role.VIEWER, store=buckets[0].store, bucket="other")
    assert not find_page(olga, InventoryFilter(), limit=10).uploads
    assert totals(olga, InventoryFilter()).uploads == 0
    assert not groups(olga, InventoryFilter(), Grouping.BUCKET).groups


# --- Limits -----------------------------------------------------------------------------------------------------------


def test_page_of_rare_matches_ends_early_and_continues(
    ada: User, buckets: list[InventoryBucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "CANDIDATES", 50)
    monkeypatch.setattr(plan, "FEW", 0)
    wanted = replace(FILTERS["parts"][0], initiator="user-3")
    seen, cursor, pages = list[int](), "", 0
    while True:
        found = find_page(ada, wanted, sort=Sort.KEY, largest_first=False, cursor=cursor, limit=60, now=NOW)
        seen, pages = [*seen, *keys_of(found.uploads)], pages + 1
        assert found.ended_early == (found.next is not None)
        if found.next is None:
            break
        cursor = found.next
    rows = all_rows(lambda row: row.initiator == "user-3" and FILTERS["parts"][1](row))
    assert seen == in_order(rows, Sort.KEY, largest_first=False)
    assert pages >= COUNT // 50


@pytest.mark.parametrize("cursor", ["x", "W10", "bnVsbA", "WyJrZXkiLHRydWUsMCwiXHUwMDAwIiwxXQ", "é", "a" * 5000])
def test_invalid_cursor_is_refused(ada: User, cursor: str) -> None:
    with pytest.raises(BadCursor):
        find_page(ada, InventoryFilter(), cursor=cursor, limit=10)


def test_cursor_of_another_order_is_refused(ada: User, buckets: list[InventoryBucket]) -> None:
    cursor = find_page(ada, InventoryFilter(), limit=10).next
    assert cursor is not None
    with pytest.raises(BadCursor):
        find_page(ada, InventoryFilter(), sort=Sort.PARTS, cursor=cursor, limit=10)


def test_page_has_few_statements(ada: User, buckets: list[InventoryBucket]) -> None:
    with CaptureQueriesContext(connection) as captured:
        find_page(ada, FILTERS["several"][0], limit=100, now=NOW)
        totals(ada, FILTERS["several"][0], NOW)
        groups(ada, FILTERS["several"][0], Grouping.PREFIX, now=NOW)
    assert len(captured) <= 45
