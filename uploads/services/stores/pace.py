"""How fast background work asks a store: requests per second and requests in flight, of all workers together.

The turns are in Redis, which all workers share. While it is unavailable, each process keeps the limits by itself.
SlowDown halves both limits, and they return slowly.
"""

from __future__ import annotations

import logging
import math
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self, cast

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
"""The time between two looks for a free slot among the requests in flight."""

WANTED_SECONDS = 5 * LOOK_SECONDS
"""How long a slot counts as wanted after a single request found none."""

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
local state = redis.call('HMGET', KEYS[1], 'next', 'share', 'slowed', 'wanted')
local share = tonumber(state[2] or '1')
if state[3] then share = math.min(1, share * 2 ^ ((now - tonumber(state[3])) / tonumber(ARGV[5]))) end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('ZREM', KEYS[2], ARGV[3])
local urgent = ARGV[8] == '1'
local taken = redis.call('ZCARD', KEYS[2])
most = math.max(1, math.floor(most * share))
if taken >= most then
  if urgent then redis.call('HSET', KEYS[1], 'wanted', string.format('%.6f', now)) end
  return '-1'
end
if urgent then
  redis.call('HDEL', KEYS[1], 'wanted')
elseif taken + 1 == most and now - tonumber(state[4] or '0') < tonumber(ARGV[9]) then
  return '-1'
end
local turn = math.max(tonumber(state[1] or '0'), now - tonumber(ARGV[6]))
if turn - now > tonumber(ARGV[7]) then return '-1' end
redis.call('HSET', KEYS[1], 'next', string.format('%.6f', turn + 1 / (rate * share)))
redis.call('ZADD', KEYS[2], now + hold, ARGV[3])
redis.call('EXPIRE', KEYS[1], 3600)
redis.call('EXPIRE', KEYS[2], 3600)
return string.format('%.6f', math.max(0, turn - now))
"""
"""Takes a slot in flight and a turn. Returns the seconds until it, or -1 without a free slot or if it is too late.

A slot that the same work still has is used again. The last free slot is left to a single request that waits for one.
"""

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


class Slot:
    """A slot among the requests in flight that consecutive requests of one piece of work share, as a context.

    Keeping the slot saves a command to Redis for each request. A single request (`request`) that waits for a slot
    gets it between two requests of such work.
    """

    def __init__(self, store: Store, *, is_urgent: bool = False) -> None:
        self.store = store
        self._wants = _Wants(uuid.uuid4().hex, is_urgent=is_urgent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        _release(self.store, self._wants.token)

    @contextmanager
    def request(self, within: float = LONGEST_WAIT_SECONDS) -> Iterator[None]:
        """As the function `request`."""
        _wait(self.store, self._wants, within)
        try:
            yield
        except ObjectStoreError as error:
            if error.reason is Reason.THROTTLED:
                slow_down(self.store)
            raise


@contextmanager
def request(store: Store, within: float = LONGEST_WAIT_SECONDS) -> Iterator[None]:
    """One request of background work to the store, as soon as it is its turn. THROTTLED inside slows down the store.

    Raises NotSent with STORE_BUSY if it is not its turn within so many seconds.
    """
    with Slot(store, is_urgent=True) as slot, slot.request(within):
        yield


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


def _wait(store: Store, wants: _Wants, within: float) -> None:
    limits, until = limits_of(store), time.monotonic() + within
    while (left := until - time.monotonic()) > 0:
        seconds = _take(store, limits, wants, left)
        if seconds >= 0:
            time.sleep(seconds)
            return
        time.sleep(LOOK_SECONDS)
    raise NotSent(Problem(Code.STORE_BUSY, count=limits.in_flight), reason=Reason.STORE_BUSY, retryable=True)


def _take(store: Store, limits: Limits, wants: _Wants, within: float = LONGEST_WAIT_SECONDS) -> float:
    """As _TURN. A turn that is not taken is left to others."""
    client = _redis()
    if client is not None:
        try:
            return float(_script(client)(_keys(store), _arguments(limits, wants, within), client))
        except redis.RedisError as error:
            _pause(error)
    return _local(store.pk).take(limits, wants, within)


def _arguments(limits: Limits, wants: _Wants, within: float) -> tuple[Any, ...]:
    of_work = (limits.per_second, limits.in_flight, wants.token)
    return (*of_work, HOLD_SECONDS, RECOVERY_SECONDS, BURST_SECONDS, within, int(wants.is_urgent), WANTED_SECONDS)


def _release(store: Store, token: str) -> None:
    _local(store.pk).release(token)
    client = _redis()
    if client is not None:
        try:
            client.zrem(_in_flight(store.pk), token)
        except redis.RedisError as error:
            _pause(error)


@dataclass(frozen=True, slots=True)
class _Wants:
    """Who wants a slot. A single request is urgent: work that keeps a slot leaves it to it."""

    token: str
    is_urgent: bool = True


@dataclass(slots=True)
class _Turns:
    """The turns of one process, while Redis is unavailable."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    flying: dict[str, float] = field(default_factory=dict)
    next_at: float = 0.0
    share: float = 1.0
    slowed_at: float = 0.0
    wanted_at: float = -math.inf

    def take(self, limits: Limits, wants: _Wants, within: float) -> float:
        with self.lock:
            now = time.monotonic()
            self.flying = {each: until for each, until in self.flying.items() if until > now}
            self.flying.pop(wants.token, None)
            share = self._share(now)
            most = max(1, int(limits.in_flight * share))
            if len(self.flying) >= most:
                self.wanted_at = now if wants.is_urgent else self.wanted_at
                return -1.0
            if wants.is_urgent:
                self.wanted_at = -math.inf
            elif len(self.flying) + 1 == most and now - self.wanted_at < WANTED_SECONDS:
                return -1.0
            turn = max(self.next_at, now - BURST_SECONDS)
            if turn - now > within:
                return -1.0
            self.next_at = turn + 1 / (limits.per_second * share)
            self.flying[wants.token] = now + HOLD_SECONDS
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


@cache
def _script(client: redis.Redis) -> Any:
    """Redis keeps the script, so that a request names its digest only."""
    return client.register_script(_TURN)


def _keys(store: Store) -> list[str]:
    return [_state(store.pk), _in_flight(store.pk)]


def _state(store_id: int) -> str:
    return f"partway:pace:{{{store_id}}}"


def _in_flight(store_id: int) -> str:
    return f"partway:pace:{{{store_id}}}:in-flight"
