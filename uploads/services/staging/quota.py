"""The quota of the staging disk: how many bytes each transfer may take, decided before a part's first byte arrives.

A part reserves all of its bytes before the first one arrives and releases them when its file is removed. A part that
has started can therefore always be completed and sent: half-filled parts never wait for each other. Reservations never
exceed the quota, nor the free space of the disk above its floor. They are made under a lock, one part at a time. While
space is ample, an upper bound of what is reserved shows that (`upper_bound`). Otherwise these rules decide:

* A refused transfer records the time (`quota_refused_at`). While that is recent, a transfer whose operator has more
  bytes reserved (or, for the same operator, a transfer that has more) must leave enough space for that part. One huge
  file cannot starve the others.
* The transfers of one user never take more than USER_RESERVED_BYTES, except for one part that is larger.
* A half-filled part whose sender has been silent for minutes, or sends less than STAGING_LEAST_RATE, releases its bytes
  when others need them. A sender that is connected is told to stop (`gives_way`), and releases them itself. It resumes
  at an earlier offset. Nobody else removes bytes that cannot be sent again (from the plain form).
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet, Sum, Value
from django.utils import timezone

from uploads import crash, database
from uploads.database.prepared import Given, Insert, InsertMany, Rows, Update
from uploads.domain.planning import PlannedPart
from uploads.domain.states import FINAL_PHASES, DesiredState, PartState
from uploads.models import Part, StagingNode, Transfer
from uploads.services.staging import upper_bound
from uploads.services.staging.waiting import REFUSED_LATELY, waiting_for_space
from uploads.services.staging.writing import only_writer
from uploads.staging import disk
from uploads.staging.disk import WriterBusy, remove_part

IDLE = timedelta(minutes=2)
"""A half-filled part to which bytes have not arrived at the minimum rate for so long may be reclaimed."""

RECLAIMED_AT_ONCE = 64
"""Transfers that give up their reservations for one part."""

AHEAD = 8
"""Parts of a transfer that are reserved at once while space is ample."""

AMPLE = 8
"""Space is ample while the parts reserved ahead take at most this fraction of the free space."""


_INSERT = Insert(Part)
_INSERT_MANY = InsertMany(Part)


class TransferEnded(Exception):
    """The transfer has ended or is being cancelled: nothing more is received for it."""


class UserLimit(Exception):
    """The transfers of the user have taken `limit` bytes, or would exceed them."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes of a node that are taken, and those that the next part may take now. The same of a user."""

    taken: int
    free: int
    of_user: int
    user_limit: int

    def is_enough_for_user(self, size: int) -> bool:
        """One part is always allowed: it may be larger than the limit."""
        return not self.of_user or self.of_user + size <= self.user_limit


def reserve(transfer: Transfer, planned: PlannedPart) -> list[Part]:
    """Reserve a part's bytes, and those of the next parts while space is ample, which saves later calls.

    Returns the rows of the parts; empty if staging is full now: retry in a few seconds. Raises TransferEnded, and
    UserLimit if the other transfers of the user have to release bytes first.
    """
    try:
        parts = _reserve(transfer, planned)
    except UserLimit:
        if not _reclaim_idle_parts(transfer, planned.size, of_user=True):
            raise
        return _reserve(transfer, planned)
    if not parts and _reclaim_idle_parts(transfer, planned.size):
        parts = _reserve(transfer, planned)
    return parts


def _reserve(transfer: Transfer, planned: PlannedPart) -> list[Part]:
    space, parts = _reserve_in(transfer, planned)
    if not parts and not space.is_enough_for_user(planned.size):
        raise UserLimit(space.user_limit)
    return parts


def reserve_only_part(transfer: Transfer) -> Part | None:
    """Reserve the part of a file of one part, in the transaction that creates the transfer, if there is space now.

    Otherwise nothing is changed: `reserve` decides who waits.
    """
    planned = transfer.plan.part(1)
    if not _is_space_ample(transfer, [planned]):
        _lock(transfer.node)
        space = _space(transfer.node, transfer.owner_id)
        if not _has_space(transfer, planned, space):
            return None
        upper_bound.set_to(transfer.node, space.taken + planned.size)
    return _reserve_row(transfer, planned, None)


