"""The web server: `python -m dashboard.server --host 127.0.0.1 --port 8000`.

Cheroot runs the site as its WSGI application, with one thread per request, and with what uploads of any size need:

* `wsgi.input` can be read from the socket directly into a buffer (`read_into`), with a stall timeout.
* If the response is sent before the whole body was read, the connection is closed, but only after the rest has been
  read for a while. Otherwise a reset would reach the client, and a browser would show a network error instead of the
  response.
* No thread waits for a head, nor for a body that is not a file (`connections`, `arriving`): each has a deadline, and
  the threads handle requests that have arrived. `/healthz` needs no thread.
* Heads are read strictly (`heads`), and bodies in chunks are decoded as they arrive (`bodies`).
* A response to HEAD never has a body.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from cheroot import wsgi
from cheroot.makefile import MakeFile
from cheroot.server import HTTPConnection, HTTPRequest
from cheroot.workers.threadpool import ThreadPool

from dashboard.shared.body_limits import TOO_LARGE
from dashboard.shared.repeated_headers import REPEATED_HEADERS
from dashboard.site.arriving import BODY_SECONDS, HEAD_SECONDS, Arriving, Step
from dashboard.site.bodies import MOST_UNREAD, ChunkedBody, SocketBody
from dashboard.site.connections import Connections, Limits
from dashboard.site.drain import Drain
from dashboard.site.heads import HeadReader
from dashboard.site.memory import protect_memory
from dashboard.site.refusals import alive, refusal
from dashboard.site.rules import Rules, rules_of_site
from dashboard.site.streams import Input, Output

if TYPE_CHECKING:
    from uploads.services.upkeep.pulse import Pulse

THREADS = 64
MONITORING_THREADS = 4
"""Threads for monitoring only, which must respond while all others are busy."""
MOST_CONNECTIONS = 1000
BACKLOG = 256
IDLE_SECONDS = 20
"""When an idle connection is closed: between requests, or while a response is not read."""

MAX_HEAD = 128 * 1024
"""Bytes of a request's head."""

STOP_SECONDS = 5
"""How long requests may continue after the server was told to stop. Bytes received until then are kept."""

DATABASE_SECONDS = 5.0
"""How long a request waits for a connection to the database, before its response is 503."""
DATABASE_START_SECONDS = 30.0
"""How long the server waits for the database before it starts. It then cleans up staging once the database responds."""

log = logging.getLogger("dashboard.server")


class Gateway(wsgi.Gateway_10):
    """Gives the application our body, and handles a body that it did not read."""

    req: Request

    def get_environ(self) -> dict[str, Any]:  # type: ignore[override]  # the stub is wrong
        environ: dict[str, Any] = super().get_environ()  # type: ignore[no-untyped-call]
        self.req.rfile = environ["wsgi.input"] = self._body()
        environ[REPEATED_HEADERS] = frozenset(self.req.header_reader.repeated)
        if self.req.is_too_large:
            environ[TOO_LARGE] = self.req.body_limit
        return environ

    def _body(self) -> ChunkedBody | SocketBody:
        before_read = self.req.send_continue if self.req.header_reader.expects_continue else None
        if self.req.chunked_read:
            return ChunkedBody(self.req.conn, before_read)
        return SocketBody(self.req.conn, self.req.rfile.remaining, before_read)

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        if self.req.rfile.unread:
            # Cheroot would read the rest into memory before it responds.
            self.req.close_connection = True
            self.req.conn.unread = self.req.rfile.unread
        self.req.conn.socket.settimeout(self.req.server.timeout)
        return super().start_response(status, headers, exc_info)


