"""How many pages wait for one store, which decides what one frozen store can do to all other pages."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from pytest_django import Settings

from tests.objectstore.fault_server import Exchange, FaultServer, respond
from tests.objectstore.responses import EMPTY_LISTING
from uploads.objectstore.budget import Budget, limited_to
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import NotSent, ObjectStoreError, Reason
from uploads.objectstore.types import Credentials, StoreConfig
from uploads.problems import Code
from uploads.services.stores import web_threads
from uploads.services.stores.web_threads import ALL_STORES, WAITING_PER_THREAD, StoreThreads, WebThreads

THREADS = 3


class Holding:
    """A store that answers every request only after `released` is set. `arrived` counts them."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.arrived = threading.Semaphore(0)

    def __call__(self, exchange: Exchange) -> None:
        self.arrived.release()
        self.released.wait(30)
        respond(200, EMPTY_LISTING)(exchange)


@pytest.fixture
def holding() -> Holding:
    return Holding()


@pytest.fixture
def client(settings: Settings, holding: Holding) -> Iterator[ObjectStoreClient]:
    settings.STORE_WEB_THREADS = THREADS
    with FaultServer() as server:
        server.otherwise = holding
        config = StoreConfig(server.url, "r", Credentials("a", "s"))
        with ObjectStoreClient(config, threads=StoreThreads(WebThreads(), server.url)) as made:
            yield made


def ask(client: ObjectStoreClient) -> ObjectStoreError | None:
    try:
        with limited_to(Budget(30)):
            client.list_multipart_uploads("bucket")
    except ObjectStoreError as error:
        return error
    return None


def occupy(
    pool: ThreadPoolExecutor, client: ObjectStoreClient, holding: Holding
) -> list[Future[ObjectStoreError | None]]:
    """Let as many requests as may wait for the store."""
    started = [pool.submit(ask, client) for _ in range(THREADS)]
    for _ in started:
        assert holding.arrived.acquire(timeout=30)
    return started


def test_frozen_store_holds_a_few_threads(client: ObjectStoreClient, holding: Holding) -> None:
    """64 pages at once: a few wait for the store, and all others are refused while those still wait."""
    with ThreadPoolExecutor(64) as pool:
        waiting = occupy(pool, client, holding)
        refused = [each.result(30) for each in [pool.submit(ask, client) for _ in range(64 - THREADS)]]
        assert not any(each.done() for each in waiting)
        assert {each and each.reason for each in refused} == {Reason.STORE_BUSY}
        assert {str(each) for each in refused} == {f"{Code.STORE_BUSY} count={THREADS}"}
        assert all(each is not None and each.retry_after for each in refused)
        holding.released.set()
        assert [each.result(30) for each in waiting] == [None] * THREADS


def test_store_is_asked_again_when_it_has_answered(client: ObjectStoreClient, holding: Holding) -> None:
    """No thread is lost: after the store has answered, as many requests are sent as before."""
    with ThreadPoolExecutor(64) as pool:
        occupy(pool, client, holding)
        holding.released.set()
    with ThreadPoolExecutor(64) as pool:
        assert [each.result(30) for each in [pool.submit(ask, client) for _ in range(THREADS)]] == [None] * THREADS


def test_busy_store_that_answers_refuses_nothing(
    client: ObjectStoreClient, holding: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser loads the parts of all rows of a page: these requests take their turn."""
    monkeypatch.setattr(web_threads, "MOMENT_SECONDS", 30.0)
    holding.released.set()
    most = THREADS + THREADS * WAITING_PER_THREAD
    with ThreadPoolExecutor(most) as pool:
        assert [each.result(60) for each in [pool.submit(ask, client) for _ in range(most)]] == [None] * most


def test_worker_takes_none_of_the_threads(client: ObjectStoreClient, holding: Holding) -> None:
    """Only pages are counted: a worker has its own threads, and its work must not fail because pages wait."""
    with ThreadPoolExecutor(64) as pool:
        occupy(pool, client, holding)
        worker = pool.submit(client.list_multipart_uploads, "bucket")
        assert holding.arrived.acquire(timeout=30)
        holding.released.set()
        assert worker.result(30).uploads == ()


def test_frozen_store_takes_no_thread_of_another(settings: Settings) -> None:
    """Threads are counted by endpoint, and nothing is kept of an endpoint that nobody waits for."""
    settings.STORE_WEB_THREADS = 1
    threads = WebThreads()
    with StoreThreads(threads, "a").one():
        with pytest.raises(NotSent), StoreThreads(threads, "a").one():
            pass
        with StoreThreads(threads, "b").one():
            pass
    with StoreThreads(threads, "a").one():
        pass
    assert not threads._taken
    assert not threads._moved_at


def test_many_frozen_stores_leave_threads_for_the_rest(settings: Settings) -> None:
    """An outage of the network freezes all stores at once: together they hold less than the web server has."""
    settings.STORE_WEB_THREADS = 8
    threads = WebThreads()
    with ExitStack() as held:
        for number in range(ALL_STORES):
            held.enter_context(threads.one(f"store-{number // 8}"))
        with pytest.raises(NotSent, match=f"{Code.STORES_BUSY} count={ALL_STORES}"), threads.one("another"):
            pass