def reserve_only_parts(transfers: Sequence[Transfer]) -> dict[uuid.UUID, Part]:
    """As `reserve_only_part` for several transfers of one user, which this transaction creates: parts by transfer.

    The statements are those of one transfer while space is ample.
    """
    if not _take_ample(transfers):
        found = {each.pk: reserve_only_part(each) for each in transfers}
        return {pk: part for pk, part in found.items() if part is not None}
    rows = [Part(transfer=each, number=1, size=each.size, reserved_bytes=each.size) for each in transfers]
    _INSERT_MANY(rows)
    by_pk = {each.pk: each for each in transfers}
    parts = {part.transfer_id: part for part in Part.objects.filter(transfer__in=by_pk).order_by()}
    for pk, part in parts.items():
        part.transfer = by_pk[pk]
    return parts


def take_for_all(transfers: Sequence[Transfer]) -> bool:
    """Reserve the bytes of transfers of one part, which this transaction creates, if space is ample.

    They may have several owners. The caller inserts their parts. False leaves the decision to `reserve`.
    """
    if _take_ample(transfers):
        return True
    node = transfers[0].node
    _lock(node)
    upper_bound.set_to(node, reserved_bytes(node))
    return _take_ample(transfers)


def _take_ample(transfers: Sequence[Transfer]) -> bool:
    """Reserve the bytes by the upper bound of what is taken: one statement."""
    size = sum(each.size for each in transfers)
    total, of_user = _totals()
    return upper_bound.take(transfers[0], size, min(total, of_user) - size)


def _totals() -> tuple[int, int]:
    """The most bytes that may be reserved by the quota and the free space of the disk: of all users, and of one."""
    on_disk = disk.free_bytes(Path(settings.STAGING_DIR)) - settings.STAGING_FREE_FLOOR
    total = max(0, min(limit_bytes(), on_disk))
    return total, settings.USER_RESERVED_BYTES or _share_of_user(total)


def _is_space_ample(transfer: Transfer, parts: Sequence[PlannedPart]) -> bool:
    """Whether these parts may certainly be reserved, by the upper bound of what is taken. If so, it has them now.

    What has arrived counts twice here, as taken and as used on the disk.
    """
    total, of_user = _totals()
    size = sum(each.size for each in parts)
    if len(parts) == 1:
        most = min(total, of_user) - size
    else:
        ahead = AHEAD * transfer.part_size
        most = min(total - AMPLE * ahead, of_user - ahead)
    return upper_bound.take(transfer, size, most)


def _has_space(transfer: Transfer, planned: PlannedPart, space: Space) -> bool:
    return space.is_enough_for_user(planned.size) and planned.size <= space.free - _claimed_by_others(transfer)


@transaction.atomic
def _reserve_in(transfer: Transfer, planned: PlannedPart) -> tuple[Space, list[Part]]:
    _lock(transfer.node)
    live = (
        Transfer.objects.filter(pk=transfer.pk)
        .exclude(phase__in=FINAL_PHASES)
        .exclude(desired_state=DesiredState.CANCEL)
    )
    # Locked, so that a cancellation happens before or after, never in between.
    if not live.select_for_update().values_list("pk", flat=True)[:1]:
        raise TransferEnded
    rows = {part.number: part for part in transfer.parts.filter(number__gte=planned.number)[:AHEAD]}
    part = rows.get(planned.number)
    if part is not None and (part.reserved_bytes or part.state != PartState.WAITING):
        return NOTHING_NEEDED, [part]
    parts, space = _with_next_parts(transfer, planned), NOTHING_NEEDED
    if not _is_space_ample(transfer, parts):
        space = _space(transfer.node, transfer.owner_id)
        if not _has_space(transfer, planned, space):
            Transfer.objects.filter(pk=transfer.pk).update(quota_refused_at=timezone.now())
            return space, []
        if not _may_reserve_ahead(transfer, space):
            parts = [planned]
        upper_bound.set_to(transfer.node, space.taken + sum(each.size for each in parts))
    # The sender has all of its time for this part.
    begun = {"quota_refused_at": None, "progressed_at": timezone.now(), "progressed_bytes": planned.offset}
    Transfer.objects.filter(pk=transfer.pk).update(gives_way=False, **begun)
    return space, [_reserve_row(transfer, each, rows.get(each.number)) for each in parts]


