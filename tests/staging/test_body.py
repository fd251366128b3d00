"""A body from a real socket: read in large blocks into one buffer; silent and slow senders are detected."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from dashboard.site.bodies import ChunkedBody, SocketBody
from dashboard.site.connection import Connection
from uploads.problems import Code, Problem, ProblemError
from uploads.staging.body import BLOCK_SIZE, Body, BodyEnded, BodyMalformed, BodyStalled, BodyTooLong, Patience


class Line:
    """Both ends of a connection; one of them is a connection of the web server."""

    def __init__(self) -> None:
        self.sender, ours = socket.socketpair()
        server = SimpleNamespace(peercreds_enabled=False, peercreds_resolve_enabled=False)
        self.connection = Connection(server, ours)

    def body(self, length: int, *, stall: float = 5, rate: int = 0, clock: Any = time.monotonic) -> Body:
        source = SocketBody(self.connection, length)
        return Body({"wsgi.input": source}, length, Patience(stall, rate, clock))

    def body_in_chunks(self, *, stall: float = 5, rate: int = 0, clock: Any = time.monotonic) -> Body:
        return Body({"wsgi.input": ChunkedBody(self.connection)}, None, Patience(stall, rate, clock))

    def send_later(self, *pieces: bytes, pause: float = 0.02) -> threading.Thread:
        def send() -> None:
            for piece in pieces:
                time.sleep(pause)
                self.sender.sendall(piece)

        thread = threading.Thread(target=send)
        thread.start()
        return thread


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.sender.close()
    line.connection.close()


def has_problem(code: Code, **params: float) -> Callable[[ProblemError], bool]:
    return lambda error: error.problem == Problem(code, **params)


def read_all(body: Body) -> bytes:
    return b"".join(bytes(block) for block in iter(body.read_block, b""))


# --- Bytes ------------------------------------------------------------------------------------------------------------


def test_exactly_the_bytes_of_the_body_are_read(line: Line) -> None:
    content = bytes(range(256)) * 12_000
    thread = line.send_later(content + b"GET /next")
    body = line.body(len(content))
    assert read_all(body) == content
    assert body.left == 0
    assert bytes(body.read_block()) == b""
    thread.join()
    assert line.connection.socket.recv(100) == b"GET /next"


def test_bytes_that_were_read_with_the_headers_come_first(line: Line) -> None:
    line.sender.sendall(b"head\r\nbody and more")
    assert line.connection.rfile.readline() == b"head\r\n"
    body = line.body(13)
    assert body.is_ready()
    thread = line.send_later(b"!!")
    assert read_all(body) == b"body and more"
    thread.join()


def test_blocks_share_one_buffer(line: Line) -> None:
    body = line.body(6)
    line.sender.sendall(b"abc")
    first = body.read_block(3)
    assert bytes(first) == b"abc"
    line.sender.sendall(b"xyz")
    second = body.read_block(3)
    assert bytes(first) == bytes(second) == b"xyz"
    assert len(body.read_block()) == 0


def test_read_returns_separate_bytes(line: Line) -> None:
    body = line.body(6)
    line.sender.sendall(b"abcxyz")
    assert [body.read(3), body.read(3), body.read(3)] == [b"abc", b"xyz", b""]


def test_memory_is_limited_to_one_block(line: Line) -> None:
    assert len(line.body(10**15)._buffer) == BLOCK_SIZE
    assert len(line.body(10)._buffer) == 10
    assert bytes(line.body(0).read_block()) == b""


def test_is_ready_reports_whether_a_read_returns_at_once(line: Line) -> None:
    body = line.body(2)
    assert not body.is_ready()
    line.sender.sendall(b"x")
    assert body.is_ready()
    body.read_block()
    assert not body.is_ready()
    line.sender.close()
    assert body.is_ready()  # A read returns at once, at the end.


# --- Ends -------------------------------------------------------------------------------------------------------------


def test_connection_that_ends_early_is_reported_after_its_bytes(line: Line) -> None:
    line.sender.sendall(b"abc")
    line.sender.close()
    body = line.body(5)
    assert bytes(body.read_block()) == b"abc"
    with pytest.raises(BodyEnded, check=has_problem(Code.CONNECTION_ENDED, missing_bytes=2)):
        body.read_block()


def test_lost_connection_ends_the_body() -> None:
    class Broken(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise ConnectionResetError

    with pytest.raises(BodyEnded, check=has_problem(Code.CONNECTION_ENDED, missing_bytes=7)):
        Body({"wsgi.input": Broken()}, 7, Patience(1, 0)).read_block()


def test_silent_sender_is_detected(line: Line) -> None:
    body = line.body(5, stall=0.2)
    line.sender.sendall(b"abc")
    body.read_block()
    started = time.monotonic()
    with pytest.raises(BodyStalled, check=has_problem(Code.SENDER_SILENT, silent_seconds=0.2)):
        body.read_block()
    assert 0.15 < time.monotonic() - started < 20


def test_short_pauses_are_allowed(line: Line) -> None:
    thread = line.send_later(*[b"12345"] * 8, pause=0.08)
    assert read_all(line.body(40, stall=0.4)) == b"12345" * 8
    thread.join()


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_slow_sender_is_detected(line: Line) -> None:
    clock = Clock()
    body = line.body(1000, stall=10, rate=5, clock=clock)
    line.sender.sendall(bytes(60))
    for _ in range(9):
        clock.now += 1
        body.read_block(1)
    clock.now += 1
    with pytest.raises(BodyStalled, check=has_problem(Code.SENDER_TOO_SLOW, rate_bytes=5)):
        body.read_block(1)


def test_rate_is_measured_in_windows(line: Line) -> None:
    clock = Clock()
    body = line.body(1000, stall=10, rate=5, clock=clock)
    line.sender.sendall(bytes(600))
    clock.now += 10
    body.read_block(500)
    clock.now += 9.9
    body.read_block(1)
    clock.now += 0.1
    with pytest.raises(BodyStalled):
        body.read_block(1)


def test_caller_is_told_now_and_then_that_bytes_arrive(line: Line) -> None:
    clock = Clock()
    told: list[int] = []
    body = Body({"wsgi.input": SocketBody(line.connection, 1000)}, 1000, Patience(10, 5, clock), lambda: told.append(1))
    for _ in range(25):
        clock.now += 1
        line.sender.sendall(b"12345678")
        body.read_block(8)
    assert len(told) == 2


def test_last_byte_is_accepted_at_any_rate(line: Line) -> None:
    clock = Clock()
    body = line.body(2, stall=10, rate=5, clock=clock)
    line.sender.sendall(b"ab")
    clock.now += 9
    body.read_block(1)
    clock.now += 9
    assert bytes(body.read_block(1)) == b"b"


def test_sender_is_not_slow_while_it_is_kept_waiting(line: Line) -> None:
    clock = Clock()
    body = line.body(1000, stall=10, rate=5, clock=clock)
    line.sender.sendall(bytes(100))
    for _ in range(5):
        body.read_block(1)
        clock.now += 3600
        body.pause()
    assert body.left == 995


# --- In chunks --------------------------------------------------------------------------------------------------------


def read_up_to(body: Body, limit: int) -> Iterator[bytes]:
    yield from map(bytes, body.read_blocks(limit))


def test_block_that_reaches_the_limit_is_returned_when_the_body_has_ended(line: Line) -> None:
    body = line.body_in_chunks()
    line.sender.sendall(b"3\r\nabc\r\n")
    blocks = read_up_to(body, 5)
    assert next(blocks) == b"abc"
    line.sender.sendall(b"2\r\nde\r\n0\r\n\r\n")
    assert list(blocks) == [b"de"]


@pytest.mark.parametrize("chunks", [b"2\r\nde\r\n1\r\nf\r\n0\r\n\r\n", b"3\r\ndef\r\n0\r\n\r\n"])
def test_body_in_chunks_that_is_too_long_is_detected(line: Line, chunks: bytes) -> None:
    line.sender.sendall(b"3\r\nabc\r\n" + chunks)
    with pytest.raises(BodyTooLong, check=has_problem(Code.BODY_GOES_ON)):
        list(read_up_to(line.body_in_chunks(), 5))


def test_body_in_chunks_of_a_complete_file_must_be_empty(line: Line) -> None:
    line.sender.sendall(b"0\r\n\r\n1\r\nx\r\n")
    assert list(read_up_to(line.body_in_chunks(), 0)) == []
    with pytest.raises(BodyTooLong):
        list(read_up_to(line.body_in_chunks(), 0))


def test_body_in_chunks_that_ends_early_returns_all_of_its_bytes(line: Line) -> None:
    line.sender.sendall(b"5\r\nabcde\r\n")
    line.sender.close()
    blocks = read_up_to(line.body_in_chunks(), 5)
    assert next(blocks) == b"abcde"
    with pytest.raises(BodyEnded, check=has_problem(Code.CHUNKS_ENDED)):
        next(blocks)


def test_malformed_chunk_is_reported_after_the_bytes_before_it(line: Line) -> None:
    line.sender.sendall(b"5\r\nabcde\r\nmany\r\n")
    body = line.body_in_chunks()
    assert bytes(body.read_block()) == b"abcde"
    with pytest.raises(BodyMalformed):
        body.read_block()


def test_slow_sender_of_chunks_is_detected(line: Line) -> None:
    clock = Clock()
    body = line.body_in_chunks(stall=10, rate=5, clock=clock)
    line.sender.sendall(b"20\r\n" + bytes(32))
    body.read_block(16)
    clock.now += 10
    with pytest.raises(BodyStalled, check=has_problem(Code.SENDER_TOO_SLOW, rate_bytes=5)):
        body.read_block(1)


# --- With another WSGI server -----------------------------------------------------------------------------------------


def test_body_is_read_through_any_wsgi_input() -> None:
    body = Body({"wsgi.input": io.BytesIO(b"abcdef and more")}, 6, Patience(30, 0))
    assert body.is_ready()
    assert read_all(body) == b"abcdef"
    with pytest.raises(BodyEnded):
        Body({"wsgi.input": io.BytesIO()}, 6, Patience(30, 0)).read_block()


# --- A small body as a whole ------------------------------------------------------------------------------------------


def test_body_that_arrives_soon_is_filled(line: Line) -> None:
    body = line.body(6)
    sending = line.send_later(b"abc", b"def")
    content = body.fill(5)
    sending.join()
    assert content is not None
    assert bytes(content) == b"abcdef"


@pytest.mark.parametrize("pieces", [(), (b"abc",)], ids=str)
def test_body_that_takes_longer_is_read_as_usual(line: Line, pieces: tuple[bytes, ...]) -> None:
    """What has arrived comes first. The sender has all of its time for the rest."""
    for piece in pieces:
        line.sender.sendall(piece)
    body = line.body(6)
    assert body.fill(0.05) is None
    assert body.is_ready() == bool(pieces)
    sending = line.send_later(b"abcdef"[len(b"".join(pieces)) :], pause=0.2)
    blocks = [bytes(block) for block in iter(body.read_block, b"")]
    sending.join()
    assert blocks[: len(pieces)] == list(pieces)
    assert b"".join(blocks) == b"abcdef"
    assert body.left == 0


def test_sender_of_single_bytes_does_not_delay_the_end_of_filling(line: Line) -> None:
    body = line.body(1000)
    sending = line.send_later(*[b"x"] * 20, pause=0.03)
    started = time.monotonic()
    assert body.fill(0.1) is None
    assert time.monotonic() - started < 0.5
    sending.join()


def test_filled_body_can_be_read_again(line: Line) -> None:
    """Whoever cannot use it as a whole reads it as usual."""
    line.sender.sendall(b"abcdef")
    body = line.body(6)
    assert body.fill(5) is not None
    assert [bytes(body.read_block(4)), bytes(body.read_block(4)), bytes(body.read_block())] == [b"abcd", b"ef", b""]


def test_connection_that_ends_while_it_is_filled_is_reported_by_the_next_read(line: Line) -> None:
    line.sender.sendall(b"abc")
    line.sender.shutdown(socket.SHUT_WR)
    body = line.body(6)
    assert body.fill(5) is None
    assert bytes(body.read_block()) == b"abc"
    with pytest.raises(BodyEnded) as caught:
        body.read_block()
    assert has_problem(Code.CONNECTION_ENDED, missing_bytes=3)(caught.value)


def test_large_body_is_not_filled(line: Line) -> None:
    line.sender.sendall(b"abc")
    body = line.body(BLOCK_SIZE + 1)
    assert body.fill(5) is None
    assert bytes(body.read_block(2)) == b"ab"
