"""How many threads of the web server may wait for stores.

A store that does not answer holds every page that waits for it, until the page's time is up. The number of such pages
is limited, for each store and for all of them, so that the other threads serve other stores, transfers, the login and
the health check.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from django.conf import settings

from uploads.objectstore.errors import NotSent, Reason
from uploads.problems import Code, Problem

ALL_STORES = 20
"""Threads that may wait for all stores together: of 64, 40 may receive files (RECEIVE_SLOTS), and 4 serve the rest."""

MOMENT_SECONDS = 1.0
"""How long a page waits for a free thread. If none became free for this time, it does not wait at all."""

WAITING_PER_THREAD = 3
"""Pages that may wait for a free thread, for each thread that a store may occupy."""

RETRY_AFTER_SECONDS = 2.0


class WebThreads:
    """The threads of one process that wait for stores, by endpoint: stores at the same endpoint freeze together."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken = Counter[str]()
        self._waiting = Counter[str]()
        self._moved_at: dict[str, float] = {}

    @contextmanager
    def one(self, endpoint: str) -> Iterator[None]:
        """Occupy a thread. Raises NotSent with STORE_BUSY if none is free after a moment."""
        with self._changed:
            if not self._is_free(endpoint) and not self._becomes_free(endpoint):
                raise self._busy(endpoint)
            self._taken[endpoint] += 1
            self._moved_at[endpoint] = time.monotonic()
        try:
            yield
        finally:
            with self._changed:
                self._give_back(endpoint)

    def _is_free(self, endpoint: str) -> bool:
        most = int(settings.STORE_WEB_THREADS)
        return self._taken[endpoint] < most and self._taken.total() < max(ALL_STORES, most)

    def _becomes_free(self, endpoint: str) -> bool:
        now = time.monotonic()
        seconds = self._moved_at.get(endpoint, now) + MOMENT_SECONDS - now
        if seconds <= 0 or self._waiting[endpoint] >= WAITING_PER_THREAD * int(settings.STORE_WEB_THREADS):
            return False
        self._waiting[endpoint] += 1
        try:
            return self._changed.wait_for(lambda: self._is_free(endpoint), seconds)
        finally:
            self._waiting[endpoint] -= 1

    def _give_back(self, endpoint: str) -> None:
        self._taken[endpoint] -= 1
        self._moved_at[endpoint] = time.monotonic()
        if not self._taken[endpoint] and not self._waiting[endpoint]:
            del self._taken[endpoint], self._waiting[endpoint], self._moved_at[endpoint]
        self._changed.notify_all()

    def _busy(self, endpoint: str) -> NotSent:
        problem = Problem(Code.STORE_BUSY, count=self._taken[endpoint])
        if self._taken[endpoint] < int(settings.STORE_WEB_THREADS):
            problem = Problem(Code.STORES_BUSY, count=self._taken.total())
        error = NotSent(problem, reason=Reason.STORE_BUSY, retryable=True)
        error.retry_after = RETRY_AFTER_SECONDS
        return error


@dataclass(frozen=True, slots=True)
class StoreThreads:
    """The threads that may wait for the store at one endpoint."""

    threads: WebThreads
    endpoint: str

    def one(self) -> AbstractContextManager[None]:
        return self.threads.one(self.endpoint)


_threads = WebThreads()


def threads_of(endpoint_url: str) -> StoreThreads:
    return StoreThreads(_threads, endpoint_url)
