"""Clients that are slow, silent or many: they occupy no thread, and each has a deadline. On real connections."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from dashboard.shared.body_limits import TOO_LARGE
from dashboard.site import connection_limits, streams
from dashboard.site.chunks import MAX_FRAMING, ChunkScanner, Found
from dashboard.site.connection import Request
from dashboard.site.connection_limits import Limits
from dashboard.site.rules import Rules
from dashboard.site.server import THREADS
from tests.dashboard.site.test_server import (
    Connection,
    Environ,
    Site,
    chunked,
    echo_length,
    read_from_socket,
    reply,
    request,
)
from tests.system.stack import wait_for
from uploads.domain.addresses import network_of

LIMIT = 1000
MANY = 70
"""More connections than there are threads."""


def body_limit(path: bytes) -> int | None:
    return None if path.startswith(b"/file") else LIMIT


@contextmanager
def serving(**rules: Any) -> Iterator[Site]:
    known: dict[str, Any] = {
        "body_limit": body_limit,
        "health": frozenset({b"/healthz"}),
        "monitoring": frozenset({b"/healthz"}),
    }
    site = Site(Rules(**known | rules))
    try:
        yield site
    finally:
        site.stop()


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


def sent(site: Site, *first: bytes) -> list[Connection]:
    connections = [site.connect() for _ in first]
    for connection, block in zip(connections, first, strict=True):
        connection.socket.sendall(block)
    return connections


def close(connections: Iterable[Connection]) -> None:
    for connection in connections:
        connection.__exit__()


SLOW = [
    b"G",
    b"GET / HTTP/1.1\r\nHost: te",
    request("POST", "/login/", headers={"Content-Length": "200"}) + b"username=",
    request("POST", "/login/", headers={"Transfer-Encoding": "chunked"}) + b"20\r\nusername",
    request("PUT", "/login/", headers={"Content-Length": "200", "Expect": "100-continue"}),
]


@pytest.mark.parametrize("first", SLOW)
def test_slow_requests_occupy_no_thread(site: Site, first: bytes) -> None:
    slow = sent(site, *[first] * MANY)
    for byte in (b"a", b"b"):
        for connection in slow:
            connection.socket.sendall(byte)
        with site.connect() as connection:
            connection.send("GET")
            assert connection.response()[0] == 200
            connection.send("GET", "/healthz")
            assert connection.response()[2] == b"ok"
    assert len(site.requests) == 2
    assert site.server.requests.idle == THREADS
    close(slow)
    wait_for("the end of all connections", lambda: site.server.limits.count("127.0.0.1") == 0)


@pytest.mark.parametrize("first", SLOW)
def test_slow_request_is_ended_with_a_reason(site: Site, first: bytes) -> None:
    """Each byte is in time; all of them together are not."""
    site.server.head_seconds = site.server.body_seconds = 0.5
    (connection,) = sent(site, first)
    stopped = threading.Event()

    def trickle() -> None:
        while not stopped.wait(0.05):
            try:
                connection.socket.sendall(b"x")
            except OSError:
                return

    sender = threading.Thread(target=trickle)
    sender.start()
    try:
        if b"Expect" in first:
            assert connection.head()[0] == 100
        status, headers, body = connection.response()
        assert (status, headers["connection"], bool(body)) == (408, "close", True)
        assert connection.is_closed()
    finally:
        stopped.set()
        sender.join()
        connection.__exit__()
    assert site.requests == []


def test_connection_without_a_byte_is_closed_without_a_response(site: Site) -> None:
    site.server.timeout = 0.3
    with site.connect() as connection:
        assert connection.is_closed()


def test_small_body_arrives_before_its_request_is_handled(site: Site) -> None:
    site.app = read_from_socket
    body = b"x" * LIMIT
    ways = {
        "length": (request("POST", headers={"Content-Length": str(LIMIT)}), body),
        "chunks": (request("POST", headers={"Transfer-Encoding": "chunked"}), chunked(body, 7)),
    }
    with site.connect() as connection:
        for head, encoded in ways.values():
            count = len(site.requests)
            connection.socket.sendall(head + encoded[:-1])
            with site.connect() as other:
                other.send("GET")
                assert other.response()[0] == 200
            assert len(site.requests) == count + 1, "only the other one"
            connection.socket.sendall(encoded[-1:] + request("GET", "/pipelined"))
            assert connection.response()[2] == body
            assert connection.response()[0] == 200


@pytest.mark.parametrize(
    "encoded",
    [
        request("POST", headers={"Content-Length": str(LIMIT + 1)}),
        request("POST", headers={"Content-Length": str(10**12)}),
        request("POST", headers={"Content-Length": str(10**12), "Expect": "100-continue"}),
        request("POST", headers={"Transfer-Encoding": "chunked"}) + b"fffffff\r\n",
        request("POST", headers={"Transfer-Encoding": "chunked"}) + chunked(b"x" * (LIMIT + 1), 100),
        request("POST", headers={"Transfer-Encoding": "chunked"}) + (b"1;" + b"x" * 4000 + b"\r\nx\r\n") * 20,
    ],
)
def test_body_that_is_too_large_is_not_read(site: Site, encoded: bytes) -> None:
    def refuse(environ: Environ, start: Any) -> Iterable[bytes]:
        return reply(start, str(environ.get(TOO_LARGE)).encode(), "413 Content Too Large")

    site.app = refuse
    with site.connect() as connection:
        connection.socket.sendall(encoded)
        assert connection.response()[::2] == (413, str(LIMIT).encode())
        assert connection.is_closed()


def test_file_of_any_size_is_handled_at_once(site: Site) -> None:
    site.app = read_from_socket
    with site.connect() as connection:
        connection.send("PATCH", "/file", headers={"Content-Length": str(LIMIT + 1)})
        wait_for("the request", lambda: site.requests)
        connection.socket.sendall(b"x" * (LIMIT + 1))
        assert connection.response()[2] == b"x" * (LIMIT + 1)
        assert TOO_LARGE not in site.requests[0]


def test_small_body_that_ends_early_reaches_the_site(site: Site) -> None:
    """The site says what is missing."""
    with site.connect() as connection:
        connection.socket.sendall(request("POST", headers={"Content-Length": "5"}) + b"abc")
        connection.socket.shutdown(1)
        assert connection.response()[2] == b"3"


def test_expected_100_is_sent_while_no_thread_is_free(site: Site) -> None:
    with busy(site), site.connect() as connection:
        connection.send("POST", headers={"Content-Length": "5", "Expect": "100-continue"})
        assert connection.head()[0] == 100


# --- Slow readers -----------------------------------------------------------------------------------------------------

LARGE = 900_000


def respond_at_length(environ: Environ, start: Any) -> Iterable[bytes]:
    """Larger than what the kernel keeps, see `reading_nothing`; at /endless, larger than what the server keeps."""
    if environ["PATH_INFO"] == "/":
        return reply(start, b"short")
    size = LARGE * (20 if environ["PATH_INFO"] == "/endless" else 1)
    start("200 OK", [("Content-Length", str(size))])
    return (b"x" * 10_000 for _ in range(size // 10_000))


def reading_nothing(site: Site, path: str, **headers: str) -> Connection:
    # Connections inherit the size of the buffer.
    site.server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    socket_ = socket.socket()
    socket_.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    socket_.settimeout(10)
    socket_.connect(site.server.bind_addr)
    connection = Connection(socket_)
    connection.send("GET", path, headers=headers)
    return connection


def test_slow_readers_occupy_no_thread(site: Site) -> None:
    site.app = respond_at_length
    slow = [reading_nothing(site, "/large", Connection=("close", "keep-alive")[number % 2]) for number in range(MANY)]
    wait_for("all requests", lambda: len(site.requests) == MANY)
    wait_for("all threads", lambda: site.server.requests.idle == THREADS)
    assert site.server.limits.held_bytes > 0
    with site.connect() as connection:
        connection.send("GET")
        assert connection.response()[2] == b"short"
    for number, reader in enumerate(slow[:4]):
        assert reader.response()[2] == b"x" * LARGE
        if number % 2:
            reader.send("GET")
            assert reader.response()[2] == b"short"
        else:
            assert reader.is_closed()
    close(slow)
    wait_for("the end of all connections", lambda: site.server.limits.count("127.0.0.1") == 0)
    assert site.server.limits.held_bytes == 0


@pytest.mark.parametrize("path", ["/large", "/endless"])
def test_response_that_is_not_read_has_a_deadline(site: Site, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "SEND_SECONDS", 0.3)
    monkeypatch.setattr(streams, "SEND_RATE", 10**9)
    site.app = respond_at_length
    reader = reading_nothing(site, path)
    wait_for("the request", lambda: site.requests)
    wait_for("the end of the connection", lambda: site.server.limits.count("127.0.0.1") == 0)
    wait_for("all threads", lambda: site.server.requests.idle == THREADS)
    assert site.server.limits.held_bytes == 0
    reader.__exit__()


def test_server_stops_while_responses_are_not_read() -> None:
    with serving() as site:
        site.app = respond_at_length
        readers = [reading_nothing(site, path) for path in ("/large", "/endless") * 3]
        wait_for("all requests", lambda: len(site.requests) == len(readers))
    assert not site.is_running()
    close(readers)


def test_thread_waits_for_a_reader_without_memory(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "MEMORY_BYTES", -1)
    site.app = respond_at_length
    reader = reading_nothing(site, "/large")
    wait_for("the request", lambda: site.requests)
    assert site.server.requests.idle < THREADS
    assert reader.response()[2] == b"x" * LARGE
    reader.__exit__()


def test_early_response_that_is_read_late_arrives(site: Site) -> None:
    """The rest of the response is sent before the rest of the body is discarded."""
    site.app = respond_at_length
    reader = reading_nothing(site, "/file/large", **{"Content-Length": "5000000"})
    wait_for("the request", lambda: site.requests)
    assert reader.response()[2] == b"x" * LARGE
    assert reader.is_closed()
    reader.__exit__()


# --- Monitoring -------------------------------------------------------------------------------------------------------


@contextmanager
def busy(site: Site) -> Iterator[None]:
    """All threads handle requests that do not end."""
    release = threading.Event()

    def app(environ: Environ, start: Any) -> Iterable[bytes]:
        if not environ["PATH_INFO"].startswith("/healthz"):
            release.wait(60)
        return echo_length(environ, start)

    site.app = app
    with ExitStack() as stack:
        stack.callback(release.set)
        for _ in range(MANY):
            stack.enter_context(site.connect()).send("GET")
        wait_for("all threads to be busy", lambda: len(site.requests) >= THREADS)
        yield


def test_health_check_responds_while_all_threads_are_busy(site: Site) -> None:
    with busy(site), site.connect() as connection:
        connection.send("GET", "/healthz?ready")
        assert connection.response()[0] == 200
        assert site.requests[-1]["QUERY_STRING"] == "ready"
        for _ in range(3):
            connection.send("GET", "/healthz")
            assert connection.response()[2] == b"ok"
        connection.send("HEAD", "/healthz")
        assert connection.head()[0] == 200
        connection.socket.sendall(request("GET", "/healthz") * 500)
        for _ in range(500):
            assert connection.response()[0] == 200
        connection.send("GET", "/healthz", headers={"Connection": "close"})
        assert connection.response()[1]["connection"] == "close"
        assert connection.is_closed()
    assert len(site.requests) <= MANY + 1


def test_other_requests_to_the_health_check_are_those_of_the_site(site: Site) -> None:
    with site.connect() as connection:
        connection.send("POST", "/healthz", b"x")
        assert connection.response()[2] == b"1"
        connection.send("GET", "/healthz", b"xy")
        assert connection.response()[2] == b"2"
    assert len(site.requests) == 2


# --- Limits -----------------------------------------------------------------------------------------------------------


def test_connections_of_one_client_are_limited() -> None:
    with serving(most_per_address=3) as site:
        kept = [site.connect() for _ in range(3)]
        for connection in kept:
            connection.send("GET")
            assert connection.response()[0] == 200
        with site.connect() as refused:
            status, headers, body = refused.response()
            assert (status, headers["retry-after"], bool(body)) == (503, "3", True)
        close(kept[:1])
        wait_for("a connection to end", lambda: site.server.limits.count("127.0.0.1") == 2)
        with site.connect() as connection:
            connection.send("GET")
            assert connection.response()[0] == 200
        close(kept)


def test_proxy_may_have_any_number_of_connections() -> None:
    with serving(most_per_address=1, is_exempt=lambda address: address == "127.0.0.1") as site:
        for connection in [site.connect() for _ in range(5)]:
            connection.send("GET")
            assert connection.response()[0] == 200
            close([connection])


def test_connection_that_has_waited_longest_makes_room(site: Site) -> None:
    site.server.limits.most = 3
    idle, *begun = sent(site, b"", b"GET", b"GET")
    wait_for("three connections", lambda: site.server.limits.count("127.0.0.1") == 3)
    with site.connect() as connection:
        connection.send("GET")
        assert connection.response()[0] == 200
        assert idle.is_closed()
        for each in begun:
            each.socket.sendall(request("GET")[3:])
            assert each.response()[0] == 200
    close([idle, *begun])


def test_memory_of_small_bodies_is_limited(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest one goes: a sign-in has a few hundred bytes."""
    monkeypatch.setattr(connection_limits, "MEMORY_BYTES", 3 * LIMIT)
    head = request("POST", headers={"Content-Length": str(LIMIT)})
    small, *large = sent(site, head + b"x" * 100, *[head + b"x" * (LIMIT - number) for number in range(1, 5)])
    assert large[0].response()[0] == 503
    small.socket.sendall(b"x" * (LIMIT - 100))
    assert small.response()[0] == 200
    close([small, *large])


