"""Digests of the bytes that a transfer has received, so that a browser can compare its file before it resumes."""

from __future__ import annotations

from dataclasses import dataclass

from uploads.domain.states import PartState
from uploads.models import Transfer
from uploads.objectstore.checksums import Algorithm, Crc64, as_hex
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
    """`next_start` is the offset to continue with, None after the last received byte."""

    algorithm: Algorithm
    ranges: tuple[ReceivedRange, ...]
    next_start: int | None


def received_ranges(transfer: Transfer, start: int, budget: int, limit: int) -> ReceivedRanges:
    """The received bytes from the part that has the offset `start`: at most `limit` parts.

    The digests of parts in the store are known. Those of staged bytes are computed: about `budget` bytes are read.
    """
    plan, offset = transfer.plan, offset_of(transfer)
    first = start // transfer.part_size + 1 if transfer.part_size else 1
    rows = _rows(transfer, first, limit)
    ranges, next_start = list[ReceivedRange](), None
    for number in range(first, transfer.part_count + 1):
        part = plan.part(number)
        size = min(part.size, offset - part.offset)
        if size <= 0:
            break
        if number >= first + limit or budget <= 0:
            next_start = part.offset
            break
        state, crc64 = rows.get(number, (PartState.WAITING, ""))
        if state != PartState.SENT or not crc64:
            crc64 = _staged_crc64(transfer, number, size)
            budget -= size
        ranges.append(ReceivedRange(part.offset, size, crc64))
    return ReceivedRanges(provider_of(transfer.store).crc64, tuple(ranges), next_start)


def _rows(transfer: Transfer, first: int, limit: int) -> dict[int, tuple[str, str]]:
    """The state and the digest of each part."""
    parts = transfer.parts.filter(number__gte=first, number__lt=first + limit)
    return {number: (state, crc64) for number, state, crc64 in parts.values_list("number", "state", "crc64")}


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
