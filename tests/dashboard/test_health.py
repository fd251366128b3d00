"""Health checks, the banner for an unavailable queue, publishing without a queue, and log records."""

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
from uploads.models.transfer import parts_queue, steps_queue
from uploads.services.upkeep import health
from uploads.services.upkeep.health import CachedCheck, Check
from uploads.services.work import broker, queue
from uploads.services.work.tasks import TASKS

NO_REDIS = "redis://:a-secret@127.0.0.1:1/0"
"""An address without a Redis."""


@pytest.fixture
def staging(settings: Settings, tmp_path: Path) -> Path:
    settings.STAGING_DIR = tmp_path / "staging"
    return tmp_path / "staging"


@pytest.fixture
def live_redis(settings: Settings, redis_url: str) -> Iterator[None]:
    """A Redis with a recent heartbeat of every worker."""
    settings.REDIS_URL = redis_url
    node = f"node.{settings.NODE_NAME}"
    broker.send_heartbeat(["partway", "partway.watch", "partway.scan", node, f"{node}.steps"])
    yield
    client = broker.client_at(redis_url)
    assert client is not None
    client.flushall()


@pytest.fixture(autouse=True)
def fresh_check_of_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    check = Check("queue", broker.responds)
    monkeypatch.setattr(health, "_queue", CachedCheck(check, health.QUEUE_CHECK_SECONDS, health.QUEUE_CACHE_SECONDS))


def ready(client: Client | None = None) -> tuple[int, dict[str, str]]:
    response = (client or Client()).get("/healthz?ready", headers={"Accept": "application/json"})
    facts = response.json()
    assert facts["ready"] is (response.status_code == 200)
    return response.status_code, facts["checks"]


# --- Health checks ----------------------------------------------------------------------------------------------------

pytestmark = pytest.mark.django_db


@pytest.mark.usefixtures("staging", "live_redis")
def test_every_part_is_named() -> None:
    workers = ["sender", "worker", "watcher", "scanner"]
    names = ["database", "migrations", "keys", "redis", *workers, "staging", "static"]
    assert ready() == (200, dict.fromkeys(names, "ok"))
    response = Client().get("/healthz?ready")
    assert (response.status_code, response["Content-Type"]) == (200, "text/plain")
    assert response.content.decode() == "".join(f"{name} ok\n" for name in names)
    assert "no-store" in response["Cache-Control"]


@pytest.mark.usefixtures("staging")
def test_unavailable_redis_is_named_without_its_address(settings: Settings) -> None:
    settings.REDIS_URL = NO_REDIS
    response = Client().get("/healthz?ready")
    assert response.status_code == 503
    text = response.content.decode()
    assert "redis failed\n" in text
    assert "database ok\n" in text
    assert "127.0.0.1" not in text
    assert "secret" not in text


@pytest.mark.usefixtures("staging", "live_redis")
def test_silent_worker_is_named(settings: Settings) -> None:
    client = broker.client_at(settings.REDIS_URL)
    assert client is not None
    client.delete(broker._heartbeat(f"node.{settings.NODE_NAME}"))
    status, checks = ready()
    assert (status, [name for name, result in checks.items() if result == "failed"]) == (503, ["sender"])
    client.delete(broker._heartbeat(f"node.{settings.NODE_NAME}.steps"))
    assert ready()[1]["worker"] == "failed"
    client.delete(broker._heartbeat("partway.watch"))
    assert ready()[1]["watcher"] == "failed"
    client.delete(broker._heartbeat("partway.scan"))
    assert ready()[1]["scanner"] == "failed"


@pytest.mark.usefixtures("staging")
def test_full_disk_is_named(settings: Settings) -> None:
    settings.STAGING_FREE_FLOOR = 2**62
    assert ready()[1]["staging"] == "failed"


def test_unwritable_staging_is_named(settings: Settings, tmp_path: Path) -> None:
    settings.STAGING_DIR = tmp_path / "file"
    settings.STAGING_DIR.touch()
    assert ready()[1]["staging"] == "failed"


def test_check_of_staging_leaves_no_file(staging: Path) -> None:
    ready()
    assert list(staging.iterdir()) == []


def test_hanging_check_fails_and_runs_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, release = [], Event()

    def hang() -> bool:
        calls.append(1)
        return release.wait(60)

    monkeypatch.setattr(health, "CHECKS", (Check("disk", hang), Check("redis", lambda: True)))
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.3)
    started = time.monotonic()
    for _ in range(3):
        assert ready() == (503, {"disk": "failed", "redis": "ok", "static": "ok"})
    assert time.monotonic() - started < 30
    assert len(calls) == 1
    release.set()


def test_limits_keep_the_health_check_short() -> None:
    assert health.CHECK_SECONDS <= 2
    assert broker.CONNECT_SECONDS + broker.RESPONSE_SECONDS <= 2


def test_post_is_not_allowed() -> None:
    for path in ("/healthz", "/healthz?ready", "/metrics"):
        assert Client().post(path).status_code == 405


# --- The banner -------------------------------------------------------------------------------------------------------


