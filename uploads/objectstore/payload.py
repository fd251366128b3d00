"""The body of a request: its digests, made in one pass before anything is sent, and its bytes, block by block."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from uploads.objectstore.errors import NotSent
from uploads.objectstore.keys import bad_argument
from uploads.objectstore.types import FileSlice

BLOCK = 1024 * 1024
"""Bytes read from disk at a time: memory per request beyond this does not grow with the body."""

IN_MEMORY = 16 * BLOCK
"""Bodies up to this size are read once and kept; larger ones are read a second time while they are sent."""

MOUTHFUL = 256 * 1024
"""Bytes between two reports of progress, so that a slow line is heard from too."""

OnBytes = Callable[[int], None]


class Cut(Exception):
    """The caller's `on_bytes` raised: the request ends here. Not an OSError, lest urllib3 take it for a lost line."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(cause)
        self.cause = cause


class Payload:
    """Bytes to send, with their length, Content-MD5 and (where it will be signed) SHA-256.

    Raises NotSent with BAD_ARGUMENT when the file cannot be read or is shorter than its slice says.
    """

    def __init__(self, source: FileSlice | bytes, *, sha256: bool = True, on_bytes: OnBytes | None = None) -> None:
        self._source = source
        self._sha256 = sha256
        self._on_bytes = on_bytes
        self._counted = 0
        self._kept: bytes | None = None
        self.size = len(source) if isinstance(source, bytes) else source.size
        self.read_digests()

    def read_digests(self) -> None:
        """Read everything once for the digests; again after a mismatch, for the file may have changed since."""
        md5 = hashlib.md5(usedforsecurity=False)
        sha256 = hashlib.sha256() if self._sha256 else None
        kept = bytearray() if self.size <= IN_MEMORY else None
        for block in self._read():
            md5.update(block)
            if sha256:
                sha256.update(block)
            if kept is not None:
                kept += block
        self._kept = None if kept is None else bytes(kept)
        self.md5 = md5.digest()
        self.sha256 = sha256.hexdigest() if sha256 else None

    @property
    def content_md5(self) -> str:
        """The value of the Content-MD5 header."""
        return base64.b64encode(self.md5).decode()

    def take_back(self) -> None:
        """Report as unsent what was counted, because it will be sent again."""
        counted, self._counted = self._counted, 0
        if counted and self._on_bytes:
            self._on_bytes(-counted)

    def __iter__(self) -> Iterator[memoryview]:
        """The bytes for the socket; what was taken is counted when the next mouthful is asked for."""
        blocks = self._read() if self._kept is None else iter([memoryview(self._kept)])
        for block in blocks:
            for start in range(0, len(block), MOUTHFUL):
                mouthful = block[start : start + MOUTHFUL]
                yield mouthful
                self._count(len(mouthful))

    def _count(self, size: int) -> None:
        self._counted += size
        if self._on_bytes:
            try:
                self._on_bytes(size)
            except Exception as error:
                raise Cut(error) from error

    def _read(self) -> Iterator[memoryview]:
        if isinstance(self._source, bytes):
            yield memoryview(self._source)
            return
        try:
            with self._source.path.open("rb", buffering=0) as file:
                file.seek(self._source.offset)
                yield from _blocks(file, self._source)
        except OSError as error:
            raise _unreadable(self._source, error) from error


def _blocks(file: BinaryIO, source: FileSlice) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(min(BLOCK, source.size)))
    left = source.size
    while left:
        got = file.readinto(buffer[: min(left, len(buffer))])  # type: ignore[attr-defined]
        if not got:
            raise bad_argument(
                f"The file {source.path.name} ends {left:,} bytes too early: {source.size:,} bytes from "
                f"{source.offset:,} were to be sent."
            )
        left -= got
        yield buffer[:got]


def _unreadable(source: FileSlice, error: OSError) -> NotSent:
    return bad_argument(f"The file {source.path.name} cannot be read: {error.strerror or error}.")
