"""Client behaviour on broken connections, stalls, error responses and unreadable responses."""

from __future__ import annotations

import gzip
import hashlib
import ipaddress
import logging
import socket
import ssl
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

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
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import NotSent, ObjectStoreError, OutcomeUnknown, Reason, Refused, UnreadableResponse
from uploads.objectstore.types import CompletedPart, Credentials, FileSlice
from uploads.problems import Code

EMPTY_LISTING = b"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"
CREATED = b"<InitiateMultipartUploadResult><UploadId>u-1</UploadId></InitiateMultipartUploadResult>"
COMPLETED = b'<CompleteMultipartUploadResult><ETag>"e-1"</ETag></CompleteMultipartUploadResult>'
PARTS = [CompletedPart(1, "e")]


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def stored(content: bytes) -> Step:
    """Read the whole request and respond like a store that has stored these bytes."""
    return respond(200, headers={"ETag": f'"{md5(content)}"', "x-amz-request-id": "r-9"})


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
        make_client(server.url, stall_timeout=0.1).list_buckets()
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
        for _ in range(8):
            time.sleep(0.15)
            exchange.read(1024 * 1024)
        exchange.read(24 * 1024 * 1024)
        exchange.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n")
        for _ in range(8):
            time.sleep(0.15)
            exchange.connection.sendall(b"x-a: b\r\n")
        exchange.connection.sendall(b'ETag: "e"\r\n\r\n')

    server.script(slow)
    client = make_client(server.url, connect_timeout=1.0, stall_timeout=1.0, provider="generic")
    assert client.upload_part("bucket", "k", "u", 1, sparse(tmp_path, 32 * 1024 * 1024)).etag == "e"
    assert len(server.received) == 1


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


# Corrupted bytes


def test_corrupted_part_is_sent_again_without_abort(
    server: FaultServer, client: ObjectStoreClient, make_file: MakeFile
) -> None:
    server.script(stored(b"other"), error(400, "BadDigest"), stored(b"content"))
    counts: list[int] = []
    assert client.upload_part("bucket", "k", "u", 1, make_file(b"content"), on_bytes=counts.append).etag == md5(
        b"content"
    )
    assert [each.method for each in server.received] == ["PUT", "PUT", "PUT"]
    assert sum(counts) == 7


@pytest.mark.parametrize(
    "fault",
    [stored(b"other"), error(400, "BadDigest"), error(400, "InvalidDigest"), error(400, "XAmzContentSHA256Mismatch")],
)
def test_persistent_digest_mismatch_is_raised(
    server: FaultServer, client: ObjectStoreClient, make_file: MakeFile, fault: Step
) -> None:
    server.script(fault, fault, fault)
    with pytest.raises(ObjectStoreError) as caught:
        client.upload_part("bucket", "k", "u", 1, make_file(b"content"))
    assert (caught.value.reason, caught.value.retryable) == (Reason.DIGEST_MISMATCH, True)
    assert [each.method for each in server.received] == ["PUT", "PUT", "PUT"]


def test_changed_file_is_read_again_after_mismatch(
    server: FaultServer, client: ObjectStoreClient, make_file: MakeFile
) -> None:
    body = make_file(b"before!")

    def change(exchange: Exchange) -> None:
        body.path.write_bytes(b"content")
        error(400, "BadDigest")(exchange)

    server.script(change, stored(b"content"))
    client.upload_part("bucket", "k", "u", 1, body)
    assert [each.body for each in server.received] == [b"before!", b"content"]


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-server-side-encryption": "aws:kms"},
        {"x-amz-server-side-encryption": "aws:kms:dsse"},
        {"x-amz-server-side-encryption-customer-algorithm": "AES256"},
    ],
)
def test_etag_of_encrypted_part_is_not_compared(
    server: FaultServer, client: ObjectStoreClient, make_file: MakeFile, headers: dict[str, str]
) -> None:
    server.script(respond(200, headers={"ETag": '"any"', **headers}))
    assert client.upload_part("bucket", "k", "u", 1, make_file(b"content")).etag == "any"


def test_etag_is_compared_only_if_provider_uses_md5(
    server: FaultServer, make_client: MakeClient, make_file: MakeFile
) -> None:
    server.script(respond(200, headers={"ETag": '"any"'}))
    assert make_client(server.url, provider="generic").upload_part("bucket", "k", "u", 1, make_file(b"x")).etag == "any"


