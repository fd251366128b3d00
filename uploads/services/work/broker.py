"""Requests to Redis without Celery: does it respond, how long are its queues, have they workers, was it emptied.

Each request has a short time limit and is not repeated; callers continue without a response.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

log = logging.getLogger(__name__)

CONNECT_SECONDS = 0.5
RESPONSE_SECONDS = 1.0

HEARTBEAT_SECONDS = 5.0
"""How often a worker records that it is running."""

HEARTBEAT_EXPIRY = 20
"""Seconds without a heartbeat after which a worker counts as stopped."""

_SEEN = "partway:seen"


def responds() -> bool:
    """Whether Redis accepts commands. Raises redis.RedisError if it is unavailable."""
    client = client_at(settings.REDIS_URL)
    return client is None or bool(client.ping())


def may_evict() -> bool:
    """Whether Redis deletes keys, and so messages, when its memory is full. False if it is unavailable."""
    client = client_at(settings.REDIS_URL)
    if client is None:
        return False
    try:
        return bool(client.info("memory").get("maxmemory_policy", "noeviction") != "noeviction")
    except redis.RedisError:
        return False


def send_heartbeat(queues: Iterable[str]) -> None:
    """Record that a worker takes messages from these queues. If Redis is unavailable, nothing is recorded."""
    client = client_at(settings.REDIS_URL)
    if client is None:
        return
    try:
        for queue in queues:
            client.set(_heartbeat(queue), 1, ex=HEARTBEAT_EXPIRY)
    except redis.RedisError as error:
        log.debug("no heartbeat: %s", error)


def claim_wake(name: str, seconds: int) -> bool:
    """Whether the caller is to publish the message that wakes `name`: none is waiting now, as far as Redis knows.

    If Redis is unavailable, publishing finds that out.
    """
    client = client_at(settings.REDIS_URL)
    if client is None:
        return True
    try:
        with client.pipeline() as pipe:
            pipe.set(_wake(name), 0, nx=True, ex=seconds)
            pipe.incr(_wake(name))
            return bool(pipe.execute()[1] == 1)
    except redis.RedisError:
        return True


def wakes(name: str) -> int:
    """How often `name` was to be woken since its last message was received; 0 if nobody knows."""
    client = client_at(settings.REDIS_URL)
    if client is None:
        return 0
    try:
        return int(client.get(_wake(name)) or 0)
    except (redis.RedisError, ValueError):
        return 0


def end_wake(name: str) -> None:
    """The message that wakes `name` was received: the next work publishes another one."""
    client = client_at(settings.REDIS_URL)
    if client is None:
        return
    try:
        client.delete(_wake(name))
    except redis.RedisError as error:
        log.debug("no end of a wake: %s", error)


def is_served(*queues: str) -> bool:
    """Whether each of the queues has a worker. Raises redis.RedisError."""
    client = client_at(settings.REDIS_URL)
    return client is None or client.exists(*(_heartbeat(queue) for queue in queues)) == len(queues)


def depths(queues: Iterable[str]) -> dict[str, int]:
    """The number of messages that wait in each queue, without those that a worker has. Raises redis.RedisError."""
    client = client_at(settings.REDIS_URL)
    return {} if client is None else {queue: int(client.llen(queue)) for queue in queues}


def emptied_at() -> datetime | None:
    """When Redis was first seen without its earlier data. Messages that were enqueued before are lost.

    None if Redis is unavailable, or has kept its data since before it was noted.
    """
    client = client_at(settings.REDIS_URL)
    if client is None:
        return None
    try:
        client.set(_SEEN, time.time(), nx=True)
        return datetime.fromtimestamp(float(client.get(_SEEN) or 0), UTC)
    except (redis.RedisError, ValueError):
        return None


def _heartbeat(queue: str) -> str:
    return f"partway:heartbeat:{queue}"


def _wake(name: str) -> str:
    return f"partway:wake:{name}"


@cache
def client_at(url: str) -> redis.Redis | None:
    """None for a queue that is not in Redis: tests keep one in memory."""
    if url.startswith("memory:"):
        return None
    return redis.Redis.from_url(
        url, socket_connect_timeout=CONNECT_SECONDS, socket_timeout=RESPONSE_SECONDS, retry=Retry(NoBackoff(), 0)
    )
