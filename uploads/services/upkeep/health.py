"""Whether this node can do its work, looked at within a time limit: a look that hangs counts as one that failed."""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from django.conf import settings
from django.db import connections

from uploads.models import StagingNode
from uploads.services.work import broker
from uploads.staging.disk import free_bytes

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0

QUEUE_LOOK_SECONDS = 0.4
"""The longest that a page waits to learn whether the queue is there."""

QUEUE_LOOK_LASTS = 5.0


class Look:
    """One question with a time limit. While an answer is awaited, whoever else asks awaits the same one."""

    def __init__(self, name: str, ask: Callable[[], bool]) -> None:
        self.name = name
        self._ask = ask
        self._lock = threading.Lock()
        self._pending: Future[bool] | None = None

    def begin(self) -> Future[bool]:
        with self._lock:
            if self._pending is None or self._pending.done():
                self._pending = Future()
                threading.Thread(target=self._run, args=[self._pending], name=f"look-{self.name}", daemon=True).start()
            return self._pending

    def passes(self, seconds: float = LOOK_SECONDS) -> bool:
        return _passes(self.begin(), seconds)

    def _run(self, pending: Future[bool]) -> None:
        passed = False
        try:
            passed = self._ask()
        except Exception as error:
            log.warning("the look at %s failed: %s", self.name, error)
        finally:
            connections.close_all()
            pending.set_result(passed)


def _passes(pending: Future[bool], seconds: float) -> bool:
    try:
        return pending.result(max(0.0, seconds))
    except TimeoutError:
        return False


def _database() -> bool:
    StagingNode.objects.exists()
    return True


def _sender() -> bool:
    return broker.is_served(f"node.{settings.NODE_NAME}")


def _worker() -> bool:
    return broker.is_served("partway", f"node.{settings.NODE_NAME}.steps")


def _staging() -> bool:
    """A byte can be written, and the disk is above its floor."""
    folder = Path(settings.STAGING_DIR)
    room = free_bytes(folder) > settings.STAGING_FREE_FLOOR
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"0")
        file.flush()
    return room


LOOKS = (
    Look("database", _database),
    Look("redis", broker.answers),
    Look("sender", _sender),
    Look("worker", _worker),
    Look("staging", _staging),
)


def readiness() -> dict[str, bool]:
    """Every look by its name; all at once, so that none waits for another."""
    deadline = time.monotonic() + LOOK_SECONDS
    pending = {look.name: look.begin() for look in LOOKS}
    return {name: _passes(future, deadline - time.monotonic()) for name, future in pending.items()}


class Remembered:
    """What a look said lately."""

    def __init__(self, look: Look, seconds: float, lasts: float) -> None:
        self._look = look
        self._seconds = seconds
        self._lasts = lasts
        self._lock = threading.Lock()
        self._until = 0.0
        self._passed = True

    def passes(self) -> bool:
        with self._lock:
            if time.monotonic() < self._until:
                return self._passed
            # Whoever comes while this one looks takes what was known.
            self._until = time.monotonic() + self._lasts
        passed = self._look.passes(self._seconds)
        with self._lock:
            self._passed = passed
        return passed


_queue = Remembered(Look("queue", broker.answers), QUEUE_LOOK_SECONDS, QUEUE_LOOK_LASTS)


def queue_is_away() -> bool:
    """Whether Redis is away, as known within the last seconds; a page never waits long for it."""
    return not _queue.passes()
