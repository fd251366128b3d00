"""Client behaviour on broken connections and stalls, and when a caller interrupts a request."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.objectstore.conftest import MakeClient, MakeFile
from tests.objectstore.fault_server import (
    Exchange,
    FaultServer,
    Step,
    error,
    reset_after_body,
    reset_immediately,
    reset_in_body,
    respond,
    stall,
)
from tests.objectstore.responses import COMPLETED, CREATED, PARTS, md5, sparse, stored
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import NotSent, OutcomeUnknown, Reason, Refused
from uploads.problems import Code

# Broken connections


@pytest.mark.parametrize("fault", [reset_immediately, reset_in_body, reset_after_body])
def test_part_is_retried_after_reset_and_its_bytes_are_counted_once(
    server: FaultServer, client: ObjectStoreClient, make_file: MakeFile, fault: Step, slept: list[float]
) -> None:
    content = b"x" * 2_000_000
    server.script(fault, stored(content))
    counts: list[int] = []
    sent = client.upload_part("bucket", "k", "u", 1, make_file(content), on_bytes=counts.append)
    assert (sent.etag, sent.request_id) == (md5(content), "r-9")
    assert sum(counts) == len(content)
    assert server.received[-1].body == content
    assert slept == [0.2]


@pytest.mark.parametrize("fault", [reset_immediately, reset_after_body])
def test_lost_connection_leaves_outcome_unknown(server: FaultServer, client: ObjectStoreClient, fault: Step) -> None:
    server.script(fault, fault, fault, fault)
    with pytest.raises(OutcomeUnknown) as caught:
        client.list_multipart_uploads("bucket")
    assert (caught.value.reason, caught.value.operation) == (Reason.CONNECTION_LOST, "ListMultipartUploads")
    assert caught.value.__cause__ is not None
    assert len(server.received) == 3


CREATE = pytest.param(lambda client: client.create_multipart_upload("bucket", "k"), id="create")
COMPLETE = pytest.param(lambda client: client.complete_multipart_upload("bucket", "k", "u", PARTS), id="complete")


@pytest.mark.parametrize("act", [CREATE, COMPLETE])
@pytest.mark.parametrize("fault", [reset_after_body, respond(504, b"<html/>"), respond(200, b"<half>"), respond(200)])
def test_create_and_complete_are_not_retried_after_unknown_outcome(
    server: FaultServer, client: ObjectStoreClient, act: Callable[[ObjectStoreClient], object], fault: Step
) -> None:
    server.script(fault)
    with pytest.raises(OutcomeUnknown):
        act(client)
    assert len(server.received) == 1


@pytest.mark.parametrize("act", [CREATE, COMPLETE])
@pytest.mark.parametrize("status", [500, 200])
def test_create_and_complete_are_not_retried_after_internal_error(
    server: FaultServer, client: ObjectStoreClient, act: Callable[[ObjectStoreClient], object], status: int
) -> None:
    server.script(error(status, "InternalError"))
    with pytest.raises(Refused) as caught:
        act(client)
    assert (caught.value.retryable, caught.value.code, caught.value.status) == (True, "InternalError", status)
    assert len(server.received) == 1


def test_create_and_complete_are_retried_after_throttling(server: FaultServer, client: ObjectStoreClient) -> None:
    busy = error(503, "SlowDown")
    server.script(busy, respond(200, CREATED), busy, busy, respond(200, COMPLETED))
    assert client.create_multipart_upload("bucket", "k") == "u-1"
    assert client.complete_multipart_upload("bucket", "k", "u-1", PARTS).etag == "e-1"
    assert len(server.received) == 5


def test_closed_port_is_unreachable(make_client: MakeClient, slept: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    client = make_client(f"http://127.0.0.1:{port}")
    with pytest.raises(NotSent, match=Code.CONNECTION_FAILED) as caught:
        client.create_multipart_upload("bucket", "k")
    assert (caught.value.reason, caught.value.retryable) == (Reason.UNREACHABLE, True)
    assert len(slept) == 2


def test_unresolvable_name_is_unreachable(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(NotSent) as caught:
        make_client("http://nowhere.test").list_buckets()
    assert caught.value.reason is Reason.UNREACHABLE


# Stalls


def test_silent_store_causes_stall_timeout(server: FaultServer, make_client: MakeClient) -> None:
    server.script(stall, stall, stall)
    with pytest.raises(OutcomeUnknown, match=Code.CONNECTION_STALLED) as caught:
        make_client(server.url, stall_timeout=0.5).list_buckets()
    assert (caught.value.reason, caught.value.retryable) == (Reason.TIMEOUT, True)
    assert len(server.received) == 3


def test_store_that_stops_reading_causes_stall_timeout(
    server: FaultServer, make_client: MakeClient, tmp_path: Path
) -> None:
    server.script(stall, stall, stall)
    client = make_client(server.url, stall_timeout=0.1)
    with pytest.raises(OutcomeUnknown, match=Code.CONNECTION_STALLED):
        client.upload_part("bucket", "k", "u", 1, sparse(tmp_path, 32 * 1024 * 1024))


def test_response_that_stops_halfway_causes_stall_timeout(server: FaultServer, make_client: MakeClient) -> None:
    def half(exchange: Exchange) -> None:
        exchange.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<half")
        stall(exchange)

    server.script(half, half, half)
    with pytest.raises(OutcomeUnknown, match=Code.CONNECTION_STALLED):
        make_client(server.url, stall_timeout=0.1).list_buckets()


def test_slow_store_causes_no_timeout(server: FaultServer, make_client: MakeClient, tmp_path: Path) -> None:
    def slow(exchange: Exchange) -> None:
        # Takes longer than either timeout, while bytes move in both directions.
        for _ in range(16):
            time.sleep(0.15)
            exchange.read(512 * 1024)
        exchange.read(24 * 1024 * 1024)
        exchange.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n")
        for _ in range(16):
            time.sleep(0.15)
            exchange.connection.sendall(b"x-a: b\r\n")
        exchange.connection.sendall(b'ETag: "e"\r\n\r\n')

    server.script(slow)
    client = make_client(server.url, connect_timeout=2.0, stall_timeout=2.0, provider="generic")
    assert client.upload_part("bucket", "k", "u", 1, sparse(tmp_path, 32 * 1024 * 1024)).etag == "e"
    assert len(server.received) == 1


# Progress and interruption


class Stop(OSError):
    """An OSError, which urllib3 treats as a lost connection."""


def test_exception_of_on_bytes_ends_request_and_is_raised_unchanged(
    server: FaultServer, client: ObjectStoreClient, tmp_path: Path
) -> None:
    def read_body(exchange: Exchange) -> None:
        exchange.read()

    server.script(read_body, respond(200, b"<ListAllMyBucketsResult/>"))
    stop = Stop("cancelled")
    counted = 0

    def on_bytes(count: int) -> None:
        nonlocal counted
        counted += count
        if counted > 5_000_000:
            raise stop

    size = 64 * 1024 * 1024
    with pytest.raises(Stop) as caught:
        client.upload_part("bucket", "k", "u", 1, sparse(tmp_path, size), on_bytes=on_bytes)
    assert caught.value is stop
    assert client.list_buckets() == ()
    assert [each.method for each in server.received] == ["PUT", "GET"]
    assert len(server.received[0].body) < size
    assert server.connections == 2


def test_file_that_shrinks_during_sending_is_an_error(
    server: FaultServer, client: ObjectStoreClient, tmp_path: Path
) -> None:
    body = sparse(tmp_path, 64 * 1024 * 1024)
    shrunk = False

    def shrink(count: int) -> None:
        nonlocal shrunk
        if not shrunk:
            with body.path.open("r+b") as file:
                file.truncate(20 * 1024 * 1024)
        shrunk = True

    server.script(lambda exchange: exchange.read())
    with pytest.raises(NotSent, match=Code.FILE_TOO_SHORT):
        client.upload_part("bucket", "k", "u", 1, body, on_bytes=shrink)
    assert len(server.received) == 1


def test_connections_are_reused(server: FaultServer, client: ObjectStoreClient, make_file: MakeFile) -> None:
    server.script(*[stored(b"x")] * 5, respond(404), respond(200, b"<ListAllMyBucketsResult/>"))
    for number in range(1, 6):
        client.upload_part("bucket", "k", "u", number, make_file(b"x"))
    with pytest.raises(Refused):
        client.head_object("bucket", "k")
    client.list_buckets()
    assert server.connections == 1


def test_connection_that_was_idle_for_too_long_is_opened_again(
    server: FaultServer, client: ObjectStoreClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server closes idle connections, and a creation that meets the close would be lost"""
    used: list[socket.socket] = []

    def create_unless_idle(exchange: Exchange) -> None:
        if exchange.connection in used:
            exchange.reset()
        used.append(exchange.connection)
        respond(200, CREATED)(exchange)

    server.script(create_unless_idle, create_unless_idle)
    client.create_multipart_upload("bucket", "k")
    monkeypatch.setattr("uploads.objectstore.connections.LONGEST_IDLE", 0.0)
    client.create_multipart_upload("bucket", "k")
    assert len(used) == server.connections == 2