class Request(HTTPRequest):
    """One request. Its response has no body where HTTP allows none, whatever the application returns.

    Otherwise the client would read that body as the start of the next response.
    """

    method = b""
    path = b""
    qs = b""
    is_too_large = False
    """Whether the body has more bytes than it may have. It is not read then."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.header_reader: HeadReader = HeadReader()

    @property
    def body_length(self) -> int:
        """Of a body that is not in chunks."""
        return int(self.inheaders.get(b"Content-Length", 0))

    @property
    def body_limit(self) -> int | None:
        """Bytes that the body may have. None: the view reads a file of any size from the connection."""
        server: Server = self.server
        return server.rules.body_limit(self.path)

    @property
    def is_for_monitoring(self) -> bool:
        server: Server = self.server
        return self.path in server.rules.monitoring

    @property
    def asks_whether_alive(self) -> bool:
        """Whether this is a plain health check. One with a cookie is not that of a program: the site checks it."""
        server: Server = self.server
        has_more = self.qs or self.chunked_read or self.body_length or b"Cookie" in self.inheaders
        return self.method in (b"GET", b"HEAD") and not has_more and self.path in server.rules.health

    def parse_request(self) -> None:
        """Read the head. Its bytes have arrived, so that this waits for nothing."""
        if self.ready:
            return
        try:
            super().parse_request()
        except ValueError:
            # Such as brackets that are not an IPv6 address.
            self.simple_response("400 Bad Request", "Malformed Request-URI")

    def read_request_headers(self) -> bool:
        if not super().read_request_headers():  # type: ignore[no-untyped-call]
            return False
        if b"Transfer-Encoding" in self.inheaders and not self.chunked_read:
            self.simple_response("400 Bad Request", "HTTP/1.0 has no Transfer-Encoding.")
            return False
        return True

    def send_continue(self) -> None:
        """Tell the client to send the body, unless it uses a version of HTTP that does not wait for this."""
        if self.response_protocol == "HTTP/1.1":
            self.conn.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def continue_now(self) -> None:
        """The same, before any thread handles the request."""
        if self.header_reader.expects_continue:
            self.header_reader.expects_continue = False
            self.send_continue()

    def send_headers(self) -> None:
        if self._status == b"204":
            self.outheaders = [(name, value) for name, value in self.outheaders if name.lower() != b"content-length"]
        super().send_headers()

    def write(self, chunk: bytes) -> None:
        if self.method != b"HEAD" and self._status not in (b"204", b"304"):
            super().write(chunk)

    @property
    def _status(self) -> bytes:
        status: Any = self.status  # The stub says `str`.
        return bytes(status[:3])

    def simple_response(self, status: int | str, msg: str = "") -> None:
        """Respond without the site: as JSON to a client that accepts it or speaks tus, with a text in any case."""
        is_tus = b"/files/" in (getattr(self, "path", None) or b"") or b"Tus-Resumable" in self.inheaders
        accepts_json = is_tus or b"application/json" in self.inheaders.get(b"Accept", b"")
        limited = {"limit": MAX_HEAD}
        head, body = refusal(int(str(status)[:3]), msg, limited, is_tus=is_tus, accepts_json=accepts_json)
        # What follows on this connection cannot be told apart from the rest of this request.
        self.close_connection = self.sent_headers = True
        with suppress(OSError):
            self.conn.wfile.write(head + (b"" if self.method == b"HEAD" else body))
            self.conn.unread = MOST_UNREAD


class Connection(HTTPConnection):
    """One connection: `arriving` is its next request, which no thread handles while it `is_waiting`."""

    unread = 0
    is_waiting = False
    is_last = False
    """Whether the connection ends with the response that is sent."""
    arriving: Arriving

    def __init__(self, server: Any, socket_: socket.socket, makefile: Any = MakeFile) -> None:
        super().__init__(server, socket_, makefile)
        self.rfile = self.input = Input(socket_)
        self.wfile = self.output = Output(socket_, lambda: bool(server.limits.has_memory()), lambda: bool(server.ready))
        self.on_close: Callable[[], object] | None = None
        self._held: tuple[Limits, int] | None = None

    @property
    def held_bytes(self) -> int:
        """Bytes of the next request that are in memory."""
        return len(self.arriving.received)

    @property
    def has_begun(self) -> bool:
        """Whether a request or a response is under way."""
        return bool(self.output.unsent) or self.arriving.has_begun

    @property
    def deadline(self) -> float:
        """When to end the connection if nothing else happens, in monotonic seconds."""
        return self.output.deadline if self.output.unsent else self.arriving.deadline

    @property
    def asks_whether_alive(self) -> bool:
        request = self.arriving.request
        return bool(request and request.asks_whether_alive)

    @property
    def head_seconds(self) -> float:
        return float(self.server.head_seconds)

    @property
    def body_seconds(self) -> float:
        return float(self.server.body_seconds)

    def start_next(self) -> Step:
        """Read the next request as far as it has arrived."""
        self._release()
        self.socket.setblocking(False)
        self.arriving = Arriving(self, MAX_HEAD, self.server.timeout)
        return self.arriving.add(self.input.take())

    def hold(self, limits: Limits, count: int) -> None:
        """Count bytes that are in memory: of a body until its request is handled, or of a response until it is sent."""
        self._release()
        self._held = limits, count
        limits.hold(count)

    def _release(self) -> None:
        held, self._held = self._held, None
        if held:
            limits, count = held
            limits.hold(-count)

    def read_head(self) -> Request | None:
        """The request whose head has arrived; None if a response has refused it."""
        request = Request(self.server, self)
        request.parse_request()
        return request if request.ready else None

    def RequestHandlerClass(self, _server: Any, _connection: Any) -> Request | None:
        """For `communicate`: the request that has arrived."""
        return self.arriving.request

    def say_alive(self) -> Step:
        """Respond to a health check without a thread and without waiting."""
        request = self.arriving.request
        assert request is not None
        is_last = request.close_connection or request.response_protocol != "HTTP/1.1"
        head, body = alive(is_last=is_last)
        response = head if request.method == b"HEAD" else head + body
        try:
            is_sent = self.socket.send(response) == len(response)
        except OSError:
            is_sent = False
        return self.start_next() if is_sent and not is_last else Step.CLOSE

    def refuse(self, status: str) -> None:
        """Close the connection. If a request has begun, the client is told why, unless that had to wait."""
        if self.arriving.has_begun:
            (self.arriving.request or Request(self.server, self)).simple_response(status)
        self.close()

    def discard(self) -> None:
        self.unread = 0
        self.output.unsent.clear()
        self.close()

    def close(self) -> None:
        """Close the connection once its response is sent, and what the client still sends is read."""
        if self.output.unsent:
            self.is_last = True
            self.server.send_rest(self)
            return
        self._release()
        unread, self.unread = self.unread, 0
        if self.rfile.has_data():
            unread -= len(self.rfile.peek())  # Read ahead with the head.
        if unread > 0:
            with suppress(OSError, ValueError):
                self.socket.shutdown(socket.SHUT_WR)
                self.server.drain.take(self, unread)
                return
        try:
            super().close()
        finally:
            on_close, self.on_close = self.on_close, None
            if on_close:
                on_close()


class Lane:
    """Threads that handle certain requests only. For cheroot's threads, it is the server."""

    def __init__(self, server: Server, threads: int) -> None:
        self._server = server
        self.requests = ThreadPool(self, min=threads, max=threads)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)

    @property
    def interrupt(self) -> Any:
        return self._server.interrupt

    @interrupt.setter
    def interrupt(self, reason: Any) -> None:
        self._server.interrupt = reason


