"""The web server on a real port: connections that live on, answers that arrive, bodies that end where they end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from dashboard.site import server as web
from dashboard.site.server import Server

MIB = 1024**2
Environ = dict[str, Any]
App = Callable[[Environ, Any], Iterable[bytes]]


class Site:
    """A server in a thread, with an application that each test chooses; `seen` are its requests."""

    def __init__(self) -> None:
        self.app: App = echo_length
        self.seen: list[Environ] = []
        self.server = Server(("127.0.0.1", 0), self._call)
        self.server.expiration_interval = 0.1
        self.server.prepare()
        self._thread = threading.Thread(target=self.server.serve)
        self._thread.start()

    def _call(self, environ: Environ, start: Any) -> Iterable[bytes]:
        self.seen.append(environ)
        return self.app(environ, start)

    def connect(self) -> Visitor:
        return Visitor(socket.create_connection(self.server.bind_addr, timeout=10))

    def stop(self) -> None:
        self.server.stop()
        self._thread.join(10)


class Visitor:
    """One connection, byte by byte."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.file = connection.makefile("rb")

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def ask(self, method: str, path: str = "/", body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.socket.sendall(request(method, path, body, headers))

    def head(self) -> tuple[int, dict[str, str]]:
        status = int(self.file.readline().split()[1])
        headers = {}
        while line := self.file.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return status, headers

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        status, headers = self.head()
        return status, headers, self.file.read(int(headers["content-length"]))

    def is_at_its_end(self) -> bool:
        return self.file.read(1) == b""


def request(method: str, path: str = "/", body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
    lines = {"Host": "test", **({"Content-Length": str(len(body))} if body else {}), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def reply(start: Any, body: bytes, status: str = "200 OK") -> Iterable[bytes]:
    start(status, [("Content-Length", str(len(body))), ("Content-Type", "text/plain")])
    return [body]


def echo_length(environ: Environ, start: Any) -> Iterable[bytes]:
    """Read the body by `wsgi.input`, and say how long it was."""
    return reply(start, str(len(environ["wsgi.input"].read())).encode())


def read_straight(environ: Environ, start: Any) -> Iterable[bytes]:
    """Read the body from the socket, with more room than it needs, and send it back."""
    buffer, got = memoryview(bytearray(64 * 1024)), bytearray()
    while count := environ["wsgi.input"].read_into(buffer):
        got += buffer[:count]
    return reply(start, bytes(got))


def answer_early(_environ: Environ, start: Any) -> Iterable[bytes]:
    """Answer without reading a byte."""
    return reply(start, b"no, thank you", "403 Forbidden")


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.stop()


# --- Connections ------------------------------------------------------------------------------------------------------


def test_a_connection_serves_many_requests(site: Site) -> None:
    with site.connect() as visitor:
        for body in (b"", b"abc", b"", b"x" * 100_000):
            visitor.ask("POST" if body else "GET", body=body)
            status, headers, answer = visitor.answer()
            assert (status, answer) == (200, str(len(body)).encode())
            assert headers.get("connection") != "close"
    assert len(site.seen) == 4


def test_connection_close_is_obeyed(site: Site) -> None:
    with site.connect() as visitor:
        visitor.ask("GET", headers={"Connection": "close"})
        assert visitor.answer()[0] == 200
        assert visitor.is_at_its_end()


def test_an_idle_connection_is_closed(site: Site) -> None:
    site.server.timeout = 0.3
    with site.connect() as visitor:
        visitor.ask("GET")
        visitor.answer()
        began = time.monotonic()
        assert visitor.is_at_its_end()
        assert time.monotonic() - began < 5


def test_a_stalled_head_does_not_block_others(site: Site) -> None:
    site.server.timeout = 1
    stalled = [site.connect() for _ in range(8)]
    for visitor in stalled:
        visitor.socket.sendall(b"GET / HTTP/1.1\r\nHost: te")
    with site.connect() as visitor:
        visitor.ask("GET")
        began = time.monotonic()
        assert visitor.answer()[0] == 200
        assert time.monotonic() - began < 1
    for visitor in stalled:
        with visitor, suppress(ConnectionError):
            assert b"200" not in visitor.file.read(100)


def test_a_failing_application_is_a_500_and_the_server_lives(site: Site) -> None:
    def fail(_environ: Environ, _start: Any) -> Iterable[bytes]:
        raise ZeroDivisionError

    site.app = fail
    with site.connect() as visitor:
        visitor.ask("GET")
        assert visitor.head()[0] == 500
    site.app = echo_length
    with site.connect() as visitor:
        visitor.ask("GET")
        assert visitor.answer()[0] == 200


# --- Heads ------------------------------------------------------------------------------------------------------------


def test_header_names_with_underscores_are_dropped(site: Site) -> None:
    with site.connect() as visitor:
        visitor.ask("GET", headers={"X_CSRFToken": "forged", "X-Other": "kept", "Content_Type": "forged"})
        assert visitor.answer()[0] == 200
    (environ,) = site.seen
    assert environ["HTTP_X_OTHER"] == "kept"
    assert "forged" not in map(str, environ.values())


def test_head_and_204_have_no_body(site: Site) -> None:
    def app(environ: Environ, start: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/none":
            start("204 No Content", [("Upload-Offset", "5")])
            return []
        start("200 OK", [("Content-Length", "5"), ("Upload-Offset", "5")])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [b"12345"]

    site.app = app
    with site.connect() as visitor:
        visitor.ask("HEAD")
        status, headers = visitor.head()
        assert (status, headers["content-length"], headers["upload-offset"]) == (200, "5", "5")
        visitor.ask("PATCH", "/none", b"abc")
        # The body was not read, so this is the connection's last answer.
        status, headers = visitor.head()
        assert (status, headers.get("content-length"), headers.get("transfer-encoding")) == (204, None, None)
        assert headers["connection"] == "close"
        assert visitor.is_at_its_end()


def test_204_after_a_body_that_was_read_keeps_the_connection(site: Site) -> None:
    def app(environ: Environ, start: Any) -> Iterable[bytes]:
        while environ["wsgi.input"].read_into(memoryview(bytearray(1000))):
            pass
        start("204 No Content", [("Upload-Offset", "5")])
        return []

    site.app = app
    with site.connect() as visitor:
        for _ in range(3):
            visitor.ask("PATCH", body=b"12345")
            assert visitor.head()[0] == 204


# --- Bodies -----------------------------------------------------------------------------------------------------------


def test_read_into_never_crosses_into_the_next_request(site: Site) -> None:
    site.app = read_straight
    bodies = [b"", b"a", b"bc" * 3000, b"d" * 8191, b"e" * 8192, b"f" * 70_000, b"g"]
    with site.connect() as visitor:
        pipelined = b"".join(request("POST", f"/{number}", body) for number, body in enumerate(bodies))
        sender = threading.Thread(target=visitor.socket.sendall, args=[pipelined])
        sender.start()
        assert [visitor.answer()[2] for _ in bodies] == bodies
        sender.join()
    assert [environ["PATH_INFO"] for environ in site.seen] == [f"/{number}" for number in range(len(bodies))]


def test_head_and_body_in_drops(site: Site) -> None:
    site.app = read_straight
    with site.connect() as visitor:
        visitor.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request("POST", "/", b"drop by drop"):
            visitor.socket.sendall(bytes([byte]))
        assert visitor.answer()[2] == b"drop by drop"


def test_both_ways_of_reading_share_one_count(site: Site) -> None:
    def app(environ: Environ, start: Any) -> Iterable[bytes]:
        source, buffer = environ["wsgi.input"], memoryview(bytearray(4))
        first = source.read(3)
        count = source.read_into(buffer)
        return reply(start, first + b"|" + bytes(buffer[:count]) + b"|" + source.read())

    site.app = app
    with site.connect() as visitor:
        for _ in range(2):
            visitor.ask("POST", body=b"abcdefghij")
            assert visitor.answer()[2] == b"abc|defg|hij"


def test_a_chunked_body_is_read_and_ends_its_connection(site: Site) -> None:
    with site.connect() as visitor:
        visitor.ask("POST", headers={"Transfer-Encoding": "chunked"})
        visitor.socket.sendall(b"3\r\nabc\r\n5\r\n12345\r\n0\r\n\r\n")
        status, headers, answer = visitor.answer()
        assert (status, answer, headers["connection"]) == (200, b"8", "close")
        assert visitor.is_at_its_end()
    assert not hasattr(site.seen[0]["wsgi.input"], "read_into")


def test_a_chunked_body_that_nobody_reads(site: Site) -> None:
    site.app = answer_early
    with site.connect() as visitor:
        visitor.ask("POST", headers={"Transfer-Encoding": "chunked"})
        status, headers, _ = visitor.answer()
        assert (status, headers["connection"]) == (403, "close")


def test_100_continue(site: Site) -> None:
    site.app = read_straight
    with site.connect() as visitor:
        visitor.ask("POST", headers={"Content-Length": "5", "Expect": "100-continue"})
        assert visitor.head()[0] == 100
        visitor.socket.sendall(b"12345")
        assert visitor.answer()[2] == b"12345"


# --- Early answers ----------------------------------------------------------------------------------------------------


def send_slowly(visitor: Visitor, size: int) -> None:
    """As a browser does: all of the body, before a look at the answer."""
    block = bytes(256 * 1024)
    for _ in range(size // len(block)):
        visitor.socket.sendall(block)


def test_an_early_answer_reaches_a_sender_of_20_mib(site: Site) -> None:
    site.app = answer_early
    with site.connect() as visitor:
        visitor.ask("PATCH", headers={"Content-Length": str(20 * MIB)})
        send_slowly(visitor, 20 * MIB)
        status, headers, answer = visitor.answer()
        assert (status, headers["connection"], answer) == (403, "close", b"no, thank you")
        assert visitor.is_at_its_end()


def test_an_answer_in_the_middle_of_a_body_reaches_its_sender(site: Site) -> None:
    def app(environ: Environ, start: Any) -> Iterable[bytes]:
        environ["wsgi.input"].read_into(memoryview(bytearray(100_000)))
        return reply(start, b"enough", "409 Conflict")

    site.app = app
    with site.connect() as visitor:
        visitor.ask("PATCH", headers={"Content-Length": str(20 * MIB)})
        send_slowly(visitor, 20 * MIB)
        assert visitor.answer()[0] == 409


def test_reading_on_ends_with_the_body_and_is_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.app = answer_early
    monkeypatch.setattr(web, "LINGER_BYTES", MIB)
    with site.connect() as visitor:
        visitor.ask("PATCH", headers={"Content-Length": str(10**12)})
        with pytest.raises(ConnectionError):
            send_slowly(visitor, 100 * MIB)
    monkeypatch.setattr(web, "LINGER_SECONDS", 0.3)
    with site.connect() as visitor:
        visitor.ask("PATCH", body=b"x", headers={"Content-Length": str(10**12)})
        assert visitor.answer()[0] == 403
        began = time.monotonic()
        assert visitor.is_at_its_end()
        while time.monotonic() - began < 5 and is_open(visitor):
            time.sleep(0.05)
        assert time.monotonic() - began < 5


def is_open(visitor: Visitor) -> bool:
    try:
        visitor.socket.sendall(b"x")
    except ConnectionError:
        return False
    return True


def test_a_body_that_came_with_its_head_holds_no_thread(site: Site) -> None:
    """All of it was read ahead with the head: there is nothing to wait for."""
    site.app = answer_early
    with site.connect() as visitor:
        visitor.ask("PATCH", body=b"x" * 1000)
        assert visitor.answer()[0] == 403
        began = time.monotonic()
        while site.server.requests.idle < web.THREADS and time.monotonic() - began < 10:
            time.sleep(0.02)
        assert time.monotonic() - began < 1


def test_a_silent_body_times_out_and_the_answer_still_arrives(site: Site) -> None:
    def app(environ: Environ, start: Any) -> Iterable[bytes]:
        source = environ["wsgi.input"]
        source.set_timeout(0.2)
        try:
            while source.read_into(memoryview(bytearray(100))):
                pass
        except TimeoutError:
            return reply(start, b"too slow", "408 Request Timeout")
        return reply(start, b"")

    site.app = app
    with site.connect() as visitor:
        visitor.ask("PATCH", body=b"abc", headers={"Content-Length": "10"})
        assert visitor.answer()[0] == 408
