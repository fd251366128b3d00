"""What the workers do. A task carries an id and calls one service; everything else is in the database.

Every task is short or renews a lease, may run twice or late, and keeps no result.
"""

from __future__ import annotations

import uuid

from celery import shared_task

from uploads import logs
from uploads.services import cancelling, completing, dispatch, operations, running, sending, store_checks
from uploads.services import watchdog as watchdogs


@shared_task
def dispatch_transfer(transfer_id: str) -> None:
    with logs.about(transfer=transfer_id):
        dispatch.dispatch(uuid.UUID(transfer_id))


@shared_task
def open_store_upload(transfer_id: str) -> None:
    with logs.about(transfer=transfer_id):
        sending.open_store_upload(uuid.UUID(transfer_id))


@shared_task
def drop_late_upload(store_upload_id: str) -> None:
    sending.drop_late_upload(int(store_upload_id))


@shared_task
def send_part(part_id: str) -> None:
    with logs.about():
        sending.send_part(int(part_id))


@shared_task
def complete_transfer(transfer_id: str) -> None:
    with logs.about(transfer=transfer_id):
        completing.complete_transfer(uuid.UUID(transfer_id))


@shared_task
def cancel_transfer(transfer_id: str) -> None:
    with logs.about(transfer=transfer_id):
        cancelling.cancel_transfer(uuid.UUID(transfer_id))


@shared_task
def dispatch_operation(operation_id: str) -> None:
    with logs.about(order=operation_id):
        operations.dispatch_operation(uuid.UUID(operation_id))


@shared_task
def run_item(item_id: str) -> None:
    with logs.about():
        running.run_item(int(item_id))


@shared_task
def run_store_check(check_id: str) -> None:
    with logs.about(order=check_id):
        store_checks.run_check(uuid.UUID(check_id))


@shared_task
def watchdog() -> None:
    watchdogs.watch()
