"""Putting work on the queue. The queue is only a hint: what does not get there is found by the watchdog.

Publishing fails fast, and after a failure this process does not try again for some seconds: no page waits for a Redis
that is away. What was meant to be enqueued is then marked as not enqueued, so that the watchdog's next round takes it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from functools import cache, partial

from celery import current_app
from django.db import transaction
from django.db.models import Model
from kombu import Connection
from kombu.exceptions import KombuError
from kombu.pools import producers

from uploads import crash
from uploads.models import OperationItem, Part, StoreCheck, Transfer

log = logging.getLogger(__name__)

OPERATIONS_QUEUE = "partway"
"""The queue of work that needs no staged bytes: any node may do it."""

REST_SECONDS = 3.0
"""After a failure nothing is published for so long."""

PUBLISHING = {"socket_connect_timeout": 0.5, "socket_timeout": 1.0, "retry_on_timeout": False, "max_retries": 0}

QUEUED: dict[str, type[Model]] = {
    "send_part": Part,
    "run_item": OperationItem,
    "open_store_upload": Transfer,
    "complete_transfer": Transfer,
    "cancel_transfer": Transfer,
    "run_store_check": StoreCheck,
}
"""The rows that say of a task's ids since when they are enqueued."""


class _Away(Exception):
    """Publishing failed a moment ago."""


class _Rest:
    until = 0.0


def enqueue_on_commit(task: str, ids: Sequence[object], *, queue: str = OPERATIONS_QUEUE, countdown: float = 0) -> None:
    """Enqueue `uploads.tasks.<task>` once for each id, after the transaction that made the work has been committed."""
    if ids:
        transaction.on_commit(partial(_send, task, [str(each) for each in ids], queue, countdown))


def _send(task: str, ids: Sequence[str], queue: str, countdown: float) -> None:
    sent = 0
    crash.point("queue.committed")
    try:
        for each in ids:
            _publish(task, each, queue, countdown)
            sent += 1
            crash.point("queue.published")
    except _Away:
        _forget(task, ids[sent:])
    except (KombuError, OSError) as error:
        _Rest.until = time.monotonic() + REST_SECONDS
        log.warning("queue is away, %s waits for the watchdog: %s", task, error)
        _forget(task, ids[sent:])


def _publish(task: str, argument: str, queue: str, countdown: float) -> None:
    with producers[_connection(os.getpid())].acquire(block=True, timeout=2) as producer:
        # Looked at last: those who waited for their turn learn from who had it.
        if time.monotonic() < _Rest.until:
            raise _Away
        current_app.send_task(
            f"uploads.tasks.{task}", args=[argument], queue=queue, countdown=countdown or None, producer=producer
        )


@cache
def _connection(_process: int) -> Connection:
    """Of this process alone: a connection is not shared across a fork."""
    return current_app.connection_for_write(transport_options=PUBLISHING)


def _forget(task: str, ids: Sequence[str]) -> None:
    """These are not enqueued. Should another process just have done it, one message too many does no harm."""
    rows = QUEUED.get(task)
    if rows is not None:
        rows._default_manager.filter(pk__in=ids).update(queued_at=None)
