"""Putting work on the queue. The queue is only a hint: the watchdog finds work whose message was lost.

Publishing fails fast, and after a failure this process does not publish for some seconds, so that no page waits for a
Redis that is unavailable. The rows are then marked as not enqueued, and the watchdog's next round enqueues them.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial

from celery import current_app
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from kombu import Connection
from kombu.exceptions import KombuError
from kombu.pools import producers
from redis import RedisError

from uploads import crash
from uploads.database.prepared import Given, Update
from uploads.services.work import broker
from uploads.services.work.leases import due
from uploads.services.work.tasks import OPERATIONS_QUEUE, TASKS

log = logging.getLogger(__name__)

PAUSE_SECONDS = 3.0
"""How long nothing is published after a failure."""

PUBLISHING = {"socket_connect_timeout": 0.5, "socket_timeout": 1.0, "retry_on_timeout": False, "max_retries": 0}


class _Unavailable(Exception):
    """Publishing failed a moment ago."""


class _Pause:
    until = 0.0


Ids = Sequence[object] | Callable[[], Iterable[object]]
"""Ids of rows. A function finds them if they matter, which is rare."""

Marked = tuple[str, Ids]
"""A task, and the ids of rows that a transaction has marked as enqueued for it."""


def enqueue_on_commit(
    task: str,
    ids: Sequence[object],
    *,
    queue: str = OPERATIONS_QUEUE,
    countdown: float = 0,
    marked: Marked | None = None,
) -> None:
    """Enqueue `uploads.tasks.<task>` once for each id, after the transaction that created the work is committed.

    `marked`: what is marked as not enqueued if that fails; otherwise the rows of the task with these ids.
    """
    if ids:
        transaction.on_commit(partial(_send, task, [str(each) for each in ids], queue, countdown, marked))


def enqueue_rows(
    task: str,
    ids: Sequence[object],
    *,
    node: str = "",
    only: Q = Q(),  # noqa: B008 - immutable
    message: str = "",
) -> None:
    """Mark rows as enqueued and enqueue their task, on the queue of their node where the task has one.

    Only rows that meet the condition `only`. `message` names another task, which takes the id of such a row too.
    """
    declared = TASKS[task]
    if only:
        ids = list(declared.kind.rows.filter(only, pk__in=ids).order_by().values_list("pk", flat=True))
    if ids and _mark(task, ids, only):
        enqueue_marked(task, ids, node=node, message=message)


def _mark(task: str, ids: Sequence[object], only: Q) -> int:
    """Mark rows as enqueued; how many. Without a condition, the statement for a few rows is built once."""
    if only or len(ids) > FEW:
        return TASKS[task].kind.rows.filter(only, pk__in=ids).update(queued_at=timezone.now())
    given = {f"id{place}": pk for place, pk in enumerate(ids)}
    return _marking(task, len(ids))(**given, queued_at=timezone.now())


FEW = 4
"""As many parts of one transfer as are enqueued at a time."""


@cache
def _marking(task: str, count: int) -> Update:
    model = TASKS[task].kind.model
    places = [Given(model, "id", f"id{place}") for place in range(count)]
    return Update(
        lambda: model._default_manager.filter(pk__in=places), lambda: {"queued_at": Given(model, "queued_at")}
    )


def enqueue_marked(task: str, ids: Sequence[object], *, node: str = "", message: str = "") -> None:
    """Enqueue the task of rows that this transaction has marked as enqueued, or the task that `message` names."""
    enqueue_on_commit(message or task, ids, queue=TASKS[task].queue(node), marked=(task, ids))


def wake_on_commit(task: str, argument: str, *, queue: str, marked: Marked) -> None:
    """Publish one message, after the transaction is committed, unless one like it waits already.

    The task takes all rows that are marked as enqueued, and calls `woken` before it looks for them. `marked` names a
    task and the rows of it that this transaction has marked: if the message cannot be published, the watchdog finds
    them.
    """
    transaction.on_commit(partial(_wake, task, argument, queue, marked))


def woken(task: str, argument: str) -> None:
    """The message was received. Work that is committed from now on publishes another one."""
    broker.end_wake(f"{task}:{argument}")


def linger(task: str, argument: str, *, queue: str, enough: int) -> None:
    """Wait for more work before `woken`, as long as it comes, LINGER_SECONDS at most; not while other messages wait."""
    until, before = time.monotonic() + LINGER_SECONDS, 0
    while time.monotonic() < until:
        count = broker.wakes(f"{task}:{argument}")
        if not before < count < enough or not _is_empty(queue):
            return
        before = count
        time.sleep(LOOK_SECONDS)


LINGER_SECONDS = 0.5
LOOK_SECONDS = 0.1


def _is_empty(queue: str) -> bool:
    try:
        return broker.depths([queue]).get(queue) == 0
    except RedisError:
        return False


WAKE_SECONDS = 10
"""After this time, a message that was not received, or not published, does not keep others from being published."""


def _wake(task: str, argument: str, queue: str, marked: Marked) -> None:
    if is_paused():
        _forget(*marked)
    elif broker.claim_wake(f"{task}:{argument}", WAKE_SECONDS):
        _send(task, [argument], queue, 0, marked)


def enqueue_waiting(task: str, limit: int, *order: str) -> int:
    """Enqueue the task for at most so many rows that are due and not enqueued, in this order; for how many."""
    with transaction.atomic():
        waiting = TASKS[task].kind.waiting_rows().filter(due(), queued_at__isnull=True)
        ids = list((waiting.order_by(*order) if order else waiting).values_list("pk", flat=True)[:limit])
        enqueue_rows(task, ids)
    return len(ids)


def is_paused() -> bool:
    """Whether publishing failed a moment ago, so that this process does not try it now."""
    return time.monotonic() < _Pause.until


def _send(
    task: str,
    ids: Sequence[str],
    queue: str,
    countdown: float,
    marked: Marked | None = None,
) -> None:
    """Publish the messages. If that fails, the rows are marked as not enqueued: `marked`, otherwise those of `ids`."""
    crash.point("queue.committed")
    try:
        _publish(task, ids, queue, countdown)
        crash.point("queue.published")
    except _Unavailable:
        _forget(*(marked or (task, ids)))
    except (KombuError, OSError) as error:
        _Pause.until = time.monotonic() + PAUSE_SECONDS
        log.warning("the queue is unavailable, %s waits for the watchdog: %s", task, error)
        _forget(*(marked or (task, ids)))


def _publish(task: str, arguments: Sequence[str], queue: str, countdown: float) -> None:
    """Publish a message for each argument, all of them in one request to Redis."""
    with producers[_connection(os.getpid())].acquire(block=True, timeout=2) as producer:
        # Checked last: a thread that waited for the connection sees the failure of the one that had it.
        if is_paused():
            raise _Unavailable
        with producer.batch():
            for each in arguments:
                current_app.send_task(
                    f"uploads.tasks.{task}", args=[each], queue=queue, countdown=countdown or None, producer=producer
                )


@cache
def _connection(_process: int) -> Connection:
    """One for each process: a connection is not shared across a fork."""
    return current_app.connection_for_write(transport_options=PUBLISHING)


def _forget(task: str, ids: Ids) -> None:
    """Mark rows as not enqueued. If some of them were published, a second message does no harm."""
    if task in TASKS:
        found = ids() if callable(ids) else ids
        TASKS[task].kind.rows.filter(pk__in=found).update(queued_at=None)
