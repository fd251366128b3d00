"""The message for small files: one for all that wait on a node, as a message costs more than sending such a file."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from uploads.models import Part, Transfer
from uploads.models.transfer import parts_queue
from uploads.services.work.queue import Ids, enqueue_marked, enqueue_rows, wake_on_commit

SMALL_FILE = 4 * 1024**2
"""A file of at most this size is sent together with others."""

TASK = "send_small_files"


def enqueue_file(transfer: Transfer, part_id: int) -> None:
    """Enqueue the only part of a file, which this transaction has marked as enqueued."""
    if transfer.size > SMALL_FILE:
        enqueue_marked("send_part", [part_id], node=transfer.node)
    else:
        _wake(transfer.node, [part_id])


def enqueue_small_files(node: str, part_ids: Sequence[int]) -> None:
    """Enqueue the only parts of small files, which this transaction has marked as enqueued."""
    _wake(node, part_ids)


def enqueue_new_files(node: str, transfers: Sequence[uuid.UUID]) -> None:
    """Enqueue the only parts of small files, which this transaction has inserted as enqueued."""
    _wake(node, lambda: Part.objects.filter(transfer__in=transfers).order_by().values("pk"))


def enqueue_files(node: str, part_ids: Sequence[int]) -> None:
    """Enqueue the only parts of small files. A file that has failed before is sent alone."""
    together = list(Part.objects.filter(pk__in=part_ids, tries=0).order_by().values_list("pk", flat=True))
    if together and Part.objects.filter(pk__in=together).update(queued_at=timezone.now()):
        _wake(node, together)
    enqueue_rows("send_part", [pk for pk in part_ids if pk not in together], node=node)


def enqueue_rest(node: str, part_ids: Sequence[int]) -> None:
    """Publish another message for files that are marked as enqueued, of which some are named."""
    with transaction.atomic():
        _wake(node, part_ids)


def _wake(node: str, part_ids: Ids) -> None:
    wake_on_commit(TASK, node, queue=parts_queue(node), marked=("send_part", part_ids))
