"""A SHA-256 that was promised: a file with another one, or with none, never becomes an object."""

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


def begin(drive: Drive, content: bytes, digest: str = "", **more: Any) -> Transfer:
    return drive.begin(len(content), part_size=PART, resumable=True, verify_sha256=True, expected_sha256=digest, **more)


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


def check_broken(drive: Drive, client: ObjectStoreClient, user: User, transfer: Transfer, code: str) -> None:
    """It rests as failed in words, whatever the workers do; only discarding it is left, and leaves nothing."""
    for _ in range(2):
        drive.finish(transfer)
        watch()
    transfer.refresh_from_db()
    assert (transfer.state, transfer.error_code) == (TransferState.FAILED, code)
    assert "not completed" in transfer.error_message
    assert not has_object(client, drive)
    assert not can_retry(transfer)
    with pytest.raises(StepRefused, match="send the file again"):
        request_retry(user, transfer)
    request_cancel(user, transfer)
    assert drive.finish(transfer).phase == Phase.CANCELLED
    assert not transfer.folder.exists()
    assert not [upload for page in client.iter_multipart_uploads(drive.bucket) for upload in page.uploads]
    assert not has_object(client, drive)


# --- Kept -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 9, PART, 2 * PART + 5])
def test_the_right_digest_is_kept_with_the_object(
    drive: Drive, client: ObjectStoreClient, read_object: Reader, size: int
) -> None:
    content = os.urandom(size)
    transfer = begin(drive, content, digest_of(content))
    receive(transfer, content)
    drive.finish(transfer)
    assert (transfer.phase, transfer.error_code, transfer.sha256) == (Phase.DONE, "", digest_of(content))
    assert client.head_object(drive.bucket, "a/key").metadata["partway-sha256"] == digest_of(content)
    assert read_object("a/key") == content


def test_a_digest_that_comes_with_the_last_byte(drive: Drive, client: ObjectStoreClient) -> None:
    content = os.urandom(2 * PART + 5)
    transfer = begin(drive, content)
    receive(transfer, content, PART + 1)
    drive.send(transfer)
    set_expected_sha256(transfer, digest_of(content))
    receive(transfer, content)
    drive.finish(transfer)
    assert (transfer.phase, transfer.sha256) == (Phase.DONE, digest_of(content))
    # The upload was opened before the digest was known: metadata are the upload's, not the completion's.
    assert "partway-sha256" not in client.head_object(drive.bucket, "a/key").metadata


def test_without_a_promise_no_digest_is_made(drive: Drive, client: ObjectStoreClient) -> None:
    transfer = drive.begin(9, resumable=True)
    receive(transfer, b"123456789")
    assert not transfer.parts.exclude(sha256_state=None).exists()
    drive.finish(transfer)
    assert (transfer.phase, transfer.sha256) == (Phase.DONE, "")
    assert "partway-sha256" not in client.head_object(drive.bucket, "a/key").metadata


# --- Broken -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 9, PART, 2 * PART + 5])
def test_another_digest(drive: Drive, client: ObjectStoreClient, user: User, size: int) -> None:
    content = os.urandom(size)
    transfer = begin(drive, content, digest_of(b"another file"))
    receive(transfer, content)
    transfer.refresh_from_db()
    assert digest_of(content) in transfer.error_message
    assert digest_of(b"another file") in transfer.error_message
    check_broken(drive, client, user, transfer, "Sha256Mismatch")


def test_parts_that_left_before_the_last_byte_came_are_aborted(
    drive: Drive, client: ObjectStoreClient, user: User
) -> None:
    content = os.urandom(2 * PART + 5)
    transfer = begin(drive, content, digest_of(b"another file"))
    receive(transfer, content, 2 * PART + 1)
    drive.send(transfer)
    assert transfer.parts.filter(state=PartState.SENT).count() == 2
    receive(transfer, content)
    check_broken(drive, client, user, transfer, "Sha256Mismatch")


def test_a_file_of_one_part_is_not_put_before_its_digest_was_seen(
    drive: Drive, client: ObjectStoreClient, user: User
) -> None:
    """PutObject makes the object at once, and workers are quick: the part is staged before the file has ended."""
    content = os.urandom(9)
    transfer = begin(drive, content, digest_of(b"another file"))
    with Receiver(transfer) as receiver:
        receiver.write(content)
        receiver._settle()
        assert transfer.parts.get().state == PartState.STAGED
        assert transfer.parts.get().queued_at is None
        drive.send(transfer)
        assert not has_object(client, drive)
        receiver.end()
    check_broken(drive, client, user, transfer, "Sha256Mismatch")


