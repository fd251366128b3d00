"""The HTTP server: one thread per connection."""

from __future__ import annotations

import secrets
import sys
import time
from http.client import responses as status_texts
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.stores.oss import errors, responses, routing
from tests.stores.oss.accounts import Accounts
from tests.stores.oss.authorization import authenticate
from tests.stores.oss.bodies import Body
from tests.stores.oss.objects import http_date
from tests.stores.oss.request import Request, parse_host
from tests.stores.oss.responses import FileRange, Response
from tests.stores.oss.state import State

IDLE_SECONDS = 60


class OssServer(ThreadingHTTPServer):
    """Listens on loopback. `domain` is the end of its endpoints: oss-REGION.domain."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, folder: Path, port: int = 0, *, state: State | None = None, domain: str = "localhost") -> None:
        self.state = state or State(folder)
        self.accounts = Accounts(folder)
        self.domain = domain
        super().__init__(("127.0.0.1", port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log exceptions to stderr, except for broken connections."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS
    server: OssServer

    def __getattr__(self, name: str) -> Any:
        """Handle all HTTP methods in one function."""
        if name.startswith("do_"):
            return self._handle
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _handle(self) -> None:
        started = time.monotonic()
        request_id = secrets.token_hex(12).upper()
        headers = {name.lower(): _header(text) for name, text in self.headers.items()}
        body = Body(self.rfile, headers)
        try:
            response = self._respond(headers, body)
        except errors.Refusal as refusal:
            host = headers.get("host", "").partition(":")[0]
            response = responses.refused(refusal, method=self.command, host=host, request_id=request_id)
        self._drain(body)
        milliseconds = int((time.monotonic() - started) * 1000)
        self._send(response, request_id, milliseconds)

    def _respond(self, headers: dict[str, str], body: Body) -> Response:
        # Not self.path, in which a leading `//` has become one slash.
        path, _, query = self.requestline.split(" ")[1].partition("?")
        host_text = headers.get("host", "")
        host = parse_host(host_text, self.server.domain)
        request = Request(self.command, host, host_text, path, query, headers, body)
        if host.bucket is None and path != "/":
            raise errors.path_style()
        account = authenticate(request, self.server.accounts, self.server.state.now())
        operation = routing.operation(request)
        if operation.action in account.denied:
            raise errors.forbidden(operation.action)
        try:
            return operation.run(self.server.state, request)
        except TimeoutError:
            raise errors.timed_out() from None

    def _drain(self, body: Body) -> None:
        """Read the rest of the body, so that the client sees the response. Close the connection if it ends early."""
        try:
            body.drain()
        except (errors.Refusal, OSError):
            self.close_connection = True

    def _send(self, response: Response, request_id: str, milliseconds: int) -> None:
        lines = {
            "Server": "AliyunOSS",
            "Date": http_date(self.server.state.now()),
            "Content-Length": str(response.content_length),
            "Connection": "close" if self.close_connection else "keep-alive",
            "x-oss-request-id": request_id,
            "x-oss-server-time": str(milliseconds),
            **response.headers,
        }
        head = f"HTTP/1.1 {response.status} {status_texts[response.status]}\r\n"
        head += "".join(f"{name}: {text}\r\n" for name, text in lines.items())
        raw = head.encode("utf-8", "surrogateescape") + b"\r\n"
        if isinstance(response.body, bytes):
            self.wfile.write(raw + response.body)
        else:
            self.wfile.write(raw)
            self._send_files(response.body)

    def _send_files(self, ranges: tuple[FileRange, ...]) -> None:
        """Send the bytes of an object. The connection is closed if the object is replaced in the meantime."""
        for file_range in ranges:
            try:
                with file_range.path.open("rb") as file:
                    self.connection.sendfile(file, file_range.offset, file_range.size)
            except FileNotFoundError:
                raise ConnectionAbortedError(file_range.path) from None


def _header(text: str) -> str:
    """The text of a header, decoded as UTF-8 if possible."""
    return text.strip().encode("latin-1").decode("utf-8", "surrogateescape")
