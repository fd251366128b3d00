"""What is read from a connection, and what is written to it."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable

from cheroot.makefile import StreamReader, StreamWriter

MOST_UNSENT = 1024**2
"""Bytes of a response that are kept for a slow reader, so that its thread is free. Larger ones wait for the reader."""
SEND_SECONDS = 20.0
SEND_RATE = 16 * 1024
"""How long a response waits for its reader, and the bytes that add a second."""
CHECK_SECONDS = 0.2
"""How often a thread that waits for a reader looks whether it has to stop."""


class Input(StreamReader):
    """Cheroot's reader, to which bytes can be given back: those that were read while no thread waited for them."""

    _read_buf: bytes
    _read_pos: int

    def __init__(self, socket_: socket.socket) -> None:
        super().__init__(socket_, "rb")

    @property
    def count(self) -> int:
        """The number of bytes that were read ahead."""
        return len(self._read_buf) - self._read_pos

    def readline(self, size: int | None = -1) -> bytes:
        """A line that was read ahead, as those of a head are, is found at once. Cheroot's reader reads it in Python."""
        start = self._read_pos
        end = self._read_buf.find(b"\n", start) + 1
        if not end:
            return bytes(super().readline(size))
        if size is not None and 0 <= size < end - start:
            end = start + size
        self._read_pos = end
        return self._read_buf[start:end]

    def put_back(self, block: bytes) -> None:
        """The next read returns these bytes first."""
        if block:
            self._read_buf, self._read_pos = block + self._read_buf[self._read_pos :], 0

    def take(self) -> bytes:
        """All bytes that were read ahead."""
        taken, self._read_buf, self._read_pos = self._read_buf[self._read_pos :], b"", 0
        return taken


class Output(StreamWriter):
    """Writes without waiting for the client: what it does not read is `unsent`, and sent later by `Connections`.

    A thread waits only if that is more than MOST_UNSENT, or if there is no memory for it. `deadline` is in monotonic
    seconds.
    """

    def __init__(self, socket_: socket.socket, has_memory: Callable[[], bool], goes_on: Callable[[], bool]) -> None:
        """`goes_on`: whether the server does. When it stops, no thread waits for a reader."""
        super().__init__(socket_, "wb")
        self.unsent = bytearray()
        self._socket = socket_
        self._has_memory = has_memory
        self._goes_on = goes_on
        self._waits_since = 0.0
        self._sent = 0

    @property
    def deadline(self) -> float:
        return self._waits_since + SEND_SECONDS + self._sent / SEND_RATE

    def write(self, block: bytes) -> int:  # type: ignore[override]
        """Raises OSError if the connection has ended, TimeoutError if the client reads too slowly."""
        if not self.unsent:
            self._waits_since, self._sent = time.monotonic(), 0
        self.unsent += block
        self.send()
        while self.unsent and (len(self.unsent) > MOST_UNSENT or not self._has_memory()):
            self._wait()
            self.send()
        return len(block)

    def send(self) -> None:
        """Send what the connection takes. Raises OSError if it has ended."""
        try:
            while self.unsent:
                count = os.write(self._socket.fileno(), memoryview(self.unsent)[:MOST_UNSENT])
                del self.unsent[:count]
                self._sent += count
        except BlockingIOError:
            return
        except OSError:
            self.unsent.clear()
            raise

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        while self._goes_on() and time.monotonic() < self.deadline:
            if poll.poll(CHECK_SECONDS * 1000):
                return
        self.unsent.clear()
        raise TimeoutError("timed out")
