"""How many threads of the web server may wait for one store.

A store that does not answer holds every page that waits for it, until the page's time is up. The number of such pages
is limited, so that the other threads serve other stores, transfers, the login and the health check.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from uploads.objectstore.errors import NotSent, Reason
from uploads.problems import Code, Problem

MOMENT_SECONDS = 1.0
"""How long a page waits for a free thread. If none became free for this time, it does not wait at all."""

WAITING_PER_THREAD = 3
"""Pages that may wait for a free thread, for each thread that a store may occupy."""

RETRY_AFTER_SECONDS = 2.0


class StoreThreads:
    """The threads of this process that wait for the store at one endpoint, and those that wait for their turn."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken = 0
        self._waiting = 0
        self._moved_at = 0.0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Occupy a thread. Raises NotSent with STORE_BUSY if none is free after a moment."""
        with self._changed:
            if not self._is_free() and not self._becomes_free():
                raise self._busy()
            self._taken += 1
            self._moved_at = time.monotonic()
        try:
            yield
        finally:
            with self._changed:
                self._taken -= 1
                self._moved_at = time.monotonic()
                self._changed.notify()

    def _is_free(self) -> bool:
        return self._taken < int(settings.STORE_WEB_THREADS)

    def _becomes_free(self) -> bool:
        seconds = self._moved_at + MOMENT_SECONDS - time.monotonic()
        if seconds <= 0 or self._waiting >= WAITING_PER_THREAD * settings.STORE_WEB_THREADS:
            return False
        self._waiting += 1
        try:
            return self._changed.wait_for(self._is_free, seconds)
        finally:
            self._waiting -= 1

    def _busy(self) -> NotSent:
        error = NotSent(Problem(Code.STORE_BUSY, count=self._taken), reason=Reason.STORE_BUSY, retryable=True)
        error.retry_after = RETRY_AFTER_SECONDS
        return error


_lock = threading.Lock()
_by_endpoint: dict[str, StoreThreads] = {}


def threads_of(endpoint_url: str) -> StoreThreads:
    """Stores at the same endpoint share its threads: they freeze together."""
    with _lock:
        return _by_endpoint.setdefault(endpoint_url, StoreThreads())
