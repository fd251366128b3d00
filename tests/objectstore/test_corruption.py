"""Bytes that a store received differently are sent again."""

from __future__ import annotations

import hashlib

import pytest

from tests.objectstore.conftest import MakeClient, MakeFile
from tests.objectstore.fault_server import (
    Exchange,
    FaultServer,
    Step,
    error,
    respond,
)
from tests.objectstore.responses import md5, stored
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import ObjectStoreError, Reason, UnreadableResponse
from uploads.problems import Code


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
