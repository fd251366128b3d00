"""Room in staging: who may take how many bytes of the disk, decided before the first byte of a part arrives.

A part holds room for all of its bytes from before its first one until its file is gone, so a part that has begun can
always end and leave: half-filled parts never wait for each other. What is held never exceeds the quota, nor what the
disk has above its floor. Room is given under a lock, one part at a time, to whoever holds least:

* Who was refused leaves a note (`room_wanted_at`). While the note is fresh, a transfer whose operator holds more (or,
  of one operator, a transfer that holds more) must leave enough room for that part: one huge file starves nobody.
* A half-filled part whose sender has been silent for minutes gives its room back when others need it; its sender comes
  back to an earlier offset. Bytes that cannot be sent again (from the plain form) are never taken away.
"""

from __future__ import annotations

import sys
import uuid
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet, Sum
from django.utils import timezone

from uploads.models import Part, StagingNode, Transfer
from uploads.planning import PlannedPart
from uploads.staging.disk import WriterBusy, free_bytes, remove_part
from uploads.states import FINAL_PHASES, PartState, Want

WANTED_LATELY = timedelta(seconds=30)
"""How long a refused transfer's claim stands; who still wants room asks again within this time."""

SILENT = timedelta(minutes=2)
"""A half-filled part whose sender has been silent for so long may be given up when others need its room."""


class NotWanted(Exception):
    """The transfer has ended, or is being cancelled: no byte of it is taken any more."""


def reserve(transfer: Transfer, planned: PlannedPart) -> Part | None:
    """The row of a part that holds its room. None where there is no room now: try again in a few seconds.

    Raises NotWanted.
    """
    part = _reserve(transfer, planned)
    if part is None and _reclaim_silent_parts(transfer):
        part = _reserve(transfer, planned)
    return part


@transaction.atomic
def _reserve(transfer: Transfer, planned: PlannedPart) -> Part | None:
    _lock(transfer.node)
    live = Transfer.objects.filter(pk=transfer.pk).exclude(phase__in=FINAL_PHASES).exclude(wanted=Want.CANCEL)
    # Locked, so that a cancellation comes before or after, never in between.
    if live.select_for_update().first() is None:
        raise NotWanted("The transfer was cancelled.")
    part = transfer.parts.filter(number=planned.number).first()
    if part is not None and (part.held or part.state != PartState.WAITING):
        return part
    if planned.size > free_room(transfer.node) - _claimed_by_the_needier(transfer):
        Transfer.objects.filter(pk=transfer.pk).update(room_wanted_at=timezone.now())
        return None
    Transfer.objects.filter(pk=transfer.pk, room_wanted_at__isnull=False).update(room_wanted_at=None)
    if part is None:
        return Part.objects.create(transfer=transfer, number=planned.number, size=planned.size, held=planned.size)
    Part.objects.filter(pk=part.pk).update(held=planned.size, received=0)
    part.held = planned.size
    return part


def _lock(node: str) -> None:
    StagingNode.objects.get_or_create(name=node)
    StagingNode.objects.select_for_update().get(name=node)


def free_room(node: str) -> int:
    """Bytes that a next part may take, here and now."""
    held = held_bytes(node)
    room = quota() - held
    disk = Path(settings.STAGING_DIR)
    # What was promised and has not come will still be written to this disk.
    coming = _parts_of(node).filter(state=PartState.WAITING).aggregate(total=Sum(F("held") - F("received")))["total"]
    return min(room, free_bytes(disk) - settings.STAGING_FREE_FLOOR - (coming or 0))


def quota() -> int:
    """Bytes of staging on a node."""
    return settings.STAGING_QUOTA or sys.maxsize


def held_bytes(node: str) -> int:
    """Bytes of a node's staging that are taken or promised."""
    return _parts_of(node).aggregate(total=Sum("held"))["total"] or 0


def _parts_of(node: str) -> QuerySet[Part]:
    return Part.objects.filter(held__gt=0, transfer__node=node).order_by()


def _claimed_by_the_needier(transfer: Transfer) -> int:
    """Bytes to leave free for the largest next part of a waiting transfer that holds less than this one."""
    lately = timezone.now() - WANTED_LATELY
    waiting = Transfer.objects.filter(node=transfer.node, room_wanted_at__gte=lately, wanted=Want.RUN)
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
    rows = _parts_of(node).values_list("transfer__owner_id", "transfer_id").annotate(total=Sum("held"))
    for owner, pk, total in rows:
        owners[owner] = owners.get(owner, 0) + total
        transfers[pk] = total
    return owners, transfers


def _reclaim_silent_parts(transfer: Transfer) -> bool:
    """Give up half-filled parts whose senders are silent. Whether any room was won."""
    old = timezone.now() - SILENT
    silent = Part.objects.filter(
        transfer__received_at__lt=old, held__gt=0, state=PartState.WAITING, transfer__node=transfer.node
    ).exclude(transfer=transfer)
    won = False
    for part in silent.filter(transfer__resumable=True).select_related("transfer")[:8]:
        won |= _give_up(part)
    return won


def _give_up(part: Part) -> bool:
    folder = part.transfer.folder
    try:
        with folder.writer():
            folder.cut_to(part.transfer.plan, part.transfer.plan.part(part.number).offset)
            folder.mark_verified()
            return bool(
                Part.objects.filter(transfer=part.transfer_id, state=PartState.WAITING).update(held=0, received=0)
            )
    except WriterBusy:
        return False


def release(part: Part) -> None:
    """The part's bytes are in the store: drop them here, then give back their room."""
    remove_part(part.staged_path)
    Part.objects.filter(pk=part.pk).update(held=0)


def release_all(transfer: Transfer) -> None:
    """Nothing of the transfer stays here."""
    transfer.folder.remove()
    Part.objects.filter(transfer=transfer.pk, held__gt=0).update(held=0)
