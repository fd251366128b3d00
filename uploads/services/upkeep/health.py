"""Health checks of this node. Each has a time limit: a check that hangs counts as failed."""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import cache
from pathlib import Path

from django.conf import settings
from django.db import connection, connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from uploads.models import StagingNode, Store
from uploads.models.transfer import parts_queue, steps_queue
from uploads.services.work import broker
from uploads.services.work.tasks import OPERATIONS_QUEUE, SCAN_QUEUE, WATCH_QUEUE
from uploads.staging.disk import free_bytes

log = logging.getLogger(__name__)

CHECK_SECONDS = 2.0

QUEUE_CHECK_SECONDS = 0.4
"""The longest time that a page waits for the check of the queue."""

QUEUE_CACHE_SECONDS = 5.0
"""How long the result of the check of the queue is used."""


class Check:
    """A check with a time limit. While it runs, other callers wait for the same result."""

    def __init__(self, name: str, check: Callable[[], bool]) -> None:
        self.name = name
        self._check = check
        self._lock = threading.Lock()
        self._pending: Future[bool] | None = None

    def start(self) -> Future[bool]:
        with self._lock:
            if self._pending is None or self._pending.done():
                self._pending = Future()
                threading.Thread(target=self._run, args=[self._pending], name=f"check-{self.name}", daemon=True).start()
            return self._pending

    def passes(self, seconds: float = CHECK_SECONDS) -> bool:
        return _passes(self.start(), seconds)

    def _run(self, pending: Future[bool]) -> None:
        passed = False
        try:
            passed = self._check()
        except Exception as error:
            log.warning("the check of %s failed: %s", self.name, error)
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


def missing_migrations() -> list[str]:
    """The migrations of this version that the database does not have."""
    missing = _known_migrations() - MigrationRecorder(connection).applied_migrations().keys()
    return sorted(f"{app}.{name}" for app, name in missing)


@cache
def _known_migrations() -> frozenset[tuple[str, str]]:
    """The migrations of this version. One that a squashed migration replaces is not among them."""
    return frozenset(MigrationLoader(None).graph.nodes)


def unreadable_stores() -> tuple[list[str], bool]:
    """The stores whose credentials cannot be decrypted with CREDENTIALS_KEYS, and whether these are all stores."""
    stores = list(Store.objects.only("name", "secret_key", "session_token"))
    unreadable = [store.name for store in stores if not store.has_readable_secrets]
    return unreadable, len(unreadable) == len(stores)


def _migrations() -> bool:
    missing = missing_migrations()
    if missing:
        log.error("the database lacks migrations, such as %s: run `manage.py migrate`", missing[-1])
    return not missing


def _keys() -> bool:
    unreadable, _all = unreadable_stores()
    if unreadable:
        log.error("CREDENTIALS_KEYS cannot decrypt the credentials of the stores %s", ", ".join(unreadable))
    return not unreadable


def _sender() -> bool:
    return broker.is_served(parts_queue(settings.NODE_NAME))


def _worker() -> bool:
    return broker.is_served(OPERATIONS_QUEUE, steps_queue(settings.NODE_NAME))


def _watcher() -> bool:
    """Of any node: one is enough for all of them."""
    return broker.is_served(WATCH_QUEUE)


def _scanner() -> bool:
    """Of any node: one is enough for all of them."""
    return broker.is_served(SCAN_QUEUE)


def _staging() -> bool:
    """Whether a byte can be written and more disk space is free than the floor."""
    folder = Path(settings.STAGING_DIR)
    has_space = free_bytes(folder) > settings.STAGING_FREE_FLOOR
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"0")
        file.flush()
    return has_space


MIGRATIONS = Check("migrations", _migrations)
KEYS = Check("keys", _keys)
CHECKS = (
    Check("database", _database),
    MIGRATIONS,
    KEYS,
    Check("redis", broker.responds),
    Check("sender", _sender),
    Check("worker", _worker),
    Check("watcher", _watcher),
    Check("scanner", _scanner),
    Check("staging", _staging),
)


def readiness(*more: Check) -> dict[str, bool]:
    """The results of all checks by name. They run at the same time, so that none waits for another."""
    deadline = time.monotonic() + CHECK_SECONDS
    pending = {check.name: check.start() for check in (*CHECKS, *more)}
    return {name: _passes(future, deadline - time.monotonic()) for name, future in pending.items()}


class CachedCheck:
    """A check whose result is used for some seconds."""

    def __init__(self, check: Check, seconds: float, lasts: float) -> None:
        self._check = check
        self._seconds = seconds
        self._lasts = lasts
        self._lock = threading.Lock()
        self._until = 0.0
        self._passed = True

    def passes(self) -> bool:
        with self._lock:
            if time.monotonic() < self._until:
                return self._passed
            # Callers that arrive during the check get the last result.
            self._until = time.monotonic() + self._lasts
        passed = self._check.passes(self._seconds)
        with self._lock:
            self._passed = passed
        return passed


_queue = CachedCheck(Check("queue", broker.responds), QUEUE_CHECK_SECONDS, QUEUE_CACHE_SECONDS)


_senders: dict[str, CachedCheck] = {}


def sender_is_missing(node: str) -> bool:
    """Whether no process sends the parts of a node, as of a few seconds ago; False if Redis cannot tell."""
    if node not in _senders:
        check = Check(f"sender-{node}", lambda: broker.is_served(parts_queue(node)))
        _senders[node] = CachedCheck(check, QUEUE_CHECK_SECONDS, QUEUE_CACHE_SECONDS)
    return not queue_is_unavailable() and not _senders[node].passes()


def queue_is_unavailable() -> bool:
    """Whether Redis is unavailable, as of a few seconds ago. A page never waits long for it."""
    return not _queue.passes()
