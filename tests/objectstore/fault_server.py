"""A loopback server with scripted faults: each request runs the next step of the script.

A step may read the body or not, respond, stall, or reset the connection. `received` keeps all requests, byte for byte.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

XML_ERROR = b"<?xml version='1.0'?><Error><Code>%s</Code><Message>no</Message><RequestId>r-1</RequestId></Error>"


@dataclass
class Received:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes = field(default=b"", repr=False)


class Exchange:
    """A request and its connection."""

    def __init__(self, connection: socket.socket, received: Received, rest: bytes, stopped: threading.Event) -> None:
        self.connection = connection
        self.received = received
        self.stopped = stopped
        self._rest = rest

    def read(self, size: int | None = None) -> None:
        """Read `size` bytes of the body, or all of it."""
        expected = int(self.received.headers.get("content-length", "0")) if size is None else size
        body = bytearray(self._rest[:expected])
        while len(body) < expected and (block := self.connection.recv(min(65536, expected - len(body)))):
            body += block
        self._rest = b""
        self.received.body += bytes(body)

    def respond(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        lines = {"Content-Length": str(len(body)), **(headers or {})}
        head = "".join(f"{name}: {text}\r\n" for name, text in lines.items())
        self.connection.sendall(f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + body)

    def reset(self) -> None:
        """Reset the connection instead of closing it."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


Step = Callable[[Exchange], None]


def respond(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Step:
    """Read the whole request, then respond."""

    def step(exchange: Exchange) -> None:
        exchange.read()
        exchange.respond(status, body, headers)

    return step


def error(status: int, code: str, headers: Mapping[str, str] | None = None) -> Step:
    """Read the whole request, then respond with an error of the API."""
    return respond(status, XML_ERROR % code.encode(), headers)


def reset_immediately(exchange: Exchange) -> None:
    exchange.reset()


def reset_in_body(exchange: Exchange) -> None:
    exchange.read(70_000)
    exchange.reset()


def reset_after_body(exchange: Exchange) -> None:
    exchange.read()
    exchange.reset()


def stall(exchange: Exchange) -> None:
    """Neither read nor respond until the test ends."""
    exchange.stopped.wait(30)


def freeze(exchange: Exchange) -> None:
    """Read the request and never respond."""
    exchange.read()
    exchange.stopped.wait()


def freeze_after_head(exchange: Exchange) -> None:
    """Respond with headers and never send the body."""
    exchange.read()
    exchange.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    exchange.stopped.wait()


def trickle(body: bytes, headers: Mapping[str, str] | None = None, *, pause: float = 0.02) -> Step:
    """Send a valid response byte by byte, its head included, with `pause` seconds between them."""

    def step(exchange: Exchange) -> None:
        exchange.read()
        lines = {"Content-Length": str(len(body)), **(headers or {})}
        head = "".join(f"{name}: {text}\r\n" for name, text in lines.items())
        for byte in f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + body:
            exchange.connection.sendall(bytes([byte]))
            if exchange.stopped.wait(pause):
                return

    return step


@contextlib.contextmanager
def full_backlog() -> Iterator[str]:
    """The endpoint of a port whose queue of connections is full, so that connecting to it never ends."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield "http://{}:{}".format(*listener.getsockname())


class FaultServer:
    """Listens on a free loopback port; `url` is its endpoint. Uses TLS if `tls` is given.

    `otherwise` is what it does when the script has ended. `freezes_in_handshake`: it accepts TLS connections and sends
    nothing on them.
    """

    def __init__(self, *script: Step, tls: ssl.SSLContext | None = None, freezes_in_handshake: bool = False) -> None:
        self.otherwise: Step = respond(500, b"the script has ended")
        self._freezes_in_handshake = freezes_in_handshake
        self.received: list[Received] = []
        self.connections = 0
        self._script = iter(script)
        self._tls = tls
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls or freezes_in_handshake else 'http'}://127.0.0.1:{self.port}"

    def script(self, *steps: Step) -> None:
        self._script = iter(steps)

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            self.connections += 1
            self._start(self._serve, connection)

    def _serve(self, plain: socket.socket) -> None:
        if self._freezes_in_handshake:
            self._stopped.wait()
        # Errors here are intended: the script or the client under test causes them.
        with contextlib.suppress(OSError), plain, self._secured(plain) as connection:
            while head := _read_head(connection):
                received, rest = _parse_head(*head)
                self.received.append(received)
                next(self._script, self.otherwise)(Exchange(connection, received, rest, self._stopped))

    @contextlib.contextmanager
    def _secured(self, plain: socket.socket) -> Iterator[socket.socket]:
        if self._tls is None:
            yield plain
            return
        with self._tls.wrap_socket(plain, server_side=True) as secured:
            yield secured


def _read_head(connection: socket.socket) -> tuple[bytes, bytes] | None:
    data = b""
    while b"\r\n\r\n" not in data:
        block = connection.recv(65536)
        if not block:
            return None
        data += block
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def _parse_head(head: bytes, rest: bytes) -> tuple[Received, bytes]:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.strip().lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
    return Received(method, target, headers), rest