def test_each_connection_is_counted_once(site: Site) -> None:
    """Whichever way it ends."""
    endings: list[Callable[[Connection], object]] = [
        lambda connection: None,
        lambda connection: connection.socket.sendall(b"nonsense\r\n\r\n"),
        lambda connection: connection.socket.sendall(request("GET", headers={"Connection": "close"})),
        lambda connection: connection.socket.sendall(request("GET")),
        lambda connection: connection.socket.sendall(request("PATCH", "/file", b"abc")),
        lambda connection: connection.socket.sendall(request("POST", headers={"Content-Length": str(10**9)})),
    ]
    for end in endings:
        with site.connect() as connection:
            end(connection)
        wait_for("the end of the connection", lambda: site.server.limits.count("127.0.0.1") == 0)
    site.server.limits.most = 0
    assert not site.server.limits.is_exceeded()
    assert site.server.limits.held_bytes == 0


def test_fault_while_reading_ends_one_connection_only(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Request, "parse_request", lambda _request: 1 / 0)
        with site.connect() as connection:
            connection.send("GET")
            assert connection.is_closed()
    with site.connect() as connection:
        connection.send("GET")
        assert connection.response()[0] == 200


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_network_of_a_client(address: str, network: str) -> None:
    assert network_of(address) == network


def test_ipv6_client_is_its_network() -> None:
    limits = Limits(10, 2, lambda _address: False)
    assert [limits.enter(f"2001:db8::{number}") for number in (1, 2, 3)] == [True, True, False]
    assert limits.enter("2001:db8:0:1::1")
    limits.leave("2001:db8::1")
    assert limits.enter("2001:db8::3")