class Server(wsgi.Server):
    ConnectionClass = Connection
    max_request_header_size = MAX_HEAD
    head_seconds = HEAD_SECONDS
    body_seconds = BODY_SECONDS
    _connections: Connections

    def __init__(self, address: tuple[str, int], application: Any, rules: Rules | None = None) -> None:
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
        self.rules = rules or Rules()
        self.limits = Limits(most_connections(), self.rules.most_per_address, self.rules.is_exempt)
        self.monitoring = Lane(self, MONITORING_THREADS)
        self.drain = Drain()
        self.drain.start()

    def prepare(self) -> None:
        super().prepare()
        self.socket.setblocking(False)
        # Before the first connection: cheroot's has done nothing yet.
        self._connections.close()
        self._connections = Connections(self)
        self.monitoring.requests.start()

    def stop(self) -> None:
        was_ready = self.ready
        super().stop()
        if was_ready:
            self.monitoring.requests.stop(self.shutdown_timeout)

    def new_connection(self, socket_: socket.socket, address: Any) -> Connection:
        connection = Connection(self, socket_)
        if isinstance(address, tuple):
            connection.remote_addr, connection.remote_port = address[:2]
        name = str(connection.remote_addr or "")
        connection.on_close = lambda: self.limits.leave(name)
        return connection

    def send_rest(self, connection: Connection) -> None:
        self._connections.send(connection)

    def handle(self, connection: Connection) -> None:
        """Let a thread handle a request that has arrived."""
        request = connection.arriving.request
        connection.hold(self.limits, connection.input.count)
        connection.socket.settimeout(self.timeout)
        lane = self.monitoring.requests if request and request.is_for_monitoring else self.requests
        lane.put(connection)

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        log.log(level, msg, exc_info=traceback)