def _with_next_parts(transfer: Transfer, planned: PlannedPart) -> list[PlannedPart]:
    last = min(planned.number + AHEAD - 1, transfer.part_count)
    return [transfer.plan.part(number) for number in range(planned.number, last + 1)]


def _may_reserve_ahead(transfer: Transfer, space: Space) -> bool:
    """Whether the parts reserved ahead take a small share of the free space."""
    ahead = AHEAD * transfer.part_size
    return ahead <= space.free // AMPLE and space.is_enough_for_user(ahead)


def _reserve_row(transfer: Transfer, planned: PlannedPart, row: Part | None) -> Part:
    if row is None:
        return _INSERT(Part(transfer=transfer, number=planned.number, size=planned.size, reserved_bytes=planned.size))
    if row.state == PartState.WAITING and not row.reserved_bytes:
        Part.objects.filter(pk=row.pk).update(reserved_bytes=planned.size, received=0)
        row.reserved_bytes = planned.size
    return row


def _lock(node: str) -> None:
    if not database.locks_rows():
        return
    if StagingNode.objects.select_for_update().filter(name=node).first() is None:
        StagingNode.objects.get_or_create(name=node)
        StagingNode.objects.select_for_update().get(name=node)


def free_bytes(node: str) -> int:
    """Bytes that the next part may take now, whoever sends it."""
    return _space(node, None).free


NOTHING_NEEDED = Space(taken=0, free=0, of_user=0, user_limit=0)


def _space(node: str, user_id: int | None) -> Space:
    ((taken, outstanding, of_user),) = _SUMS(node=node, owner=user_id)
    # Bytes that are reserved and have not arrived will still be written to this disk.
    on_disk = disk.free_bytes(Path(settings.STAGING_DIR)) - settings.STAGING_FREE_FLOOR - outstanding
    free = min(limit_bytes() - taken, on_disk)
    return Space(taken, free, of_user, settings.USER_RESERVED_BYTES or _share_of_user(taken + max(0, free)))


def _sums() -> QuerySet[Any, Any]:
    """One row: the reserved bytes of a node, those of them that have not arrived, and those of a user."""
    outstanding = Sum(F("reserved_bytes") - F("received"), filter=Q(state=PartState.WAITING), default=0)
    of_user = Sum("reserved_bytes", filter=Q(transfer__owner=Given(Transfer, "owner")), default=0)
    rows = _parts_of(Given(Transfer, "node")).values(all=Value(1))
    sums = rows.annotate(taken=Sum("reserved_bytes", default=0), outstanding=outstanding, of_user=of_user)
    return sums.values_list("taken", "outstanding", "of_user")


_SUMS = Rows(_sums)


def user_limit_bytes() -> int:
    """The most bytes of several parts that a user can have reserved at once."""
    return min(limit_bytes(), settings.USER_RESERVED_BYTES or _share_of_user(limit_bytes()))


def _share_of_user(total: int) -> int:
    return total // 10 * 9


def limit_bytes() -> int:
    """The quota of a node in bytes."""
    return settings.STAGING_QUOTA or sys.maxsize


def reserved_bytes(node: str) -> int:
    """Bytes of a node's staging that are taken or reserved."""
    return _parts_of(node).aggregate(total=Sum("reserved_bytes"))["total"] or 0


def _parts_of(node: str | Given) -> QuerySet[Part]:
    return Part.objects.filter(reserved_bytes__gt=0, transfer__node=node).order_by()


def _claimed_by_others(transfer: Transfer) -> int:
    """Bytes to leave free: the largest next part of a waiting transfer that has fewer bytes reserved than this one."""
    rivals = _WAITING(node=transfer.node, lately=timezone.now() - REFUSED_LATELY, id=transfer.pk)
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


_WAITING = Rows(lambda: waiting_for_space().values_list("pk", "owner_id", "part_size", "size"))


def _reserved_by(node: str) -> tuple[dict[int, int], dict[uuid.UUID, int]]:
    """Bytes reserved, by operator and by transfer."""
    owners: dict[int, int] = {}
    transfers: dict[uuid.UUID, int] = {}
    rows = _parts_of(node).values_list("transfer__owner_id", "transfer_id").annotate(total=Sum("reserved_bytes"))
    for owner, pk, total in rows:
        owners[owner] = owners.get(owner, 0) + total
        transfers[pk] = total
    return owners, transfers


