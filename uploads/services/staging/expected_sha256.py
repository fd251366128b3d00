"""The SHA-256 that was promised for a file: made as its bytes arrive, kept over restarts, seen to at the end."""

from __future__ import annotations

import re

from uploads.models import Transfer
from uploads.staging import sha256
from uploads.staging.body import BLOCK_SIZE
from uploads.staging.sha256 import ResumableSha256, Unavailable

DIGEST = re.compile(r"[0-9a-f]{64}")


def parse_digest(text: str) -> str:
    """64 hexadecimal digits, in lower case; '' for nothing. Raises ValueError."""
    digest = text.strip().lower()
    if digest and not DIGEST.fullmatch(digest):
        raise ValueError("A SHA-256 is written with 64 hexadecimal digits.")
    return digest


def can_be_kept() -> bool:
    """Whether this installation can check such a promise."""
    return sha256.is_available()


class Promise:
    """The digest of one file on its way. A hasher that was lost stays lost, and the promise is broken in words."""

    def __init__(self, hasher: ResumableSha256 | None) -> None:
        self._hasher = hasher

    @classmethod
    def take_up(cls, transfer: Transfer, number: int) -> Promise:
        """Where part `number` is the one that is arriving: its bytes that are here are read once more."""
        if not transfer.verify_sha256:
            return cls(None)
        try:
            hasher = ResumableSha256.begin(_state_before(transfer, number))
        except (Unavailable, LookupError, ValueError):
            return cls(None)
        for path in (transfer.folder.partial(number), transfer.folder.whole(number)):
            if path.exists():
                with path.open("rb", buffering=0) as file:
                    while block := file.read(BLOCK_SIZE):
                        hasher.update(block)
                break
        return cls(hasher)

    def update(self, block: memoryview) -> None:
        if self._hasher:
            self._hasher.update(block)

    def save(self) -> bytes | None:
        return self._hasher.save() if self._hasher else None

    @property
    def digest(self) -> str:
        """Of what has come; '' where it cannot be known any more."""
        return self._hasher.hexdigest() if self._hasher else ""


def _state_before(transfer: Transfer, number: int) -> bytes | None:
    """LookupError where the state at the end of the part before was not kept."""
    if number == 1:
        return None
    state = transfer.parts.filter(number=number - 1).values_list("sha256_state", flat=True).first()
    if not state:
        raise LookupError(number)
    return bytes(state)


def broken(transfer: Transfer, promised: str, arrived: str) -> dict[str, str] | None:
    """Why the file may not be completed: the error columns of its row. None where the promise is kept."""
    if not transfer.verify_sha256 or (arrived and arrived == promised):
        return None
    if not arrived:
        code, message = "Sha256Unknown", "A SHA-256 was promised for this file and can no longer be checked"
    elif not promised:
        code, message = "Sha256Missing", "A SHA-256 was promised for this file and never came"
    else:
        code, message = "Sha256Mismatch", f"The file that arrived has the SHA-256 {arrived}; {promised} was promised"
    message += ": it is not completed. Discard it and send the file again."
    return {"error_code": code, "error_message": message, "error_request_id": ""}
