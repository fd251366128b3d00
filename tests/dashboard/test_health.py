"""The probes, the banner that says that the queue is away, publishing without a queue, and records of logs."""

from __future__ import annotations

import contextvars
import json
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from tests.dashboard.make_transfer import make_transfer
from uploads import logs
from uploads.models import Part, Store
from uploads.services.upkeep import health
from uploads.services.upkeep.health import CachedCheck, Check
from uploads.services.work import broker, queue
from uploads.services.work.tasks import TASKS

NOBODY = "redis://:a-secret@127.0.0.1:1/0"
"""Where no Redis is."""


@pytest.fixture
def staging(settings: Settings, tmp_path: Path) -> Path:
    settings.STAGING_DIR = tmp_path / "staging"
    return tmp_path / "staging"


@pytest.fixture
def live_redis(settings: Settings, redis_url: str) -> Iterator[None]:
    """A Redis in which every worker has said that it is there."""
    settings.REDIS_URL = redis_url
    broker.send_heartbeat(["partway", f"node.{settings.NODE_NAME}", f"node.{settings.NODE_NAME}.steps"])
    yield
    client = broker._client(redis_url)
    assert client is not None
    client.flushall()


@pytest.fixture(autouse=True)
def fresh_look_at_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    look = Check("queue", broker.responds)
    monkeypatch.setattr(health, "_queue", CachedCheck(look, health.QUEUE_CHECK_SECONDS, health.QUEUE_CACHE_SECONDS))


def ready(client: Client | None = None) -> tuple[int, dict[str, str]]:
    answer = (client or Client()).get("/healthz?ready", headers={"Accept": "application/json"})
    facts = answer.json()
    assert facts["ready"] is (answer.status_code == 200)
    return answer.status_code, facts["checks"]


# --- Probes -----------------------------------------------------------------------------------------------------------

pytestmark = pytest.mark.django_db


@pytest.mark.usefixtures("staging", "live_redis")
def test_every_part_is_named() -> None:
    names = ["database", "redis", "sender", "worker", "staging"]
    assert ready() == (200, dict.fromkeys(names, "ok"))
    answer = Client().get("/healthz?ready")
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/plain")
    assert answer.content.decode() == "".join(f"{name} ok\n" for name in names)
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.usefixtures("staging")
def test_redis_away_is_named_and_its_address_is_not(settings: Settings) -> None:
    settings.REDIS_URL = NOBODY
    answer = Client().get("/healthz?ready")
    assert answer.status_code == 503
    text = answer.content.decode()
    assert "redis failed\n" in text
    assert "database ok\n" in text
    assert "127.0.0.1" not in text
    assert "secret" not in text


@pytest.mark.usefixtures("staging", "live_redis")
def test_a_worker_that_says_nothing_is_named(settings: Settings) -> None:
    client = broker._client(settings.REDIS_URL)
    assert client is not None
    client.delete(broker._heartbeat(f"node.{settings.NODE_NAME}"))
    assert ready() == (503, {"database": "ok", "redis": "ok", "sender": "failed", "worker": "ok", "staging": "ok"})
    client.delete(broker._heartbeat(f"node.{settings.NODE_NAME}.steps"))
    assert ready()[1]["worker"] == "failed"


@pytest.mark.usefixtures("staging")
def test_a_disk_at_its_floor_is_named(settings: Settings) -> None:
    settings.STAGING_FREE_FLOOR = 2**62
    assert ready()[1]["staging"] == "failed"


def test_staging_that_cannot_be_written_is_named(settings: Settings, tmp_path: Path) -> None:
    settings.STAGING_DIR = tmp_path / "file"
    settings.STAGING_DIR.touch()
    assert ready()[1]["staging"] == "failed"


def test_looking_at_staging_leaves_nothing(staging: Path) -> None:
    ready()
    assert list(staging.iterdir()) == []


def test_what_hangs_counts_as_failed_and_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, release = [], Event()

    def hang() -> bool:
        asked.append(1)
        return release.wait(60)

    monkeypatch.setattr(health, "CHECKS", (Check("disk", hang), Check("redis", lambda: True)))
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.3)
    started = time.monotonic()
    for _ in range(3):
        assert ready() == (503, {"disk": "failed", "redis": "ok"})
    assert time.monotonic() - started < 3
    assert len(asked) == 1
    release.set()


def test_the_limits_keep_a_probe_short() -> None:
    assert health.CHECK_SECONDS <= 2
    assert broker.CONNECT_SECONDS + broker.RESPONSE_SECONDS <= 2


def test_only_looking_is_allowed() -> None:
    for path in ("/healthz", "/healthz?ready", "/metrics"):
        assert Client().post(path).status_code == 405


