"""Redis asked past Celery: whether it answers, how much waits in it, which workers are at it, whether it was emptied.

Questions are short and never repeated: whoever asks goes on without an answer.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import cache

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

log = logging.getLogger(__name__)

CONNECT_SECONDS = 0.5
ANSWER_SECONDS = 1.0

HEARTBEAT_SECONDS = 5.0
"""How often a worker says that it is there."""

HEARTBEAT_EXPIRY = 20
"""Seconds without a word until it counts as gone."""

_SEEN = "partway:seen"


def answers() -> bool:
    """Whether Redis takes commands. Raises redis.RedisError where it is away."""
    client = _client(settings.REDIS_URL)
    return client is None or bool(client.ping())


def beat(queues: Iterable[str]) -> None:
    """A worker says that it takes messages from these queues. Redis may be away: then nobody hears it."""
    client = _client(settings.REDIS_URL)
    if client is None:
        return
    try:
        for queue in queues:
            client.set(_heartbeat(queue), 1, ex=HEARTBEAT_EXPIRY)
    except redis.RedisError as error:
        log.debug("no heartbeat: %s", error)


def is_served(*queues: str) -> bool:
    """Whether each of the queues has a worker. Raises redis.RedisError."""
    client = _client(settings.REDIS_URL)
    return client is None or client.exists(*(_heartbeat(queue) for queue in queues)) == len(queues)


def depths(queues: Iterable[str]) -> dict[str, int]:
    """Messages that wait in each queue; those handed to a worker are not among them. Raises redis.RedisError."""
    client = _client(settings.REDIS_URL)
    return {} if client is None else {queue: int(client.llen(queue)) for queue in queues}


def was_emptied() -> bool:
    """Whether Redis has lost what was in it since this was asked last: then messages that were enqueued are gone."""
    client = _client(settings.REDIS_URL)
    try:
        return client is not None and bool(client.set(_SEEN, 1, nx=True))
    except redis.RedisError:
        return False


def _heartbeat(queue: str) -> str:
    return f"partway:heartbeat:{queue}"


@cache
def _client(url: str) -> redis.Redis | None:
    """None for a queue that is not in Redis: tests keep one in memory."""
    if url.startswith("memory:"):
        return None
    return redis.Redis.from_url(
        url, socket_connect_timeout=CONNECT_SECONDS, socket_timeout=ANSWER_SECONDS, retry=Retry(NoBackoff(), 0)
    )
