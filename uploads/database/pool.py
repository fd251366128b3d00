"""The connections of one process, shared by its threads.

Connections are opened and tested in the thread that needs one. It waits while all are in use and while the server
accepts none, as long as its process allows. psycopg's pool reconnects in the background with growing pauses, and its
callers learn neither the reason nor that the server is back.

psycopg is loaded with the first connection, and not with this module: it takes 10 MiB, which SQLite does not need.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import psycopg

log = logging.getLogger(__name__)

Connection: TypeAlias = "psycopg.Connection[Any]"

UNTIL_IT_RESPONDS = float("inf")

RETRY_SECONDS = 0.2
"""Between two attempts to connect."""

SHORT_SECONDS = 0.3
"""How long a thread waits if the last one waited in vain: threads that wait are missing elsewhere."""

REPORT_SECONDS = 10.0
"""Between two log records while no connection can be had."""

IDLE_SECONDS = 60.0
"""After how long an unused connection is closed, when another one is returned."""

_patience: ContextVar[float | None] = ContextVar("patience", default=None)


@contextmanager
def waiting(seconds: float) -> Iterator[None]:
    """In this thread, wait so long for a connection instead of as long as the process usually does."""
    token = _patience.set(seconds)
    try:
        yield
    finally:
        _patience.reset(token)


class Pool:
    """At most `size` connections. A thread waits `patience` seconds for one."""

    def __init__(self, size: int, patience: float) -> None:
        self.size = size
        self._patience = patience
        self._free = size
        self._queue: deque[threading.Event] = deque()
        self._lock = threading.Lock()
        self._idle: list[tuple[Connection, float]] = []
        self._stopping = threading.Event()
        self._outage = Outage()

    def take(self, connect: Callable[[], Connection]) -> Connection:
        """A connection that works. Raises the error of the last attempt, or AllInUse."""
        deadline = time.monotonic() + self._waiting_seconds()
        self._take_slot(deadline)
        try:
            connection = self._connection(connect, deadline)
        except BaseException:
            self._give_slot()
            raise
        self._outage.end()
        return connection

    def give(self, connection: Connection) -> None:
        """Return a connection. One that is broken or in a transaction is closed."""
        from psycopg.pq import TransactionStatus

        now = time.monotonic()
        try:
            if connection.closed or connection.info.transaction_status != TransactionStatus.IDLE:
                connection.close()
                return
            with self._lock:
                self._idle.append((connection, now))
                old = [each for each, since in self._idle if now - since > IDLE_SECONDS]
                self._idle = [each for each in self._idle if now - each[1] <= IDLE_SECONDS]
        finally:
            self._give_slot()
        for each in old:
            each.close()

    @property
    def waiting_threads(self) -> int:
        """How many threads wait because all connections are in use."""
        return len(self._queue)

    def stop_waiting(self) -> None:
        self._stopping.set()

    def pause(self, seconds: float) -> bool:
        """Wait before a change is repeated that the database did not accept. False if the process does not wait."""
        return self._patience == UNTIL_IT_RESPONDS and not self._stopping.wait(seconds)

    def _waiting_seconds(self) -> float:
        seconds = _patience.get()
        if seconds is not None:
            return seconds
        return SHORT_SECONDS if self._outage.is_on and self._patience < UNTIL_IT_RESPONDS else self._patience

    def _take_slot(self, deadline: float) -> None:
        """The thread that has waited longest comes first: no thread waits while others are served again and again."""
        turn = threading.Event()
        with self._lock:
            if self._free:
                self._free -= 1
                return
            self._queue.append(turn)
        while not turn.wait(max(0.0, min(1.0, deadline - time.monotonic()))):
            if self._has_to_stop(deadline) and self._leave(turn):
                from uploads.database.in_use import AllInUse

                error = AllInUse(f"in use: {self.size}")
                self._outage.report(error)
                raise error

    def _leave(self, turn: threading.Event) -> bool:
        """Leave the queue. False if the turn has come in this moment."""
        with self._lock:
            if turn.is_set():
                return False
            self._queue.remove(turn)
            return True

    def _give_slot(self) -> None:
        with self._lock:
            if self._queue:
                self._queue.popleft().set()
            else:
                self._free += 1

    def _connection(self, connect: Callable[[], Connection], deadline: float) -> Connection:
        import psycopg

        while True:
            idle = self._idle_connection()
            if idle is not None:
                return idle
            try:
                return connect()
            except psycopg.OperationalError as error:
                if self._has_to_stop(deadline):
                    self._fail(error)
                self._outage.report(error)
            self._stopping.wait(RETRY_SECONDS)

    def _idle_connection(self) -> Connection | None:
        """The connection that was used last, so that the others become old."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection, _since = self._idle.pop()
            if not is_broken(connection):
                return connection
            connection.close()

    def _has_to_stop(self, deadline: float) -> bool:
        return self._stopping.is_set() or time.monotonic() >= deadline

    def _fail(self, error: psycopg.OperationalError) -> None:
        self._outage.begin(error)
        raise error


class Outage:
    """The time during which no connection can be had. It is logged at its start, again and again, and at its end."""

    def __init__(self) -> None:
        self.is_on = False
        self._since = 0.0
        self._reported_at = 0.0

    def begin(self, error: Exception) -> None:
        """A thread has waited in vain."""
        self.report(error)
        self.is_on = True

    def report(self, error: Exception) -> None:
        now = time.monotonic()
        self._since = self._since or now
        if now - self._reported_at >= REPORT_SECONDS or not self._reported_at:
            self._reported_at = now
            log.warning("no connection to the database for %.0f s: %s", now - self._since, str(error).strip())

    def end(self) -> None:
        if self._since:
            seconds = time.monotonic() - self._since
            self.is_on, self._since, self._reported_at = False, 0.0, 0.0
            log.warning("connected to the database again after %.0f s", seconds)


def is_broken(connection: Connection) -> bool:
    """Whether an unused connection was closed by the server. It then has something to read: the end, or a message."""
    import psycopg

    if connection.closed:
        return True
    try:
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        return bool(poll.poll(0))
    except (OSError, psycopg.Error):
        return True


class _Process:
    """The pool of this process, once it uses one."""

    pool: Pool | None = None


def use_pool(size: int, patience: float) -> None:
    """Share `size` connections from now on. `patience`: the seconds that a thread waits for one."""
    _Process.pool = Pool(size, patience)


def current() -> Pool | None:
    return _Process.pool


def pause(seconds: float) -> bool:
    """In a worker, wait before a change is repeated that the database did not accept, such as one with a full disk.

    False in other processes, and if the worker has to stop.
    """
    return _Process.pool is not None and _Process.pool.pause(seconds)


def stop_waiting() -> None:
    """Have all threads that wait for a connection give up, because the process has to stop."""
    if _Process.pool is not None:
        _Process.pool.stop_waiting()


def _forget() -> None:
    """A child must not use the connections of its parent. They stay open there."""
    _Process.pool = None


os.register_at_fork(after_in_child=_forget)