# --- The banner -------------------------------------------------------------------------------------------------------


def test_the_banner_comes_and_goes(operator_client: Client, settings: Settings, redis_url: str) -> None:
    assert "The task queue (Redis) is unavailable" not in operator_client.get("/stores/").content.decode()
    settings.REDIS_URL = NOBODY
    assert "The task queue (Redis) is unavailable" not in operator_client.get("/stores/").content.decode(), (
        "it is remembered for a while"
    )
    health._queue._until = 0
    page = operator_client.get("/stores/").content.decode()
    assert "The task queue (Redis) is unavailable" in page
    assert 'hx-get="/queue/"' in page
    assert "The task queue (Redis) is unavailable" in operator_client.get("/queue/").content.decode()
    settings.REDIS_URL = redis_url
    health._queue._until = 0
    assert operator_client.get("/queue/").content.strip() == b""


def test_strangers_are_not_told(settings: Settings) -> None:
    settings.REDIS_URL = NOBODY
    assert "The task queue (Redis) is unavailable" not in Client().get("/login/").content.decode()


def test_a_page_waits_little_for_a_queue_that_hangs(operator_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    release = Event()
    look = Check("queue", lambda: release.wait(60))
    monkeypatch.setattr(health, "_queue", CachedCheck(look, health.QUEUE_CHECK_SECONDS, health.QUEUE_CACHE_SECONDS))
    started = time.monotonic()
    assert health.queue_is_unavailable()
    assert time.monotonic() - started < 1
    started = time.monotonic()
    assert all(health.queue_is_unavailable() for _ in range(100))
    assert time.monotonic() - started < 0.1
    release.set()


# --- Publishing -------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Publishing fails; what was tried."""
    tried: list[str] = []

    def away(name: str, *, args: list[str], **_: object) -> None:
        tried.extend(args)
        raise ConnectionRefusedError("nobody there")

    monkeypatch.setattr("uploads.services.work.queue.current_app.send_task", away)
    yield tried
    queue._Pause.until = 0.0


def test_after_a_failure_nothing_is_tried_for_a_while(no_queue: list[str]) -> None:
    queue._send("dispatch_transfer", ["1", "2"], "partway", 0)
    queue._send("dispatch_transfer", ["3"], "partway", 0)
    assert no_queue == ["1"]
    queue._Pause.until = 0.0
    queue._send("dispatch_transfer", ["4"], "partway", 0)
    assert no_queue == ["1", "4"]


def test_every_task_with_rows_is_known() -> None:
    assert {name: task.kind.model.__name__ for name, task in TASKS.items()} == {
        "send_part": "Part",
        "run_item": "OperationItem",
        "open_store_upload": "Transfer",
        "complete_transfer": "Transfer",
        "cancel_transfer": "Transfer",
        "run_store_check": "StoreCheck",
    }
    for task in TASKS.values():
        assert task.kind.model._meta.get_field("queued_at")


def test_what_was_not_enqueued_is_marked_so(no_queue: list[str], operator: User) -> None:
    store = Store.objects.create(name="s", endpoint_url="http://127.0.0.1:1", access_key="a", secret_key="b")
    now = timezone.now()
    transfer = make_transfer(operator, store, staged=2, queued_at=now)
    Part.objects.update(queued_at=now)
    first, second = Part.objects.order_by("number")
    queue._send("send_part", [str(first.pk)], transfer.parts_queue, 0)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.queued_at, second.queued_at) == (None, now)
    queue._send("open_store_upload", [str(transfer.pk)], transfer.steps_queue, 0)
    transfer.refresh_from_db()
    assert transfer.queued_at is None


# --- Logs -------------------------------------------------------------------------------------------------------------


def test_a_record_carries_what_was_noted_and_nothing_else() -> None:
    record = logging.makeLogRecord({"name": "n", "levelname": "INFO", "msg": "two\nlines", "part": 7, "password": "x"})
    later = logging.makeLogRecord({"msg": "later"})

    def work() -> None:
        with logs.about(transfer="t", part=1):
            logs.note(upload_id="u")
            logs.Noted().filter(record)
        logs.Noted().filter(later)

    # As in a thread of its own: services that other tests called may have noted something here.
    contextvars.Context().run(work)
    text = logs.JsonLines().format(record)
    line = json.loads(text)
    assert "\n" not in text
    assert "password" not in line
    assert (line["message"], line["transfer"], line["part"], line["upload_id"]) == ("two\nlines", "t", 7, "u")
    assert not hasattr(later, "transfer")


def test_what_was_raised_stands_in_the_same_line() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        record = logging.makeLogRecord({"msg": "oops", "exc_info": sys.exc_info()})
    assert "ValueError: broken" in json.loads(logs.JsonLines().format(record))["exception"]
