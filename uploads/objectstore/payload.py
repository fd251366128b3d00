"""The body of a request: its digests, made in one pass before anything is sent, and its bytes, block by block."""

from __future__ import annotations

import base64
import hashlib
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import BinaryIO

from uploads.objectstore.checksums import Algorithm, Crc64
from uploads.objectstore.errors import NotSent
from uploads.objectstore.keys import bad_argument
from uploads.objectstore.types import FileSlice
from uploads.problems import Code

BLOCK = 1024 * 1024
"""Bytes read from disk at a time: memory per request beyond this does not grow with the body."""

IN_MEMORY = 32 * BLOCK
"""Bodies up to this size are read once and kept; larger ones are read a second time while they are sent."""

MOUTHFUL = 256 * 1024
"""Bytes between two reports of progress, so that a slow line is heard from too."""

OnBytes = Callable[[int], None]


class InterruptedByCallback(Exception):
    """The caller's `on_bytes` raised: the request ends here. Not an OSError, lest urllib3 take it for a lost line."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(cause)
        self.cause = cause


class Payload:
    """Bytes to send, with their length, Content-MD5, CRC-64 and (where it will be signed) SHA-256.

    Raises NotSent with BAD_ARGUMENT when the file cannot be read or is shorter than its slice says.
    """

    def __init__(
        self,
        source: FileSlice | bytes,
        *,
        sha256: bool = True,
        crc64: Algorithm = "nvme",
        on_bytes: OnBytes | None = None,
    ) -> None:
        self._source = source
        self._sha256 = sha256
        self._crc64 = crc64
        self._on_bytes = on_bytes
        self._counted = 0
        self.size = len(source) if isinstance(source, bytes) else source.size
        self.read_digests()

    def read_digests(self) -> None:
        """Read everything once for the digests; again after a mismatch, for the file may have changed since."""
        md5 = hashlib.md5(usedforsecurity=False)
        sha256 = hashlib.sha256() if self._sha256 else None
        crc64 = Crc64(self._crc64)
        for block in self._read(_kept.lend(self)):
            md5.update(block)
            crc64.update(block)
            if sha256:
                sha256.update(block)
        self.md5 = md5.digest()
        self.crc64 = crc64.value
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
        for block in self._bytes():
            for start in range(0, len(block), MOUTHFUL):
                mouthful = block[start : start + MOUTHFUL]
                yield mouthful
                self._count(len(mouthful))

    def _bytes(self) -> Iterator[memoryview]:
        """From memory where they are still there, else read a second time."""
        kept = _kept.held_for(self)
        return self._read(None) if kept is None else iter([kept[: self.size]])

    def _count(self, size: int) -> None:
        self._counted += size
        if self._on_bytes:
            try:
                self._on_bytes(size)
            except Exception as error:
                raise InterruptedByCallback(error) from error

    def _read(self, kept: memoryview | None) -> Iterator[memoryview]:
        """Block by block: side by side into `kept`, else each over the last one."""
        if isinstance(self._source, bytes):
            yield memoryview(self._source)
            return
        try:
            with self._source.path.open("rb", buffering=0) as file:
                file.seek(self._source.offset)
                yield from _blocks(file, self._source, kept)
        except OSError as error:
            raise _unreadable(self._source, error) from error


class _Kept(threading.local):
    """One buffer a thread, used again for every body that fits: fresh memory for each costs more than reading it."""

    def __init__(self) -> None:
        self._buffer: memoryview | None = None
        self._payload: weakref.ref[Payload] | None = None

    def lend(self, payload: Payload) -> memoryview | None:
        """The buffer, from now on this payload's; None where it does not fit, or needs none."""
        if payload.size > IN_MEMORY or isinstance(payload._source, bytes):
            return None
        if self._buffer is None:
            self._buffer = memoryview(bytearray(IN_MEMORY))
        self._payload = weakref.ref(payload)
        return self._buffer

    def held_for(self, payload: Payload) -> memoryview | None:
        is_ours = self._payload is not None and self._payload() is payload
        return self._buffer if is_ours else None


_kept = _Kept()


def _blocks(file: BinaryIO, source: FileSlice, kept: memoryview | None) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(min(BLOCK, source.size))) if kept is None else kept
    done = 0
    while done < source.size:
        start = 0 if kept is None else done
        got = file.readinto(buffer[start : start + min(source.size - done, BLOCK)])  # type: ignore[attr-defined]
        if not got:
            raise bad_argument(
                Code.FILE_TOO_SHORT,
                file=source.path.name,
                missing=source.size - done,
                size=source.size,
                offset=source.offset,
            )
        done += got
        yield buffer[start : start + got]


def _unreadable(source: FileSlice, error: OSError) -> NotSent:
    return bad_argument(Code.FILE_UNREADABLE, file=source.path.name, detail=error.strerror or str(error))
