"""Bytes of a transfer that are neither in the store nor staged: whether a retry can still send the whole file.

A part is needed from staging if it waits to be sent, or if the store does not have it as it was sent. The node that
stages it looks at its disk; every other node knows what that node has recorded.
"""

from __future__ import annotations

from collections.abc import Iterable

from uploads.domain.states import PART_STATES, PartState, StoreUploadState
from uploads.models import Part, Transfer
from uploads.problems import Code
from uploads.services.staging import upper_bound
from uploads.services.transfers.missing_files import can_arrive_again
from uploads.services.work import leases
from uploads.services.work.failures import NO_ERROR
from uploads.services.work.transitions import change

OBJECT_IS_NOT_OURS = frozenset(
    {Code.OBJECT_MISSING, Code.OBJECT_DIFFERS, Code.OBJECT_ETAG_DIFFERS, Code.CRC64_MISMATCH}
)
"""Reasons of failures after which an object sent by PutObject has to be sent again."""

REPLACED = frozenset({Code.PARTS_REPLACED, Code.SENT_PART_LOST})
"""The store no longer has parts as they were sent, and their bytes are not staged any more."""

IN_THE_STORE = (StoreUploadState.OPEN, StoreUploadState.COMPLETED)


def has_lost_bytes(transfer: Transfer) -> bool:
    """Whether bytes that were received are lost, so that no retry can send the whole file."""
    if was_replaced(transfer):
        return True
    # Its node has found that staged bytes are lost, and its sender cannot send them again.
    if transfer.all_received and transfer.parts.filter(state=PartState.WAITING).exists():
        return True
    needed = parts_needed_from_staging(transfer)
    if not needed:
        return False
    if not transfer.is_staged_here:
        return any(part.size and part.state == PartState.SENT and not part.reserved_bytes for part in needed)
    staged = transfer.folder.whole_sizes()
    missing = [part for part in needed if part.size and staged.get(part.number) != part.size]
    # A retry finds out that a staged part is missing, and then waits for its bytes.
    return any(part.state == PartState.SENT or not can_arrive_again(transfer) for part in missing)


def was_replaced(transfer: Transfer) -> bool:
    """Whether the transfer failed because someone else has replaced or removed its parts in the store."""
    error = transfer.error
    return error is not None and not REPLACED.isdisjoint({error.reason, *(each.code for each in error.details)})


def parts_needed_from_staging(transfer: Transfer) -> list[Part]:
    """The parts that a retry has to send."""
    parts = transfer.parts.only("transfer_id", "number", "size", "state", "reserved_bytes")
    needed = list(parts.filter(state__in=(PartState.STAGED, PartState.SENDING)))
    return needed + list(_sent_in_vain(transfer))


def _sent_in_vain(transfer: Transfer) -> Iterable[Part]:
    """Parts that were sent, and that the store does not have any more."""
    sent = transfer.parts.filter(state=PartState.SENT)
    if not transfer.by_put_object:
        return sent.exclude(store_upload__state__in=IN_THE_STORE)
    return sent if transfer.error_reason in OBJECT_IS_NOT_OURS else sent.none()


def needs_sent_bytes_again(transfer: Transfer) -> bool:
    """Whether a retry has to send parts that were sent before."""
    return any(True for _ in _sent_in_vain(transfer))


def stage_again(parts: Iterable[Part]) -> None:
    """Have sent parts, whose bytes are still staged, wait to be sent again."""
    for part in parts:
        changes = {**leases.RELEASED, **leases.SUCCEEDED, **NO_ERROR, "etag": "", "moved": 0, "store_upload": None}
        rows = Part.objects.filter(pk=part.pk)
        if not part.reserved_bytes:
            upper_bound.add(part.transfer.node, part.size)
        change(PART_STATES, rows, PartState.STAGED, {PartState.SENT}, reserved_bytes=part.size, **changes)


def stage_again_for_retry(transfer: Transfer) -> None:
    """Before a retry: parts that were sent in vain are sent again."""
    stage_again(_sent_in_vain(transfer))
