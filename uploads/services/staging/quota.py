"""The quota of the staging disk: how many bytes each transfer may take, decided before a part's first byte arrives.

A part reserves all of its bytes before the first one arrives and releases them when its file is removed. A part that
has started can therefore always be completed and sent: half-filled parts never wait for each other. Reservations never
exceed the quota, nor the free space of the disk above its floor. They are made under a lock, one part at a time, with
these rules:

* A refused transfer records the time (`quota_refused_at`). While that is recent, a transfer whose operator has more
  bytes reserved (or, for the same operator, a transfer that has more) must leave enough space for that part. One huge
  file cannot starve the others.
* A half-filled part whose sender has been silent for minutes releases its bytes when others need them. Its sender
  resumes at an earlier offset. Bytes that cannot be sent again (from the plain form) are never removed.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet, Sum
from django.utils import timezone

from uploads import crash
from uploads.domain.planning import PlannedPart
from uploads.domain.states import FINAL_PHASES, DesiredState, PartState
from uploads.models import Part, StagingNode, Transfer
from uploads.staging import disk
from uploads.staging.disk import WriterBusy, remove_part

REFUSED_LATELY = timedelta(seconds=30)
"""How long the claim of a refused transfer stands. A sender that still waits tries again within this time."""

SILENT = timedelta(minutes=2)
"""A half-filled part whose sender has been silent for this long may be reclaimed when others need space."""

AHEAD = 8
"""Parts of a transfer that are reserved at once while space is ample."""

AMPLE = 8
"""Space is ample while the parts reserved ahead take at most this fraction of the free space."""


class TransferEnded(Exception):
    """The transfer has ended or is being cancelled: nothing more is received for it."""


def reserve(transfer: Transfer, planned: PlannedPart) -> list[Part]:
    """Reserve a part's bytes, and those of the next parts while space is ample, which saves later calls.

    Returns the rows of the parts; empty if staging is full now: retry in a few seconds. Raises TransferEnded.
    """
    parts = _reserve(transfer, planned)
    if not parts and _reclaim_silent_parts(transfer):
        parts = _reserve(transfer, planned)
    return parts


@transaction.atomic
def _reserve(transfer: Transfer, planned: PlannedPart) -> list[Part]:
    _lock(transfer.node)
    live = (
        Transfer.objects.filter(pk=transfer.pk)
        .exclude(phase__in=FINAL_PHASES)
        .exclude(desired_state=DesiredState.CANCEL)
    )
    # Locked, so that a cancellation happens before or after, never in between.
    refused_at = live.select_for_update().values_list("quota_refused_at", flat=True)[:1]
    if not refused_at:
        raise TransferEnded
    rows = {part.number: part for part in transfer.parts.filter(number__gte=planned.number)[:AHEAD]}
    part = rows.get(planned.number)
    if part is not None and (part.reserved_bytes or part.state != PartState.WAITING):
        return [part]
    free = free_bytes(transfer.node)
    if planned.size > free - _claimed_by_others(transfer):
        Transfer.objects.filter(pk=transfer.pk).update(quota_refused_at=timezone.now())
        return []
    if refused_at[0]:
        Transfer.objects.filter(pk=transfer.pk).update(quota_refused_at=None)
    return [_reserve_row(transfer, each, rows.get(each.number)) for each in _with_next_parts(transfer, planned, free)]


def _with_next_parts(transfer: Transfer, planned: PlannedPart, free: int) -> list[PlannedPart]:
    """Only the part itself, unless the parts reserved ahead take a small share of the free space."""
    if AHEAD * transfer.part_size > free // AMPLE:
        return [planned]
    last = min(planned.number + AHEAD - 1, transfer.part_count)
    return [transfer.plan.part(number) for number in range(planned.number, last + 1)]


def _reserve_row(transfer: Transfer, planned: PlannedPart, row: Part | None) -> Part:
    if row is None:
        return Part.objects.create(
            transfer=transfer, number=planned.number, size=planned.size, reserved_bytes=planned.size
        )
    if row.state == PartState.WAITING and not row.reserved_bytes:
        Part.objects.filter(pk=row.pk).update(reserved_bytes=planned.size, received=0)
        row.reserved_bytes = planned.size
    return row


def _lock(node: str) -> None:
    if StagingNode.objects.select_for_update().filter(name=node).first() is None:
        StagingNode.objects.get_or_create(name=node)
        StagingNode.objects.select_for_update().get(name=node)


def free_bytes(node: str) -> int:
    """Bytes that the next part may take now."""
    outstanding = Sum(F("reserved_bytes") - F("received"), filter=Q(state=PartState.WAITING))
    sums = _parts_of(node).aggregate(taken=Sum("reserved_bytes"), outstanding=outstanding)
    # Bytes that are reserved and have not arrived will still be written to this disk.
    free = disk.free_bytes(Path(settings.STAGING_DIR)) - settings.STAGING_FREE_FLOOR - (sums["outstanding"] or 0)
    return min(limit_bytes() - (sums["taken"] or 0), free)


def limit_bytes() -> int:
    """The quota of a node in bytes."""
    return settings.STAGING_QUOTA or sys.maxsize


def reserved_bytes(node: str) -> int:
    """Bytes of a node's staging that are taken or reserved."""
    return _parts_of(node).aggregate(total=Sum("reserved_bytes"))["total"] or 0


