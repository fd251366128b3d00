"""Where a body in chunks ends, found in bytes as they arrive. `bodies.ChunkedBody` decodes the same bytes later."""

from __future__ import annotations

import re
from enum import Enum, auto

MAX_LINE = 4096
"""Bytes of a line with the size of a chunk, which may have extensions."""
MAX_TRAILERS = 16 * 1024
"""Bytes of all lines after the last chunk."""

MAX_FRAMING = 64 * 1024
"""Bytes that a small body in chunks may have besides twice its limit: sizes and ends of chunks, trailers."""

_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")


class Found(Enum):
    """What is known about a body in chunks."""

    MORE = auto()
    END = auto()
    MALFORMED = auto()
    TOO_LONG = auto()


def parse_size(line: bytes) -> int:
    """The size that a line before a chunk states. Raises ValueError."""
    size = line.partition(b";")[0].strip(b" \t")
    if not _CHUNK_SIZE.fullmatch(size):
        raise ValueError("the size of a chunk is not a hexadecimal number")
    return int(size, 16)


class ChunkScanner:
    """Call `scan` with all bytes of the body whenever more have arrived. The chunks together may have `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._position = 0
        self._searched = 0
        self._bytes = 0
        self._trailer_bytes = 0
        self._is_after_chunk = False
        self._is_in_trailers = False

    def scan(self, received: bytearray) -> Found:
        while (line := self._line(received)) is not None:
            found = self._read(line)
            if found is not Found.MORE:
                return found
        if len(received) > 2 * self._limit + MAX_FRAMING:
            return Found.TOO_LONG
        is_long = len(received) - self._position > MAX_LINE
        return Found.MALFORMED if is_long else Found.MORE

    def _line(self, received: bytearray) -> bytes | None:
        """The next line with its end; None if it has not arrived."""
        if self._position > len(received):
            return None  # In the middle of a chunk.
        end = received.find(b"\n", max(self._position, self._searched))
        if end < 0:
            self._searched = len(received)
            return None
        line = bytes(received[self._position : end + 1])
        self._position = self._searched = end + 1
        return line

    def _read(self, line: bytes) -> Found:
        if not line.endswith(b"\r\n") or len(line) > MAX_LINE + 1:
            return Found.MALFORMED
        if self._is_in_trailers:
            return self._read_trailer(line)
        if self._is_after_chunk:
            self._is_after_chunk = False
            return Found.MORE if line == b"\r\n" else Found.MALFORMED
        return self._read_size(line)

    def _read_size(self, line: bytes) -> Found:
        try:
            size = parse_size(line.removesuffix(b"\r\n"))
        except ValueError:
            return Found.MALFORMED
        self._bytes += size
        if self._bytes > self._limit:
            return Found.TOO_LONG
        self._position += size
        self._is_after_chunk, self._is_in_trailers = size > 0, size == 0
        return Found.MORE

    def _read_trailer(self, line: bytes) -> Found:
        self._trailer_bytes += len(line)
        if line == b"\r\n":
            return Found.END
        return Found.MALFORMED if self._trailer_bytes > MAX_TRAILERS else Found.MORE
