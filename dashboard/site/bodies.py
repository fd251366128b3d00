"""The bodies of requests as `wsgi.input`, read from the socket directly into a buffer.

Both kinds have `read_into`, `set_timeout` and `is_ready`, which `uploads.staging.body` uses, and `read` for Django.
`unread` is how many bytes may still arrive, so that the connection can serve another request only if it is 0.
"""

from __future__ import annotations

import io
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from typing import Any

from cheroot.server import HTTPConnection, KnownLengthRFile

from dashboard.site.chunks import MAX_LINE, MAX_TRAILERS, parse_size

MOST_UNREAD = 128 * 1024**2
"""How many bytes of a body of unknown length may still arrive."""

BeforeRead = Callable[[], None]


class SocketBody(KnownLengthRFile):
    """A body of known length. `before_read` is called once, before the first read."""

    def __init__(self, connection: HTTPConnection, length: int, before_read: BeforeRead | None = None) -> None:
        super().__init__(connection.rfile, length)
        self._socket: socket.socket = connection.socket
        self._before_read = before_read

    @property
    def unread(self) -> int:
        return int(self.remaining)

    def set_timeout(self, seconds: float) -> None:
        """Set the time without a byte after which a read raises TimeoutError."""
        self._socket.settimeout(seconds)

    def is_ready(self) -> bool:
        """Whether a read would return at once."""
        return _is_ready(self.rfile, self._socket)

    def read_into(self, buffer: memoryview) -> int:
        """Read some bytes of the body into `buffer`. Returns their number, 0 at the end of the body or connection."""
        buffer = buffer[: self.remaining]
        if not buffer:
            return 0
        self._begin()
        count = _read_some(self.rfile, self._socket, buffer)
        self.remaining -= count
        return count

    def read(self, size: int | None = None) -> bytes:
        self._begin()
        return bytes(super().read(size))

    def readline(self, size: int | None = None) -> bytes:
        self._begin()
        return bytes(super().readline(size))

    def _begin(self) -> None:
        if self._before_read and self.remaining:
            before_read, self._before_read = self._before_read, None
            before_read()


class _Next(Enum):
    """What a chunked body continues with."""

    SIZE = auto()
    BYTES = auto()
    LINE_END = auto()
    TRAILER = auto()
    NOTHING = auto()


