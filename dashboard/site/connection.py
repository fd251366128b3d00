"""One connection, and one request on it, for cheroot."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cheroot import wsgi
from cheroot.makefile import MakeFile
from cheroot.server import HTTPConnection, HTTPRequest

from dashboard.shared.body_limits import TOO_LARGE
from dashboard.shared.repeated_headers import REPEATED_HEADERS
from dashboard.site.arriving import Arriving, Step
from dashboard.site.bodies import MOST_UNREAD, ChunkedBody, SocketBody
from dashboard.site.connection_limits import Limits
from dashboard.site.heads import HeadReader
from dashboard.site.refusals import alive, refusal
from dashboard.site.streams import Input, Output

if TYPE_CHECKING:
    from dashboard.site.server import Server

MAX_HEAD = 128 * 1024
"""Bytes of a request's head."""


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
