"""The HTTP side: a thread a connection, requests as they came, answers as OSS gives them."""

from __future__ import annotations

import secrets
import sys
import time
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.stores.oss import answers, errors, routing
from tests.stores.oss.accounts import Accounts
from tests.stores.oss.answers import Answer, Stretch
from tests.stores.oss.asked import Asked, parse_host
from tests.stores.oss.authorization import authenticate
from tests.stores.oss.bodies import Body
from tests.stores.oss.objects import http_date
from tests.stores.oss.state import State

IDLE_SECONDS = 60


class OssServer(ThreadingHTTPServer):
    """Listens on loopback once it is made. `domain` is what its endpoints end in: oss-REGION.domain."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, folder: Path, port: int = 0, *, state: State | None = None, domain: str = "localhost") -> None:
        self.state = state or State(folder)
        self.accounts = Accounts(folder)
        self.domain = domain
        super().__init__(("127.0.0.1", port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A line that breaks is the client's affair; anything else is told, on stderr."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS
    server: OssServer

    def __getattr__(self, name: str) -> Any:
        """Every method comes to the same place."""
        if name.startswith("do_"):
            return self._handle
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _handle(self) -> None:
        began = time.monotonic()
        request_id = secrets.token_hex(12).upper()
        headers = {name.lower(): _header(text) for name, text in self.headers.items()}
        body = Body(self.rfile, headers)
        try:
            answer = self._answer(headers, body)
        except errors.Refusal as refusal:
            host = headers.get("host", "").partition(":")[0]
            answer = answers.refused(refusal, method=self.command, host=host, request_id=request_id)
        self._drain(body)
        milliseconds = int((time.monotonic() - began) * 1000)
        self._send(answer, request_id, milliseconds)

    def _answer(self, headers: dict[str, str], body: Body) -> Answer:
        # Not self.path: there a leading `//` has become one slash.
        path, _, query = self.requestline.split(" ")[1].partition("?")
        host_text = headers.get("host", "")
        host = parse_host(host_text, self.server.domain)
        asked = Asked(self.command, host, host_text, path, query, headers, body)
        if host.bucket is None and path != "/":
            raise errors.path_style()
        account = authenticate(asked, self.server.accounts, self.server.state.now())
        operation = routing.operation(asked)
        if operation.action in account.denied:
            raise errors.forbidden(operation.action)
        try:
            return operation.run(self.server.state, asked)
        except TimeoutError:
            raise errors.timed_out() from None

    def _drain(self, body: Body) -> None:
        """Take what was not read, so that the answer is seen; where that ends early the connection ends."""
        try:
            body.drain()
        except (errors.Refusal, OSError):
            self.close_connection = True

    def _send(self, answer: Answer, request_id: str, milliseconds: int) -> None:
        lines = {
            "Server": "AliyunOSS",
            "Date": http_date(self.server.state.now()),
            "Content-Length": str(answer.content_length),
            "Connection": "close" if self.close_connection else "keep-alive",
            "x-oss-request-id": request_id,
            "x-oss-server-time": str(milliseconds),
            **answer.headers,
        }
        head = f"HTTP/1.1 {answer.status} {responses[answer.status]}\r\n"
        head += "".join(f"{name}: {text}\r\n" for name, text in lines.items())
        raw = head.encode("utf-8", "surrogateescape") + b"\r\n"
        if isinstance(answer.body, bytes):
            self.wfile.write(raw + answer.body)
        else:
            self.wfile.write(raw)
            self._send_files(answer.body)

    def _send_files(self, stretches: tuple[Stretch, ...]) -> None:
        """An object that is replaced meanwhile ends the connection."""
        for stretch in stretches:
            try:
                with stretch.path.open("rb") as file:
                    self.connection.sendfile(file, stretch.offset, stretch.size)
            except FileNotFoundError:
                raise ConnectionAbortedError(stretch.path) from None


def _header(text: str) -> str:
    """As UTF-8, where it came as that."""
    return text.strip().encode("latin-1").decode("utf-8", "surrogateescape")
