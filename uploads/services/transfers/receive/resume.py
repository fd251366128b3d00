"""Continuing where the previous writer stopped."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from uploads.database.prepared import Exists, Given
from uploads.domain.planning import PlannedPart
from uploads.domain.states import DesiredState, PartState, Phase
from uploads.models import Part, Transfer
from uploads.services.staging import quota, upper_bound
from uploads.services.staging.expected_sha256 import FileSha256
from uploads.services.transfers.receive.progress import check_accepting
from uploads.services.transfers.receive.staged import mark_staged
from uploads.staging.disk import PartialFile


@dataclass(frozen=True, slots=True)
class Position:
    """Where the next byte goes: its offset, the number of its part, and the SHA-256 of all bytes before it.

    `reserved` is its part, if nothing has arrived and the bytes of the only part are reserved.
    """

    offset: int
    number: int
    sha256: FileSha256
    reserved: Part | None = None


def resume(transfer: Transfer, reserved: Part | None = None) -> Position:
    """Find where the previous writer stopped, even if it crashed, and remove what does not count.

    `reserved` is the part of a file of one part that was reserved when the transfer was created, a moment ago. The
    caller has the lock of the transfer's folder. Raises ReceivingStopped, OSError.
    """
    if reserved is not None and transfer.folder.has_only_lock() and _is_untouched(reserved):
        return Position(0, 1, FileSha256.resume(transfer, 1), reserved)
    check_accepting(transfer, sender_is_active=False)
    plan, folder = transfer.plan, transfer.folder
    if transfer.gives_way:
        # The sender that was to give way has died.
        quota.give_up(transfer)
    staged = transfer.parts.exclude(state=PartState.WAITING).count()
    offset = folder.offset(plan, staged)
    folder.truncate_to(plan, offset)
    folder.mark_verified()
    number = staged + 1
    # These parts are full: their writer stopped before it recorded that.
    while number <= plan.part_count and 0 < folder.arrived(number) == plan.part(number).size:
        _recover(transfer, plan.part(number))
        number += 1
    return Position(offset, number, FileSha256.resume(transfer, number))


def _is_untouched(reserved: Part) -> bool:
    """Whether nobody has received, reclaimed, paused or ended anything since the part was reserved."""
    return _UNTOUCHED(id=reserved.pk, reserved_bytes=reserved.size)


_UNTOUCHED = Exists(
    lambda: Part.objects.filter(
        pk=Given(Part, "id"),
        state=PartState.WAITING,
        reserved_bytes=Given(Part, "reserved_bytes"),
        transfer__phase=Phase.RECEIVING,
        transfer__desired_state=DesiredState.RUN,
        transfer__gives_way=False,
    ).order_by()
)


def _recover(transfer: Transfer, planned: PlannedPart) -> None:
    sha256 = FileSha256.resume(transfer, planned.number)
    if not transfer.folder.whole(planned.number).exists():
        PartialFile(transfer.folder, planned.number).finish()
    with transaction.atomic():
        part, is_new = Part.objects.get_or_create(
            transfer=transfer,
            number=planned.number,
            defaults={"size": planned.size, "reserved_bytes": planned.size},
        )
        if is_new:
            upper_bound.add(transfer.node, planned.size)
    mark_staged(part, sha256.save())