def most_connections() -> int:
    """Connections that may be open at the same time: the process needs file descriptors for other things too."""
    descriptors, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if descriptors < 0 else max(THREADS, min(MOST_CONNECTIONS, descriptors - 256))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dashboard.server", description="The web server of Partway.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.site.settings")
    protect_memory()
    from django.core.exceptions import ImproperlyConfigured

    try:
        from dashboard.site.wsgi import application
    except ImproperlyConfigured as error:
        sys.exit(f"Partway cannot start: {error}")
    from dashboard.site.checks import check_web_server

    _share_connections()
    check_web_server()
    _on_signal(_stop)
    # Before the first request, so that a client that resumes finds no other writer.
    _start_node().start()
    server = Server((options.host, options.port), application, rules_of_site())
    log.info("listening on %s:%s", options.host, options.port)
    run(server)


def run(server: Server) -> None:
    """Serve until a signal arrives.

    The handler raises nothing: an exception in the middle of any statement can leave a queue of the server broken, and
    a thread that waits at it for ever. A signal that arrives while the server starts waits until it is ready.
    """
    read, write = os.pipe()
    _on_signal(lambda _number, _frame: os.write(write, b"."))
    server.prepare()
    stopper = threading.Thread(target=_stop_after_signal, args=(server, read), name="stopper")
    stopper.start()
    try:
        server.serve()
    finally:
        os.write(write, b".")
        stopper.join()


def _stop_after_signal(server: Server, read: int) -> None:
    os.read(read, 1)
    log.info("shutting down")
    server.stop()


def _on_signal(handler: Callable[[int, FrameType | None], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def _share_connections() -> None:
    from django.conf import settings

    from uploads import database

    database.use_pool(settings.DATABASE_POOL_SIZE, DATABASE_SECONDS)


def _start_node() -> Pulse:
    """Record the node, and clean its staging. Nothing is changed with the name or the disk of another node.

    Returns the pulse of the node, which does what could not be done yet.
    """
    from django.db import connections

    from dashboard.shared.messages import text_of
    from uploads import database
    from uploads.services.staging.nodes import NodeConflict, claim
    from uploads.services.upkeep.cleanup import sweep_staging
    from uploads.services.upkeep.pulse import Pulse

    try:
        # A machine that starts may start its database later.
        with database.waiting(DATABASE_START_SECONDS):
            claim()
            sweep_staging()
        return Pulse(is_sender=False)
    except NodeConflict as conflict:
        log.critical("%s", text_of(conflict.problem))
        raise SystemExit(1) from None
    except Exception:
        log.exception("staging could not be swept yet")
        return Pulse(is_sender=False, left_to_do=sweep_staging)
    finally:
        connections.close_all()
