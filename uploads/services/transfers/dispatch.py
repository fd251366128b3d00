"""Decides what a transfer needs next and enqueues it. Can be called at any time, any number of times."""

from __future__ import annotations

import uuid

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from uploads.domain.states import PHASES, DesiredState, PartState, Phase, StoreUploadState
from uploads.models import Transfer
from uploads.services.staging import expected_sha256
from uploads.services.work.leases import due, free
from uploads.services.work.queue import enqueue_rows
from uploads.services.work.transitions import change

NEEDED = ("phase", "desired_state", "all_received", "part_count", "node", "verify_sha256", "expected_sha256", "sha256")

WINDOW = 4
"""Parts of one transfer that are enqueued or being sent at a time, so that no transfer starves the others."""


@transaction.atomic(savepoint=False)
def dispatch(transfer_id: uuid.UUID) -> None:
    """Enqueue the next steps of a transfer: parts, the upload in the store, the completion or the cancellation."""
    # The lock of the row makes a process that has sent a part wait, and then see all parts that were staged before.
    transfer = Transfer.objects.select_for_update().only(*NEEDED).filter(pk=transfer_id).first()
    if transfer is None or transfer.phase in (Phase.DONE, Phase.CANCELLED):
        return
    if transfer.desired_state == DesiredState.CANCEL:
        _enqueue_step(transfer, "cancel_transfer")
    elif transfer.desired_state == DesiredState.RUN:
        _run(transfer)


def _run(transfer: Transfer) -> None:
    if transfer.phase == Phase.RECEIVING and transfer.parts.filter(state=PartState.STAGED).exists():
        rows = Transfer.objects.filter(pk=transfer.pk)
        change(PHASES, rows, Phase.SENDING, {Phase.RECEIVING}, sending_at=timezone.now())
        transfer.phase = Phase.SENDING
    if transfer.phase == Phase.SENDING:
        _send(transfer)
    if transfer.phase == Phase.COMPLETING:
        _enqueue_step(transfer, "complete_transfer")


def _send(transfer: Transfer) -> None:
    free_slots = WINDOW - _in_progress(transfer)
    if free_slots <= 0:
        return
    if transfer.all_received and not transfer.parts.exclude(state=PartState.SENT).exists():
        if expected_sha256.mismatch(transfer, transfer.expected_sha256, transfer.sha256):
            return  # The transfer failed when its last byte was received.
        # PutObject has created the object already.
        completed = {"completed_at": timezone.now()} if transfer.by_put_object else {}
        rows = Transfer.objects.filter(pk=transfer.pk)
        change(PHASES, rows, Phase.COMPLETING, {Phase.SENDING}, tries=0, **completed)
        transfer.phase = Phase.COMPLETING
    elif not transfer.by_put_object and not transfer.store_uploads.filter(state=StoreUploadState.OPEN).exists():
        _enqueue_step(transfer, "open_store_upload")
    elif transfer.all_received or not transfer.by_put_object:
        # PutObject creates the object: not before the SHA-256 of the whole file was checked.
        _fill_window(transfer, free_slots)


def _in_progress(transfer: Transfer) -> int:
    in_progress = Q(state=PartState.SENDING) | Q(state=PartState.STAGED, queued_at__isnull=False)
    return transfer.parts.filter(in_progress).count()


def _fill_window(transfer: Transfer, free_slots: int) -> None:
    waiting = transfer.parts.filter(due(), state=PartState.STAGED, queued_at__isnull=True)
    ids = list(waiting.order_by("number").values_list("pk", flat=True)[:free_slots])
    if ids:
        enqueue_rows("send_part", ids, node=transfer.node)


def _enqueue_step(transfer: Transfer, task: str) -> None:
    """Enqueue a step of the whole transfer, unless one is running, enqueued or deferred."""
    idle = free() & due() & Q(queued_at__isnull=True)
    enqueue_rows(task, [transfer.pk], node=transfer.node, only=idle)