def test_part_without_etag_is_an_error(server: FaultServer, client: ObjectStoreClient, make_file: MakeFile) -> None:
    server.script(respond(200))
    with pytest.raises(UnreadableResponse, match=Code.RESPONSE_WITHOUT_ETAG):
        client.upload_part("bucket", "k", "u", 1, make_file(b"x"))


@pytest.mark.parametrize("signing", ["signed", "unsigned"])
def test_payload_hash_in_signature(
    server: FaultServer, make_client: MakeClient, make_file: MakeFile, signing: str
) -> None:
    server.script(stored(b"content"))
    make_client(server.url, payload_signing=signing).upload_part("bucket", "k", "u", 1, make_file(b"content"))
    headers = server.received[0].headers
    expected = hashlib.sha256(b"content").hexdigest() if signing == "signed" else "UNSIGNED-PAYLOAD"
    assert headers["x-amz-content-sha256"] == expected
    assert headers["content-length"] == "7"
    assert "content-md5" in headers["authorization"]
    assert "transfer-encoding" not in headers
    assert "expect" not in headers


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


# TLS


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate for 127.0.0.1, and a server context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "partway test")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "certificate.pem"
    path.write_bytes(built.public_bytes(serialization.Encoding.PEM) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return path, context


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[FaultServer, Path]]:
    path, context = certificate(tmp_path)
    with FaultServer(tls=context) as running:
        yield running, path


def test_untrusted_certificate_is_rejected(tls: tuple[FaultServer, Path], make_client: MakeClient) -> None:
    server, _ = tls
    with pytest.raises(NotSent, match=Code.TLS_FAILED) as caught:
        make_client(server.url).list_buckets()
    assert (caught.value.reason, caught.value.retryable) == (Reason.TLS, False)
    assert server.received == []


def test_custom_ca_is_accepted_and_payload_is_unsigned(
    tls: tuple[FaultServer, Path], make_client: MakeClient, tmp_path: Path
) -> None:
    server, ca = tls
    body = sparse(tmp_path, 20 * 1024 * 1024)
    server.script(stored(bytes(body.size)))
    counts: list[int] = []
    make_client(server.url, ca_bundle=str(ca)).upload_part("bucket", "k", "u", 1, body, on_bytes=counts.append)
    assert server.received[0].headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert len(server.received[0].body) == sum(counts) == body.size


def test_early_refusal_over_tls_is_read_or_outcome_is_unknown(
    tls: tuple[FaultServer, Path], make_client: MakeClient, tmp_path: Path
) -> None:
    server, ca = tls

    def respond_early(exchange: Exchange) -> None:
        exchange.read(70_000)
        exchange.respond(403, b"<Error><Code>AccessDenied</Code></Error>")
        exchange.reset()

    server.script(*[respond_early] * 3)
    with pytest.raises((Refused, OutcomeUnknown)):
        make_client(server.url, ca_bundle=str(ca)).upload_part(
            "bucket", "k", "u", 1, sparse(tmp_path, 64 * 1024 * 1024)
        )


def test_missing_ca_bundle_is_reported(make_client: MakeClient, tmp_path: Path) -> None:
    with pytest.raises(NotSent, match=rf"{Code.CA_BUNDLE_MISSING} path=.*gone\.pem") as caught:
        make_client("https://127.0.0.1:9", ca_bundle=str(tmp_path / "gone.pem")).list_buckets()
    assert caught.value.reason is Reason.TLS


