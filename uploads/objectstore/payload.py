"""The body of a request: its digests, computed in one pass before sending, and its bytes, block by block.

An MD5 takes longer than all other work on a body, so it is computed only for a store that verifies it, or that returns
nothing else to compare with.
"""

from __future__ import annotations

import base64
import hashlib
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO

from uploads.objectstore.checksums import CRC64_HEADER, Algorithm, BodyChecksum, Crc64, as_store_writes_it
from uploads.objectstore.errors import NotSent
from uploads.objectstore.keys import bad_argument
from uploads.objectstore.types import FileSlice
from uploads.problems import Code

BLOCK = 1024 * 1024
"""Bytes read from disk at a time, so that memory per request does not grow with the body."""

IN_MEMORY = 32 * BLOCK
"""Bodies up to this size are read once and kept in memory; larger ones are read again while they are sent."""

CHUNK = 256 * 1024
"""Bytes between two reports of progress, so that progress is reported on slow connections too."""

OnBytes = Callable[[int], None]


class InterruptedByCallback(Exception):
    """The caller's `on_bytes` raised an exception. Not an OSError, which urllib3 would treat as a lost connection."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(cause)
        self.cause = cause


class Payload:
    """Bytes to send, with their length, CRC-64 and (if payloads are signed) SHA-256, and their MD5 when it is needed.

    `checksum` is what the store is to verify; with `crc64nvme` the CRC-64 is that one.
    """

    def __init__(
        self,
        source: FileSlice | bytes,
        *,
        sha256: bool = True,
        crc64: Algorithm = "nvme",
        checksum: BodyChecksum = "md5",
        on_bytes: OnBytes | None = None,
    ) -> None:
        self._source = source
        self._sha256 = sha256
        self._crc64: Algorithm = "nvme" if checksum == "crc64nvme" else crc64
        self._checksum = checksum
        self._on_bytes = on_bytes
        self._counted = 0
        self.size = len(source) if isinstance(source, bytes) else source.size
        self.read_digests()

    def read_digests(self) -> None:
        """Read the whole body for its digests. Called again after a mismatch, because the file may have changed."""
        md5 = hashlib.md5(usedforsecurity=False) if self._checksum == "md5" else None
        sha256 = hashlib.sha256() if self._sha256 else None
        crc64 = Crc64(self._crc64)
        for block in self._read(_kept.lend(self)):
            if md5:
                md5.update(block)
            crc64.update(block)
            if sha256:
                sha256.update(block)
        self.known_md5 = md5.digest() if md5 else None
        """None until it is needed, if the store verifies another checksum."""
        self.crc64 = crc64.value
        self.sha256 = sha256.hexdigest() if sha256 else None

    @property
    def md5(self) -> bytes:
        """The MD5. If it is not known, the bytes are read again."""
        if self.known_md5 is None:
            digest = hashlib.md5(usedforsecurity=False)
            for block in self._bytes():
                digest.update(block)
            self.known_md5 = digest.digest()
        return self.known_md5

    @property
    def content_md5(self) -> str:
        """The value of the Content-MD5 header."""
        return base64.b64encode(self.md5).decode()

    @property
    def digest_headers(self) -> Mapping[str, str]:
        """What the store verifies the body by."""
        if self._checksum == "crc64nvme":
            return {CRC64_HEADER: as_store_writes_it("nvme", self.crc64)}
        return {"Content-MD5": self.content_md5}

    def count_as_unsent(self) -> None:
        """Report the counted bytes as unsent, because they will be sent again."""
        counted, self._counted = self._counted, 0
        if counted and self._on_bytes:
            self._on_bytes(-counted)

    def __iter__(self) -> Iterator[memoryview]:
        """The bytes for the socket; a chunk is counted when the next one is requested."""
        for block in self._bytes():
            for start in range(0, len(block), CHUNK):
                chunk = block[start : start + CHUNK]
                yield chunk
                self._count(len(chunk))

    def _bytes(self) -> Iterator[memoryview]:
        """From memory if they are still there, otherwise read from the file again."""
        kept = _kept.buffer_of(self)
        return self._read(None) if kept is None else iter([kept[: self.size]])

    def _count(self, size: int) -> None:
        self._counted += size
        if self._on_bytes:
            try:
                self._on_bytes(size)
            except Exception as error:
                raise InterruptedByCallback(error) from error

    def _read(self, kept: memoryview | None) -> Iterator[memoryview]:
        """Block by block: one after the other into `kept`, otherwise each into the same block of memory."""
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
    """One buffer per thread, reused for every body that fits: allocating memory costs more than reading the file.

    It is as large as the largest body so far, so that threads which send only small files have little memory.
    """

    def __init__(self) -> None:
        self._buffer: memoryview | None = None
        self._payload: weakref.ref[Payload] | None = None

    def lend(self, payload: Payload) -> memoryview | None:
        """Assign the buffer to this payload; None if the payload does not fit or needs no buffer."""
        if payload.size > IN_MEMORY or isinstance(payload._source, bytes):
            return None
        if self._buffer is None or len(self._buffer) < payload.size:
            self._buffer = memoryview(bytearray(-(-payload.size // BLOCK) * BLOCK))
        self._payload = weakref.ref(payload)
        return self._buffer

    def buffer_of(self, payload: Payload) -> memoryview | None:
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
