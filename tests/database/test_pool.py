"""The pool of one process, with a real PostgreSQL."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db import OperationalError

from tests.stores.postgresql import Cluster
from tests.system.stack import wait_for
from uploads import database
from uploads.database import pool
from uploads.database.in_use import AllInUse
from uploads.database.pool import Connection, Pool

Connect = Callable[[], Connection]


@pytest.fixture
def connect(postgresql_cluster: Cluster) -> Iterator[Connect]:
    opened: list[Connection] = []

    def connect() -> Connection:
        opened.append(psycopg.connect(postgresql_cluster.url("postgres"), autocommit=True))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


def test_returned_connection_is_used_again(connect: Connect) -> None:
    connections = Pool(2, 0)
    first = connections.take(connect)
    connections.give(first)
    assert connections.take(connect) is first


def test_no_more_connections_than_its_size(connect: Connect) -> None:
    connections = Pool(2, 0.1)
    taken = [connections.take(connect), connections.take(connect)]
    with pytest.raises(AllInUse):
        connections.take(connect)
    connections.give(taken[0])
    assert connections.take(connect) is taken[0]


def wait_for_threads(connections: Pool, count: int) -> None:
    wait_for("threads that wait", lambda: connections.waiting_threads == count)


def test_thread_that_waits_gets_the_next_connection(connect: Connect) -> None:
    connections = Pool(1, database.UNTIL_IT_RESPONDS)
    first = connections.take(connect)
    with ThreadPoolExecutor(1) as threads:
        taken = threads.submit(connections.take, connect)
        wait_for_threads(connections, 1)
        assert not taken.done()
        connections.give(first)
        assert taken.result() is first


def test_threads_get_connections_in_the_order_in_which_they_wait(connect: Connect) -> None:
    connections = Pool(1, database.UNTIL_IT_RESPONDS)
    first = connections.take(connect)
    served: list[int] = []

    def take(number: int) -> None:
        connection = connections.take(connect)
        served.append(number)
        connections.give(connection)

    threads = [threading.Thread(target=take, args=[number]) for number in range(5)]
    for waiting, thread in enumerate(threads, start=1):
        thread.start()
        wait_for_threads(connections, waiting)
    connections.give(first)
    for thread in threads:
        thread.join()
    assert served == [0, 1, 2, 3, 4]


def test_connection_that_the_server_has_ended_is_replaced(connect: Connect) -> None:
    connections = Pool(1, 0)
    first = connections.take(connect)
    connections.give(first)
    with connect() as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", [first.info.backend_pid])
    second = connections.take(connect)
    assert second is not first
    assert second.execute("SELECT 1").fetchone() == (1,)


def test_connection_in_a_transaction_is_not_used_again(connect: Connect) -> None:
    connections = Pool(1, 0)
    first = connections.take(connect)
    first.execute("BEGIN")
    connections.give(first)
    assert first.closed
    assert connections.take(connect) is not first


def test_failed_attempt_leaves_its_place_free(connect: Connect) -> None:
    connections = Pool(1, 0)

    def refuse() -> Connection:
        raise psycopg.OperationalError("connection refused")

    for _ in range(3):
        with pytest.raises(psycopg.OperationalError, match="refused"):
            connections.take(refuse)
    assert not connections.take(connect).closed


def test_waiting_ends_when_the_process_has_to_stop(connect: Connect) -> None:
    connections = Pool(1, database.UNTIL_IT_RESPONDS)
    connections.take(connect)
    with ThreadPoolExecutor(1) as threads:
        refused = threads.submit(connections.take, connect)
        wait_for_threads(connections, 1)
        connections.stop_waiting()
        with pytest.raises(AllInUse):
            refused.result()


def test_child_process_does_not_use_the_pool_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool._Process, "pool", Pool(1, 0))
    child = os.fork()
    if not child:
        os._exit(0 if pool.current() is None else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert pool.current() is not None


def test_only_errors_that_pass_count_as_unavailable() -> None:
    busy = OperationalError()
    busy.__cause__ = AllInUse()
    assert database.is_unavailable(busy)
    assert database.is_busy(busy)
    assert not database.is_unavailable(ValueError())
