"""A webhook and a mail server on this machine that keep what they receive."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Webhook:
    """Answers with the statuses in turn, then with 200.

    The status 0 closes the connection without a response, ENDLESS sends a body without an end, SLOW a head without
    one, and MALFORMED a head that is none.
    """

    url: str = ""
    bytes_sent: int = 0
    statuses: list[int] = field(default_factory=list)
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)


LOST, ENDLESS, SLOW, MALFORMED = 0, -1, -2, -3
BLOCK = bytes(64 * 1024)


@contextmanager
def webhook() -> Iterator[Webhook]:
    found = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.received.append((dict(self.headers), body))
            status = found.statuses.pop(0) if found.statuses else 200
            if status <= LOST:
                self._misbehave(status)
                return
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", f"{found.url}elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _misbehave(self, status: int) -> None:
            self.close_connection = True
            head = b"HTTP/1.1 200 OK\r\n"
            if status == LOST:
                return
            if status == MALFORMED:
                self.wfile.write(head + b"Content-Length: 0\r\nno header\r\n\r\n")
                return
            try:
                self.wfile.write(head if status == SLOW else head + b"\r\n")
                while status == SLOW and not found.is_over.wait(0.05):
                    self.wfile.write(b"X: y\r\n")
                while status == ENDLESS and found.bytes_sent < 2**30:
                    self.wfile.write(BLOCK)
                    found.bytes_sent += len(BLOCK)
            except OSError:
                return

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}/hook/"
        with _serving(server):
            yield found
            found.is_over.set()


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


class _Smtp(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as smtplib speaks."""

    def handle(self) -> None:
        self._say("220 sink")
        for line in self.rfile:
            verb = line[:4].upper().strip()
            if verb == b"DATA":
                self._say("354 go on")
                self._take()
            elif verb == b"QUIT":
                self._say("221 bye")
                return
            self._say("250 ok")

    def _take(self) -> None:
        lines: list[bytes] = []
        for line in self.rfile:
            if line == b".\r\n":
                break
            lines.append(line)
        mails: list[Any] = self.server.mails  # type: ignore[attr-defined]
        mails.append(message_from_bytes(b"".join(lines), policy=policy.default))

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextmanager
def mail_server() -> Iterator[tuple[int, list[EmailMessage]]]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Smtp) as server:
        server.daemon_threads = True
        mails: list[EmailMessage] = []
        server.mails = mails  # type: ignore[attr-defined]
        with _serving(server):
            yield server.server_address[1], mails
