"""The body of a request: its digests, computed in one pass before sending, and its bytes, piece by piece.

A file is read for its digests and again while it is sent: its bytes are in the cache of the disk, from which the kernel
sends them, and no process keeps them in memory.

An MD5 takes longer than all other work on a body, so it is computed only for a store that verifies it, or that returns
nothing else to compare with.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO

from uploads.objectstore.checksums import CRC64_HEADER, Algorithm, BodyChecksum, Crc64, as_store_writes_it
from uploads.objectstore.errors import NotSent
from uploads.objectstore.keys import bad_argument
from uploads.objectstore.types import FileSlice
from uploads.problems import Code

BLOCK = 1024 * 1024
"""Bytes read from disk at a time, so that memory per request does not grow with the body."""

CHUNK = 256 * 1024
"""Bytes between two reports of progress, so that progress is reported on slow connections too."""

OnBytes = Callable[[int], None]

NO_SENDFILE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""Errors of file systems from which the kernel cannot send."""


class InterruptedByCallback(Exception):
    """The caller's `on_bytes` raised an exception. Not an OSError, which urllib3 would treat as a lost connection."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(cause)
        self.cause = cause


class FilePiece:
    """Some bytes of an open file, for a socket, until the next piece is asked for. Its length is what is left."""

    def __init__(self, file: BinaryIO, source: FileSlice, done: int) -> None:
        self._file = file
        self._source = source
        self._done = done
        self._end = min(done + CHUNK, source.size)

    def __len__(self) -> int:
        return self._end - self._done

    def __bytes__(self) -> bytes:
        """The bytes that are left, for a connection that encrypts them. Raises NotSent."""
        try:
            block = os.pread(self._file.fileno(), len(self), self._source.offset + self._done)
        except OSError as error:
            raise _unreadable(self._source, error) from error
        if len(block) < len(self):
            raise _too_short(self._source, self._done + len(block))
        return block

    def send(self, connected: socket.socket) -> None:
        """Send as many bytes as a socket takes at once. Raises NotSent, and OSError as the socket does."""
        try:
            self._done += self._send_some(connected)
        except BlockingIOError:
            return

    def _send_some(self, connected: socket.socket) -> int:
        place = self._source.offset + self._done
        try:
            count = os.sendfile(connected.fileno(), self._file.fileno(), place, len(self))
        except OSError as error:
            if error.errno in NO_SENDFILE:
                return connected.send(bytes(self))
            if error.errno == errno.EIO:
                raise _unreadable(self._source, error) from error
            raise
        if not count:
            raise _too_short(self._source, self._done)
        return count


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
        for block in self._read():
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
            for block in self._read():
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

    def __iter__(self) -> Iterator[memoryview | FilePiece]:
        """The bytes for the socket, CHUNK at a time; a piece is counted when the next one is requested."""
        source = self._source
        if isinstance(source, bytes):
            for start in range(0, len(source), CHUNK):
                chunk = memoryview(source)[start : start + CHUNK]
                yield chunk
                self._count(len(chunk))
            return
        with _opened(source) as file:
            for start in range(0, source.size, CHUNK):
                yield FilePiece(file, source, start)
                self._count(min(CHUNK, source.size - start))

    def _count(self, size: int) -> None:
        self._counted += size
        if self._on_bytes:
            try:
                self._on_bytes(size)
            except Exception as error:
                raise InterruptedByCallback(error) from error

    def _read(self) -> Iterator[memoryview]:
        """Block by block, each into the same block of memory."""
        if isinstance(self._source, bytes):
            yield memoryview(self._source)
            return
        with _opened(self._source) as file:
            try:
                file.seek(self._source.offset)
                yield from _blocks(file, self._source)
            except OSError as error:
                raise _unreadable(self._source, error) from error


def _opened(source: FileSlice) -> BinaryIO:
    try:
        return source.path.open("rb", buffering=0)
    except OSError as error:
        raise _unreadable(source, error) from error


def _blocks(file: BinaryIO, source: FileSlice) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(min(BLOCK, source.size)))
    done = 0
    while done < source.size:
        got = file.readinto(buffer[: source.size - done])  # type: ignore[attr-defined]
        if not got:
            raise _too_short(source, done)
        done += got
        yield buffer[:got]


def _too_short(source: FileSlice, done: int) -> NotSent:
    return bad_argument(
        Code.FILE_TOO_SHORT,
        file=source.path.name,
        missing=source.size - done,
        size=source.size,
        offset=source.offset,
    )


def _unreadable(source: FileSlice, error: OSError) -> NotSent:
    return bad_argument(Code.FILE_UNREADABLE, file=source.path.name, detail=error.strerror or str(error))
