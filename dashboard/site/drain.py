"""Reading and discarding what clients still send after a response that came early.

Closing a socket with unread bytes sends a reset, which can discard the response. A browser would then show a network
error instead.
"""

from __future__ import annotations

import selectors
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

from cheroot.server import HTTPConnection

LINGER_BYTES = 128 * 1024**2
LINGER_SECONDS = 30
LINGER_SILENCE = 5
"""How much of an unread body is drained, and for how long, so that the client receives the response."""
LINGER_CHECK = 0.5
"""Seconds between two checks for connections to close."""


@dataclass(slots=True)
class _UnreadBody:
    """The rest of a body that is drained: its bytes, and when to stop (monotonic seconds)."""

    connection: HTTPConnection
    left: int
    until: float
    silent_until: float = 0.0

    def is_over(self) -> bool:
        return self.left <= 0 or time.monotonic() >= min(self.until, self.silent_until)


class Drain(threading.Thread):
    """Reads and discards the rest of bodies. Closing a socket with unread bytes sends a reset, which can discard the
    response.

    One thread drains all such connections, because slow ones must not occupy the threads that handle requests.
    """

    def __init__(self) -> None:
        super().__init__(name="drain", daemon=True)
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._discarded = bytearray(256 * 1024)

    def take(self, connection: HTTPConnection, unread: int) -> None:
        """Drain a connection, then close it. Raises OSError or ValueError if it is already closed."""
        connection.socket.setblocking(False)
        now = time.monotonic()
        body = _UnreadBody(connection, min(unread, LINGER_BYTES), now + LINGER_SECONDS, now + LINGER_SILENCE)
        with self._lock:
            self._selector.register(connection.socket, selectors.EVENT_READ, body)

    def run(self) -> None:
        while True:
            for key, _ in self._selector.select(LINGER_CHECK):
                self._read(key.data)
            with self._lock:
                bodies = [key.data for key in self._selector.get_map().values()]
            for body in bodies:
                if body.is_over():
                    self._end(body)

    def _read(self, body: _UnreadBody) -> None:
        try:
            count = body.connection.socket.recv_into(self._discarded)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        body.left -= count or body.left
        body.silent_until = time.monotonic() + LINGER_SILENCE

    def _end(self, body: _UnreadBody) -> None:
        with self._lock:
            self._selector.unregister(body.connection.socket)
        with suppress(OSError):
            body.connection.close()