def _parts_of(node: str) -> QuerySet[Part]:
    return Part.objects.filter(reserved_bytes__gt=0, transfer__node=node).order_by()


def _claimed_by_others(transfer: Transfer) -> int:
    """Bytes to leave free: the largest next part of a waiting transfer that has fewer bytes reserved than this one."""
    lately = timezone.now() - REFUSED_LATELY
    waiting = Transfer.objects.filter(node=transfer.node, quota_refused_at__gte=lately, desired_state=DesiredState.RUN)
    rivals = list(waiting.exclude(pk=transfer.pk).values_list("pk", "owner_id", "part_size", "size"))
    if not rivals:
        return 0
    owners, transfers = _reserved_by(transfer.node)
    mine = (owners.get(transfer.owner_id, 0), transfers.get(transfer.pk, 0))
    claims = [
        min(part_size, size)
        for pk, owner, part_size, size in rivals
        if (owners.get(owner, 0), transfers.get(pk, 0)) < mine
    ]
    return max(claims, default=0)


def _reserved_by(node: str) -> tuple[dict[int, int], dict[uuid.UUID, int]]:
    """Bytes reserved, by operator and by transfer."""
    owners: dict[int, int] = {}
    transfers: dict[uuid.UUID, int] = {}
    rows = _parts_of(node).values_list("transfer__owner_id", "transfer_id").annotate(total=Sum("reserved_bytes"))
    for owner, pk, total in rows:
        owners[owner] = owners.get(owner, 0) + total
        transfers[pk] = total
    return owners, transfers


def _reclaim_silent_parts(transfer: Transfer) -> bool:
    """Remove half-filled parts whose senders are silent. Returns whether any space was gained."""
    old = timezone.now() - SILENT
    silent = Part.objects.filter(
        transfer__received_at__lt=old, reserved_bytes__gt=0, state=PartState.WAITING, transfer__node=transfer.node
    ).exclude(transfer=transfer)
    gained = False
    for part in silent.filter(transfer__resumable=True).select_related("transfer")[:8]:
        gained |= _reclaim(part)
    return gained


def _reclaim(part: Part) -> bool:
    transfer, folder = part.transfer, part.transfer.folder
    try:
        with folder.writer():
            folder.truncate_to(transfer.plan, transfer.plan.part(part.number).offset)
            folder.mark_verified()
            waiting = transfer.parts.filter(state=PartState.WAITING, reserved_bytes__gt=0)
            # A part that is whole but not yet recorded keeps its bytes, and so its reservation.
            removed = [each.pk for each in waiting if not folder.whole(each.number).exists()]
            return bool(Part.objects.filter(pk__in=removed).update(reserved_bytes=0, received=0))
    except WriterBusy:
        return False


def release_unused(transfer: Transfer, numbers: Sequence[int]) -> None:
    """Release the reservations of parts that have received nothing."""
    Part.objects.filter(transfer=transfer, number__in=numbers, state=PartState.WAITING).update(
        reserved_bytes=0, received=0
    )


def release(part: Part) -> None:
    """The part's bytes are in the store: remove them here, then release their reservation."""
    remove_part(part.staged_path)
    crash.point("part.removed")
    Part.objects.filter(pk=part.pk).update(reserved_bytes=0)


def release_all(transfer: Transfer) -> None:
    """Remove everything that is staged for the transfer."""
    transfer.folder.remove()
    crash.point("staging.removed")
    Part.objects.filter(transfer=transfer.pk, reserved_bytes__gt=0).update(reserved_bytes=0)
    Transfer.objects.filter(pk=transfer.pk, release_at__isnull=False).update(release_at=None)
