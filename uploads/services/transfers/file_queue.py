"""The message for small files: one for all that wait on a node, as a message costs more than sending such a file."""

from __future__ import annotations

from django.db import transaction

from uploads.models import Transfer
from uploads.models.transfer import parts_queue
from uploads.services.work.queue import enqueue_marked, wake_on_commit

SMALL_FILE = 4 * 1024**2
"""A file of at most this size is sent together with others."""

TASK = "send_small_files"


def enqueue_file(transfer: Transfer, part_id: int) -> None:
    """Enqueue the only part of a file, which this transaction has marked as enqueued."""
    if transfer.size > SMALL_FILE:
        enqueue_marked("send_part", [part_id], node=transfer.node)
    else:
        _wake(transfer.node, [part_id])


def enqueue_rest(node: str, part_ids: list[int]) -> None:
    """Publish another message for files that are marked as enqueued, of which some are named."""
    with transaction.atomic():
        _wake(node, part_ids)


def _wake(node: str, part_ids: list[int]) -> None:
    wake_on_commit(TASK, node, queue=parts_queue(node), marked=("send_part", part_ids))
