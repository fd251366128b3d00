"""A request while it arrives. No thread waits for it: `Connections` adds what comes, until a thread can handle it.

That is when its head is complete and, unless the body is a file, all of its body. A file is read by the view.
"""

from __future__ import annotations

import re
import time
from enum import Enum, auto
from typing import TYPE_CHECKING

from dashboard.site.chunks import ChunkScanner, Found

if TYPE_CHECKING:
    from dashboard.site.connection import Connection, Request

HEAD_SECONDS = 10.0
"""From the first byte of a head until its last."""
BODY_SECONDS = 10.0
BODY_RATE = 32 * 1024
"""From the end of the head until the last byte of a small body, and the bytes that add a second."""

HEAD_BLOCK = 8 * 1024
"""Bytes to read at a time before the body is known: what follows the head of a file is copied."""
BODY_BLOCK = 64 * 1024

_END_OF_HEAD = re.compile(rb"\n\r?\n")
"""Also an end that is refused later, so that its sender gets the response at once."""


class Step(Enum):
    """What to do with a connection after bytes have arrived."""

    WAIT = auto()
    HANDLE = auto()
    CLOSE = auto()


class Arriving:
    """The bytes of the next request on a connection. `deadline` is in monotonic seconds."""

    def __init__(self, connection: Connection, max_head: int, idle_seconds: float) -> None:
        self.request: Request | None = None
        self.received = bytearray()
        self.deadline = time.monotonic() + idle_seconds
        self._connection = connection
        self._max_head = max_head
        self._searched = 0
        self._length = 0
        self._chunks: ChunkScanner | None = None
        self._body_started = 0.0

    @property
    def has_begun(self) -> bool:
        return bool(self.request or self.received)

    def receive(self) -> Step:
        """Read what has arrived at the socket, without waiting."""
        try:
            block = self._connection.socket.recv(BODY_BLOCK if self.request else HEAD_BLOCK)
        except BlockingIOError:
            return Step.WAIT
        except OSError:
            return Step.CLOSE
        return self.add(block, is_over=not block)

    def add(self, block: bytes, *, is_over: bool = False) -> Step:
        """Add bytes. `is_over`: no more follow, so that what is missing is an error that the site describes."""
        if block and not self.has_begun:
            self.deadline = time.monotonic() + self._connection.head_seconds
        self.received += block
        if not self.request:
            return self._add_to_head(is_over=is_over)
        return self._add_to_body(is_over=is_over)

    def _add_to_head(self, *, is_over: bool) -> Step:
        is_complete = _END_OF_HEAD.search(self.received, max(0, self._searched - 2))
        if not (is_complete or is_over or len(self.received) > self._max_head):
            self._searched = len(self.received)
            return Step.WAIT
        if not self.received:
            return Step.CLOSE
        self._connection.input.put_back(self._take())
        request = self._connection.read_head()
        if not request:
            return Step.CLOSE
        self.request = request
        return self._start_body(request, is_over=is_over)

    def _start_body(self, request: Request, *, is_over: bool) -> Step:
        self._length = request.body_length
        limit = request.body_limit if request.chunked_read or self._length else None
        if limit is None:
            return self._ready()
        if self._length > limit:
            return self._ready(is_too_large=True)
        self._chunks = ChunkScanner(limit) if request.chunked_read else None
        self._body_started = time.monotonic()
        self.received += self._connection.input.take()
        if not self.received:
            request.continue_now()
        return self._add_to_body(is_over=is_over)

    def _add_to_body(self, *, is_over: bool) -> Step:
        self.deadline = self._body_started + self._connection.body_seconds + len(self.received) / BODY_RATE
        found = self._chunks.scan(self.received) if self._chunks else self._found_of_known_length()
        if found is Found.MORE and not is_over:
            return Step.WAIT
        return self._ready(is_too_large=found is Found.TOO_LONG)

    def _found_of_known_length(self) -> Found:
        return Found.END if len(self.received) >= self._length else Found.MORE

    def _ready(self, *, is_too_large: bool = False) -> Step:
        if self.request:
            self.request.is_too_large = is_too_large
        self._connection.input.put_back(self._take())
        return Step.HANDLE

    def _take(self) -> bytes:
        taken, self.received = bytes(self.received), bytearray()
        return taken
