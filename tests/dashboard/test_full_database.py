"""The disk of the database is full: nothing is changed, everybody is told why, and work goes on once there is space."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import InternalError, OperationalError, connection
from django.test import Client

from tests.dashboard.make_transfer import make_transfer
from uploads import database
from uploads.database import pool
from uploads.domain.states import PartState, Phase
from uploads.models import AuditEntry, Part, Store, StoreUpload, Transfer
from uploads.services.upkeep import watchdog
from uploads.services.work import tasks
from uploads.services.work.attempts import MAX_ATTEMPTS

pytestmark = pytest.mark.django_db(transaction=True)

LARGE = f"note: {'x' * 1500}"
"""Metadata that need a page of their own."""
UPLOAD_PART = "uploads.objectstore.client.ObjectStoreClient.upload_part"
TABLES = ("auth_user", "uploads_part", "uploads_transfer", "uploads_auditentry", "django_session")


@contextmanager
def full_disk() -> Iterator[None]:
    """SQLite may use no more pages than it has. PostgreSQL raises its error for a full disk."""
    with _sqlite_without_space() if connection.vendor == "sqlite" else _postgresql_without_space():
        yield


@contextmanager
def _sqlite_without_space() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE filler (value)")
        pages = cursor.execute("PRAGMA page_count").fetchone()[0]
        cursor.execute(f"PRAGMA max_page_count = {pages + 8}")
        with pytest.raises(OperationalError):
            for _ in range(10_000):
                cursor.execute("INSERT INTO filler VALUES (zeroblob(4000))")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA max_page_count = 1000000")
            cursor.execute("DROP TABLE filler")


@contextmanager
def _postgresql_without_space() -> Iterator[None]:
    raises = "BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $${raises}$$")
        for table in TABLES:
            cursor.execute(f"CREATE TRIGGER no_space BEFORE INSERT OR UPDATE ON {table} EXECUTE FUNCTION no_space()")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION no_space CASCADE")


@pytest.fixture
def store() -> Store:
    return Store.objects.create(name="s", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


@pytest.fixture
def operator() -> User:
    return User.objects.create_user("olga", password="olga's password", is_staff=True)


@pytest.fixture
def transfer(operator: User, store: Store) -> Transfer:
    """Of two parts, the second of which is staged."""
    facts: dict[str, Any] = {"all_received": True, "resumable": True, "node": settings.NODE_NAME}
    created = make_transfer(operator, store, size=20, part_size=10, part_count=2, sent=1, staged=1, **facts)
    created.parts.update(store_upload=StoreUpload.objects.create(transfer=created, upload_id="u"))
    created.folder.make()
    created.folder.whole(2).write_bytes(bytes(10))
    return created


@pytest.fixture
def client(operator: User) -> Client:
    client = Client(headers={"Accept": "application/json"})
    client.force_login(operator)
    return client


def create(client: Client, key: str) -> Any:
    pairs = {"store": "s", "bucket": "photos", "key": key, "replace": "on", "replace-etag": "*"}
    pairs["metadata"] = LARGE
    metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in pairs.items())
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "100", "Upload-Metadata": metadata}
    return client.generic("POST", "/files/", headers=headers)


def test_tus_and_json_say_that_the_disk_is_full(client: Client, store: Store) -> None:
    before = Transfer.objects.count()
    with full_disk():
        responses = [create(client, f"k{number}") for number in range(8)]
    refused = [response for response in responses if response.status_code != 201]
    assert refused
    for response in refused:
        assert response.status_code == 507, response.content
        assert int(response["Retry-After"]) > 0
        error = response.json()["error"]
        assert error["code"] == "DatabaseFull"
        assert "disk of the database" in error["message"]
        assert response["Tus-Resumable"] == "1.0.0"
    made = Transfer.objects.count() - before
    assert made == len(responses) - len(refused)
    # A refusal that still fits is recorded too.
    assert AuditEntry.objects.exclude(outcome="refused").count() == made
    assert create(client, "later").status_code == 201


def test_pages_say_it_too_and_reading_continues(operator: User, transfer: Transfer, client: Client) -> None:
    page = Client()
    page.force_login(operator)
    form = {"store": "s", "bucket": "photos", "metadata": LARGE, "replace": "on", "replace-etag": "*"}
    with full_disk():
        responses = [
            page.post("/transfers/new/", {**form, "key": f"k{number}", "file": BytesIO(b"abc")}) for number in range(8)
        ]
        assert client.get(f"/transfers/{transfer.pk}/").status_code == 200
        assert client.get("/healthz").status_code == 200
    refused = [response for response in responses if response.status_code != 303]
    assert refused
    for response in refused:
        assert response.status_code == 507
        assert int(response["Retry-After"]) > 0
        assert b"The disk of the database of Partway is full" in response.content
        assert b"<html" in response.content


@pytest.mark.skipif(connection.vendor != "sqlite", reason="a setting of SQLite")
def test_database_that_can_only_be_read(client: Client, transfer: Transfer) -> None:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA query_only = 1")
        response = client.post(f"/transfers/{transfer.pk}/pause/")
        cursor.execute("PRAGMA query_only = 0")
    assert (response.status_code, response.json()["error"]["code"]) == (503, "DatabaseReadOnly")
    assert int(response["Retry-After"]) > 0
    assert client.post(f"/transfers/{transfer.pk}/pause/").status_code == 200


def disk_error() -> OperationalError:
    error = OperationalError()
    error.__cause__ = psycopg.errors.DiskFull()
    return error


def test_work_waits_until_it_can_be_recorded_and_is_no_attempt(
    transfer: Transfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker keeps its row while it waits: it is neither lost nor given up, and the part is sent later."""
    part = transfer.parts.get(number=2)
    record, waits = tasks.record_failure, list[float]()

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return True

    def record_once_there_is_space(*args: Any, **kwargs: Any) -> None:
        if len(waits) < 3:
            raise disk_error()
        record(*args, **kwargs)

    monkeypatch.setattr(UPLOAD_PART, _raising(disk_error()))
    monkeypatch.setattr(database, "pause", wait)
    monkeypatch.setattr(tasks, "record_failure", record_once_there_is_space)
    tasks.TASKS["send_part"](part.pk)
    part.refresh_from_db()
    assert len(waits) == 3
    assert (part.state, part.error_code, part.tries) == (PartState.STAGED, "DatabaseFull", 1)
    assert part.lease_token is None
    assert part.not_before is not None
    transfer.refresh_from_db()
    assert transfer.phase == Phase.SENDING


