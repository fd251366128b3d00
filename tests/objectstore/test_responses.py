"""Client behaviour on error responses and unreadable responses."""

from __future__ import annotations

import gzip
import socket
import tracemalloc
from pathlib import Path

import pytest

from tests.objectstore.conftest import MakeClient, MakeFile
from tests.objectstore.fault_server import (
    Exchange,
    FaultServer,
    Step,
    error,
    respond,
    stall,
)
from tests.objectstore.responses import EMPTY_LISTING, sparse
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import Reason, Refused, UnreadableResponse
from uploads.problems import Code

# Error responses


def test_throttled_request_is_retried_after_retry_after(
    server: FaultServer, client: ObjectStoreClient, slept: list[float]
) -> None:
    server.script(
        error(503, "SlowDown", {"Retry-After": "7"}),
        error(503, "SlowDown", {"Retry-After": "9999"}),
        respond(200, b"<ListAllMyBucketsResult/>"),
    )
    assert client.list_buckets() == ()
    assert slept == [7.0, 30.0]


@pytest.mark.parametrize(
    "code", ["AccessDenied", "SignatureDoesNotMatch", "InvalidArgument", "NoSuchBucket", "RequestTimeTooSkewed"]
)
def test_permanent_error_is_not_retried(server: FaultServer, client: ObjectStoreClient, code: str) -> None:
    server.script(error(403, code))
    with pytest.raises(Refused) as caught:
        client.list_multipart_uploads("bucket")
    assert (caught.value.code, caught.value.request_id, caught.value.operation) == (code, "r-1", "ListMultipartUploads")
    assert len(server.received) == 1


@pytest.mark.parametrize("then", ["reset", "stall", "keep"])
def test_early_refusal_is_read_while_body_is_sent(
    server: FaultServer, make_client: MakeClient, tmp_path: Path, then: str
) -> None:
    def respond_early(exchange: Exchange) -> None:
        exchange.read(70_000)
        exchange.respond(403, b"<Error><Code>AccessDenied</Code><Message>not you</Message></Error>")
        if then == "reset":
            exchange.connection.close()
        elif then == "stall":
            stall(exchange)

    server.script(respond_early, respond(200, b"<ListAllMyBucketsResult/>"))
    client = make_client(server.url, stall_timeout=5.0)
    with pytest.raises(Refused, match="not you") as caught:
        client.upload_part("bucket", "k", "u", 1, sparse(tmp_path, 64 * 1024 * 1024))
    assert (caught.value.reason, caught.value.status) == (Reason.PERMISSION, 403)
    if then == "reset":
        # The connection with half a body is not used for the next request.
        assert client.list_buckets() == ()
        assert server.connections == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(
    server: FaultServer, client: ObjectStoreClient, make_file: MakeFile, status: int
) -> None:
    with FaultServer() as elsewhere:
        server.script(
            respond(status, headers={"Location": f"{elsewhere.url}/stolen", "x-amz-bucket-region": "eu-west-1"})
        )
        with pytest.raises(Refused, match=Code.REDIRECT_NOT_FOLLOWED) as caught:
            client.put_object("bucket", "k", make_file(b"secret"))
        assert elsewhere.received == []
    assert caught.value.status == status
    assert len(server.received) == 1


def test_permanent_redirect_names_region(server: FaultServer, client: ObjectStoreClient) -> None:
    server.script(respond(301, headers={"x-amz-bucket-region": "eu-west-1"}))
    with pytest.raises(Refused) as caught:
        client.head_bucket("bucket")
    assert (caught.value.reason, caught.value.region) == (Reason.WRONG_REGION, "eu-west-1")


# Unreadable responses


@pytest.mark.parametrize(
    "step",
    [
        respond(200, b"<!DOCTYPE html><html><body>Login</body></html>", {"Content-Type": "text/html"}),
        respond(200, b"<html>Login</html>"),
        respond(200, EMPTY_LISTING[:40]),
        respond(200),
        respond(200, b"<ListPartsResult/>"),
        respond(404, b"<html>nginx</html>"),
        respond(200, b"not gzip", {"Content-Encoding": "gzip"}),
        lambda exchange: exchange.connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    ],
)
def test_unreadable_response_is_not_retried(server: FaultServer, client: ObjectStoreClient, step: Step) -> None:
    server.script(step)
    with pytest.raises(UnreadableResponse) as caught:
        client.list_multipart_uploads("bucket")
    assert (caught.value.reason, caught.value.operation) == (Reason.UNREADABLE_RESPONSE, "ListMultipartUploads")
    assert len(server.received) == 1


def test_truncated_response_is_lost_connection(server: FaultServer, client: ObjectStoreClient) -> None:
    def short(exchange: Exchange) -> None:
        exchange.respond(200, EMPTY_LISTING, {"Content-Length": "500"})
        exchange.connection.shutdown(socket.SHUT_RDWR)

    server.script(short, respond(200, EMPTY_LISTING))
    assert client.list_multipart_uploads("bucket").uploads == ()
    assert len(server.received) == 2


def test_decompression_bomb_is_rejected(server: FaultServer, client: ObjectStoreClient) -> None:
    bomb = gzip.compress(b" " * (300 * 1024 * 1024), compresslevel=1)
    server.script(respond(200, bomb, {"Content-Encoding": "gzip"}))
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableResponse, match=Code.RESPONSE_TOO_LARGE):
            client.list_buckets()
        assert tracemalloc.get_traced_memory()[1] < 64 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_endless_response_is_rejected(server: FaultServer, client: ObjectStoreClient) -> None:
    def endless(exchange: Exchange) -> None:
        exchange.connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            exchange.connection.sendall(b"<a>" * 10_000)

    server.script(endless)
    with pytest.raises(UnreadableResponse, match=Code.RESPONSE_TOO_LARGE):
        client.list_buckets()


def test_compressed_response_is_read(server: FaultServer, client: ObjectStoreClient) -> None:
    server.script(respond(200, gzip.compress(EMPTY_LISTING), {"Content-Encoding": "gzip"}))
    assert not client.list_multipart_uploads("bucket").is_truncated
