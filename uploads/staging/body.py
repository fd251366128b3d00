"""A request's body as it arrives, read in large blocks into one buffer, with a limit on how long to wait.

If the web server hands over its connection (dashboard/site/bodies.py), bytes go straight from the socket into the
buffer, and a sender that is silent or too slow is detected. With any other WSGI server the body is read through
`wsgi.input`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from uploads.problems import Code, Problem, ProblemError

BLOCK_SIZE = 1024**2
"""Bytes to read from the connection at a time."""


class BodyEnded(ProblemError):
    """The connection ended before the whole body had arrived. Bytes that have arrived are kept."""


class BodyStalled(BodyEnded):
    """The sender is silent or too slow."""


class BodyMalformed(BodyEnded):
    """A body in chunks cannot be decoded any further. Bytes before that are kept."""


class BodyTooLong(ProblemError):
    """A body of unknown length has more bytes than it may have."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a sender: seconds without a byte, and the minimum rate in bytes a second over that time."""

    stall_seconds: float
    least_rate: int
    clock: Callable[[], float] = time.monotonic


class Body:
    """A body of `length` bytes, or of an unknown length if that is None. Read it with `read_block`.

    `left` is the number of bytes that have not arrived, if the length is known. `moving` is called now and then while
    bytes arrive.
    """

    def __init__(
        self,
        environ: Mapping[str, Any],
        length: int | None,
        patience: Patience,
        moving: Callable[[], None] = lambda: None,
    ) -> None:
        self._source = environ["wsgi.input"]
        self._direct = hasattr(self._source, "read_into")
        self._patience = patience
        self._moving = moving
        self._buffer = memoryview(bytearray(BLOCK_SIZE if length is None else min(BLOCK_SIZE, max(1, length))))
        self._unread = self._buffer[:0]
        self.length = self.left = length
        self._is_over = False
        self._wait_for_sender()

    def _wait_for_sender(self) -> None:
        """Have the sender's time begin now."""
        self._start_window()
        if self._direct:
            self._source.set_timeout(self._patience.stall_seconds)

    def is_ready(self) -> bool:
        """Whether a read returns bytes at once. True if that is unknown."""
        return bool(self._unread) or not self._direct or self._source.is_ready()

    def fill(self, seconds: float) -> memoryview | None:
        """All bytes of a body of at most BLOCK_SIZE, if each of its reads returns within so short a time.

        Otherwise None, and the next reads return what has arrived.
        """
        assert self.length is not None
        if self.length > len(self._buffer):
            return None
        if self._direct:
            self._source.set_timeout(seconds)
        deadline, count = time.monotonic() + seconds, 0
        with suppress(BodyEnded):
            while count < self.length and (more := self._read(self._buffer[count : self.length])):
                count += more
                if time.monotonic() >= deadline:
                    break
        self._unread = self._buffer[:count]
        if count == self.length:
            return self._unread
        self._wait_for_sender()
        return None

    def read_block(self, most: int = BLOCK_SIZE) -> memoryview:
        """The next bytes, at least one; empty at the end of the body. The next read overwrites them.

        Raises BodyEnded, BodyStalled, BodyMalformed.
        """
        size = min(most, len(self._buffer) if self.left is None else self.left, len(self._buffer))
        if not size or self._is_over:
            return self._buffer[:0]
        if self._unread:
            return self._next_unread(size)
        count = self._read(self._buffer[:size])
        if self.left is not None:
            if not count:
                raise self._connection_ended()
            self.left -= count
        self._is_over = not count
        self._watch(count)
        return self._buffer[:count]

    def _next_unread(self, size: int) -> memoryview:
        """The next of the bytes that `fill` has read."""
        block, self._unread = self._unread[:size], self._unread[size:]
        if self.left is not None:
            self.left -= len(block)
        return block

    def read_blocks(self, limit: int) -> Iterator[memoryview]:
        """All blocks of a body that may have `limit` bytes. Raises BodyTooLong, and what `read_block` raises.

        If the length is unknown, the block that reaches the limit is returned once it is known that no more follows.
        """
        while block := self.read_block():
            limit -= len(block)
            if limit > 0 or self.length is not None:
                yield block
            else:
                yield from self._last_block(block, limit)

    def _last_block(self, block: memoryview, limit: int) -> Iterator[memoryview]:
        last = memoryview(bytes(block))
        try:
            goes_on = limit < 0 or bool(self.read_block(1))
        except BodyMalformed:
            raise  # Whether it goes on is unknown.
        except BodyEnded:
            yield last
            raise
        if goes_on:
            raise BodyTooLong(Problem(Code.BODY_GOES_ON))
        yield last

    def read(self, most: int) -> bytes:
        """The next bytes as an object of their own, for parsers."""
        return bytes(self.read_block(most))

    def pause(self) -> None:
        """Stop measuring the sender's rate until the next read, because the sender is kept waiting."""
        self._start_window()

    def _read(self, buffer: memoryview) -> int:
        """Read some bytes into the buffer. Returns their number, 0 at the end."""
        try:
            if self._direct:
                return int(self._source.read_into(buffer))
            block = self._source.read(len(buffer))
            buffer[: len(block)] = block
            return len(block)
        except ValueError as error:
            raise BodyMalformed(Problem(Code.CHUNKS_INVALID, detail=str(error))) from error
        except TimeoutError as error:
            raise BodyStalled(Problem(Code.SENDER_SILENT, silent_seconds=self._patience.stall_seconds)) from error
        except OSError as error:
            raise self._connection_ended() from error

    def _connection_ended(self) -> BodyEnded:
        if self.left is None:
            return BodyEnded(Problem(Code.CHUNKS_ENDED))
        return BodyEnded(Problem(Code.CONNECTION_ENDED, missing_bytes=self.left))

    def _start_window(self) -> None:
        self._window_started, self._window_bytes = self._patience.clock(), 0

    def _watch(self, count: int) -> None:
        """Check the rate too: a sender of one byte every few seconds would occupy its slot for days."""
        self._window_bytes += count
        elapsed = self._patience.clock() - self._window_started
        if elapsed < self._patience.stall_seconds:
            return
        if self.left != 0 and not self._is_over and self._window_bytes < self._patience.least_rate * elapsed:
            raise BodyStalled(Problem(Code.SENDER_TOO_SLOW, rate_bytes=self._patience.least_rate))
        self._moving()
        self._start_window()


class Portion:
    """The next `length` bytes of a body of known length, such as those of one of several files."""

    def __init__(self, body: Body, length: int) -> None:
        self._body = body
        self._left = length

    def is_ready(self) -> bool:
        return self._body.is_ready()

    def pause(self) -> None:
        self._body.pause()

    def read_blocks(self, _limit: int = 0) -> Iterator[memoryview]:
        """As `Body.read_blocks`. It has no more bytes than its length."""
        while self._left:
            block = self._body.read_block(min(BLOCK_SIZE, self._left))
            self._left -= len(block)
            yield block

    def skip(self) -> None:
        """Read what is left of it, which nobody needs."""
        for _ in self.read_blocks():
            pass
