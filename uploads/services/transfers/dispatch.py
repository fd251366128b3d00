"""Deciding what a transfer needs next, and enqueuing it. Safe to call at any time, any number of times."""

from __future__ import annotations

import uuid

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from uploads.domain.states import PHASES, DesiredState, PartState, Phase, StoreUploadState
from uploads.models import Transfer
from uploads.services.staging import expected_sha256
from uploads.services.work.kinds import due, free
from uploads.services.work.queue import enqueue_rows
from uploads.services.work.transitions import change

NEEDED = ("phase", "desired_state", "all_received", "part_count", "node", "verify_sha256", "expected_sha256", "sha256")

WINDOW = 4
"""Parts of one transfer that are enqueued or under way at a time, so that no transfer starves the others."""


@transaction.atomic(savepoint=False)
def dispatch(transfer_id: uuid.UUID) -> None:
    """Enqueue the next steps of a transfer: parts, the upload in the store, the completion or the cancellation."""
    # The row's lock makes whoever ends a part after this wait, and see what was staged before.
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
    room = WINDOW - _under_way(transfer)
    if room <= 0:
        return
    if transfer.all_received and not transfer.parts.exclude(state=PartState.SENT).exists():
        if expected_sha256.mismatch(transfer, transfer.expected_sha256, transfer.sha256):
            return  # Failed with those words when its last byte came.
        change(PHASES, Transfer.objects.filter(pk=transfer.pk), Phase.COMPLETING, tries=0)
        transfer.phase = Phase.COMPLETING
    elif not transfer.by_put_object and not transfer.store_uploads.filter(state=StoreUploadState.OPEN).exists():
        _enqueue_step(transfer, "open_store_upload")
    elif transfer.all_received or not transfer.by_put_object:
        # PutObject makes the object at once: not before what was promised of the file has been seen to.
        _fill_window(transfer, room)


def _under_way(transfer: Transfer) -> int:
    under_way = Q(state=PartState.SENDING) | Q(state=PartState.STAGED, queued_at__isnull=False)
    return transfer.parts.filter(under_way).count()


def _fill_window(transfer: Transfer, room: int) -> None:
    waiting = transfer.parts.filter(due(), state=PartState.STAGED, queued_at__isnull=True)
    ids = list(waiting.order_by("number").values_list("pk", flat=True)[:room])
    if ids:
        enqueue_rows("send_part", ids, node=transfer.node)


def _enqueue_step(transfer: Transfer, task: str) -> None:
    """A step of the transfer as a whole: not while one is under way, enqueued or held back."""
    if Transfer.objects.filter(free(), due(), pk=transfer.pk, queued_at__isnull=True).exists():
        enqueue_rows(task, [transfer.pk], node=transfer.node)
