"""Room in staging: who may take how many bytes of the disk, decided before the first byte of a part arrives.

A part holds room for all of its bytes from before its first one until its file is gone, so a part that has begun can
always end and leave: half-filled parts never wait for each other. What is held never exceeds the quota, nor what the
disk has above its floor. Room is given under a lock, one part at a time, to whoever holds least:

* Who was refused leaves a note (`quota_refused_at`). While the note is fresh, a transfer whose operator holds more (or,
  of one operator, a transfer that holds more) must leave enough room for that part: one huge file starves nobody.
* A half-filled part whose sender has been silent for minutes gives its room back when others need it; its sender comes
  back to an earlier offset. Bytes that cannot be sent again (from the plain form) are never taken away.
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
from uploads.staging.disk import WriterBusy, free_bytes, remove_part

WANTED_LATELY = timedelta(seconds=30)
"""How long a refused transfer's claim stands; who still wants room asks again within this time."""

SILENT = timedelta(minutes=2)
"""A half-filled part whose sender has been silent for so long may be given up when others need its room."""


AHEAD = 8
"""Parts of a transfer that are given room at once where room is ample."""

AMPLE = 8
"""Ample: what is held ahead is at most this fraction of what is free."""


class NotWanted(Exception):
    """The transfer has ended, or is being cancelled: no byte of it is taken any more."""


def reserve(transfer: Transfer, planned: PlannedPart) -> list[Part]:
    """The row of a part that now holds its room, and rows of the next ones where room is ample: fewer questions later.

    Empty where there is no room now: try again in a few seconds. Raises NotWanted.
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
    # Locked, so that a cancellation comes before or after, never in between.
    wanted_at = live.select_for_update().values_list("quota_refused_at", flat=True)[:1]
    if not wanted_at:
        raise NotWanted("The transfer was cancelled.")
    rows = {part.number: part for part in transfer.parts.filter(number__gte=planned.number)[:AHEAD]}
    part = rows.get(planned.number)
    if part is not None and (part.reserved_bytes or part.state != PartState.WAITING):
        return [part]
    free = free_room(transfer.node)
    if planned.size > free - _claimed_by_the_needier(transfer):
        Transfer.objects.filter(pk=transfer.pk).update(quota_refused_at=timezone.now())
        return []
    if wanted_at[0]:
        Transfer.objects.filter(pk=transfer.pk).update(quota_refused_at=None)
    return [_hold(transfer, each, rows.get(each.number)) for each in _with_those_ahead(transfer, planned, free)]


def _with_those_ahead(transfer: Transfer, planned: PlannedPart, free: int) -> list[PlannedPart]:
    """Only the part itself, unless what is held ahead of its time is a small share of what is free."""
    if AHEAD * transfer.part_size > free // AMPLE:
        return [planned]
    last = min(planned.number + AHEAD - 1, transfer.part_count)
    return [transfer.plan.part(number) for number in range(planned.number, last + 1)]


def _hold(transfer: Transfer, planned: PlannedPart, row: Part | None) -> Part:
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


def free_room(node: str) -> int:
    """Bytes that a next part may take, here and now."""
    coming = Sum(F("reserved_bytes") - F("received"), filter=Q(state=PartState.WAITING))
    sums = _parts_of(node).aggregate(taken=Sum("reserved_bytes"), coming=coming)
    # What was promised and has not come will still be written to this disk.
    free = free_bytes(Path(settings.STAGING_DIR)) - settings.STAGING_FREE_FLOOR - (sums["coming"] or 0)
    return min(limit_bytes() - (sums["taken"] or 0), free)


def limit_bytes() -> int:
    """Bytes of staging on a node."""
    return settings.STAGING_QUOTA or sys.maxsize


def held_bytes(node: str) -> int:
    """Bytes of a node's staging that are taken or promised."""
    return _parts_of(node).aggregate(total=Sum("reserved_bytes"))["total"] or 0


def _parts_of(node: str) -> QuerySet[Part]:
    return Part.objects.filter(reserved_bytes__gt=0, transfer__node=node).order_by()


def _claimed_by_the_needier(transfer: Transfer) -> int:
    """Bytes to leave free for the largest next part of a waiting transfer that holds less than this one."""
    lately = timezone.now() - WANTED_LATELY
    waiting = Transfer.objects.filter(node=transfer.node, quota_refused_at__gte=lately, desired_state=DesiredState.RUN)
    rivals = list(waiting.exclude(pk=transfer.pk).values_list("pk", "owner_id", "part_size", "size"))
    if not rivals:
        return 0
    owners, transfers = _holdings(transfer.node)
    mine = (owners.get(transfer.owner_id, 0), transfers.get(transfer.pk, 0))
    needier = [
        min(part_size, size)
        for pk, owner, part_size, size in rivals
        if (owners.get(owner, 0), transfers.get(pk, 0)) < mine
    ]
    return max(needier, default=0)


def _holdings(node: str) -> tuple[dict[int, int], dict[uuid.UUID, int]]:
    """Bytes held by operator and by transfer."""
    owners: dict[int, int] = {}
    transfers: dict[uuid.UUID, int] = {}
    rows = _parts_of(node).values_list("transfer__owner_id", "transfer_id").annotate(total=Sum("reserved_bytes"))
    for owner, pk, total in rows:
        owners[owner] = owners.get(owner, 0) + total
        transfers[pk] = total
    return owners, transfers


def _reclaim_silent_parts(transfer: Transfer) -> bool:
    """Give up half-filled parts whose senders are silent. Whether any room was won."""
    old = timezone.now() - SILENT
    silent = Part.objects.filter(
        transfer__received_at__lt=old, reserved_bytes__gt=0, state=PartState.WAITING, transfer__node=transfer.node
    ).exclude(transfer=transfer)
    won = False
    for part in silent.filter(transfer__resumable=True).select_related("transfer")[:8]:
        won |= _give_up(part)
    return won


def _give_up(part: Part) -> bool:
    transfer, folder = part.transfer, part.transfer.folder
    try:
        with folder.writer():
            folder.cut_to(transfer.plan, transfer.plan.part(part.number).offset)
            folder.mark_verified()
            waiting = transfer.parts.filter(state=PartState.WAITING, reserved_bytes__gt=0)
            # One that is whole and not yet written down keeps its bytes, and so its room.
            lost = [each.pk for each in waiting if not folder.whole(each.number).exists()]
            return bool(Part.objects.filter(pk__in=lost).update(reserved_bytes=0, received=0))
    except WriterBusy:
        return False


def give_back(transfer: Transfer, numbers: Sequence[int]) -> None:
    """The room of parts of which no byte has come."""
    Part.objects.filter(transfer=transfer, number__in=numbers, state=PartState.WAITING).update(
        reserved_bytes=0, received=0
    )


def release(part: Part) -> None:
    """The part's bytes are in the store: drop them here, then give back their room."""
    remove_part(part.staged_path)
    crash.point("part.removed")
    Part.objects.filter(pk=part.pk).update(reserved_bytes=0)


def release_all(transfer: Transfer) -> None:
    """Nothing of the transfer stays here."""
    transfer.folder.remove()
    crash.point("staging.removed")
    Part.objects.filter(transfer=transfer.pk, reserved_bytes__gt=0).update(reserved_bytes=0)
