"""Putting work on the queue. The queue is only a hint: what does not get there is found by the watchdog."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)

OPERATIONS_QUEUE = "partway"
"""The queue of work that needs no staged bytes: any node may do it."""


def enqueue_on_commit(task: str, ids: Sequence[object], *, queue: str = OPERATIONS_QUEUE, countdown: float = 0) -> None:
    """Enqueue `uploads.tasks.<task>` once for each id, after the transaction that made the work has been committed."""
    if ids:
        transaction.on_commit(partial(_send, task, [str(each) for each in ids], queue, countdown))


def _send(task: str, ids: Sequence[str], queue: str, countdown: float) -> None:
    try:
        for each in ids:
            current_app.send_task(f"uploads.tasks.{task}", args=[each], queue=queue, countdown=countdown or None)
    except (OperationalError, OSError) as error:
        log.warning("queue is away, %s waits for the watchdog: %s", task, error)
