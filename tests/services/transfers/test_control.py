"""Transfers from start to end, with the failures on the way, against a real store."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from tests.services.drive import MIB, Drive, staged_names
from uploads.domain.states import PartState, Phase, StoreUploadState, TransferState
from uploads.models import AuditEntry, Part, StoreUpload, Transfer
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.objectstore.types import CompletedPart
from uploads.problems import Code
from uploads.services.browse.browsing import is_gone
from uploads.services.staging import quota
from uploads.services.stores.settings import StoreValues, change_store
from uploads.services.transfers.cancel import cancel_transfer
from uploads.services.transfers.complete import complete_transfer
from uploads.services.transfers.create import open_store_upload
from uploads.services.transfers.receive import QuotaExceeded, Receiver, ReceivingStopped, WrongLength, progress
from uploads.services.transfers.send import send_part
from uploads.services.transfers.start import TransferRefused
from uploads.services.transfers.steps import StepRefused, request_cancel, request_pause, request_resume, request_retry
from uploads.services.upkeep.watchdog import watch
from uploads.services.work import attempts, leases

PART = 5 * MIB
Reader = Callable[[str], bytes]


def uploads_in_store(client: ObjectStoreClient, bucket: str) -> list[str]:
    return [upload.upload_id for page in client.iter_multipart_uploads(bucket) for upload in page.uploads]


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 1])
def test_every_size_arrives_byte_identical(drive: Drive, read_object: Reader, staging: Path, size: int) -> None:
    data = os.urandom(size)
    transfer = drive.upload(data, part_size=PART, content_type="text/x-test", metadata={"colour": "green"})
    drive.finish(transfer)
    assert (transfer.phase, transfer.error_code, transfer.verified) == (Phase.DONE, "", True)
    assert read_object("a/key") == data
    assert not transfer.folder.exists()
    assert transfer.store_uploads.filter(state=StoreUploadState.OPEN).count() == 0


def test_object_has_content_type_and_metadata_of_the_form(drive: Drive, client: ObjectStoreClient) -> None:
    transfer = drive.upload(os.urandom(PART + 9), part_size=PART, content_type="text/x-t", metadata={"colour": "green"})
    drive.finish(transfer)
    facts = client.head_object(drive.bucket, "a/key")
    assert facts.content_type == "text/x-t"
    assert facts.metadata["colour"] == "green"
    assert facts.metadata["partway-transfer"] == str(transfer.pk)


def test_parts_are_sent_and_unstaged_while_later_parts_arrive(drive: Drive, staging: Path) -> None:
    transfer = drive.start(3 * PART, part_size=PART)
    with Receiver(transfer) as receiver:
        receiver.write(bytes(2 * PART))
        transfer.refresh_from_db()
        assert transfer.phase == Phase.SENDING
        drive.send(transfer, parts=1)
        assert staged_names(transfer) == ["00002"]
        receiver.write(bytes(PART))
        receiver.end()
    assert drive.finish(transfer).phase == Phase.DONE


def test_task_that_runs_twice_or_late_changes_nothing(drive: Drive, client: ObjectStoreClient) -> None:
    transfer = drive.upload(os.urandom(2 * PART), part_size=PART)
    open_store_upload(transfer.pk)
    open_store_upload(transfer.pk)
    assert StoreUpload.objects.filter(transfer=transfer).count() == 1
    assert len(uploads_in_store(client, drive.bucket)) == 1
    first = Part.objects.get(transfer=transfer, number=1)
    send_part(first.pk)
    sent_at = Part.objects.get(pk=first.pk).sent_at
    send_part(first.pk)
    assert Part.objects.get(pk=first.pk).sent_at == sent_at
    drive.finish(transfer)
    complete_transfer(transfer.pk)
    cancel_transfer(transfer.pk)
    transfer.refresh_from_db()
    assert transfer.phase == Phase.DONE


def test_completion_whose_response_was_lost_is_found_by_head(drive: Drive, client: ObjectStoreClient) -> None:
    """The store completed the upload and the process died before it recorded that: the next run gets NoSuchUpload."""
    transfer = drive.upload(os.urandom(PART + 1), part_size=PART)
    drive.send(transfer)
    upload_id = transfer.store_uploads.get().upload_id
    parts = [CompletedPart(part.number, part.etag) for part in transfer.parts.order_by("number")]
    client.complete_multipart_upload(drive.bucket, transfer.key, upload_id, parts)
    complete_transfer(transfer.pk)
    transfer.refresh_from_db()
    assert (transfer.phase, transfer.verified) == (Phase.DONE, True)


def test_cancel_leaves_nothing(drive: Drive, user: User, client: ObjectStoreClient) -> None:
    transfer = drive.upload(os.urandom(2 * PART), part_size=PART)
    drive.send(transfer, parts=1)
    request_cancel(user, transfer)
    with pytest.raises(StepRefused, match=Code.CANNOT_CANCEL):
        request_cancel(user, transfer)
    transfer.refresh_from_db()
    assert transfer.state is TransferState.CANCELLING
    drive.finish(transfer)
    assert transfer.phase == Phase.CANCELLED
    assert not transfer.folder.exists()
    assert uploads_in_store(client, drive.bucket) == []
    assert list(AuditEntry.objects.filter(transfer_id=transfer.pk).values_list("action", flat=True)) == [
        "transfer.cancelled",
        "transfer.cancel-ordered",
        "transfer.begun",
    ]
    # The store's, of the abort.
    assert AuditEntry.objects.get(action="transfer.cancelled").request_id


def test_cancelled_transfer_stops_receiving(drive: Drive, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "CHECK_SECONDS", 0)
    transfer = drive.start(2 * PART, part_size=PART)
    with pytest.raises(ReceivingStopped), Receiver(transfer) as receiver:
        receiver.write(bytes(PART))
        request_cancel(user, transfer)
        receiver.write(bytes(PART))
    assert drive.finish(transfer).phase == Phase.CANCELLED


def test_paused_transfer_sends_no_part_until_it_is_resumed(drive: Drive, user: User) -> None:
    transfer = drive.upload(os.urandom(2 * PART), part_size=PART)
    drive.send(transfer, parts=1)
    request_pause(user, transfer)
    drive.send(transfer)
    transfer.refresh_from_db()
    assert transfer.state is TransferState.PAUSED
    assert transfer.parts.filter(state=PartState.SENT).count() == 1
    request_resume(user, transfer)
    assert drive.finish(transfer).phase == Phase.DONE


def test_retry_after_wrong_credentials_sends_only_the_missing_parts(
    drive: Drive, user: User, read_object: Reader
) -> None:
    data = os.urandom(2 * PART + 1)
    transfer = drive.upload(data, part_size=PART)
    drive.send(transfer, parts=1)
    secret = drive.store.secret_key
    values = {name: getattr(drive.store, name) for name in ("name", "endpoint_url", "region", "access_key", "provider")}
    change_store(None, drive.store, StoreValues(**values, secret_key="wrong"))
    drive.finish(transfer)
    assert (transfer.phase, transfer.error_code) == (Phase.FAILED, "SignatureDoesNotMatch")
    assert transfer.error_reason == Reason.CREDENTIALS
    assert transfer.error_message  # The store's own message.
    assert transfer.error_request_id
    assert transfer.parts.filter(state=PartState.STAGED).count() == 2

    change_store(None, drive.store, StoreValues(**values, secret_key=secret))
    sent_at = transfer.parts.get(number=1).sent_at
    request_retry(user, transfer)
    assert drive.finish(transfer).phase == Phase.DONE
    assert Part.objects.get(transfer=transfer, number=1).sent_at == sent_at
    assert read_object("a/key") == data


def test_transfer_whose_upload_was_aborted_by_others_cannot_be_retried(
    drive: Drive, user: User, client: ObjectStoreClient
) -> None:
    transfer = drive.upload(os.urandom(2 * PART), part_size=PART)
    drive.send(transfer, parts=1)
    client.abort_multipart_upload(drive.bucket, transfer.key, transfer.store_uploads.get().upload_id)
    drive.finish(transfer)
    assert (transfer.phase, transfer.error_code) == (Phase.FAILED, "NoSuchUpload")
    with pytest.raises(StepRefused, match=Code.BYTES_MISSING):
        request_retry(user, transfer)
    request_cancel(user, transfer)
    assert drive.finish(transfer).phase == Phase.CANCELLED
    assert not transfer.folder.exists()


def test_unreachable_store_is_retried(drive: Drive) -> None:
    transfer = drive.upload(os.urandom(9))
    endpoint = drive.store.endpoint_url
    type(drive.store).objects.update(endpoint_url="http://127.0.0.1:9")
    send_part(transfer.parts.get().pk)
    part = transfer.parts.get()
    assert (part.state, part.tries, part.error_code) == (PartState.STAGED, 1, "Unreachable")
    assert part.error_reason == Reason.UNREACHABLE
    assert part.not_before is not None
    type(drive.store).objects.update(endpoint_url=endpoint)
    assert drive.finish(transfer).phase == Phase.DONE


def test_file_that_ends_early_is_removed(drive: Drive) -> None:
    transfer = drive.start(2 * PART, part_size=PART)
    with pytest.raises(WrongLength), Receiver(transfer) as receiver:
        receiver.write(bytes(PART + 5))
        receiver.end()
    drive.finish(transfer)
    assert (transfer.phase, transfer.error_code) == (Phase.CANCELLED, "IncompleteBody")
    assert not transfer.folder.exists()


def test_file_longer_than_announced_is_removed(drive: Drive) -> None:
    transfer = drive.start(3)
    with pytest.raises(WrongLength), Receiver(transfer) as receiver:
        receiver.write(b"four")
    assert drive.finish(transfer).phase == Phase.CANCELLED


def test_replacing_an_object_must_be_confirmed(drive: Drive, read_object: Reader) -> None:
    drive.finish(drive.upload(b"first"))
    with pytest.raises(TransferRefused, match=Code.OBJECT_EXISTS) as refusal:
        drive.start(6)
    assert refusal.value.problem.params == {"size_bytes": 5, "etag": hashlib.md5(b"first").hexdigest()}
    assert (refusal.value.field, refusal.value.status) == ("replace", 409)
    drive.finish(drive.upload(b"second", replace=True))
    assert read_object("a/key") == b"second"


@pytest.mark.parametrize("key", ["", "x" * 1025, "nul\0"])
def test_invalid_key_is_refused_before_anything_is_stored(drive: Drive, key: str) -> None:
    with pytest.raises(TransferRefused) as refusal:
        drive.start(1, key)
    assert refusal.value.field == "key"
    assert not Transfer.objects.exists()


def test_full_staging_refuses_before_the_first_byte(drive: Drive, settings: Settings) -> None:
    settings.STAGING_QUOTA = 10
    drive.upload(b"12345678")
    assert quota.reserved_bytes("test-node") == 8
    refused = drive.start(3, "b")
    with Receiver(refused) as receiver, pytest.raises(QuotaExceeded):
        receiver.expect(3)
    assert staged_names(refused) == []
    with pytest.raises(TransferRefused, match=Code.STAGING_TOO_SMALL) as refusal:
        drive.start(11, "b")
    assert refusal.value.problem.params == {"limit_bytes": 10, "min_part_size_bytes": PART}
    assert refusal.value.status == 507


class TestWatchdog:
    def test_part_is_sent_again_after_its_worker_died(self, drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(attempts, "backoff_seconds", lambda _: 0.0)
        transfer = drive.upload(os.urandom(PART + 1), part_size=PART)
        open_store_upload(transfer.pk)
        Part.objects.filter(transfer=transfer, number=1).update(
            state=PartState.SENDING, lease_token=transfer.pk, lease_until=leases.in_seconds(-1)
        )
        watch()
        part = Part.objects.get(transfer=transfer, number=1)
        assert part.state == PartState.STAGED
        assert part.queued_at is not None
        assert drive.finish(transfer).phase == Phase.DONE

    def test_lost_messages_are_sent_again(self, drive: Drive) -> None:
        transfer = drive.upload(b"x")
        Part.objects.update(queued_at=leases.in_seconds(-3600))
        watch()
        queued_at = transfer.parts.get().queued_at
        assert queued_at is not None
        assert queued_at > leases.in_seconds(-60)

    def test_form_transfer_is_cancelled_when_the_browser_is_gone(self, drive: Drive, client: ObjectStoreClient) -> None:
        transfer = drive.start(3 * PART, part_size=PART)
        receiver = Receiver(transfer)
        receiver.__enter__()
        receiver.write(bytes(PART + 1))
        receiver._syncer.wait()
        receiver._parts.close()
        receiver._exit.close()  # The web server dies.
        drive.send(transfer)
        Transfer.objects.update(received_at=leases.in_seconds(-3600))
        watch()
        transfer.refresh_from_db()
        assert transfer.state is TransferState.CANCELLING
        assert drive.finish(transfer).phase == Phase.CANCELLED
        assert uploads_in_store(client, drive.bucket) == []

    def test_worker_that_lost_its_lease_records_nothing(self, drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
        """Another worker takes the part over while the first one waits for the store's response."""
        transfer = drive.upload(os.urandom(PART + 1), part_size=PART)
        open_store_upload(transfer.pk)
        part = Part.objects.get(transfer=transfer, number=1)
        real = ObjectStoreClient.upload_part

        def taken_over(*args: object, **kwargs: object) -> object:
            response = real(*args, **kwargs)  # type: ignore[arg-type]
            Part.objects.filter(pk=part.pk).update(lease_token=transfer.pk)
            return response

        monkeypatch.setattr(ObjectStoreClient, "upload_part", taken_over)
        send_part(part.pk)
        part.refresh_from_db()
        assert part.state == PartState.SENDING
        assert part.staged_path.exists()


def test_missing_upload_is_recognized_on_every_store(client: ObjectStoreClient, bucket: str) -> None:
    with pytest.raises(ObjectStoreError) as error:
        client.list_parts(bucket, "none", "bm9uZQ")
    assert is_gone(error.value)