def test_banner_appears_and_disappears(operator_client: Client, settings: Settings, redis_url: str) -> None:
    assert "The task queue (Redis) is unavailable" not in operator_client.get("/stores/").content.decode()
    settings.REDIS_URL = NO_REDIS
    assert "The task queue (Redis) is unavailable" not in operator_client.get("/stores/").content.decode(), (
        "the result is cached"
    )
    health._queue._until = 0
    page = operator_client.get("/stores/").content.decode()
    assert "The task queue (Redis) is unavailable" in page
    assert 'hx-get="/queue/"' in page
    assert "The task queue (Redis) is unavailable" in operator_client.get("/queue/").content.decode()
    settings.REDIS_URL = redis_url
    health._queue._until = 0
    assert operator_client.get("/queue/").content.strip() == b""


def test_banner_is_hidden_before_the_login(settings: Settings) -> None:
    settings.REDIS_URL = NO_REDIS
    assert "The task queue (Redis) is unavailable" not in Client().get("/login/").content.decode()


def test_hanging_queue_delays_pages_only_briefly(operator_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    release = Event()
    check = Check("queue", lambda: release.wait(60))
    monkeypatch.setattr(health, "_queue", CachedCheck(check, health.QUEUE_CHECK_SECONDS, health.QUEUE_CACHE_SECONDS))
    started = time.monotonic()
    assert health.queue_is_unavailable()
    assert time.monotonic() - started < 30
    started = time.monotonic()
    assert all(health.queue_is_unavailable() for _ in range(100))
    assert time.monotonic() - started < 100 * health.QUEUE_CHECK_SECONDS / 2, "they did not wait each"
    release.set()


# --- Publishing -------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Publishing fails. The value lists the attempts."""
    attempted: list[str] = []

    def fail(name: str, *, args: list[str], **_: object) -> None:
        attempted.extend(args)
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr("uploads.services.work.queue.current_app.send_task", fail)
    yield attempted
    queue._Pause.until = 0.0


def test_publishing_pauses_after_a_failure(no_queue: list[str]) -> None:
    queue._send("dispatch_transfer", ["1", "2"], "partway", 0)
    queue._send("dispatch_transfer", ["3"], "partway", 0)
    assert no_queue == ["1"]
    queue._Pause.until = 0.0
    queue._send("dispatch_transfer", ["4"], "partway", 0)
    assert no_queue == ["1", "4"]


def test_every_task_has_its_rows() -> None:
    assert {name: task.kind.model.__name__ for name, task in TASKS.items()} == {
        "send_part": "Part",
        "run_item": "OperationItem",
        "open_store_upload": "Transfer",
        "complete_transfer": "Transfer",
        "cancel_transfer": "Transfer",
        "run_store_check": "StoreCheck",
        "find_buckets": "Scan",
        "list_bucket": "BucketScan",
        "read_parts": "PartsBatch",
        "look_up_objects": "ObjectsBatch",
        "read_lifecycle": "LifecycleReading",
        "drive_sweep": "Sweep",
        "run_sweep_item": "SweepItem",
        "deliver_alert": "AlertDelivery",
    }
    for task in TASKS.values():
        assert task.kind.model._meta.get_field("queued_at")


def test_rows_that_were_not_enqueued_are_marked(no_queue: list[str], operator: User) -> None:
    store = Store.objects.create(name="s", endpoint_url="http://127.0.0.1:1", access_key="a", secret_key="b")
    now = timezone.now()
    transfer = make_transfer(operator, store, staged=2, queued_at=now)
    Part.objects.update(queued_at=now)
    first, second = Part.objects.order_by("number")
    queue._send("send_part", [str(first.pk)], parts_queue(transfer.node), 0)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.queued_at, second.queued_at) == (None, now)
    queue._send("open_store_upload", [str(transfer.pk)], steps_queue(transfer.node), 0)
    transfer.refresh_from_db()
    assert transfer.queued_at is None


# --- Logs -------------------------------------------------------------------------------------------------------------


def test_log_record_has_only_the_noted_fields() -> None:
    record = logging.makeLogRecord({"name": "n", "levelname": "INFO", "msg": "two\nlines", "part": 7, "password": "x"})
    later = logging.makeLogRecord({"msg": "later"})

    def work() -> None:
        with logs.about(transfer="t", part=1):
            logs.note(upload_id="u")
            logs.Noted().filter(record)
        logs.Noted().filter(later)

    # A separate context, because services that other tests called may have noted fields in this one.
    contextvars.Context().run(work)
    text = logs.JsonLines().format(record)
    line = json.loads(text)
    assert "\n" not in text
    assert "password" not in line
    assert (line["message"], line["transfer"], line["part"], line["upload_id"]) == ("two\nlines", "t", 7, "u")
    assert not hasattr(later, "transfer")


def test_traceback_is_part_of_the_log_line() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        record = logging.makeLogRecord({"msg": "oops", "exc_info": sys.exc_info()})
    assert "ValueError: broken" in json.loads(logs.JsonLines().format(record))["exception"]
