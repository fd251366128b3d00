"""The watchdog with many transfers: one round at a time, bounded statements, only what is due, found by an index."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from tests.grants import make_operator
from uploads.domain.states import DesiredState, ItemState, PartState, Phase, StoreUploadState
from uploads.models import Operation, OperationItem, Part, Round, Store, StoreUpload, Transfer
from uploads.services.transfers.dispatch import WINDOW, dispatch
from uploads.services.upkeep import watchdog
from uploads.services.upkeep.watchdog import watch
from uploads.services.work import broker, leases, queue
from uploads.services.work.rounds import only_one

pytestmark = pytest.mark.django_db(transaction=True)

Sent = list[tuple[str, tuple[str, ...], str]]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """The messages about work that were published: task, ids, queue."""
    published: Sent = []

    def publish(task: str, ids: Sequence[str], name: str, _countdown: float) -> None:
        if task != "try_store":
            published.append((task, tuple(ids), name))

    monkeypatch.setattr(queue, "_publish", publish)
    return published


@pytest.fixture
def owner() -> User:
    return make_operator("olga")


@pytest.fixture
def store() -> Store:
    return Store.objects.create(name="s", endpoint_url="http://127.0.0.1:1", access_key="a", secret_key="b")


@pytest.fixture
def analyze(db: None) -> Iterator[Callable[[], None]]:
    """Have the database count its rows. SQLite would keep that, and choose other indexes in later tests."""
    yield lambda: execute("ANALYZE")
    if connection.vendor == "sqlite":
        forget_statistics()


def execute(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def forget_statistics() -> None:
    """Those of SQLite."""
    execute("DELETE FROM sqlite_stat1", "ANALYZE sqlite_master")


Make = Callable[..., list[Transfer]]


@pytest.fixture
def make(owner: User, store: Store) -> Make:
    """Creates transfers of ten parts that are sending, with an upload and so many staged parts."""

    def create(count: int, staged: int = 1, queued: int = 0, **values: Any) -> list[Transfer]:
        now = timezone.now()
        facts = {"bucket": "b", "key": "k", "size": 10, "part_size": 1, "part_count": 10, "node": "n"}
        facts |= {"phase": Phase.SENDING, "received_at": now, "sending_at": now} | values
        transfers = Transfer.objects.bulk_create(Transfer(owner=owner, store=store, **facts) for _ in range(count))
        StoreUpload.objects.bulk_create(StoreUpload(transfer=each, upload_id=str(each.pk)) for each in transfers)
        Part.objects.bulk_create(
            Part(
                transfer=each,
                number=number + 1,
                size=1,
                state=PartState.STAGED,
                reserved_bytes=1,
                queued_at=now if number < queued else None,
            )
            for each in transfers
            for number in range(staged)
        )
        return transfers

    return create


def statements_of(act: Callable[[], object]) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        act()
    return [query["sql"] for query in captured.captured_queries]


# --- One at a time ----------------------------------------------------------------------------------------------------


def test_round_that_runs_lets_no_other_start(make: Make, sent: Sent) -> None:
    make(1)
    with only_one("watchdog") as held:
        assert held is not None
        assert statements_of(watch)[0].startswith("UPDATE")
        assert len(statements_of(watch)) <= 2
        assert sent == []
    watch()
    assert len(sent) == 1


def test_round_of_a_killed_process_is_taken_over_when_its_deadline_has_passed(make: Make, sent: Sent) -> None:
    make(1)
    Round.objects.create(name="watchdog", token=uuid.uuid4(), until=leases.in_seconds(20))
    watch()
    assert sent == []
    Round.objects.update(until=leases.in_seconds(-1))
    watch()
    assert len(sent) == 1
    assert Round.objects.get(name="watchdog").token is None


def test_round_that_was_taken_over_stops_at_its_next_step(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    other = uuid.uuid4()
    ran: list[str] = []

    def slow() -> None:
        ran.append("slow")
        Round.objects.update(token=other, until=leases.in_seconds(20))

    monkeypatch.setattr(watchdog, "STEPS", (slow, lambda: ran.append("next")))
    watch()
    assert ran == ["slow"]
    assert Round.objects.get().token == other, "the round of the other process goes on"
    assert "taken over" in caplog.text


def test_round_that_fails_frees_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(watchdog, "STEPS", (fails,))
    with pytest.raises(KeyboardInterrupt):
        watch()
    assert Round.objects.get().token is None


def test_periodic_round_waits_for_its_time() -> None:
    hour = timedelta(hours=1)

    def runs() -> bool:
        with only_one("hourly", every=hour) as held:
            return held is not None

    assert [runs(), runs()] == [True, False]
    Round.objects.update(started_at=timezone.now() - hour)
    assert runs()
    Round.objects.update(started_at=timezone.now() + 24 * hour)
    assert runs(), "a clock that was wrong does not stop it"


# --- A bounded number of statements -----------------------------------------------------------------------------------


def test_number_of_statements_does_not_depend_on_the_number_of_transfers(make: Make, sent: Sent) -> None:
    make(3, staged=5)
    few = statements_of(watch)
    assert len(sent[0][1]) == 3 * WINDOW
    Transfer.objects.all().delete()
    make(150, staged=5)
    make(20, phase=Phase.COMPLETING, staged=0)
    make(20, desired_state=DesiredState.CANCEL)
    many = statements_of(watch)
    assert sum(len(ids) for task, ids, _ in sent if task == "send_part") == 153 * WINDOW
    assert len(many) <= len(few) + 8, "two more kinds of steps"
    assert len(statements_of(watch)) < len(few), "nothing is due any more"


def test_transfers_that_are_not_due_are_not_changed(make: Make, sent: Sent) -> None:
    make(5, staged=4, queued=4)
    make(5, staged=0, phase=Phase.RECEIVING)
    make(5, desired_state=DesiredState.PAUSE)
    make(5, phase=Phase.FAILED)
    make(5, phase=Phase.DONE, staged=0)
    make(5, phase=Phase.COMPLETING, staged=0, queued_at=timezone.now())
    make(5, phase=Phase.COMPLETING, staged=0, not_before=leases.in_seconds(60))
    changes = [sql for sql in statements_of(watch) if sql.startswith(("UPDATE", "INSERT", "DELETE"))]
    assert [sql for sql in changes if "uploads_round" not in sql and 'UPDATE "uploads_store"' not in sql] == []
    assert sent == []


def test_round_stops_at_its_limit_and_the_next_one_continues(
    make: Make, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "MAX_DISPATCHED", 10)
    make(25, staged=2)
    assert [watch(), watch(), watch()] == [True, True, False]
    assert [sum(len(ids) for _, ids, _ in sent[:end]) for end in (1, 2, 3)] == [20, 40, 50]


def test_many_transfers_that_expired_are_cancelled_in_rounds_that_follow_at_once(
    make: Make, sent: Sent, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "MAX_LOST", 2)
    long_ago = timezone.now() - timedelta(seconds=settings.STAGING_EXPIRY + 60)
    make(5, phase=Phase.RECEIVING, received_at=long_ago, resumable=True)
    assert [watch(), watch(), watch()] == [True, True, False]
    assert Transfer.objects.filter(desired_state=DesiredState.CANCEL, error_code="Expired").count() == 5


def test_many_leases_that_expired_are_returned_in_rounds_that_follow_at_once(
    make: Make, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "MAX_LOST", 2)
    make(5)
    Part.objects.update(state=PartState.SENDING, lease_token=uuid.uuid4(), lease_until=timezone.now())
    assert [watch(), watch(), watch()] == [True, True, False]
    assert not Part.objects.filter(state=PartState.SENDING).exists()


def test_transfer_with_many_parts_gets_no_more_than_its_window(make: Make, sent: Sent) -> None:
    large = make(1, staged=200)[0]
    make(3)
    watch()
    mine = {str(pk) for pk in large.parts.values_list("pk", flat=True)}
    assert sorted(len(mine.intersection(ids)) for _, ids, _ in sent) == [WINDOW]
    assert [part.number for part in large.parts.filter(queued_at__isnull=False)] == [1, 2, 3, 4]


def test_dispatch_reads_few_parts_of_a_large_transfer(make: Make, sent: Sent) -> None:
    transfer = make(1, staged=10, queued=3)[0]
    dispatch(transfer.pk)
    assert [len(ids) for _, ids, _ in sent] == [1]


# --- What is due ------------------------------------------------------------------------------------------------------


def test_lost_messages_are_enqueued_again_within_their_time_and_a_round(
    make: Make, sent: Sent, settings: Settings
) -> None:
    make(20, staged=4, queued=4)
    watch()
    assert sent == []
    Part.objects.update(queued_at=leases.in_seconds(-settings.LOST_MESSAGE_SECONDS))
    watch()
    assert sum(len(ids) for _, ids, _ in sent) == 80


@pytest.mark.parametrize("values", [{"phase": Phase.COMPLETING}, {"desired_state": DesiredState.CANCEL}])
def test_lost_message_of_a_step_is_enqueued_again(make: Make, sent: Sent, values: dict[str, Any]) -> None:
    make(3, staged=0, queued_at=leases.in_seconds(-61), **values)
    watch()
    task = "complete_transfer" if "phase" in values else "cancel_transfer"
    assert [(name, len(ids)) for name, ids, _ in sent] == [(task, 3)]


def test_every_step_that_a_process_did_not_enqueue_is_found(make: Make, sent: Sent) -> None:
    """The process died between its change and the dispatch."""
    started = make(1, phase=Phase.RECEIVING)[0]
    opening = make(1)[0]
    opening.store_uploads.update(state=StoreUploadState.GONE)
    whole = make(1, all_received=True)[0]
    whole.parts.update(state=PartState.SENT, reserved_bytes=0)
    put = make(1, part_count=1, all_received=True)[0]
    put.store_uploads.all().delete()
    watch()
    found = {(task, each) for task, ids, _ in sent for each in ids}
    assert found == {
        ("send_part", str(started.parts.get().pk)),
        ("open_store_upload", str(opening.pk)),
        ("complete_transfer", str(whole.pk)),
        ("send_small_files", put.node),
    }
    started.refresh_from_db()
    assert (started.phase, started.sending_at is None) == (Phase.SENDING, False)


def test_emptied_redis_has_every_message_sent_again_in_bounded_rounds(
    make: Make, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "MAX_DISPATCHED", 100)
    make(60, staged=4, queued=4)
    emptied = timezone.now()
    monkeypatch.setattr(broker, "emptied_at", lambda: emptied)
    rounds = 1
    while watch():
        rounds += 1
    assert sum(len(ids) for _, ids, _ in sent) == 240
    assert rounds <= 4
    assert not watch()
    assert sum(len(ids) for _, ids, _ in sent) == 240, "no message is sent twice"


def test_emptying_is_noted_until_the_next_one(settings: Settings, redis_url: str) -> None:
    settings.REDIS_URL = redis_url
    client = broker.client_at(redis_url)
    assert client is not None
    client.flushall()
    before = timezone.now()
    first = broker.emptied_at()
    assert first is not None
    assert first >= before
    assert broker.emptied_at() == first
    client.flushall()
    second = broker.emptied_at()
    assert second is not None
    assert second > first
    client.set(broker._SEEN, 1)
    earlier = broker.emptied_at()
    assert earlier is not None
    assert earlier.year == 1970, "the mark of an earlier version"
    client.flushall()


def test_items_of_operations_are_dispatched_in_sets(owner: User, store: Store, sent: Sent) -> None:
    def order(count: int) -> None:
        for _ in range(count):
            operation = Operation.objects.create(kind="abort", actor=owner, store=store, bucket="b")
            items = [OperationItem(operation=operation, key="k", upload_id=str(number)) for number in range(10)]
            for item in items[:2]:  # One task has taken both.
                item.state, item.lease_until = ItemState.RUNNING, leases.in_seconds(60)
                item.lease_token = operation.pk
            OperationItem.objects.bulk_create(items)

    order(2)
    few = statements_of(watch)
    order(20)
    assert len(statements_of(watch)) <= len(few)
    assert [(task, len(ids)) for task, ids, _ in sent] == [("run_items", 2 * 7), ("run_items", 20 * 7)]


def test_late_upload_is_claimed_for_a_while(make: Make, sent: Sent) -> None:
    ended = make(30, phase=Phase.CANCELLED, staged=0)
    StoreUpload.objects.filter(transfer__in=ended).update(drop_at=leases.in_seconds(-1))
    for _ in range(3):
        watch()
    dropped = [each for task, ids, _ in sent for each in ids if task == "drop_late_upload"]
    assert (len(dropped), len(set(dropped))) == (30, 30)


# --- Indexes ----------------------------------------------------------------------------------------------------------


INDEXES = {
    "_return_expired_leases": {"part_being_sent", "transfer_leased"},
    "_forget_lost_messages": {"part_by_message", "transfer_enqueued"},
    "_abandon_silent_forms": {"transfer_silent_form"},
    "_expire_silent_transfers": {"transfer_silent_tus"},
    "_release_left_bytes": {"part_to_release", "transfer_to_release"},
    "_drop_late_uploads": {"store_upload_to_drop"},
    "_dispatch_due": {"transfer_idle", "store_upload_by_state_transfer", "part_enqueued", "item_to_enqueue"},
}
"""The indexes by which each step of a round finds what is due."""

SCANS = re.compile(r"(SCAN|Seq Scan on) uploads_(transfer|part)\b(?!.* USING )")


EITHER = {"store_upload_by_state_transfer", "part_enqueued"}
"""PostgreSQL takes the index of the transfer alone as well: which one costs less depends on what earlier tests have
left in the table.
"""


def test_each_step_finds_what_is_due_by_an_index(make: Make, sent: Sent, owner: User, store: Store) -> None:
    """There are so many rows that a scan of a whole table would cost more."""
    make(600, staged=3, queued=3)
    make(600, phase=Phase.DONE, staged=0, finished_at=timezone.now())
    operation = Operation.objects.create(kind="abort", actor=owner, store=store, bucket="b")
    OperationItem.objects.bulk_create(
        OperationItem(operation=operation, key="k", upload_id=str(number), state=ItemState.DONE)
        for number in range(600)
    )
    execute("ANALYZE")
    if connection.vendor == "sqlite":
        forget_statistics()  # Another test may have left some.
    for name, indexes in INDEXES.items():
        plans = [(sql, plan_of(sql)) for sql in statements_of(getattr(watchdog, name)) if sql.startswith("SELECT")]
        for index in indexes - (EITHER if connection.vendor == "postgresql" else set()):
            assert any(index in plan for _, plan in plans), (name, index, plans)
        for sql, plan in plans:
            whole = [line for line in plan.splitlines() if SCANS.search(line)]
            assert not whole, (name, sql, plan)


def test_large_file_is_dispatched_without_reading_its_sent_parts(
    make: Make, sent: Sent, analyze: Callable[[], None]
) -> None:
    transfer = make(1, staged=3000, part_count=3001)[0]
    transfer.parts.filter(number__lt=3000).update(state=PartState.SENT, reserved_bytes=0)
    index = "part_unsent" if connection.vendor == "postgresql" else "part_by_state (transfer_id=? AND state=?)"
    analyze()
    (facts,) = [sql for sql in statements_of(lambda: dispatch(transfer.pk)) if "has_unsent" in sql]
    assert index in plan_of(facts)
    assert [len(ids) for _, ids, _ in sent] == [1]


def plan_of(sql: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(("EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN ") + sql)
        return "\n".join(str(row[-1]) for row in cursor.fetchall())
