"""The web server: `python -m dashboard.server --host 127.0.0.1 --port 8000`.

Cheroot with the site as its WSGI application, one thread a request, and what a site that takes files of any size needs:

* `wsgi.input` can be read straight from the socket into a buffer (`read_into`), with a stall timeout.
* An answer given before the whole body was read closes the connection, and only after reading on for a while:
  else the sender is cut off by a reset, and a browser shows a broken network instead of our answer.
* Header names with underscores are dropped: as environment variables they look like those with hyphens.
"""

from __future__ import annotations

import argparse
import logging
import os
import select
import selectors
import signal
import socket
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
"""Until a silent connection is closed: between requests, in the middle of a head, or while an answer is not taken."""

LINGER_BYTES = 128 * 1024**2
LINGER_SECONDS = 30
LINGER_SILENCE = 5
"""How much of a body that nobody wants is still read, and for how long, so that its sender sees the answer."""
LINGER_LOOK = 0.5
"""Seconds between two looks for those that are over."""

MAX_HEAD = 128 * 1024
"""Bytes of a request's head."""

STOP_SECONDS = 5
"""How long requests may go on once the server was told to stop. Bytes of files that came until then are kept."""

log = logging.getLogger("dashboard.server")


class SocketBody(KnownLengthRFile):
    """A request's body that can be read without a copy in between."""

    def __init__(self, connection: HTTPConnection, length: int) -> None:
        super().__init__(connection.rfile, length)
        self._socket: socket.socket = connection.socket

    def set_timeout(self, seconds: float) -> None:
        """Silence after which a read raises TimeoutError."""
        self._socket.settimeout(seconds)

    def is_ready(self) -> bool:
        """Whether a read would give something at once."""
        return self.rfile.has_data() or bool(select.select([self._socket], [], [], 0)[0])

    def read_into(self, buffer: memoryview) -> int:
        """Some bytes of the body into `buffer`; their number, 0 at the end of body or connection."""
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
    """Hands the application our body, and sees to what it did not read."""

    def get_environ(self) -> dict[str, Any]:  # type: ignore[override]  # as it really is
        environ: dict[str, Any] = super().get_environ()  # type: ignore[no-untyped-call]
        if not self.req.chunked_read:
            self.req.rfile = environ["wsgi.input"] = SocketBody(self.req.conn, self.req.rfile.remaining)
        return environ

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        if self.req.chunked_read or self.req.rfile.remaining:
            # Cheroot would read the rest into memory before it answers.
            self.req.close_connection = True
            self.req.conn.unread = getattr(self.req.rfile, "remaining", LINGER_BYTES)
        self.req.conn.socket.settimeout(self.req.server.timeout)
        return super().start_response(status, headers, exc_info)


class Headers(HeaderReader):
    def _allow_header(self, key_name: bytes) -> bool:
        # Cheroot's own DropUnderscoreHeaderReader looks for text in bytes, and fails.
        return bool(super()._allow_header(key_name)) and b"_" not in key_name  # type: ignore[misc]  # it is there


class Request(HTTPRequest):
    header_reader = Headers()


class Connection(HTTPConnection):
    RequestHandlerClass = Request
    unread = 0
    has_spoken = False

    def close(self) -> None:
        unread, self.unread = self.unread, 0
        if self.rfile.has_data():
            unread -= len(self.rfile.peek())  # Read ahead with the head: it does not come again.
        if unread > 0:
            with suppress(OSError, ValueError):
                self.socket.shutdown(socket.SHUT_WR)
                self.server.reader_on.take(self, unread)
                return
        super().close()


@dataclass(slots=True)
class _Unwanted:
    """What is left of a body that nobody wants, in bytes, and until when it is read (monotonic seconds)."""

    connection: Connection
    left: int
    until: float
    silent_until: float = 0.0

    def is_over(self) -> bool:
        return self.left <= 0 or time.monotonic() >= min(self.until, self.silent_until)


class ReaderOn(threading.Thread):
    """Reads on though nobody wants it: a socket closed with unread bytes resets, and takes our answer with it.

    One thread for all such connections: as they may be slow, they must not hold those that answer requests.
    """

    def __init__(self) -> None:
        super().__init__(name="read-on", daemon=True)
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._nowhere = bytearray(256 * 1024)

    def take(self, connection: Connection, unread: int) -> None:
        """Read on, and close the connection in the end. Raises OSError, ValueError where it is closed already."""
        connection.socket.setblocking(False)
        now = time.monotonic()
        body = _Unwanted(connection, min(unread, LINGER_BYTES), now + LINGER_SECONDS, now + LINGER_SILENCE)
        with self._lock:
            self._selector.register(connection.socket, selectors.EVENT_READ, body)

    def run(self) -> None:
        while True:
            for key, _ in self._selector.select(LINGER_LOOK):
                self._read(key.data)
            with self._lock:
                bodies = [key.data for key in self._selector.get_map().values()]
            for body in bodies:
                if body.is_over():
                    self._end(body)

    def _read(self, body: _Unwanted) -> None:
        try:
            count = body.connection.socket.recv_into(self._nowhere)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        body.left -= count or body.left
        body.silent_until = time.monotonic() + LINGER_SILENCE

    def _end(self, body: _Unwanted) -> None:
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
        self.reader_on = ReaderOn()
        self.reader_on.start()

    def process_conn(self, conn: Connection) -> None:
        """A connection gets a thread once something has come: browsers open some that say nothing for long."""
        if conn.has_spoken:
            super().process_conn(conn)
        else:
            conn.has_spoken = True
            self._connections.put(conn)  # type: ignore[attr-defined]  # made when it starts

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        log.log(level, msg, exc_info=traceback)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dashboard.server", description="The web server of Partway.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.site.settings")
    from dashboard.site.wsgi import application

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    # Before the first request: whoever comes back to send the rest finds nobody else writing.
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