# --- The end of a body in chunks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoded", "found"),
    [
        (b"", Found.MORE),
        (b"3\r\nabc\r\n0\r\n\r\n", Found.END),
        (b"3;a=b\r\nab\n\r\n00\r\nExpires: never\r\n\r\nGET", Found.END),
        (b"3\r\nabc\r\n0\r\n", Found.MORE),
        (b"3\r\nabc0\r\n\r\n", Found.MALFORMED),
        (b"3\nabc\r\n", Found.MALFORMED),
        (b"x\r\n", Found.MALFORMED),
        (b"\r\n", Found.MALFORMED),
        (b"1" * 5000, Found.MALFORMED),
        (b"0\r\n" + b"X: 1\r\n" * 3000, Found.MALFORMED),
        (b"3e9\r\n", Found.TOO_LONG),
        (b"a\r\n0123456789\r\n" * 101, Found.TOO_LONG),
        (b"1;" + b"x" * 4000 + b"\r\na\r\n", Found.MORE),
        ((b"1;" + b"x" * 4000 + b"\r\na\r\n") * (MAX_FRAMING // 4000 + 1), Found.TOO_LONG),
    ],
)
def test_scanner_finds_the_end_however_the_bytes_arrive(encoded: bytes, found: Found) -> None:
    assert ChunkScanner(LIMIT).scan(bytearray(encoded)) is found
    scanner, received, result = ChunkScanner(LIMIT), bytearray(), Found.MORE
    for byte in encoded:
        received.append(byte)
        result = scanner.scan(received)
        if result is not Found.MORE:
            break
    assert result is found
