"""One message for all work of a kind that waits, with a real Redis."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from django.db import transaction
from pytest_django import Settings
from redis import Redis

from uploads.services.work import broker, queue

pytestmark = pytest.mark.django_db(transaction=True)

NAME = "work:here"
QUEUE = "node.here"


@pytest.fixture(autouse=True)
def client(settings: Settings, redis_url: str) -> Iterator[Redis]:
    settings.REDIS_URL = redis_url
    client = broker.client_at(redis_url)
    assert client is not None
    client.flushdb()
    yield client
    client.flushdb()


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    messages: list[tuple[str, ...]] = []
    monkeypatch.setattr(queue, "_publish", lambda task, ids, name, _: messages.append((task, *ids, name)))
    return messages


def wake() -> None:
    with transaction.atomic():
        queue.wake_on_commit("work", "here", queue=QUEUE, marked=("send_part", [1]))


def wake_once() -> None:
    broker.claim_wake(NAME, 10)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long a lingering task has slept, each time."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


def linger(enough: int = 100) -> None:
    queue.linger("work", "here", queue=QUEUE, enough=enough)


def test_one_message_is_published_until_it_is_received(published: list[tuple[str, ...]]) -> None:
    for _ in range(3):
        wake()
    assert published == [("work", "here", QUEUE)]
    assert broker.wakes(NAME) == 3
    queue.woken("work", "here")
    assert broker.wakes(NAME) == 0
    wake()
    assert len(published) == 2


def test_message_that_is_lost_does_not_keep_others_from_being_published(client: Redis) -> None:
    assert broker.claim_wake(NAME, 10)
    assert not broker.claim_wake(NAME, 10)
    assert 0 < client.ttl(f"partway:wake:{NAME}") <= 10


def test_no_request_waits_for_a_redis_that_is_unavailable(settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert broker.claim_wake(NAME, 10), "publishing finds out"
    assert broker.wakes(NAME) == 0
    queue.woken("work", "here")


def test_task_waits_for_nothing_if_nothing_has_come(pauses: list[float]) -> None:
    linger()
    assert pauses == []


def test_task_looks_again_once_if_nothing_more_comes(pauses: list[float]) -> None:
    wake_once()
    linger()
    assert pauses == [queue.LOOK_SECONDS]


def test_task_waits_while_more_comes_until_it_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "LINGER_SECONDS", 60.0)
    monkeypatch.setattr(time, "sleep", lambda _seconds: wake_once())
    wake_once()
    linger(enough=7)
    assert broker.wakes(NAME) == 7


def test_task_does_not_wait_longer_than_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "LINGER_SECONDS", 0.05)
    monkeypatch.setattr(time, "sleep", lambda _seconds: wake_once())
    wake_once()
    linger(enough=10**9)


def test_task_does_not_wait_while_other_messages_wait(client: Redis, pauses: list[float]) -> None:
    wake_once()
    client.rpush(QUEUE, "a message")
    linger()
    assert pauses == []
