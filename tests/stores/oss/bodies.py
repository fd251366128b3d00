"""Request bodies: read in blocks, and written to a file with size and digests computed on the way."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import anycrc

from tests.stores.oss import errors

BLOCK = 256 * 1024
MAX_SIZE = 5 * 1024**3
"""The maximum size of a part and of a PutObject, in bytes."""

MAX_TEXT = 16 * 1024**2
"""The maximum size of an XML body. A Complete of 10,000 parts has about 1 MiB."""

MAX_LINE = 1024

CRC64: Any = anycrc.Model("CRC64-XZ")
"""OSS calls it CRC-64/ECMA."""


class Body:
    """The body of a request: with a length, in chunks, or empty."""

    def __init__(self, stream: BufferedIOBase, headers: Mapping[str, str]) -> None:
        self._stream = stream
        self.chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        length = headers.get("content-length", "")
        self.has_length = self.chunked or length.isdigit()
        self._left = int(length) if length.isdigit() and not self.chunked else 0
        self._ended = False

    def blocks(self) -> Iterator[bytes]:
        """The rest of the body. Raises IncompleteBody if the connection ends early."""
        if self.chunked:
            yield from self._chunks()
        else:
            yield from self._bytes()

    def drain(self) -> None:
        """Read and discard the rest, so that the client sees an early response and can reuse the connection."""
        for _ in self.blocks():
            pass

    def _bytes(self) -> Iterator[bytes]:
        while self._left:
            block = self._stream.read(min(BLOCK, self._left))
            if not block:
                raise errors.incomplete_body()
            self._left -= len(block)
            yield block

    def _chunks(self) -> Iterator[bytes]:
        while not self._ended:
            size = self._line().partition(b";")[0].strip()
            try:
                self._left = int(size, 16)
            except ValueError:
                raise errors.incomplete_body() from None
            if not self._left:
                while self._line().strip():
                    pass
                self._ended = True
                return
            yield from self._bytes()
            self._line()

    def _line(self) -> bytes:
        line = self._stream.readline(MAX_LINE)
        if not line.endswith(b"\n"):
            raise errors.incomplete_body()
        return line


@dataclass(frozen=True, slots=True)
class Digests:
    """The size and digests of a body."""

    size: int
    md5: bytes
    crc64: int

    @property
    def etag(self) -> str:
        """The MD5 in upper-case hexadecimal digits, as in OSS, without quotes."""
        return self.md5.hex().upper()

    @property
    def content_md5(self) -> str:
        return base64.b64encode(self.md5).decode()


def save(body: Body, path: Path, headers: Mapping[str, str]) -> Digests:
    """Write a body to a file, which is deleted on an error. Raises InvalidDigest or InvalidCRC64."""
    if not body.has_length:
        raise errors.no_length()
    try:
        with path.open("xb", buffering=0) as file:
            digests = _digested(body, file)
        check(digests, headers)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return digests


def read(body: Body, headers: Mapping[str, str]) -> bytes:
    """Read a short body."""
    text = bytearray()
    for block in body.blocks():
        text += block
        if len(text) > MAX_TEXT:
            raise errors.too_large()
    check(Digests(len(text), hashlib.md5(text).digest(), CRC64.calc(text)), headers)
    return bytes(text)


def check(digests: Digests, headers: Mapping[str, str]) -> None:
    """Compare the digests with the headers Content-MD5 and x-oss-hash-crc64ecma."""
    if (given := headers.get("content-md5")) is not None and given != digests.content_md5:
        raise errors.bad_digest(given)
    if (given := headers.get("x-oss-hash-crc64ecma")) is not None and given != str(digests.crc64):
        raise errors.bad_crc64()


def _digested(body: Body, file: Any) -> Digests:
    size, md5, crc64 = 0, hashlib.md5(), 0
    for block in body.blocks():
        size += len(block)
        if size > MAX_SIZE:
            raise errors.too_large()
        md5.update(block)
        crc64 = CRC64.calc(block, crc64)
        file.write(block)
    return Digests(size, md5.digest(), crc64)
