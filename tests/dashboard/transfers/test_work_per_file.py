"""What one small file costs, from its creation to its end: SQL statements, transactions that write, and messages.

The time of 500 small files is that of their statements and, on SQLite, of their turns to write.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from tests.dashboard.transfers.test_tus import Tus
from uploads import database, tasks
from uploads.domain.states import Phase
from uploads.models import AuditEntry, Part, StagingNode, Store, Transfer
from uploads.services.transfers import small_files
from uploads.services.work.tasks import TASKS
from uploads.staging import tus

pytestmark = pytest.mark.django_db(transaction=True)

NODE = "test-node"
WRITES = ("INSERT", "UPDATE", "DELETE")
BOUNDARIES = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


@dataclass(frozen=True, slots=True)
class Cost:
    """SQL statements, without those that begin and end transactions, and transactions that write."""

    statements: int
    writes: int

    def __le__(self, limit: Cost) -> bool:
        return self.statements <= limit.statements and self.writes <= limit.writes


@pytest.fixture(autouse=True)
def staging(settings: Settings, tmp_path: Path) -> Path:
    settings.STAGING_DIR = tmp_path / "staging"
    return tmp_path / "staging"


Create = Callable[[str], Any]


@pytest.fixture
def create(operator_client: Client, store: Store, bucket: str) -> Create:
    """Creates an upload whose whole file is in the same request."""
    client = Tus(operator_client)

    def create_one(key: str) -> Any:
        headers = {"Content-Type": tus.CONTENT_TYPE}
        body = f"the bytes of {key}".encode()
        where = {"store": store.name, "bucket": bucket}
        return client.create(len(body), body, headers=headers, key=key, fingerprint=f"print-{key}", **where)

    return create_one


@pytest.fixture
def create_and_patch(operator_client: Client, store: Store, bucket: str) -> Create:
    """Creates an upload and sends its file in a second request, as the page does."""
    client = Tus(operator_client)

    def create_one(key: str) -> None:
        body = f"the bytes of {key}".encode()
        created = client.create(len(body), key=key, fingerprint=f"print-{key}", store=store.name, bucket=bucket)
        assert client.patch(created["Location"], 0, body).status_code == 204

    return create_one


def cost_of(act: Callable[[], object]) -> Cost:
    with CaptureQueriesContext(connection) as captured:
        act()
    statements = writes = 0
    in_transaction = has_written = False
    for query in captured.captured_queries:
        word = query["sql"].split(maxsplit=1)[0].upper().rstrip(";")
        if word in BOUNDARIES:
            in_transaction, has_written = word not in ("COMMIT", "ROLLBACK"), False
            continue
        statements += 1
        if word in WRITES:
            writes += not (in_transaction and has_written)
            has_written = in_transaction
    return Cost(statements, writes)


def locks(count: int) -> int:
    """The statements that lock rows: of the user and the store, and for bytes in a request of their own, the node."""
    return count if database.locks_rows() else 0


@pytest.fixture(autouse=True)
def heard_node(transactional_db: None) -> StagingNode:
    """Its row, which the heartbeat of an installation creates, has the upper bound of reservations."""
    return StagingNode.objects.create(name=NODE)


def work_off(messages: list[tuple[str, str]]) -> list[str]:
    """Do the work of all messages, and of those that it publishes. Returns the names of the tasks."""
    done: list[str] = []
    while messages:
        task, row_id = messages.pop(0)
        (TASKS.get(task) or getattr(tasks, task))(row_id)
        done.append(task)
    return done


def test_small_file_costs_few_statements_and_one_message(
    create: Create, messages: list[tuple[str, str]], bucket: str
) -> None:
    create("first")  # What is known of the store and the bucket afterwards is not looked up again.
    work_off(messages)
    names: list[str] = []
    received = cost_of(lambda: create("a"))
    sent = cost_of(lambda: names.extend(work_off(messages)))
    assert names == ["send_small_files"]
    transfer = Transfer.objects.get(key="a")
    assert (transfer.phase, transfer.verified) == (Phase.DONE, True)
    assert not Part.objects.filter(reserved_bytes__gt=0).exists()
    assert not transfer.folder.exists()
    actions = AuditEntry.objects.filter(transfer_id=transfer.pk).order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["transfer.begun", "transfer.done"]
    assert received <= Cost(12 + locks(2), 1)
    assert sent <= Cost(15, 3)


def test_several_small_files_are_sent_with_the_statements_and_the_message_of_one(
    create: Create,
    messages: list[tuple[str, str]],
    settings: Settings,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.REDIS_URL = redis_url
    for seconds in ("START_SECONDS", "RECORD_SECONDS"):
        monkeypatch.setattr(small_files, seconds, 60.0)  # However busy the machine is.
    create("first")
    work_off(messages)
    for number in range(small_files.FILES):
        create(f"{number:02}")
    names: list[str] = []
    sent = cost_of(lambda: names.extend(work_off(messages)))
    assert names == ["send_small_files"]
    assert set(Transfer.objects.values_list("phase", "verified")) == {(Phase.DONE, True)}
    assert Transfer.objects.count() == small_files.FILES + 1
    assert not Part.objects.filter(reserved_bytes__gt=0).exists()
    assert sent <= Cost(15, 3)


def test_file_in_two_requests_costs_few_statements(create_and_patch: Create, messages: list[tuple[str, str]]) -> None:
    create_and_patch("first")
    work_off(messages)
    received = cost_of(lambda: create_and_patch("a"))
    assert work_off(messages) == ["send_small_files"]
    assert Transfer.objects.get(key="a").phase == Phase.DONE
    assert received <= Cost(21 + locks(3), 3)


def test_reservation_of_a_small_file_takes_no_longer_the_more_files_wait(
    create: Create, create_and_patch: Create, messages: list[tuple[str, str]]
) -> None:
    """They are staged until they are sent, and a sum of their bytes would read all of them."""
    for number in range(4):
        create(f"waits-{number}")
    for act, key in ((create, "whole"), (create_and_patch, "in two requests")):
        with CaptureQueriesContext(connection) as captured:
            act(key)
        assert not [query for query in captured.captured_queries if "SUM(" in query["sql"]]
    reserved = [row.reserved_bytes for row in Part.objects.all()]
    assert StagingNode.objects.get().reserved_at_most == sum(reserved)
    assert len(reserved) == 6


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the plan of SQLite is looked at")
def test_no_statement_of_a_small_file_reads_a_whole_table(
    create: Create, messages: list[tuple[str, str]], bucket: str
) -> None:
    """Rows of transfers, parts and audit entries are kept for months."""
    create("first")
    with CaptureQueriesContext(connection) as captured:
        create("a")
    statements = [query["sql"] for query in captured.captured_queries]
    assert len(messages) == 2
    plans = [_plan_of(each) for each in statements if each.startswith(("SELECT", "UPDATE"))]
    read = [
        step for plan in plans for step in plan if re.match(r"SCAN uploads_(transfer|part|auditentry|session)", step)
    ]
    assert len(plans) >= 9
    assert not read
    assert not [step for plan in plans for step in plan if re.search(r"_store_id_\w+ \(store_id=\?\)", step)]


def _plan_of(sql: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}".replace("%", "%%"))
        return [str(row[3]) for row in cursor.fetchall()]