def test_only_workers_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not database.pause(0)
    monkeypatch.setattr(pool._Process, "pool", pool.Pool(1, patience=5))
    assert not database.pause(0)
    monkeypatch.setattr(pool._Process, "pool", pool.Pool(1, database.UNTIL_IT_RESPONDS))
    assert database.pause(0)
    database.stop_waiting()
    assert not database.pause(0)


def test_failures_of_a_full_disk_are_never_the_last(transfer: Transfer, monkeypatch: pytest.MonkeyPatch) -> None:
    part = transfer.parts.get(number=2)
    for error, count in ((disk_error(), MAX_ATTEMPTS + 2), (KeyError("a bug"), 1)):
        monkeypatch.setattr(UPLOAD_PART, _raising(error))
        for _ in range(count):
            Part.objects.update(not_before=None)
            tasks.TASKS["send_part"](part.pk)
        part.refresh_from_db()
        assert (part.state, part.tries) == (PartState.STAGED, count)


def _raising(error: Exception) -> Any:
    def raises(*_: object, **__: object) -> None:
        raise error

    return raises


def test_standby_of_postgresql_is_read_only() -> None:
    error = InternalError()
    assert not database.is_unavailable(error)
    error.__cause__ = psycopg.errors.ReadOnlySqlTransaction()
    assert database.is_unavailable(error)
    assert database.code_of(error) == "DatabaseReadOnly"


def test_watchdog_lets_workers_record_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases expire while nothing can be written. The workers that hold them still know the result."""
    pauses = list[float]()
    monkeypatch.setattr("time.sleep", pauses.append)
    steps = watchdog.STEPS
    monkeypatch.setattr(watchdog, "STEPS", (_raising(disk_error()),))
    watchdog.watch()
    assert pauses == []
    monkeypatch.setattr(watchdog, "STEPS", steps)
    watchdog.watch()
    watchdog.watch()
    assert pauses == [watchdog.WRITABLE_SECONDS]
