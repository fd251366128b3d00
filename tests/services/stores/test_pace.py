"""The limits of requests of background work, in Redis and without it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
import redis
from pytest_django import Settings

from uploads.models import InventorySettings, Store
from uploads.objectstore.errors import NotSent, Reason, Refused
from uploads.services.stores import pace


@pytest.fixture(params=["redis", "process"])
def paced(request: pytest.FixtureRequest, store: Store, settings: Settings) -> Iterator[Store]:
    if request.param == "redis":
        settings.REDIS_URL = request.getfixturevalue("redis_url")
    pace.forget_limits()
    pace._turns.clear()
    yield store
    pace.forget_limits()
    pace._turns.clear()


def limit(store: Store, per_second: int, in_flight: int) -> None:
    values = {"requests_per_second": per_second, "requests_in_flight": in_flight}
    InventorySettings.objects.update_or_create(store=store, defaults=values)
    pace.forget_limits()


def throttled() -> Refused:
    return Refused("slow", code="SlowDown", status=503, reason=Reason.THROTTLED, retryable=True)


def single(token: str) -> pace._Wants:
    return pace._Wants(token)


def seconds_for(store: Store, count: int) -> float:
    started = time.monotonic()
    for _ in range(count):
        with pace.request(store):
            pass
    return time.monotonic() - started


def test_no_more_requests_per_second_than_allowed(paced: Store) -> None:
    limit(paced, 50, 8)
    assert seconds_for(paced, 30) >= 29 / 50 - 2 * pace.BURST_SECONDS


def test_no_more_requests_in_flight_than_allowed(paced: Store) -> None:
    limit(paced, 10_000, 2)
    inside, most = [], []

    def one() -> None:
        with pace.request(paced):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()

    threads = [threading.Thread(target=one) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 10
    assert max(most) <= 2


def test_slow_down_halves_both_limits_once_for_requests_in_flight_together(paced: Store) -> None:
    limit(paced, 100, 2)
    for _ in range(3):
        with pytest.raises(Refused), pace.request(paced):
            raise throttled()
    assert seconds_for(paced, 20) >= 19 / 50 - 2 * pace.BURST_SECONDS
    with pace.request(paced):
        taken = pace._take(paced, pace.limits_of(paced), single("second"))
    assert taken == -1


def test_limits_return_slowly(paced: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(paced, 10_000, 4)
    pace.slow_down(paced)
    monkeypatch.setattr(pace, "RECOVERY_SECONDS", 1e-6)
    assert [pace._take(paced, pace.limits_of(paced), single(str(n))) >= 0 for n in range(5)] == [True] * 4 + [False]


def test_a_request_that_gets_no_turn_ends_with_an_error(paced: Store) -> None:
    limit(paced, 10_000, 1)
    with pace.request(paced), pytest.raises(NotSent) as caught, pace.request(paced, 0.05):
        pass
    assert caught.value.reason is Reason.STORE_BUSY
    assert caught.value.retryable


def test_a_turn_that_comes_too_late_is_left_to_others(paced: Store) -> None:
    limit(paced, 1, 100)
    limits = pace.limits_of(paced)
    waits = [pace._take(paced, limits, single(str(n)), within) for n, within in enumerate((0.0, 0.1, 0.1, 0.1, 5.0))]
    assert waits[:4] == [0.0, -1.0, -1.0, -1.0]
    assert 0 < waits[4] <= 1.0


def test_without_redis_the_process_keeps_the_limits(paced: Store, settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    limit(paced, 10_000, 1)
    try:
        with pace.request(paced):
            assert pace._take(paced, pace.limits_of(paced), single("second")) == -1
    finally:
        pace._Redis.paused_until = 0.0


def test_consecutive_requests_keep_their_slot(paced: Store) -> None:
    limit(paced, 10_000, 1)
    with pace.Slot(paced) as slot:
        for _ in range(3):
            with slot.request(0.05):
                pass
            # Other work of the same kind waits until this one ends.
            with pace.Slot(paced) as other, pytest.raises(NotSent), other.request(0.05):
                pass
    with pace.Slot(paced) as other, other.request(0.05):
        pass


def test_a_single_request_gets_its_turn_between_consecutive_requests(paced: Store) -> None:
    limit(paced, 10_000, 2)
    stop, is_busy = threading.Event(), threading.Event()

    def many() -> None:
        with pace.Slot(paced) as slot:
            while not stop.is_set():
                with suppress(NotSent), slot.request(1.0):
                    is_busy.set()
                    time.sleep(0.005)

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        assert is_busy.wait(10)
        for _ in range(10):
            with pace.request(paced, 10.0):
                pass
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_consecutive_requests_use_one_command_of_redis_each(store: Store, settings: Settings, redis_url: str) -> None:
    settings.REDIS_URL = redis_url
    limit(store, 10_000, 4)
    client = redis.Redis.from_url(redis_url)

    def calls() -> tuple[int, int]:
        """Scripts, and removals of slots: each script removes the one of the request before."""
        stats = client.info("commandstats")
        return tuple(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "zrem"))

    with pace.Slot(store) as slot, slot.request():
        pass
    before = calls()
    with pace.Slot(store) as slot:
        for _ in range(10):
            with slot.request():
                pass
    assert calls() == (before[0] + 10, before[1] + 10 + 1)
