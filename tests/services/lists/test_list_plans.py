"""Lists of many rows: pages in both directions, and plans that read a bounded number of rows."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.services.inventory.plans import plan_of
from uploads.domain.states import DesiredState, ItemState, OperationKind, Phase, TransferState
from uploads.models import Operation, OperationItem, Store, StoreCheck, Transfer
from uploads.selectors.lists import keyset
from uploads.selectors.lists.checks import CheckFilter, search_checks
from uploads.selectors.lists.keyset import Page, Search, find_page
from uploads.selectors.lists.operations import OPERATION_STATES, OperationFilter, search_operations
from uploads.selectors.lists.order import BadCursor, Order, Place
from uploads.selectors.lists.transfers import TransferFilter, search_transfers
from uploads.selectors.operations import operation_progress

pytestmark = pytest.mark.django_db

NOW = timezone.now()
MANY = 3000


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", is_staff=True)


@pytest.fixture
def stores() -> list[Store]:
    values = {"endpoint_url": "http://127.0.0.1:9", "access_key": "a", "secret_key": "b"}
    return [Store.objects.create(name=f"store-{number}", **values) for number in range(3)]


def fill_transfers(owner: User, stores: list[Store], count: int) -> None:
    """Most are done. Every tenth has the time of the one before, so that only their keys order them."""
    rare = User.objects.create_user("rare")
    phases = {0: Phase.FAILED, 1: Phase.SENDING, 2: Phase.RECEIVING}
    Transfer.objects.bulk_create(
        Transfer(
            owner=rare if number % 1000 == 7 else owner,
            store=stores[number % 2 if number % 500 else 2],
            bucket=f"bucket-{number % 40}",
            key=f"folder-{number % 30}/{number:06}",
            size=number % 100,
            part_size=1,
            part_count=1,
            node="n",
            all_received=True,
            phase=phases.get(number % 400, Phase.DONE),
            desired_state=DesiredState.RUN,
        )
        for number in range(count)
    )
    for number, row in enumerate(Transfer.objects.order_by("key")):
        row.created_at = NOW - timedelta(minutes=number - number % 10 // 9)
        row.save(update_fields=["created_at"])
    analyze("uploads_transfer")


def analyze(table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {table}")


def walk(search: Search[Any], order: Order, limit: int) -> Iterator[Page[Any]]:
    place = None
    while True:
        page = find_page(search, order, place, limit)
        yield page
        if page.next is None:
            return
        place = order.read(page.next)


ORDERS = [Order(Transfer, column, descends) for column in ("created_at", "size", "key") for descends in (True, False)]


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("wanted", [{}, {"store": "store-1"}, {"text": "7"}], ids=str)
def test_pages_have_every_row_once_in_both_directions(
    order: Order, wanted: dict[str, Any], ada: User, stores: list[Store]
) -> None:
    fill_transfers(ada, stores, 120)
    search = search_transfers(ada, TransferFilter(**wanted))
    expected = list(search.rows.filter(search.test(order)).order_by(*order.columns()).values_list("pk", flat=True))
    pages = list(walk(search, order, 25))
    assert [row.pk for page in pages for row in page.rows] == expected
    back, place = list[Any](), pages[-1].previous
    while place is not None:
        page = find_page(search, order, order.read(place), 25)
        back = [row.pk for row in page.rows] + back
        place = page.previous
    assert back == expected[: len(expected) - len(pages[-1].rows)]


def test_states_of_several_phases_are_merged(ada: User, stores: list[Store]) -> None:
    fill_transfers(ada, stores, 30)
    Transfer.objects.filter(size__lt=20).update(desired_state=DesiredState.PAUSE, phase=Phase.SENDING)
    Transfer.objects.filter(size__lt=10).update(phase=Phase.RECEIVING)
    search = search_transfers(ada, TransferFilter(state=TransferState.PAUSED))
    order = Order(Transfer, "created_at", descends=True)
    assert len(search.leads(order)) > 1
    found = [row for page in walk(search, order, 7) for row in page.rows]
    assert len(found) == 20
    assert [row.created_at for row in found] == sorted((row.created_at for row in found), reverse=True)


def test_search_of_few_among_many_ends_early_and_continues(
    ada: User, stores: list[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyset, "CANDIDATES", 50)
    fill_transfers(ada, stores, 240)
    search = search_transfers(ada, TransferFilter(text="/000230"))
    pages = list(walk(search, Order(Transfer, "created_at", descends=True), 10))
    assert [page.ended_early for page in pages] == [True] * 4 + [False]
    assert [row.key[-3:] for page in pages for row in page.rows] == ["230"]


def test_days_limit_what_is_read(ada: User, stores: list[Store], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyset, "CANDIDATES", 50)
    fill_transfers(ada, stores, 240)
    since, until = NOW - timedelta(minutes=210), NOW - timedelta(minutes=200)
    search = search_transfers(ada, TransferFilter(since=since, until=until, bucket="bucket-5"))
    page = find_page(search, Order(Transfer, "created_at", descends=True), None, 10)
    assert not page.ended_early
    assert [row.bucket for row in page.rows] == ["bucket-5"]


def test_cursor_of_another_order_or_that_nobody_wrote_is_refused(ada: User, stores: list[Store]) -> None:
    fill_transfers(ada, stores, 3)
    order = Order(Transfer, "created_at", descends=True)
    cursor = find_page(search_transfers(ada, TransferFilter()), order, None, 1).next
    assert cursor
    for other, text in (
        (Order(Transfer, "size", descends=True), cursor),
        (order, cursor[:-3]),
        (order, "x"),
        (order, "é"),
    ):
        with pytest.raises(BadCursor):
            other.read(text)


# --- Plans ------------------------------------------------------------------------------------------------------------

TRANSFER_FILTERS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "failed": {"state": TransferState.FAILED},
    "waiting": {"state": TransferState.WAITING_FOR_BROWSER},
    "paused": {"state": TransferState.PAUSED},
    "done": {"state": TransferState.DONE},
    "store": {"store": "store-2"},
    "owner": {"owner": "rare"},
    "nobody": {"owner": "nobody"},
    "bucket": {"bucket": "bucket-7"},
    "text": {"text": "/002999"},
    "days": {"since": NOW - timedelta(minutes=600), "until": NOW - timedelta(minutes=500)},
    "failed lately": {"state": TransferState.FAILED, "since": NOW - timedelta(minutes=900)},
}


def slow_plans(search: Search[Any], order: Order, table: str) -> list[str]:
    """Statements for the first, a later and an earlier page that read the whole table, or sort what they read."""
    first = find_page(search, order, None, 2)
    places = [None, *(order.read(each) for each in (first.next,) if each)]
    if first.next:
        second = find_page(search, order, order.read(first.next), 2)
        places += [order.read(second.previous)] if second.previous else []
    slow = []
    for place in places:
        with CaptureQueriesContext(connection) as captured:
            find_page(search, order, place, 20)
        assert len(captured) <= 14
        for query in captured.captured_queries:
            sql = query["sql"]
            if f'FROM "{table}"' in sql and "ORDER BY" in sql:
                plan = plan_of(sql)
                scans = [line for line in plan.splitlines() if f"SCAN {table}" in line and "INDEX" not in line]
                if connection.vendor == "postgresql":
                    scans = [line for line in plan.splitlines() if f"Seq Scan on {table}" in line]
                    scans += [line for line in plan.splitlines() if line.lstrip(" ->").startswith("Sort ")]
                if scans or "TEMP B-TREE" in plan:
                    slow.append(f"{sql}\n{plan}")
    return slow


def test_every_filter_and_order_of_transfers_reads_few_rows_by_an_index(ada: User, stores: list[Store]) -> None:
    fill_transfers(ada, stores, MANY)
    slow = []
    with quick_plans():
        for name, wanted in TRANSFER_FILTERS.items():
            search = search_transfers(ada, TransferFilter(**wanted))
            for order in ORDERS:
                slow += [f"{name} {order}\n{each}" for each in slow_plans(search, order, "uploads_transfer")]
    assert not slow, "\n\n".join(slow)


class quick_plans:
    """PostgreSQL sorts a small table whatever its indexes. Here it sorts only where no index has the order."""

    def __enter__(self) -> None:
        self._set("off")

    def __exit__(self, *_: object) -> None:
        self._set("on")

    def _set(self, value: str) -> None:
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                for each in ("seqscan", "bitmapscan", "sort"):
                    cursor.execute(f"SET enable_{each} = {value}")


def make_operations(actor: User, stores: list[Store], count: int) -> None:
    for number in range(count):
        desired = {6: DesiredState.PAUSE, 7: DesiredState.PAUSE, 8: DesiredState.CANCEL}.get(number % 10)
        operation = Operation.objects.create(
            kind=list(OperationKind)[number % 2],
            actor=actor,
            store=stores[number % 3],
            bucket=f"b-{number % 5}",
            desired_state=desired or DesiredState.RUN,
        )
        states = {
            0: (ItemState.DONE,),
            1: (ItemState.FAILED,),
            2: (ItemState.FAILED, ItemState.DONE),
            3: (ItemState.RUNNING, ItemState.FAILED),
            4: (ItemState.UNKNOWN, ItemState.DONE),
            5: (ItemState.UNKNOWN, ItemState.FAILED),
            6: (ItemState.RUNNING, ItemState.DONE),
            7: (ItemState.ORDERED, ItemState.SPARED),
            8: (ItemState.ORDERED, ItemState.LEFT),
            9: (ItemState.DONE, ItemState.LEFT),
        }[number % 10]
        OperationItem.objects.bulk_create(
            OperationItem(operation=operation, key=f"key-{number}", upload_id=f"u-{number}", state=state)
            for state in states
        )


def test_operations_are_found_by_the_state_that_pages_show(ada: User, stores: list[Store]) -> None:
    make_operations(ada, stores, 20)
    progress = operation_progress(list(Operation.objects.all()))
    order = Order(Operation, "created_at", descends=True)
    for state in OPERATION_STATES:
        search = search_operations(ada, OperationFilter(state=state))
        found = {row.pk for row in find_page(search, order, None, 50).rows}
        assert found == {pk for pk, each in progress.items() if each.state == state}, state
        assert found


def test_every_filter_of_operations_and_checks_reads_few_rows_by_an_index(ada: User, stores: list[Store]) -> None:
    make_operations(ada, stores, 300)
    states = list(ItemState)
    StoreCheck.objects.bulk_create(
        StoreCheck(store=stores[number % 3], bucket=f"b-{number % 5}", actor=ada, state=states[number % len(states)])
        for number in range(300)
    )
    analyze("uploads_operation")
    analyze("uploads_storecheck")
    common: list[dict[str, Any]] = [{}, {"store": "store-1"}, {"owner": "ada"}, {"bucket": "b-1"}, {"since": NOW}]
    slow = []
    with quick_plans():
        for descends in (True, False):
            for wanted in (*common, {"kind": OperationKind.ABORT}, {"text": "key-7"}, {"state": "failed"}):
                operations = search_operations(ada, OperationFilter(**wanted))
                slow += slow_plans(operations, Order(Operation, "created_at", descends), "uploads_operation")
            for wanted in (*common, {"state": ItemState.DONE}):
                checks = search_checks(ada, CheckFilter(**wanted))
                slow += slow_plans(checks, Order(StoreCheck, "created_at", descends), "uploads_storecheck")
    assert not slow, "\n\n".join(slow)


def test_cursor_names_a_row_that_need_not_exist(ada: User, stores: list[Store]) -> None:
    fill_transfers(ada, stores, 3)
    order = Order(Transfer, "created_at", descends=True)
    gone = order.write(Place(NOW + timedelta(days=1), uuid.uuid4()))
    assert len(find_page(search_transfers(ada, TransferFilter()), order, order.read(gone), 10).rows) == 3
