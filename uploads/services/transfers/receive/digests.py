"""Digests of the bytes that a transfer has received, so that a browser can compare its file before it resumes."""

from __future__ import annotations

from dataclasses import dataclass

from uploads.domain.states import PartState
from uploads.models import Transfer
from uploads.objectstore.checksums import Crc64, as_hex
from uploads.services.browse.browsing import provider_of
from uploads.services.transfers.start import offset_of

BLOCK = 1024**2


@dataclass(frozen=True, slots=True)
class ReceivedRange:
    """Received bytes of one part, from the offset `start` in the file. `crc64` is hexadecimal, empty if not known."""

    start: int
    size: int
    crc64: str


@dataclass(frozen=True, slots=True)
class ReceivedRanges:
    """`next_part` is the part to continue with, None after the last received byte."""

    algorithm: str
    ranges: tuple[ReceivedRange, ...]
    next_part: int | None


def received_ranges(transfer: Transfer, first: int, budget: int, limit: int) -> ReceivedRanges:
    """The received bytes from part `first` on: at most `limit` parts.

    The digests of parts in the store are known. Those of staged bytes are computed: about `budget` bytes are read.
    """
    offset, ranges, unread = offset_of(transfer), list[ReceivedRange](), budget
    rows = {
        number: (state, crc64)
        for number, state, crc64 in transfer.parts.filter(number__gte=first, number__lt=first + limit).values_list(
            "number", "state", "crc64"
        )
    }
    number = first
    while number <= transfer.part_count and transfer.plan.part(number).offset < offset:
        if number >= first + limit or unread <= 0:
            return ReceivedRanges(provider_of(transfer.store).crc64, tuple(ranges), number)
        part = transfer.plan.part(number)
        size = min(part.size, offset - part.offset)
        state, crc64 = rows.get(number, (PartState.WAITING, ""))
        if state != PartState.SENT or not crc64:
            crc64 = _staged_crc64(transfer, number, size)
            unread -= size
        ranges.append(ReceivedRange(part.offset, size, crc64))
        number += 1
    return ReceivedRanges(provider_of(transfer.store).crc64, tuple(ranges), None)


def _staged_crc64(transfer: Transfer, number: int, size: int) -> str:
    """The digest of the first `size` staged bytes of a part; that of the row if it has left staging meanwhile."""
    digest = Crc64(provider_of(transfer.store).crc64)
    folder = transfer.folder
    for path in (folder.partial(number), folder.whole(number)):
        try:
            with path.open("rb") as file:
                while size > 0 and (block := file.read(min(BLOCK, size))):
                    digest.update(block)
                    size -= len(block)
                return as_hex(digest.value) if size == 0 else ""
        except FileNotFoundError:
            continue
    return transfer.parts.filter(number=number, state=PartState.SENT).values_list("crc64", flat=True).first() or ""