def test_invalid_ca_bundle_is_a_tls_error(server: FaultServer, make_client: MakeClient, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("no certificate")
    with pytest.raises(NotSent) as caught:
        make_client(server.url.replace("http:", "https:"), ca_bundle=str(bundle)).list_buckets()
    assert caught.value.reason is Reason.TLS
    assert server.received == []


@pytest.mark.parametrize(
    "config",
    [
        {"credentials": Credentials("AK\n", "S")},
        {"credentials": Credentials("AK", "S", "token\n")},
        {"credentials": Credentials("ä", "S")},
        {"region": "us\r\nX: y"},
        {"provider": "nonesuch"},
        {"signature": "nonesuch"},
    ],
)
def test_invalid_store_config_is_refused(make_client: MakeClient, config: dict[str, Any]) -> None:
    with pytest.raises(NotSent) as caught:
        make_client("http://127.0.0.1:9", **config)
    assert caught.value.reason is Reason.BAD_ARGUMENT


def test_tls_with_plain_http_server_sends_nothing(server: FaultServer, make_client: MakeClient) -> None:
    server.script(respond(400))
    with pytest.raises(NotSent):
        make_client(server.url.replace("http:", "https:"), connect_timeout=0.2).list_buckets()


# Arguments


@pytest.mark.parametrize(
    "act",
    [
        lambda client: client.list_multipart_uploads("bucket", max_uploads=0),
        lambda client: client.list_multipart_uploads("bucket", max_uploads=1001),
        lambda client: client.list_multipart_uploads("bucket", prefix="\ud800"),
        lambda client: client.list_multipart_uploads("../bucket"),
        lambda client: client.list_parts("bucket", "k", "u", max_parts=0),
        lambda client: client.list_parts("bucket", "k", "u", max_parts=1001),
        lambda client: client.list_parts("bucket", "k", "u", part_number_marker=-1),
        lambda client: client.list_parts("bucket", "k", ""),
        lambda client: client.abort_multipart_upload("bucket", "k", ""),
        lambda client: client.abort_multipart_upload("bucket", "", "u"),
        lambda client: client.complete_multipart_upload("bucket", "k", "", PARTS),
        lambda client: client.complete_multipart_upload("bucket", "k", "u", []),
        lambda client: client.complete_multipart_upload("bucket", "k", "u", [CompletedPart(0, "e")]),
        lambda client: client.complete_multipart_upload("bucket", "k", "u", [CompletedPart(10_001, "e")]),
        lambda client: client.upload_part("bucket", "k", "u", 0, FileSlice(Path(__file__), 0, 1)),
        lambda client: client.upload_part("bucket", "k", "u", 10_001, FileSlice(Path(__file__), 0, 1)),
        lambda client: client.upload_part("bucket", "k", "", 1, FileSlice(Path(__file__), 0, 1)),
        lambda client: client.upload_part("bucket", "k", "u", 1, FileSlice(Path(__file__), 0, 10**9)),
        lambda client: client.put_object("bucket", "k" * 1025, None),
        lambda client: client.put_object("bucket", "k", None, content_type="a\r\nX: y"),
        lambda client: client.create_multipart_upload("bucket", "k", metadata={"a b": "c"}),
        lambda client: client.create_multipart_upload("bucket", "k", storage_class="ä"),
        lambda client: client.head_object("bucket", "a\0b"),
        lambda client: client.head_bucket(""),
    ],
)
def test_invalid_arguments_are_refused_before_sending(
    server: FaultServer, client: ObjectStoreClient, act: Callable[[ObjectStoreClient], object]
) -> None:
    with pytest.raises(NotSent) as caught:
        act(client)
    assert caught.value.reason in (Reason.BAD_ARGUMENT, Reason.BAD_KEY)
    assert server.connections == 0


# Logs


def test_each_attempt_is_logged_with_identifiers_and_without_secrets(
    server: FaultServer, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    server.script(error(503, "SlowDown"), respond(200, CREATED, {"x-amz-request-id": "r-2"}))
    client = make_client(server.url, credentials=Credentials("AKID", "TOPSECRET", "TOKENTOKEN"))
    with caplog.at_level(logging.DEBUG, logger="uploads.objectstore"):
        client.create_multipart_upload("bucket", "a\nb", metadata={"m": "value"})
    failed, done = (record for record in caplog.records if record.name == "uploads.objectstore")
    assert (failed.levelname, failed.__dict__["code"], failed.__dict__["status"]) == ("WARNING", "SlowDown", 503)
    assert (done.levelname, done.__dict__["request_id"], done.__dict__["key"]) == ("DEBUG", "r-2", "a\nb")
    assert "\n" not in done.getMessage()
    everything = "".join(f"{record.getMessage()}{record.__dict__}" for record in caplog.records)
    assert not any(secret in everything for secret in ("TOPSECRET", "TOKENTOKEN", "Signature", "AWS4-HMAC"))


def test_repr_contains_no_secret() -> None:
    assert "TOPSECRET" not in repr(Credentials("AKID", "TOPSECRET", "TOKENTOKEN"))


def sparse(folder: Path, size: int) -> FileSlice:
    path = folder / "sparse"
    with path.open("wb") as file:
        file.truncate(size)
    return FileSlice(path, 0, size)
