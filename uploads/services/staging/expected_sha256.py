"""The SHA-256 that a client expects of a file: computed while the bytes arrive, and compared when they are complete."""

from __future__ import annotations

import re
from contextlib import suppress

from uploads.models import Transfer
from uploads.problems import Code, Problem, ProblemError
from uploads.staging import sha256
from uploads.staging.body import BLOCK_SIZE
from uploads.staging.disk import StagingFolder
from uploads.staging.sha256 import ResumableSha256, Unavailable

DIGEST = re.compile(r"[0-9a-f]{64}")


def parse_digest(text: str) -> str:
    """64 hexadecimal digits in lower case; empty for an empty text. Raises ProblemError."""
    digest = text.strip().lower()
    if digest and not DIGEST.fullmatch(digest):
        raise ProblemError(Problem(Code.INVALID_SHA256))
    return digest


def can_verify() -> bool:
    """Whether this installation can compute the SHA-256 of a file that arrives in several requests."""
    return sha256.is_available()


class FileSha256:
    """The SHA-256 of a file that is arriving. Once its state is lost, it stays unknown for this file."""

    def __init__(self, hasher: ResumableSha256 | None) -> None:
        self._hasher = hasher

    @classmethod
    def resume(cls, transfer: Transfer, number: int) -> FileSha256:
        """Continue where part `number` is arriving: its staged bytes are read once more."""
        if not transfer.verify_sha256:
            return cls(None)
        try:
            hasher = ResumableSha256.start(_state_before(transfer, number))
        except (Unavailable, LookupError, ValueError):
            return cls(None)
        _read_part(hasher, transfer.folder, number)
        return cls(hasher)

    def update(self, block: memoryview) -> None:
        if self._hasher:
            self._hasher.update(block)

    def save(self) -> bytes | None:
        return self._hasher.save() if self._hasher else None

    @property
    def digest(self) -> str:
        """The digest of the bytes so far; empty if it is unknown."""
        return self._hasher.hexdigest() if self._hasher else ""


def _state_before(transfer: Transfer, number: int) -> bytes | None:
    """The state at the end of the previous part. Raises LookupError if it was not saved."""
    if number == 1:
        return None
    state = transfer.parts.filter(number=number - 1).values_list("sha256_state", flat=True).first()
    if not state:
        raise LookupError(number)
    return bytes(state)


def _read_part(hasher: ResumableSha256, folder: StagingFolder, number: int) -> None:
    for path in (folder.partial(number), folder.whole(number)):
        with suppress(FileNotFoundError), path.open("rb", buffering=0) as file:
            while block := file.read(BLOCK_SIZE):
                hasher.update(block)
            return


def mismatch(transfer: Transfer, expected: str, received: str) -> Problem | None:
    """Why the file must not be completed; None if its SHA-256 is the expected one, or none is expected."""
    if not transfer.verify_sha256 or (received and received == expected):
        return None
    if not received:
        return Problem(Code.SHA256_UNKNOWN)
    if not expected:
        return Problem(Code.SHA256_MISSING)
    return Problem(Code.SHA256_MISMATCH, received=received, expected=expected)
