"""The expected SHA-256: a file with another digest, or with none, never becomes an object."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from tests.services.drive import MIB, Drive
from uploads.domain.states import PartState, Phase, TransferState
from uploads.models import Part, Transfer
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.problems import Code, ProblemError
from uploads.services.staging import expected_sha256
from uploads.services.staging.expected_sha256 import parse_digest
from uploads.services.transfers.receive import Receiver
from uploads.services.transfers.start import TransferRefused
from uploads.services.transfers.steps import StepRefused, can_retry, request_cancel, request_retry, set_expected_sha256
from uploads.services.upkeep.watchdog import watch

PART = 5 * MIB
Reader = Callable[[str], bytes]


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def start(drive: Drive, content: bytes, digest: str = "", **more: Any) -> Transfer:
    return drive.start(len(content), part_size=PART, resumable=True, verify_sha256=True, expected_sha256=digest, **more)


def receive(transfer: Transfer, content: bytes, end: int | None = None) -> None:
    with Receiver(transfer) as receiver:
        receiver.write(content[receiver.offset : end])
        receiver.end()


def has_object(client: ObjectStoreClient, drive: Drive, key: str = "a/key") -> bool:
    try:
        client.head_object(drive.bucket, key)
    except ObjectStoreError as error:
        if error.reason is Reason.NO_SUCH_KEY:
            return False
        raise
    return True


def check_mismatch(drive: Drive, client: ObjectStoreClient, user: User, transfer: Transfer, code: str) -> None:
    """The transfer stays failed with `code`, whatever the workers do. Discarding it leaves nothing."""
    for _ in range(2):
        drive.finish(transfer)
        watch()
    transfer.refresh_from_db()
    assert (transfer.state, transfer.error_code, transfer.error_reason) == (TransferState.FAILED, code, code)
    assert not has_object(client, drive)
    assert not can_retry(transfer)
    with pytest.raises(StepRefused, match=Code.BYTES_MISSING):
        request_retry(user, transfer)
    request_cancel(user, transfer)
    assert drive.finish(transfer).phase == Phase.CANCELLED
    assert not transfer.folder.exists()
    assert not [upload for page in client.iter_multipart_uploads(drive.bucket) for upload in page.uploads]
    assert not has_object(client, drive)


# --- Match ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 9, PART, 2 * PART + 5])
def test_matching_digest_is_stored_in_the_object_metadata(
    drive: Drive, client: ObjectStoreClient, read_object: Reader, size: int
) -> None:
    content = os.urandom(size)
    transfer = start(drive, content, digest_of(content))
    receive(transfer, content)
    drive.finish(transfer)
    assert (transfer.phase, transfer.error_code, transfer.sha256) == (Phase.DONE, "", digest_of(content))
    assert client.head_object(drive.bucket, "a/key").metadata["partway-sha256"] == digest_of(content)
    assert read_object("a/key") == content


def test_digest_sent_with_the_last_bytes_is_verified(drive: Drive, client: ObjectStoreClient) -> None:
    content = os.urandom(2 * PART + 5)
    transfer = start(drive, content)
    receive(transfer, content, PART + 1)
    drive.send(transfer)
    set_expected_sha256(transfer, digest_of(content))
    receive(transfer, content)
    drive.finish(transfer)
    assert (transfer.phase, transfer.sha256) == (Phase.DONE, digest_of(content))
    # The upload was opened before the digest was known: metadata belongs to the upload, not to its completion.
    assert "partway-sha256" not in client.head_object(drive.bucket, "a/key").metadata


def test_no_digest_is_computed_unless_one_is_expected(drive: Drive, client: ObjectStoreClient) -> None:
    transfer = drive.start(9, resumable=True)
    receive(transfer, b"123456789")
    assert not transfer.parts.exclude(sha256_state=None).exists()
    drive.finish(transfer)
    assert (transfer.phase, transfer.sha256) == (Phase.DONE, "")
    assert "partway-sha256" not in client.head_object(drive.bucket, "a/key").metadata


# --- Mismatch ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 9, PART, 2 * PART + 5])
def test_transfer_with_another_digest_fails(drive: Drive, client: ObjectStoreClient, user: User, size: int) -> None:
    content = os.urandom(size)
    transfer = start(drive, content, digest_of(b"another file"))
    receive(transfer, content)
    transfer.refresh_from_db()
    assert transfer.error_params == {"received": digest_of(content), "expected": digest_of(b"another file")}
    check_mismatch(drive, client, user, transfer, "Sha256Mismatch")


def test_parts_sent_before_the_mismatch_are_aborted(drive: Drive, client: ObjectStoreClient, user: User) -> None:
    content = os.urandom(2 * PART + 5)
    transfer = start(drive, content, digest_of(b"another file"))
    receive(transfer, content, 2 * PART + 1)
    drive.send(transfer)
    assert transfer.parts.filter(state=PartState.SENT).count() == 2
    receive(transfer, content)
    check_mismatch(drive, client, user, transfer, "Sha256Mismatch")


def test_file_of_one_part_is_not_put_before_its_digest_is_verified(
    drive: Drive, client: ObjectStoreClient, user: User
) -> None:
    """PutObject creates the object at once, and the part is staged before the whole file has been received."""
    content = os.urandom(9)
    transfer = start(drive, content, digest_of(b"another file"))
    with Receiver(transfer) as receiver:
        receiver.write(content)
        receiver._syncer.wait()
        assert transfer.parts.get().state == PartState.STAGED
        assert transfer.parts.get().queued_at is None
        drive.send(transfer)
        assert not has_object(client, drive)
        receiver.end()
    check_mismatch(drive, client, user, transfer, "Sha256Mismatch")


def test_file_of_one_part_is_enqueued_once_it_is_complete(drive: Drive) -> None:
    transfer = start(drive, b"123456789", digest_of(b"123456789"))
    receive(transfer, b"123456789")
    assert transfer.parts.get().queued_at is not None


@pytest.mark.parametrize("size", [0, 9, PART + 5])
def test_transfer_without_the_expected_digest_fails(
    drive: Drive, client: ObjectStoreClient, user: User, size: int
) -> None:
    content = os.urandom(size)
    transfer = start(drive, content)
    receive(transfer, content)
    check_mismatch(drive, client, user, transfer, "Sha256Missing")


@pytest.mark.parametrize("lost", [b"", None])
def test_transfer_whose_hash_state_was_lost_fails(
    drive: Drive, client: ObjectStoreClient, user: User, lost: bytes | None
) -> None:
    content = os.urandom(2 * PART + 5)
    transfer = start(drive, content, digest_of(content))
    receive(transfer, content, PART + 9)
    Part.objects.filter(transfer=transfer, number=1).update(sha256_state=lost)
    receive(transfer, content)
    transfer.refresh_from_db()
    assert transfer.sha256 == ""
    check_mismatch(drive, client, user, transfer, "Sha256Unknown")


def test_hash_state_of_another_size_counts_as_lost(drive: Drive, client: ObjectStoreClient, user: User) -> None:
    content = os.urandom(PART + 5)
    transfer = start(drive, content, digest_of(content))
    receive(transfer, content, PART)
    Part.objects.filter(transfer=transfer, number=1).update(sha256_state=b"short")
    receive(transfer, content)
    check_mismatch(drive, client, user, transfer, "Sha256Unknown")


def test_transfer_fails_when_libcrypto_becomes_unavailable(
    drive: Drive, client: ObjectStoreClient, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(PART + 5)
    transfer = start(drive, content, digest_of(content))
    receive(transfer, content, PART)
    monkeypatch.setattr("uploads.staging.sha256._libcrypto", lambda: None)
    receive(transfer, content)
    check_mismatch(drive, client, user, transfer, "Sha256Unknown")


def test_bytes_changed_on_the_disk_are_detected(drive: Drive, client: ObjectStoreClient, user: User) -> None:
    """The bytes of a partial part are read again on resume: the staged bytes count, not those received."""
    content = os.urandom(PART + 5)
    transfer = start(drive, content, digest_of(content))
    receive(transfer, content, 100)
    with transfer.folder.partial(1).open("r+b") as file:
        file.write(bytes(4))
    receive(transfer, content)
    check_mismatch(drive, client, user, transfer, "Sha256Mismatch")


# --- Expected digests -------------------------------------------------------------------------------------------------


def test_expected_digest_can_be_set_only_once(drive: Drive) -> None:
    transfer = start(drive, b"123")
    set_expected_sha256(transfer, digest_of(b"123"))
    set_expected_sha256(transfer, digest_of(b"123"))
    with pytest.raises(StepRefused, match=Code.SHA256_CONFLICT):
        set_expected_sha256(transfer, digest_of(b"456"))
    transfer.refresh_from_db()
    assert transfer.expected_sha256 == digest_of(b"123")


def test_digest_cannot_be_set_unless_one_was_announced(drive: Drive) -> None:
    transfer = drive.start(3, resumable=True)
    with pytest.raises(StepRefused, match=Code.SHA256_NOT_REQUESTED):
        set_expected_sha256(transfer, digest_of(b"123"))


def test_transfer_is_refused_if_its_digest_cannot_be_verified(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uploads.staging.sha256._libcrypto", lambda: None)
    assert not expected_sha256.can_verify()
    with pytest.raises(TransferRefused) as refusal:
        start(drive, b"123", digest_of(b"123"))
    assert refusal.value.field == "sha256"


def test_parse_digest() -> None:
    digest = digest_of(b"")
    assert parse_digest(f" {digest.upper()}\n") == digest
    assert parse_digest("  ") == ""
    for invalid in (digest[:-1], digest + "0", "g" * 64, "٣" * 64):
        with pytest.raises(ProblemError, match=Code.INVALID_SHA256):
            parse_digest(invalid)
