"""The Celery tasks. Each takes an id and calls one service; everything else is in the database.

Every task is short or renews a lease, may run twice or late, and keeps no result.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from typing import Any

from celery import shared_task
from celery.exceptions import Reject
from django.db import Error as DatabaseError

from uploads import database, logs
from uploads.services.alerts import deliver  # noqa: F401 - declares its task
from uploads.services.inventory import (
    objects,  # noqa: F401 - declares its task
    refresh,
    sums,
)
from uploads.services.inventory.scans import buckets, listing, parts  # noqa: F401 - declare their tasks
from uploads.services.lifecycle import readings  # noqa: F401 - declares its task
from uploads.services.operations import kinds as operations
from uploads.services.operations.order import TASK
from uploads.services.operations.run import run_item
from uploads.services.operations.together import run_items
from uploads.services.stores import trying
from uploads.services.stores.checks import run as checks  # noqa: F401 - declares its task
from uploads.services.sweeps import drive  # noqa: F401 - declare their tasks
from uploads.services.sweeps import run as sweeping  # noqa: F401 - declares its task
from uploads.services.transfers import cancel, complete, create, send, small_files  # noqa: F401 - declare their tasks
from uploads.services.transfers import kinds as transfers
from uploads.services.upkeep import cleanup, retention
from uploads.services.upkeep import watchdog as watchdogs
from uploads.services.work import threads
from uploads.services.work.tasks import TASKS, Task

log = logging.getLogger(__name__)

UNAVAILABLE_SECONDS = 1.0
"""How long a worker pauses before it returns a message whose row it could not take."""


def _celery_function(task: Task[Any], run: Callable[[str], None]) -> Callable[[str], None]:
    def run_task(row_id: str) -> None:
        try:
            with threads.thread_for(task, row_id) as is_free:
                if is_free:
                    run(row_id)
        except DatabaseError as error:
            if not database.is_unavailable(error):
                raise
            # The worker is about to stop, or the connection broke. No work was done: the message is sent again at once.
            log.warning("%s %s: the database failed, the task is repeated: %s", task.name, row_id, error)
            time.sleep(UNAVAILABLE_SECONDS)
            raise Reject(str(error), requeue=True) from error

    return run_task


for _task in TASKS.values():
    shared_task(name=f"uploads.tasks.{_task.name}")(_celery_function(_task, _task))

shared_task(name=f"uploads.tasks.{TASK}")(_celery_function(run_item, lambda item_id: run_items(int(item_id))))


@shared_task
def dispatch_transfer(transfer_id: str) -> None:
    with logs.about(transfer=transfer_id):
        transfers.dispatch_guarded(uuid.UUID(transfer_id))


@shared_task
def dispatch_operation(operation_id: str) -> None:
    with logs.about(order=operation_id):
        operations.dispatch_guarded(uuid.UUID(operation_id))


@shared_task
def send_small_files(node: str) -> None:
    small_files.send_small_files(node)


@shared_task
def remove_staged(transfer_id: str) -> None:
    with logs.about(transfer=transfer_id):
        cleanup.remove_staged(uuid.UUID(transfer_id))


@shared_task
def drop_late_upload(store_upload_id: str) -> None:
    create.drop_late_upload(int(store_upload_id))


@shared_task
def try_store(store_id: str) -> None:
    trying.try_store(int(store_id))


@shared_task
def release_left_bytes(_node: str) -> None:
    cleanup.release_left_bytes()


MAX_ROUNDS = 10
"""Rounds of the watchdog after one message, while there is more to do. The next message continues."""


@shared_task
def watchdog() -> None:
    for _ in range(MAX_ROUNDS):
        if not watchdogs.watch():
            return


@shared_task
def refresh_inventory(_when: str) -> None:
    refresh.refresh()


@shared_task
def sum_up(bucket_id: str) -> None:
    sums.sum_up(int(bucket_id))


@shared_task
def delete_old_rows() -> None:
    retention.delete_old_rows()
