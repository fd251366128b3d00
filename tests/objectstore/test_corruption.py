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
from uploads.objectstore.checksums import Crc64, as_store_writes_it
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.objectstore.providers import PROVIDERS


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
        {"x-amz-server-side-encryption-customer-key-md5": "a=="},
        {"x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:eu-west-1:1:key/2"},
        {"x-oss-server-side-encryption": "KMS"},
        {"x-oss-server-side-encryption": "SM4"},
        {"x-oss-server-side-encryption-key-id": "9468da86"},
        {"x-goog-encryption-algorithm": "AES256"},
        {"x-goog-encryption-key-sha256": "a="},
        {"x-goog-encryption-kms-key-name": "projects/p/locations/l/keyRings/r/cryptoKeys/k"},
    ],
)
@pytest.mark.parametrize("operation", ["UploadPart", "PutObject"])
def test_etag_of_encrypted_bytes_is_not_compared(
    server: FaultServer, client: ObjectStoreClient, make_file: MakeFile, headers: dict[str, str], operation: str
) -> None:
    """Bytes encrypted with a key of their own: no ETag is a mismatch, and none is sent again for its ETag."""
    server.script(respond(200, headers={"ETag": f'"{md5(b"other")}"', **headers}))
    if operation == "UploadPart":
        sent = client.upload_part("bucket", "k", "u", 1, make_file(b"content"))
    else:
        sent = client.put_object("bucket", "k", make_file(b"content"))
    assert (sent.etag, sent.etag_is_md5) == (md5(b"other"), False)
    assert len(server.received) == 1


def test_encryption_by_the_store_keeps_md5s(
    server: FaultServer, client: ObjectStoreClient, make_file: MakeFile
) -> None:
    headers = {"x-amz-server-side-encryption": "AES256"}
    server.script(respond(200, headers={"ETag": f'"{md5(b"other")}"', **headers}), stored(b"content"))
    assert client.upload_part("bucket", "k", "u", 1, make_file(b"content")).etag_is_md5
    assert len(server.received) == 2


@pytest.mark.parametrize("provider", ["aws", "gcs", "generic", "swift"])
@pytest.mark.parametrize(
    "etag", ["any", "CKicn4fknf8CEAE=", "0x8D4BCC2E4835CD0", md5(b"other") + "-1", "5B3C1A2E053D763E1B002CC607C5A0FE1"]
)
def test_etag_that_does_not_look_like_an_md5_proves_nothing(
    server: FaultServer, make_client: MakeClient, make_file: MakeFile, provider: str, etag: str
) -> None:
    """On every profile: such an ETag neither fails a part nor counts as a proof."""
    server.script(respond(200, headers={"ETag": f'"{etag}"'}))
    sent = make_client(server.url, provider=provider).upload_part("bucket", "k", "u", 1, make_file(b"x"))
    assert (sent.etag, sent.etag_is_md5) == (etag, False)
    assert len(server.received) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_etag_that_looks_like_another_md5_is_suspicious_on_every_profile(
    server: FaultServer, make_client: MakeClient, make_file: MakeFile, provider: str
) -> None:
    server.script(stored(b"other"), stored(b"content"))
    client = make_client(server.url, provider=provider)
    assert client.upload_part("bucket", "k", "u", 1, make_file(b"content")).etag_is_md5
    assert [each.body for each in server.received] == [b"content", b"content"]


def test_etag_is_not_compared_if_the_store_has_no_md5s(
    server: FaultServer, make_client: MakeClient, make_file: MakeFile
) -> None:
    server.script(stored(b"other"))
    client = make_client(server.url, provider="generic", overrides=(("etag_is_md5", False),))
    assert client.upload_part("bucket", "k", "u", 1, make_file(b"content")).etag == md5(b"other")


def test_crc64_decides_before_the_etag(server: FaultServer, client: ObjectStoreClient, make_file: MakeFile) -> None:
    def reported(content: bytes, etag: str) -> Step:
        crc = Crc64("nvme")
        crc.update(content)
        return respond(
            200, headers={"ETag": f'"{etag}"', "x-amz-checksum-crc64nvme": as_store_writes_it("nvme", crc.value)}
        )

    server.script(reported(b"content", md5(b"other")))
    assert client.upload_part("bucket", "k", "u", 1, make_file(b"content")).etag == md5(b"other")
    server.script(reported(b"other", md5(b"content")), reported(b"content", md5(b"content")))
    client.upload_part("bucket", "k", "u", 1, make_file(b"content"))
    assert len(server.received) == 3


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
