"""The web server: `python -m dashboard.server --host 127.0.0.1 --port 8000`.

Cheroot runs the site as its WSGI application, with one thread per request, and with what uploads of any size need:

* `wsgi.input` can be read from the socket directly into a buffer (`read_into`), with a stall timeout.
* If the response is sent before the whole body was read, the connection is closed, but only after the rest has been
  read for a while. Otherwise a reset would reach the client, and a browser would show a network error instead of the
  response.
* Header names with underscores are dropped: in the WSGI environment they look like those with hyphens.
"""

from __future__ import annotations

import argparse
import logging
import os
import select
import selectors
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

from cheroot import wsgi
from cheroot.server import HeaderReader, HTTPConnection, HTTPRequest, KnownLengthRFile

THREADS = 64
BACKLOG = 256
IDLE_SECONDS = 20
"""When an idle connection is closed: between requests, in the middle of a head, or while a response is not read."""

LINGER_BYTES = 128 * 1024**2
LINGER_SECONDS = 30
LINGER_SILENCE = 5
"""How much of an unread body is drained, and for how long, so that the client receives the response."""
LINGER_CHECK = 0.5
"""Seconds between two checks for connections to close."""

MAX_HEAD = 128 * 1024
"""Bytes of a request's head."""

STOP_SECONDS = 5
"""How long requests may continue after the server was told to stop. Bytes received until then are kept."""

log = logging.getLogger("dashboard.server")


class SocketBody(KnownLengthRFile):
    """A request's body that can be read without an intermediate copy."""

    def __init__(self, connection: HTTPConnection, length: int) -> None:
        super().__init__(connection.rfile, length)
        self._socket: socket.socket = connection.socket

    def set_timeout(self, seconds: float) -> None:
        """Set the time without a byte after which a read raises TimeoutError."""
        self._socket.settimeout(seconds)

    def is_ready(self) -> bool:
        """Whether a read would return at once."""
        return self.rfile.has_data() or bool(select.select([self._socket], [], [], 0)[0])

    def read_into(self, buffer: memoryview) -> int:
        """Read some bytes of the body into `buffer`. Returns their number, 0 at the end of the body or connection."""
        buffer = buffer[: self.remaining]
        if not buffer:
            return 0
        if self.rfile.has_data():
            block = self.rfile.read1(len(buffer))
            buffer[: len(block)] = block
            count = len(block)
        else:
            count = self._socket.recv_into(buffer)
        self.remaining -= count
        return count


class Gateway(wsgi.Gateway_10):
    """Gives the application our body, and handles a body that it did not read."""

    def get_environ(self) -> dict[str, Any]:  # type: ignore[override]  # the stub is wrong
        environ: dict[str, Any] = super().get_environ()  # type: ignore[no-untyped-call]
        if not self.req.chunked_read:
            self.req.rfile = environ["wsgi.input"] = SocketBody(self.req.conn, self.req.rfile.remaining)
        return environ

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        if self.req.chunked_read or self.req.rfile.remaining:
            # Cheroot would read the rest into memory before it responds.
            self.req.close_connection = True
            self.req.conn.unread = getattr(self.req.rfile, "remaining", LINGER_BYTES)
        self.req.conn.socket.settimeout(self.req.server.timeout)
        return super().start_response(status, headers, exc_info)


class Headers(HeaderReader):
    def _allow_header(self, key_name: bytes) -> bool:
        # Cheroot's own DropUnderscoreHeaderReader looks for text in bytes, and fails.
        return bool(super()._allow_header(key_name)) and b"_" not in key_name  # type: ignore[misc]  # the stub lacks it


class Request(HTTPRequest):
    header_reader = Headers()


class Connection(HTTPConnection):
    RequestHandlerClass = Request
    unread = 0
    has_sent = False

    def close(self) -> None:
        unread, self.unread = self.unread, 0
        if self.rfile.has_data():
            unread -= len(self.rfile.peek())  # Read ahead with the head.
        if unread > 0:
            with suppress(OSError, ValueError):
                self.socket.shutdown(socket.SHUT_WR)
                self.server.drain.take(self, unread)
                return
        super().close()


@dataclass(slots=True)
class _UnreadBody:
    """The rest of a body that is drained: its bytes, and when to stop (monotonic seconds)."""

    connection: Connection
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

    def take(self, connection: Connection, unread: int) -> None:
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


class Server(wsgi.Server):
    ConnectionClass = Connection
    max_request_header_size = MAX_HEAD

    def __init__(self, address: tuple[str, int], application: Any) -> None:
        super().__init__(
            address,
            application,
            numthreads=THREADS,
            request_queue_size=BACKLOG,
            timeout=IDLE_SECONDS,
            shutdown_timeout=STOP_SECONDS,
            server_name="partway",
        )
        self.gateway = Gateway
        self.drain = Drain()
        self.drain.start()

    def process_conn(self, conn: Connection) -> None:
        """A connection gets a thread after its first byte: browsers open connections before they use them."""
        if conn.has_sent:
            super().process_conn(conn)
        else:
            conn.has_sent = True
            self._connections.put(conn)  # type: ignore[attr-defined]  # created when it starts

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        log.log(level, msg, exc_info=traceback)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dashboard.server", description="The web server of Partway.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.site.settings")
    from django.core.exceptions import ImproperlyConfigured

    try:
        from dashboard.site.wsgi import application
    except ImproperlyConfigured as error:
        sys.exit(f"Partway cannot start: {error}")
    from dashboard.site.checks import check_web_server

    check_web_server()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    # Before the first request, so that a client that resumes finds no other writer.
    _sweep_staging()
    server = Server((options.host, options.port), application)
    log.info("listening on %s:%s", options.host, options.port)
    server.safe_start()


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def _sweep_staging() -> None:
    from django.db import connections

    from uploads.services.upkeep.cleanup import sweep_staging

    try:
        sweep_staging()
    except Exception:
        log.exception("staging could not be swept")
    finally:
        connections.close_all()
