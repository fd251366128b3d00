"""A request's body as it arrives: in large blocks, into one buffer, never waited for without an end.

Where the web server hands over its connection (dashboard/server.py) bytes go straight from the socket into our buffer,
and a sender that stalls or trickles is noticed. Behind any other WSGI server the body is read through `wsgi.input`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

BLOCK_SIZE = 1024**2
"""Bytes asked of the connection at a time."""


class BodyEnded(Exception):
    """The connection ended before the whole body had arrived; what came stands."""


class BodyStalled(BodyEnded):
    """The sender fell silent, or sends so slowly that it might as well."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a sender: seconds without a byte, and the least bytes a second over that long."""

    stall_seconds: float
    least_rate: int
    clock: Callable[[], float] = time.monotonic


class Body:
    """At most `length` bytes. Iterate with `read_block`; `left` is what has not come yet, in bytes."""

    def __init__(self, environ: Mapping[str, Any], length: int, patience: Patience) -> None:
        self._source = environ["wsgi.input"]
        self._direct = hasattr(self._source, "read_into")
        self._patience = patience
        self._buffer = memoryview(bytearray(min(BLOCK_SIZE, max(1, length))))
        self.length = self.left = length
        self._begin_window()
        if self._direct:
            self._source.set_timeout(patience.stall_seconds)

    def is_ready(self) -> bool:
        """Whether a read would give bytes at once. True where that cannot be known."""
        return not self._direct or self._source.is_ready()

    def read_block(self, most: int = BLOCK_SIZE) -> memoryview:
        """The next bytes, at least one; empty at the end of the body. They are overwritten by the next read.

        Raises BodyEnded, BodyStalled.
        """
        wanted = min(most, self.left, len(self._buffer))
        if not wanted:
            return self._buffer[:0]
        count = self._read(wanted)
        if not count:
            raise BodyEnded(f"The connection ended {self.left:,} bytes before the end of the body.")
        self.left -= count
        self._watch(count)
        return self._buffer[:count]

    def read(self, most: int) -> bytes:
        """The same as bytes of their own, for parsers."""
        return bytes(self.read_block(most))

    def pause(self) -> None:
        """We are not reading: time that passes until the next read is not the sender's."""
        self._begin_window()

    def _read(self, wanted: int) -> int:
        try:
            if self._direct:
                return int(self._source.read_into(self._buffer[:wanted]))
            block = self._source.read(wanted)
            self._buffer[: len(block)] = block
            return len(block)
        except TimeoutError as error:
            raise BodyStalled(f"No byte came for {self._patience.stall_seconds:g} seconds.") from error
        except OSError as error:
            raise BodyEnded(f"The connection was lost {self.left:,} bytes before the end of the body.") from error

    def _begin_window(self) -> None:
        self._window_began, self._window_bytes = self._patience.clock(), 0

    def _watch(self, count: int) -> None:
        """A trickle is a stall that takes pains: a byte every few seconds would hold its place for days."""
        self._window_bytes += count
        elapsed = self._patience.clock() - self._window_began
        if elapsed < self._patience.stall_seconds:
            return
        if self.left and self._window_bytes < self._patience.least_rate * elapsed:
            raise BodyStalled(f"Fewer than {self._patience.least_rate:,} bytes a second came.")
        self._begin_window()
