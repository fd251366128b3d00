"""Splitting the bytes of a file into part files."""

from __future__ import annotations

from dataclasses import dataclass

from uploads.models import Part, Transfer
from uploads.problems import Code, Problem
from uploads.services.staging.expected_sha256 import FileSha256
from uploads.services.transfers.receive.errors import WrongLength
from uploads.services.transfers.receive.reservations import Reservations
from uploads.staging.disk import PartialFile


@dataclass(frozen=True, slots=True)
class ArrivingPart:
    """The part whose bytes are arriving now."""

    row: Part
    file: PartialFile

    @property
    def missing_bytes(self) -> int:
        return self.row.size - self.file.arrived


class PartWriter:
    """Writes bytes in order to the files of consecutive parts, and computes the file's SHA-256 if one is expected."""

    def __init__(self, transfer: Transfer, reservations: Reservations, number: int, sha256: FileSha256) -> None:
        self._transfer = transfer
        self._reservations = reservations
        self._number = number
        self._sha256 = sha256
        self.current: ArrivingPart | None = None

    @property
    def digest(self) -> str:
        """The SHA-256 of the file so far; empty if it is unknown."""
        return self._sha256.digest

    def start(self, patience: float) -> ArrivingPart:
        """Start the next part once its bytes are reserved. Raises WrongLength, QuotaExceeded."""
        if self._number > self._transfer.part_count:
            raise WrongLength(Problem(Code.FILE_TOO_LONG, size_bytes=self._transfer.size))
        row = self._reservations.take(self._transfer.plan.part(self._number), patience)
        self.current = ArrivingPart(row, PartialFile(self._transfer.folder, self._number))
        return self.current

    def write(self, part: ArrivingPart, block: memoryview) -> memoryview:
        """Write as much of a block as the part takes. Returns what was written."""
        piece = block[: part.missing_bytes]
        part.file.write(piece)
        self._sha256.update(piece)
        return piece

    def end(self) -> tuple[ArrivingPart, bytes | None]:
        """The current part, which is full, and the state of the SHA-256 at its end."""
        assert self.current is not None
        part, self.current = self.current, None
        self._number += 1
        return part, self._sha256.save()

    @property
    def current_row(self) -> Part | None:
        return self.current.row if self.current else None

    def close(self) -> None:
        """Leave the bytes of the current part as they are."""
        if self.current is not None:
            self.current.file.close()
