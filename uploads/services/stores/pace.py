"""How fast background work asks a store: requests per second and requests in flight, of all workers together.

The turns are in Redis, which all workers share. While it is unavailable, each process keeps the limits by itself.
SlowDown halves both limits, and they return slowly.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import redis
from django.conf import settings

from uploads.models import InventorySettings, Store
from uploads.objectstore.errors import NotSent, ObjectStoreError, Reason
from uploads.problems import Code, Problem
from uploads.services.work import broker

log = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS = 20.0
"""How long a request waits for its turn, so that its worker does not lose its lease."""

SHORT_WAIT_SECONDS = 1.0
"""How long work waits for its turn that can be done later: its thread may be needed for another store."""

HOLD_SECONDS = 120.0
"""After which time a request of a worker that was killed no longer counts as in flight. No request takes longer."""

LOOK_SECONDS = 0.02
"""The time between two looks for a free place among the requests in flight."""

BURST_SECONDS = 0.1
"""Turns that were not used for this long are made up for."""

RECOVERY_SECONDS = 60.0
"""The time in which the limits double again after the store asked to slow down."""

LEAST_SHARE = 1 / 64
"""The limits are never lowered below this share of what is set."""

SETTLING_SECONDS = 1.0
"""Refusals of requests that were in flight together slow down once."""

SETTINGS_SECONDS = 5.0
"""How long a process remembers the limits of a store."""

REDIS_PAUSE_SECONDS = 3.0
"""How long Redis is not asked after it failed."""

_TURN = """
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
local rate, most, hold = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4])
local state = redis.call('HMGET', KEYS[1], 'next', 'share', 'slowed')
local share = tonumber(state[2] or '1')
if state[3] then share = math.min(1, share * 2 ^ ((now - tonumber(state[3])) / tonumber(ARGV[5]))) end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
if redis.call('ZCARD', KEYS[2]) >= math.max(1, math.floor(most * share)) then return '-1' end
local turn = math.max(tonumber(state[1] or '0'), now - tonumber(ARGV[6]))
if turn - now > tonumber(ARGV[7]) then return '-1' end
redis.call('HSET', KEYS[1], 'next', string.format('%.6f', turn + 1 / (rate * share)))
redis.call('ZADD', KEYS[2], now + hold, ARGV[3])
redis.call('EXPIRE', KEYS[1], 3600)
redis.call('EXPIRE', KEYS[2], 3600)
return string.format('%.6f', math.max(0, turn - now))
"""
"""Takes a place in flight and a turn. Returns the seconds until it, or -1 without a free place or if it is too late."""

_SLOW_DOWN = """
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
local state = redis.call('HMGET', KEYS[1], 'share', 'slowed')
local share = tonumber(state[1] or '1')
if state[2] then
  local since = now - tonumber(state[2])
  if since < tonumber(ARGV[3]) then return 0 end
  share = math.min(1, share * 2 ^ (since / tonumber(ARGV[1])))