class ChunkedBody(io.RawIOBase):
    """A body in chunks, decoded as it arrives. Chunks of any size take no memory besides the caller's buffer.

    A read raises TimeoutError if no byte of the body arrives in time, whatever else does; ConnectionError if the
    connection ends before the body; ValueError if the chunks are malformed. Bytes that precede any of these are
    returned first. Trailers are skipped.
    """

    def __init__(self, connection: HTTPConnection, before_read: BeforeRead | None = None) -> None:
        super().__init__()
        self._rfile = connection.rfile
        self._socket: socket.socket = connection.socket
        self._timeout = float(self._socket.gettimeout() or 0) or None
        self._before_read = before_read
        self._next = _Next.SIZE
        self._left = 0
        self._trailer_bytes = 0
        self._failure: OSError | ValueError | None = None
        self.unread = MOST_UNREAD

    def readable(self) -> bool:
        return True

    def set_timeout(self, seconds: float) -> None:
        """Set the time without a byte of the body after which a read raises TimeoutError."""
        self._timeout = seconds

    def is_ready(self) -> bool:
        """Whether a read would probably return at once."""
        return _is_ready(self._rfile, self._socket)

    def readinto(self, buffer: Any) -> int:
        return self.read_into(memoryview(buffer))

    def read(self, size: int | None = -1) -> bytes:
        """All of the body, or as many bytes as requested unless it ends before."""
        wanted = -1 if size is None else size
        blocks: list[bytes] = []
        while wanted and (block := super().read(io.DEFAULT_BUFFER_SIZE if wanted < 0 else wanted)):
            blocks.append(block)
            wanted -= len(block) if wanted > 0 else 0
        return b"".join(blocks)

    def read_into(self, buffer: memoryview) -> int:
        """Read some bytes of the body into `buffer`. Returns their number, 0 at the end of the body."""
        if self._before_read:
            before_read, self._before_read = self._before_read, None
            before_read()
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        count = 0
        try:
            while count < len(buffer) and self._can_continue(wait=not count):
                count += self._continue(buffer[count:], deadline)
        except (OSError, ValueError) as failure:
            self._failure = failure
        if self._failure and not count:
            raise self._failure
        return count

    def _can_continue(self, *, wait: bool) -> bool:
        """Whether there is more. Unless it may `wait`, only what has arrived counts."""
        if self._failure or self._next is _Next.NOTHING:
            return False
        if wait:
            return True
        if self._next is _Next.BYTES:
            return self.is_ready()
        return self._next is not _Next.TRAILER and self._has_line()

    def _has_line(self) -> bool:
        ahead = self._ahead()
        if b"\n" not in ahead and _has_arrived(self._socket):
            ahead = self._rfile.peek(len(ahead) + 1)
        return b"\n" in ahead

    def _ahead(self) -> bytes:
        """What was read ahead."""
        ahead: bytes = self._rfile.peek(0) if self._rfile.has_data() else b""
        return ahead

    def _continue(self, buffer: memoryview, deadline: float | None) -> int:
        """Read what comes next. Returns the number of bytes in `buffer`."""
        match self._next:
            case _Next.BYTES:
                return self._read_bytes(buffer, deadline)
            case _Next.LINE_END:
                if self._read_line(deadline):
                    raise ValueError("a chunk is longer than its size")
                self._next = _Next.SIZE
            case _Next.SIZE:
                self._left = parse_size(self._read_line(deadline))
                self._next = _Next.BYTES if self._left else _Next.TRAILER
            case _Next.TRAILER:
                self._skip_trailers(deadline)
        return 0

    def _read_bytes(self, buffer: memoryview, deadline: float | None) -> int:
        self._set_socket_timeout(deadline)
        count = _read_some(self._rfile, self._socket, buffer[: self._left])
        if not count:
            raise ConnectionError("ended in a chunk")
        self._left -= count
        if not self._left:
            self._next = _Next.LINE_END
        return count

    def _read_line(self, deadline: float | None) -> bytes:
        """A line without its end."""
        ahead = self._ahead()
        while b"\n" not in ahead:
            if len(ahead) > MAX_LINE:
                raise ValueError("a line between two chunks is too long")
            self._set_socket_timeout(deadline)
            more = self._rfile.peek(len(ahead) + 1)
            if len(more) == len(ahead):
                raise ConnectionError("ended between two chunks")
            ahead = more
        line: bytes = self._rfile.read1(ahead.index(b"\n") + 1)
        if not line.endswith(b"\r\n"):
            raise ValueError("a line between two chunks does not end with CRLF")
        return line.removesuffix(b"\r\n")

    def _skip_trailers(self, deadline: float | None) -> None:
        """Skip the lines after the last chunk. The body is complete even if they are not."""
        self._next = _Next.NOTHING
        with suppress(OSError):
            while line := self._read_line(deadline):
                self._trailer_bytes += len(line)
                if self._trailer_bytes > MAX_TRAILERS:
                    raise ValueError("the trailers are too long")
            self.unread = 0

    def _set_socket_timeout(self, deadline: float | None) -> None:
        self._socket.settimeout(None if deadline is None else max(0.001, deadline - time.monotonic()))


def _is_ready(rfile: Any, socket_: socket.socket) -> bool:
    return rfile.has_data() or _has_arrived(socket_)


def _has_arrived(socket_: socket.socket) -> bool:
    poll = select.poll()
    poll.register(socket_, select.POLLIN)
    return bool(poll.poll(0))


def _read_some(rfile: Any, socket_: socket.socket, buffer: memoryview) -> int:
    """Read what was read ahead with the head, otherwise what has arrived at the socket."""
    if not rfile.has_data():
        return socket_.recv_into(buffer)
    block = rfile.read1(len(buffer))
    buffer[: len(block)] = block
    return len(block)
