"""A whole file that resumes a transfer: the bytes that were received are compared with it, and the rest is new.

The page of a new transfer compares before it sends. A plain form can only send the whole file again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from uploads.models import Transfer
from uploads.objectstore.checksums import Algorithm, Crc64, as_hex
from uploads.problems import Code, Problem, ProblemError
from uploads.services.transfers.receive.digests import ReceivedRange, received_ranges


class OtherBytes(ProblemError):
    """The file is not the one that the transfer was started with."""


def new_bytes(transfer: Transfer, offset: int, blocks: Iterable[bytes]) -> Iterator[memoryview]:
    """The bytes of a whole file from the offset on. Staged bytes before it are read again, for their digests.

    Raises OtherBytes before the first of them if a part differs. Parts whose digests are not known are not compared.
    """
    found = received_ranges(transfer, 0, budget=offset + 1, limit=transfer.part_count + 1)
    if sum(each.size for each in found.ranges) != offset:
        raise OtherBytes(Problem(Code.RESUMED_ELSEWHERE))
    return _after(found.ranges, found.algorithm, blocks)


def _after(ranges: Sequence[ReceivedRange], algorithm: Algorithm, blocks: Iterable[bytes]) -> Iterator[memoryview]:
    waiting, digest = list(reversed(ranges)), Crc64(algorithm)
    left = waiting[-1].size if waiting else 0
    for block in blocks:
        rest = memoryview(block)
        while rest and waiting:
            digest.update(rest[:left])
            rest, left = rest[left:], left - min(left, len(rest))
            if left:
                continue
            compared = waiting.pop()
            if compared.crc64 and as_hex(digest.value) != compared.crc64:
                raise OtherBytes(Problem(Code.RESUMED_WITH_OTHER_BYTES))
            digest = Crc64(algorithm)
            left = waiting[-1].size if waiting else 0
        if rest:
            yield rest