end
share = math.max(tonumber(ARGV[2]), share / 2)
redis.call('HSET', KEYS[1], 'share', string.format('%.6f', share), 'slowed', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[1], 3600)
return 1
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of all workers together."""

    per_second: int
    in_flight: int


@contextmanager
def request(store: Store, within: float = LONGEST_WAIT_SECONDS) -> Iterator[None]:
    """One request of background work to the store, as soon as it is its turn. THROTTLED inside slows down the store.

    Raises NotSent with STORE_BUSY if it is not its turn within so many seconds.
    """
    token = uuid.uuid4().hex
    _wait(store, token, within)
    try:
        yield
    except ObjectStoreError as error:
        if error.reason is Reason.THROTTLED:
            slow_down(store)
        raise
    finally:
        _release(store, token)


def slow_down(store: Store) -> None:
    """Halve the limits of the store: it has asked for that."""
    _local(store.pk).slow_down()
    client = _redis()
    if client is not None:
        try:
            client.eval(_SLOW_DOWN, 1, _state(store.pk), RECOVERY_SECONDS, LEAST_SHARE, SETTLING_SECONDS)
        except redis.RedisError as error:
            _pause(error)


def limits_of(store: Store) -> Limits:
    """The limits that are set for a store, as this process has read them last."""
    known = _limits.get(store.pk)
    if known is not None and known[0] > time.monotonic():
        return known[1]
    row = InventorySettings.objects.filter(store=store).first() or InventorySettings(store=store)
    limits = Limits(max(1, row.requests_per_second), max(1, row.requests_in_flight))
    _limits[store.pk] = time.monotonic() + SETTINGS_SECONDS, limits
    return limits


def forget_limits() -> None:
    """Read the limits again at the next request."""
    _limits.clear()


def _wait(store: Store, token: str, within: float) -> None:
    limits, until = limits_of(store), time.monotonic() + within
    while (left := until - time.monotonic()) > 0:
        seconds = _take(store, limits, token, left)
        if seconds >= 0:
            time.sleep(seconds)
            return
        time.sleep(LOOK_SECONDS)
    raise NotSent(Problem(Code.STORE_BUSY, count=limits.in_flight), reason=Reason.STORE_BUSY, retryable=True)


def _take(store: Store, limits: Limits, token: str, within: float = LONGEST_WAIT_SECONDS) -> float:
    """As _TURN. A turn that is not taken is left to others."""
    client = _redis()
    if client is not None:
        try:
            numbers = (HOLD_SECONDS, RECOVERY_SECONDS, BURST_SECONDS, within)
            arguments = (limits.per_second, limits.in_flight, token, *numbers)
            return float(client.eval(_TURN, 2, _state(store.pk), _in_flight(store.pk), *arguments))
        except redis.RedisError as error:
            _pause(error)
    return _local(store.pk).take(limits, token, within)


def _release(store: Store, token: str) -> None:
    _local(store.pk).release(token)
    client = _redis()
    if client is not None:
        try:
            client.zrem(_in_flight(store.pk), token)
        except redis.RedisError as error:
            _pause(error)


@dataclass(slots=True)
class _Turns:
    """The turns of one process, while Redis is unavailable."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    flying: dict[str, float] = field(default_factory=dict)
    next_at: float = 0.0
    share: float = 1.0
    slowed_at: float = 0.0

    def take(self, limits: Limits, token: str, within: float) -> float:
        with self.lock:
            now = time.monotonic()
            self.flying = {each: until for each, until in self.flying.items() if until > now}
            share = self._share(now)
            if len(self.flying) >= max(1, int(limits.in_flight * share)):
                return -1.0
            turn = max(self.next_at, now - BURST_SECONDS)
            if turn - now > within:
                return -1.0
            self.next_at = turn + 1 / (limits.per_second * share)
            self.flying[token] = now + HOLD_SECONDS
            return max(0.0, turn - now)

    def release(self, token: str) -> None:
        with self.lock:
            self.flying.pop(token, None)

    def slow_down(self) -> None:
        with self.lock:
            now = time.monotonic()
            if self.slowed_at and now - self.slowed_at < SETTLING_SECONDS:
                return
            self.share, self.slowed_at = max(LEAST_SHARE, self._share(now) / 2), now

    def _share(self, now: float) -> float:
        recovered = 2.0 ** min(64.0, (now - self.slowed_at) / RECOVERY_SECONDS) if self.slowed_at else 1.0
        return min(1.0, self.share * recovered)


_limits: dict[int, tuple[float, Limits]] = {}
_turns: dict[int, _Turns] = {}


class _Redis:
    paused_until = 0.0


def _local(store_id: int) -> _Turns:
    return _turns.setdefault(store_id, _Turns())


def _redis() -> Any:
    """The client of Redis; None without one, or shortly after it failed."""
    if time.monotonic() < _Redis.paused_until:
        return None
    # Redis types its responses as if they could be awaited.
    return cast("Any", broker.client_at(settings.REDIS_URL))


def _pause(error: redis.RedisError) -> None:
    _Redis.paused_until = time.monotonic() + REDIS_PAUSE_SECONDS
    log.warning("the limits of requests are kept by this process alone: %s", error)


def _state(store_id: int) -> str:
    return f"partway:pace:{{{store_id}}}"


def _in_flight(store_id: int) -> str:
    return f"partway:pace:{{{store_id}}}:in-flight"