def _reclaim_idle_parts(transfer: Transfer, size: int, *, of_user: bool = False) -> bool:
    """Remove half-filled parts whose senders are silent, and tell those that are too slow to stop.

    Returns whether any space was gained. `of_user`: only from the other transfers of the same user.
    """
    reserved = Part.objects.filter(reserved_bytes__gt=0, state=PartState.WAITING, transfer__node=transfer.node)
    idle = _idle(Transfer.objects.filter(pk__in=reserved.order_by().values("transfer"))).exclude(pk=transfer.pk)
    if of_user:
        idle = idle.filter(owner_id=transfer.owner_id)
    gained = 0
    for each in idle.order_by("progressed_at")[:RECLAIMED_AT_ONCE]:
        gained += _reclaim(each)
        if gained >= size:
            break
    return gained > 0


def _idle(rows: QuerySet[Transfer]) -> QuerySet[Transfer]:
    """Transfers to which nothing has arrived for some time at the minimum rate."""
    old = timezone.now() - IDLE
    return rows.filter(Q(progressed_at__lt=old) | Q(progressed_at=None, received_at__lt=old))


def _reclaim(transfer: Transfer) -> int:
    """The bytes that were released now. A sender that is connected releases them when it is told to give way."""
    rows = _idle(Transfer.objects.filter(pk=transfer.pk))
    try:
        with only_writer(transfer):
            return give_up(transfer) if transfer.resumable and rows.exists() else 0
    except WriterBusy:
        rows.update(gives_way=True)
        return 0


def give_up(transfer: Transfer) -> int:
    """Remove the incomplete parts of a transfer, and release their reservations. Returns their bytes.

    The caller is its only writer.
    """
    folder = transfer.folder
    waiting = transfer.parts.filter(state=PartState.WAITING, reserved_bytes__gt=0)
    # A part that is whole but not yet recorded keeps its bytes, and so its reservation.
    removed = {each.pk: each for each in waiting if not folder.whole(each.number).exists()}
    if removed:
        first = min(each.number for each in removed.values())
        folder.truncate_to(transfer.plan, transfer.plan.part(first).offset)
        folder.mark_verified()
    Transfer.objects.filter(pk=transfer.pk, gives_way=True).update(gives_way=False)
    if not Part.objects.filter(pk__in=removed).update(reserved_bytes=0, received=0):
        return 0
    return sum(each.reserved_bytes for each in removed.values())


def release_unused(transfer: Transfer, numbers: Sequence[int]) -> None:
    """Release the reservations of parts that have received nothing."""
    Part.objects.filter(transfer=transfer, number__in=numbers, state=PartState.WAITING).update(
        reserved_bytes=0, received=0
    )


def release(part: Part) -> None:
    """The part's bytes are in the store: remove them here, then release their reservation."""
    remove_part(part.staged_path)
    crash.point("part.removed")
    _RELEASE(id=part.pk)


_RELEASE = Update(lambda: Part.objects.filter(pk=Given(Part, "id")), lambda: {"reserved_bytes": 0})


def release_many(transfers: Sequence[Transfer]) -> None:
    """Remove everything that is staged for these transfers of this node."""
    for transfer in transfers:
        transfer.folder.remove()
    crash.point("files.removed")
    ids = [{"id": transfer.pk} for transfer in transfers]
    with transaction.atomic():
        _RELEASE_PARTS.for_each(ids)
        _RELEASED.for_each(ids)


_RELEASE_PARTS = Update(
    lambda: Part.objects.filter(transfer=Given(Transfer, "id"), reserved_bytes__gt=0), lambda: {"reserved_bytes": 0}
)
_RELEASED = Update(
    lambda: Transfer.objects.filter(pk=Given(Transfer, "id"), release_at__isnull=False), lambda: {"release_at": None}
)


def release_all(transfer: Transfer) -> None:
    """Remove everything that is staged for the transfer."""
    transfer.folder.remove()
    crash.point("staging.removed")
    with transaction.atomic():
        Part.objects.filter(transfer=transfer.pk, reserved_bytes__gt=0).update(reserved_bytes=0)
        Transfer.objects.filter(pk=transfer.pk, release_at__isnull=False).update(release_at=None)