def test_a_file_of_one_part_is_enqueued_once_it_is_whole(drive: Drive) -> None:
    transfer = begin(drive, b"123456789", digest_of(b"123456789"))
    receive(transfer, b"123456789")
    assert transfer.parts.get().queued_at is not None


@pytest.mark.parametrize("size", [0, 9, PART + 5])
def test_no_digest(drive: Drive, client: ObjectStoreClient, user: User, size: int) -> None:
    content = os.urandom(size)
    transfer = begin(drive, content)
    receive(transfer, content)
    check_broken(drive, client, user, transfer, "Sha256Missing")


@pytest.mark.parametrize("lost", [b"", None])
def test_a_lost_state(drive: Drive, client: ObjectStoreClient, user: User, lost: bytes | None) -> None:
    content = os.urandom(2 * PART + 5)
    transfer = begin(drive, content, digest_of(content))
    receive(transfer, content, PART + 9)
    Part.objects.filter(transfer=transfer, number=1).update(sha256_state=lost)
    receive(transfer, content)
    transfer.refresh_from_db()
    assert transfer.sha256 == ""
    check_broken(drive, client, user, transfer, "Sha256Unknown")


def test_a_state_of_another_size_is_lost_too(drive: Drive, client: ObjectStoreClient, user: User) -> None:
    content = os.urandom(PART + 5)
    transfer = begin(drive, content, digest_of(content))
    receive(transfer, content, PART)
    Part.objects.filter(transfer=transfer, number=1).update(sha256_state=b"short")
    receive(transfer, content)
    check_broken(drive, client, user, transfer, "Sha256Unknown")


def test_a_python_that_lost_its_libcrypto(
    drive: Drive, client: ObjectStoreClient, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(PART + 5)
    transfer = begin(drive, content, digest_of(content))
    receive(transfer, content, PART)
    monkeypatch.setattr("uploads.staging.sha256._libcrypto", lambda: None)
    receive(transfer, content)
    check_broken(drive, client, user, transfer, "Sha256Unknown")


def test_bytes_that_changed_on_the_disk_break_the_promise(drive: Drive, client: ObjectStoreClient, user: User) -> None:
    """A half part's bytes are read once more when it is taken up: what is there counts, not what came."""
    content = os.urandom(PART + 5)
    transfer = begin(drive, content, digest_of(content))
    receive(transfer, content, 100)
    with transfer.folder.partial(1).open("r+b") as file:
        file.write(bytes(4))
    receive(transfer, content)
    check_broken(drive, client, user, transfer, "Sha256Mismatch")


# --- Promising --------------------------------------------------------------------------------------------------------


def test_a_promise_is_made_once(drive: Drive) -> None:
    transfer = begin(drive, b"123")
    set_expected_sha256(transfer, digest_of(b"123"))
    set_expected_sha256(transfer, digest_of(b"123"))
    with pytest.raises(StepRefused, match="Another SHA-256"):
        set_expected_sha256(transfer, digest_of(b"456"))
    transfer.refresh_from_db()
    assert transfer.expected_sha256 == digest_of(b"123")


def test_who_promised_nothing_cannot_say_a_digest_later(drive: Drive) -> None:
    transfer = drive.begin(3, resumable=True)
    with pytest.raises(StepRefused, match="No SHA-256 was promised"):
        set_expected_sha256(transfer, digest_of(b"123"))


def test_a_promise_that_could_not_be_kept_is_not_taken(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uploads.staging.sha256._libcrypto", lambda: None)
    assert not expected_sha256.can_be_kept()
    with pytest.raises(TransferRefused) as refusal:
        begin(drive, b"123", digest_of(b"123"))
    assert refusal.value.field == "sha256"


def test_digests_as_they_are_typed() -> None:
    digest = digest_of(b"")
    assert parse_digest(f" {digest.upper()}\n") == digest
    assert parse_digest("  ") == ""
    for wrong in (digest[:-1], digest + "0", "g" * 64, "٣" * 64):
        with pytest.raises(ValueError, match="64 hexadecimal"):
            parse_digest(wrong)
