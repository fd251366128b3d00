"""The web server on a real port: connections, responses, and the boundaries of bodies."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from cheroot.workers.threadpool import ThreadPool

from dashboard.shared.repeated_headers import REPEATED_HEADERS
from dashboard.site import drain
from dashboard.site import server as web
from dashboard.site.rules import Rules
from dashboard.site.server import Server

MIB = 1024**2
Environ = dict[str, Any]
App = Callable[[Environ, Any], Iterable[bytes]]


class Site:
    """A server in a thread, with an application that each test chooses; `requests` are the requests it received."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.app: App = echo_length
        self.requests: list[Environ] = []
        self.server = Server(("127.0.0.1", 0), self._call, rules)
        self.server.expiration_interval = 0.1
        self.server.prepare()
        self._thread = threading.Thread(target=self.server.serve)
        self._thread.start()

    def _call(self, environ: Environ, start: Any) -> Iterable[bytes]:
        self.requests.append(environ)
        return self.app(environ, start)

    def connect(self) -> Connection:
        return Connection(socket.create_connection(self.server.bind_addr, timeout=10))

    def is_running(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        self.server.stop()
        self._thread.join(10)


class Connection:
    """One connection, byte by byte."""

    def __init__(self, socket_: socket.socket) -> None:
        self.socket = socket_
        self.file = socket_.makefile("rb")

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def send(self, method: str, path: str = "/", body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.socket.sendall(request(method, path, body, headers))

    def head(self) -> tuple[int, dict[str, str]]:
        status = int(self.file.readline().split()[1])
        headers = {}
        while line := self.file.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return status, headers

    def response(self) -> tuple[int, dict[str, str], bytes]:
        status, headers = self.head()
        return status, headers, self.file.read(int(headers["content-length"]))

    def is_closed(self) -> bool:
        return self.file.read(1) == b""


def request(method: str, path: str = "/", body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
    lines = {"Host": "test", **({"Content-Length": str(len(body))} if body else {}), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def reply(start: Any, body: bytes, status: str = "200 OK") -> Iterable[bytes]:
    start(status, [("Content-Length", str(len(body))), ("Content-Type", "text/plain")])
    return [body]


def echo_length(environ: Environ, start: Any) -> Iterable[bytes]:
    """Read the body from `wsgi.input`, and respond with its length."""
    return reply(start, str(len(environ["wsgi.input"].read())).encode())


def read_from_socket(environ: Environ, start: Any) -> Iterable[bytes]:
    """Read the body from the socket into a larger buffer, and send it back."""
    buffer, received = memoryview(bytearray(64 * 1024)), bytearray()
    while count := environ["wsgi.input"].read_into(buffer):
        received += buffer[:count]
    return reply(start, bytes(received))


def respond_early(_environ: Environ, start: Any) -> Iterable[bytes]:
    """Respond without reading a byte."""
    return reply(start, b"no, thank you", "403 Forbidden")


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.stop()


# --- Connections ------------------------------------------------------------------------------------------------------


def test_connection_serves_many_requests(site: Site) -> None:
    with site.connect() as connection:
        for body in (b"", b"abc", b"", b"x" * 100_000):
            connection.send("POST" if body else "GET", body=body)
            status, headers, content = connection.response()
            assert (status, content) == (200, str(len(body)).encode())
            assert headers.get("connection") != "close"
    assert len(site.requests) == 4


def test_connection_close_header_closes_the_connection(site: Site) -> None:
    with site.connect() as connection:
        connection.send("GET", headers={"Connection": "close"})
        assert connection.response()[0] == 200
        assert connection.is_closed()


def test_idle_connection_is_closed(site: Site) -> None:
    site.server.timeout = 0.3
    with site.connect() as connection:
        connection.send("GET")
        connection.response()
        started = time.monotonic()
        assert connection.is_closed()
        assert time.monotonic() - started < 5


def test_stalled_head_does_not_block_other_connections(site: Site) -> None:
    site.server.head_seconds = 3
    stalled = [site.connect() for _ in range(8)]
    for connection in stalled:
        connection.socket.sendall(b"GET / HTTP/1.1\r\nHost: te")
    with site.connect() as connection:
        connection.send("GET")
        started = time.monotonic()
        assert connection.response()[0] == 200
        assert time.monotonic() - started < site.server.head_seconds
    for connection in stalled:
        with connection, suppress(ConnectionError):
            assert b"200" not in connection.file.read(100)


def test_failing_application_is_a_500_and_the_server_continues(site: Site) -> None:
    def fail(_environ: Environ, _start: Any) -> Iterable[bytes]:
        raise ZeroDivisionError

    site.app = fail
    with site.connect() as connection:
        connection.send("GET")
        assert connection.head()[0] == 500
    site.app = echo_length
    with site.connect() as connection:
        connection.send("GET")
        assert connection.response()[0] == 200


# --- Heads ------------------------------------------------------------------------------------------------------------


def test_header_names_with_underscores_are_dropped(site: Site) -> None:
    with site.connect() as connection:
        connection.send("GET", headers={"X_CSRFToken": "forged", "X-Other": "kept", "Content_Type": "forged"})
        assert connection.response()[0] == 200
    (environ,) = site.requests
    assert environ["HTTP_X_OTHER"] == "kept"
    assert "forged" not in map(str, environ.values())


BODILESS = [("HEAD", "200 OK"), ("HEAD", "404 Not Found"), ("GET", "204 No Content"), ("GET", "304 Not Modified")]


@pytest.mark.parametrize(("method", "status"), BODILESS)
@pytest.mark.parametrize("has_length", [True, False])
def test_response_without_a_body_has_none_whatever_the_application_returns(
    site: Site, method: str, status: str, has_length: bool
) -> None:
    def app(environ: Environ, start: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/last":
            return reply(start, b"last")
        start(status, [("Content-Length", "5")] if has_length else [])
        return [b"12345"]

    site.app = app
    with site.connect() as connection:
        for _ in range(3):
            connection.send(method)
            number, headers = connection.head()
            assert number == int(status[:3])
            assert "transfer-encoding" not in headers
            if number == 204:
                assert "content-length" not in headers
            if headers.get("connection") == "close":
                assert connection.is_closed()
                return
        connection.send("GET", "/last")
        assert connection.response()[2] == b"last"


def test_malformed_head_request_gets_no_body(site: Site) -> None:
    with site.connect() as connection:
        connection.send("HEAD", headers={"Content-Length": "many"})
        assert connection.head()[0] == 400
        assert connection.is_closed()


AMBIGUOUS = [
    "Content-Length: 3\r\nContent-Length: 3",
    "Content-Length: 3\r\nContent-Length: 5",
    "Content-Length: 3, 3",
    "Content-Length: +3",
    "Content-Length: -3",
    "Content-Length: 3_0",
    "Content-Length:",
    "Content-Length: 3\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 3",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Content-Type: a/b\r\nContent-Type: c/d",
    "Host: other",
    "Content-Length : 3",
    " Content-Length: 3",
    "X-Name: 1\r\n 2",
    "X-Name: a\x00b",
    "X-Name: a\rb",
    "X Name: 1",
    "no colon",
    ": 1",
]


@pytest.mark.parametrize("lines", AMBIGUOUS)
def test_head_that_can_be_understood_in_two_ways_is_refused(site: Site, lines: str) -> None:
    """Also if its sender continues: the response arrives, and what follows is not read as a request."""
    with site.connect() as connection:
        connection.socket.sendall(f"POST / HTTP/1.1\r\nHost: test\r\n{lines}\r\n\r\n".encode("latin-1"))
        connection.socket.sendall(b"0\r\n\r\n" + request("GET", "/smuggled"))
        status, headers, body = connection.response()
        assert (status, headers["connection"]) == (400, "close")
        assert body
        assert connection.is_closed()
    assert site.requests == []


def test_unknown_transfer_encoding_is_refused(site: Site) -> None:
    for encoding in ("gzip", "gzip, chunked", "identity"):
        with site.connect() as connection:
            connection.send("POST", headers={"Transfer-Encoding": encoding})
            assert connection.response()[0] == 501
    with site.connect() as connection:
        connection.socket.sendall(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        assert connection.response()[0] == 400
    assert site.requests == []


def test_repeated_headers_are_joined_and_named(site: Site) -> None:
    with site.connect() as connection:
        connection.socket.sendall(
            b"GET / HTTP/1.1\r\nHost: test\r\nUpload-Length: 1\r\nupload-length: 2\r\nAccept: a\r\n"
            b"Accept: b\r\nCookie: c=1\r\nCookie: d=2\r\n\r\n"
        )
        assert connection.response()[0] == 200
    (environ,) = site.requests
    assert environ["HTTP_UPLOAD_LENGTH"] == "1, 2"
    assert environ["HTTP_ACCEPT"] == "a, b"
    assert environ["HTTP_COOKIE"] == "c=1; d=2"
    assert environ[REPEATED_HEADERS] == {"Upload-Length", "Accept", "Cookie"}


def test_204_after_a_read_body_keeps_the_connection(site: Site) -> None:
    def app(environ: Environ, start: Any) -> Iterable[bytes]:
        while environ["wsgi.input"].read_into(memoryview(bytearray(1000))):
            pass
        start("204 No Content", [("Upload-Offset", "5")])
        return []

    site.app = app
    with site.connect() as connection:
        for _ in range(3):
            connection.send("PATCH", body=b"12345")
            assert connection.head()[0] == 204


# --- Bodies -----------------------------------------------------------------------------------------------------------


def test_read_into_stops_before_the_next_request(site: Site) -> None:
    site.app = read_from_socket
    bodies = [b"", b"a", b"bc" * 3000, b"d" * 8191, b"e" * 8192, b"f" * 70_000, b"g"]
    with site.connect() as connection:
        pipelined = b"".join(request("POST", f"/{number}", body) for number, body in enumerate(bodies))
        sender = threading.Thread(target=connection.socket.sendall, args=[pipelined])
        sender.start()
        assert [connection.response()[2] for _ in bodies] == bodies
        sender.join()
    assert [environ["PATH_INFO"] for environ in site.requests] == [f"/{number}" for number in range(len(bodies))]


def test_head_and_body_byte_by_byte(site: Site) -> None:
    site.app = read_from_socket
    with site.connect() as connection:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request("POST", "/", b"byte by byte"):
            connection.socket.sendall(bytes([byte]))
        assert connection.response()[2] == b"byte by byte"


def test_read_and_read_into_share_one_position(site: Site) -> None:
    def app(environ: Environ, start: Any) -> Iterable[bytes]:
        source, buffer = environ["wsgi.input"], memoryview(bytearray(4))
        first = source.read(3)
        count = source.read_into(buffer)
        return reply(start, first + b"|" + bytes(buffer[:count]) + b"|" + source.read())

    site.app = app
    with site.connect() as connection:
        for _ in range(2):
            connection.send("POST", body=b"abcdefghij")
            assert connection.response()[2] == b"abc|defg|hij"


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def test_bodies_in_chunks_keep_the_connection(site: Site) -> None:
    bodies = [b"", b"a", b"bc" * 3000, b"d" * 8191, b"e" * 8192, b"f" * 70_000]
    head = request("POST", headers={"Transfer-Encoding": "Chunked"})
    with site.connect() as connection:
        for app in (echo_length, read_from_socket):
            site.app = app
            for size in (1, 7, 8190, 100_000):
                pipelined = b"".join(head + chunked(body, size) for body in bodies)
                sender = threading.Thread(target=connection.socket.sendall, args=[pipelined])
                sender.start()
                for body in bodies:
                    status, headers, content = connection.response()
                    assert (status, headers.get("connection")) == (200, None)
                    assert content == (body if app is read_from_socket else str(len(body)).encode())
                sender.join()


def test_chunked_body_arrives_byte_by_byte_with_extensions_and_trailers(site: Site) -> None:
    site.app = read_from_socket
    with site.connect() as connection:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        body = b"3;name=value\r\nabc\r\n00A \r\n0123456789\r\n0\r\nExpires: never\r\n\r\n"
        for byte in request("POST", headers={"Transfer-Encoding": "chunked"}) + body:
            connection.socket.sendall(bytes([byte]))
        assert connection.response()[2] == b"abc0123456789"
        connection.send("GET")
        assert connection.response()[0] == 200


def collect(environ: Environ, start: Any) -> Iterable[bytes]:
    """Read a body that may fail. Respond with what came before the failure, and its type."""
    source, buffer, received = environ["wsgi.input"], memoryview(bytearray(64)), bytearray()
    source.set_timeout(0.3)
    failure = ""
    try:
        while count := source.read_into(buffer):
            received += buffer[:count]
    except (OSError, ValueError) as error:
        failure = next(kind.__name__ for kind in (TimeoutError, ConnectionError, ValueError) if isinstance(error, kind))
    return reply(start, bytes(received) + b"|" + failure.encode())


@pytest.mark.parametrize(
    ("chunks", "failure"),
    [
        (b"x\r\n", b"ValueError"),
        (b"-1\r\n", b"ValueError"),
        (b"1_0\r\n", b"ValueError"),
        (b"\r\n", b"ValueError"),
        (b"2\r\nabc\r\n0\r\n\r\n", b"ValueError"),
        (b"3\nabc\r\n0\r\n\r\n", b"ValueError"),
        (b"3;" + b"x" * 5000, b"ValueError"),
        (b"5\r\nab", b"TimeoutError"),
        (b"5", b"TimeoutError"),
        (b"0\r\n", b""),
    ],
)
def test_bytes_before_a_fault_of_a_chunked_body_are_returned(site: Site, chunks: bytes, failure: bytes) -> None:
    site.app = collect
    with site.connect() as connection:
        connection.send("POST", headers={"Transfer-Encoding": "chunked"})
        connection.socket.sendall(b"4\r\nkept\r\n" + chunks)
        status, headers, body = connection.response()
    kept, _, kind = body.partition(b"|")
    assert (status, kind, headers["connection"]) == (200, failure, "close")
    assert kept in (b"kept", b"keptab")


def test_connection_that_ends_in_a_chunked_body_is_a_fault(site: Site) -> None:
    site.app = collect
    for chunks in (b"", b"5\r\nab", b"5\r\nabcde\r\n"):
        with site.connect() as connection:
            connection.send("POST", headers={"Transfer-Encoding": "chunked"})
            connection.socket.sendall(b"4\r\nkept\r\n" + chunks)
            connection.socket.shutdown(socket.SHUT_WR)
            body = connection.response()[2]
            assert body.startswith(b"kept")
            assert body.endswith(b"|ConnectionError")


def test_trickle_between_chunks_is_a_stall(site: Site) -> None:
    """Bytes of a chunk's size are no bytes of the body."""
    site.app = collect
    with site.connect() as connection:
        connection.send("POST", headers={"Transfer-Encoding": "chunked"})
        connection.socket.sendall(b"4\r\nkept\r\n4;")
        stopped = threading.Event()

        def trickle() -> None:
            with suppress(OSError):
                while not stopped.wait(0.05):
                    connection.socket.sendall(b"x")

        sender = threading.Thread(target=trickle)
        sender.start()
        try:
            assert connection.response()[2] == b"kept|TimeoutError"
        finally:
            stopped.set()
            sender.join()


def test_unread_chunked_body_closes_the_connection(site: Site) -> None:
    site.app = respond_early
    with site.connect() as connection:
        connection.send("POST", headers={"Transfer-Encoding": "chunked"})
        status, headers, _ = connection.response()
        assert (status, headers["connection"]) == (403, "close")


@pytest.mark.parametrize("framing", [{"Content-Length": "5"}, {"Transfer-Encoding": "chunked"}])
def test_100_continue_is_sent_when_the_body_is_read(site: Site, framing: dict[str, str]) -> None:
    body = chunked(b"12345", 5) if "Transfer-Encoding" in framing else b"12345"
    for app in (read_from_socket, echo_length):
        site.app = app
        with site.connect() as connection:
            connection.send("POST", headers={**framing, "Expect": "100-Continue"})
            assert connection.head()[0] == 100
            connection.socket.sendall(body)
            assert connection.response()[2] in (b"12345", b"5")


def test_refused_request_is_not_told_to_continue(site: Site) -> None:
    site.app = respond_early
    with site.connect() as connection:
        connection.send("POST", headers={"Content-Length": "5", "Expect": "100-continue"})
        assert connection.response()[0] == 403


# --- Early responses --------------------------------------------------------------------------------------------------


def send_slowly(connection: Connection, size: int) -> None:
    """Send all of the body before reading the response, as browsers do."""
    block = bytes(256 * 1024)
    for _ in range(size // len(block)):
        connection.socket.sendall(block)


def test_early_response_reaches_a_client_that_sends_20_mib(site: Site) -> None:
    site.app = respond_early
    with site.connect() as connection:
        connection.send("PATCH", headers={"Content-Length": str(20 * MIB)})
        send_slowly(connection, 20 * MIB)
        status, headers, body = connection.response()
        assert (status, headers["connection"], body) == (403, "close", b"no, thank you")
        assert connection.is_closed()


def test_response_in_the_middle_of_a_body_reaches_the_client(site: Site) -> None:
    def app(environ: Environ, start: Any) -> Iterable[bytes]:
        environ["wsgi.input"].read_into(memoryview(bytearray(100_000)))
        return reply(start, b"enough", "409 Conflict")

    site.app = app
    with site.connect() as connection:
        connection.send("PATCH", headers={"Content-Length": str(20 * MIB)})
        send_slowly(connection, 20 * MIB)
        assert connection.response()[0] == 409


def test_draining_is_limited_in_bytes_and_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.app = respond_early
    monkeypatch.setattr(drain, "LINGER_BYTES", MIB)
    with site.connect() as connection:
        connection.send("PATCH", headers={"Content-Length": str(10**12)})
        with pytest.raises(ConnectionError):
            send_slowly(connection, 100 * MIB)
    monkeypatch.setattr(drain, "LINGER_SECONDS", 0.3)
    with site.connect() as connection:
        connection.send("PATCH", body=b"x", headers={"Content-Length": str(10**12)})
        assert connection.response()[0] == 403
        started = time.monotonic()
        assert connection.is_closed()
        while time.monotonic() - started < 5 and is_open(connection):
            time.sleep(0.05)
        assert time.monotonic() - started < 5


def is_open(connection: Connection) -> bool:
    try:
        connection.socket.sendall(b"x")
    except ConnectionError:
        return False
    return True


def test_body_that_was_read_with_the_head_releases_its_thread(site: Site) -> None:
    """All of the body was read ahead with the head, so there is nothing to drain."""
    site.app = respond_early
    with site.connect() as connection:
        connection.send("PATCH", body=b"x" * 1000)
        assert connection.response()[0] == 403
        started = time.monotonic()
        while site.server.requests.idle < web.THREADS and time.monotonic() - started < 10:
            time.sleep(0.02)
        assert time.monotonic() - started < drain.LINGER_SILENCE


def test_stalled_body_times_out_and_the_client_gets_the_response(site: Site) -> None:
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
    with site.connect() as connection:
        connection.send("PATCH", body=b"abc", headers={"Content-Length": "10"})
        assert connection.response()[0] == 408


def test_server_that_is_stopped_while_it_starts_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that is left would keep the process alive until its supervisor kills it."""
    start, before = ThreadPool.start, set(threading.enumerate())

    def start_and_be_stopped(pool: ThreadPool) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        start(pool)

    monkeypatch.setattr(ThreadPool, "start", start_and_be_stopped)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        web.run(Server(("127.0.0.1", 0), echo_length))
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    left = [thread for thread in set(threading.enumerate()) - before if not thread.daemon]
    for thread in left:
        thread.join(5)
    assert not any(thread.is_alive() for thread in left)
