"""A body with a checksum: nothing of it counts, and no part of it is sent, before the whole body is verified."""

from __future__ import annotations

from uploads import crash
from uploads.domain.planning import PlannedPart
from uploads.models import Part, Transfer
from uploads.problems import Code, Problem
from uploads.services.staging import quota
from uploads.services.transfers.receive.errors import WrongLength
from uploads.services.transfers.receive.parts import ArrivingPart
from uploads.services.transfers.receive.reservations import Reservations
from uploads.services.transfers.receive.staged import mark_staged
from uploads.staging.disk import PartialFile
from uploads.staging.tus import Checksum


class CheckedBody:
    """The checksum of one body, and the whole parts that wait for its verification. It begins at offset `start`."""

    def __init__(self, transfer: Transfer, checksum: Checksum) -> None:
        self._transfer = transfer
        self._checksum = checksum
        self._hash = checksum.start()
        self._waiting: list[tuple[Part, bytes | None]] = []
        self.start = 0

    def expect(self, offset: int, length: int | None, reservations: Reservations, patience: float) -> None:
        """Reserve all parts of the body, and mark its bytes as unverified. Raises QuotaExceeded, WrongLength.

        If the length is unknown, only the first part is reserved. The others are when their bytes arrive.
        """
        self.start = offset
        parts = self._fitting_parts(1 if length is None else length)
        reservations.reserve_all(parts, patience)
        self._transfer.folder.mark_unverified(offset)
        crash.point("checksum.expected")

    def expect_more(self, offset: int) -> None:
        """The body goes on with another part. Raises WrongLength if all of its parts never fit into staging."""
        self._fitting_parts(offset + 1 - self.start)

    def _fitting_parts(self, length: int) -> list[PlannedPart]:
        parts = self._parts_of(self.start, length)
        limit = quota.limit_bytes() if len(parts) == 1 else quota.user_limit_bytes()
        if sum(part.size for part in parts) > limit:
            fitting = parts[0].offset + parts[0].size - self.start
            raise WrongLength(
                Problem(Code.CHECKED_BODY_TOO_LARGE, length_bytes=length, count=len(parts), fitting_bytes=fitting)
            )
        return parts

    def _parts_of(self, offset: int, length: int) -> list[PlannedPart]:
        end = offset + length
        return [part for part in self._transfer.plan.parts() if part.offset < end and part.offset + part.size > offset]

    def update(self, block: memoryview) -> None:
        self._hash.update(block)

    def keep(self, part: ArrivingPart, sha256_state: bytes | None) -> None:
        """A part is full and waits for the verification."""
        part.file.close()
        self._waiting.append((part.row, sha256_state))

    def verify(self) -> None:
        """Stage the parts if the checksum matches. Raises TusError with 460 if it does not."""
        self._checksum.check(self._hash.digest())
        crash.point("checksum.compared")
        self._transfer.folder.mark_verified()
        crash.point("checksum.verified")
        for part, sha256_state in self._waiting:
            PartialFile(self._transfer.folder, part.number).finish()
            mark_staged(part, sha256_state)

    def discard(self) -> int | None:
        """Remove the unverified bytes. Returns the offset at which they started; None if there are none."""
        unverified = self._transfer.folder.unverified_from()
        if unverified is not None:
            self._transfer.folder.truncate_to(self._transfer.plan, unverified)
            self._transfer.folder.mark_verified()
        return unverified
