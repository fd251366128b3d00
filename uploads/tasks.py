"""What the workers do. A task carries an id and calls one service; everything else is in the database.

Every task is short or renews a lease, may run twice or late, and keeps no result.
"""

from __future__ import annotations

import uuid

from celery import shared_task

from uploads import logs
from uploads.services.operations import order, run
from uploads.services.stores import checks
from uploads.services.transfers import cancel, complete, create, dispatch, send
from uploads.services.upkeep import watchdog as watchdogs


@shared_task
def dispatch_transfer(transfer_id: str) -> None:
    with logs.about(transfer=transfer_id):
        dispatch.dispatch(uuid.UUID(transfer_id))


@shared_task
def open_store_upload(transfer_id: str) -> None:
    with logs.about(transfer=transfer_id):
        create.open_store_upload(uuid.UUID(transfer_id))


@shared_task
def drop_late_upload(store_upload_id: str) -> None:
    create.drop_late_upload(int(store_upload_id))


@shared_task
def send_part(part_id: str) -> None:
    with logs.about():
        send.send_part(int(part_id))


@shared_task
def complete_transfer(transfer_id: str) -> None:
    with logs.about(transfer=transfer_id):
        complete.complete_transfer(uuid.UUID(transfer_id))


@shared_task
def cancel_transfer(transfer_id: str) -> None:
    with logs.about(transfer=transfer_id):
        cancel.cancel_transfer(uuid.UUID(transfer_id))


@shared_task
def dispatch_operation(operation_id: str) -> None:
    with logs.about(order=operation_id):
        order.dispatch_operation(uuid.UUID(operation_id))


@shared_task
def run_item(item_id: str) -> None:
    with logs.about():
        run.run_item(int(item_id))


@shared_task
def run_store_check(check_id: str) -> None:
    with logs.about(order=check_id):
        checks.run_check(uuid.UUID(check_id))


@shared_task
def watchdog() -> None:
    watchdogs.watch()
