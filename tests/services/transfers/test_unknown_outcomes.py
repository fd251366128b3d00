"""Answers that are lost, late, doubled, damaged or refused, one by one: nothing is lost, nothing is left, nothing is
sent twice that need not be. Partway asks through a proxy with faults; what is true is asked of the store behind it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from tests.services.drive import MIB, Drive, staged_names
from tests.stores.swift import SwiftStore
from tests.system.fault_proxy import Fault, FaultProxy
from uploads.domain.states import ItemState, OperationKind, PartState, Phase, StoreUploadState, TransferState
from uploads.models import AuditEntry, Operation, OperationItem, Part, Store, StoreUpload, Transfer
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import Reason, Refused
from uploads.objectstore.types import Credentials, FileSlice, StoreConfig
from uploads.problems import Code, Problem
from uploads.services.stores import clients
from uploads.services.stores.settings import StoreValues, add_store, change_store
from uploads.services.transfers.cancel import cancel_transfer
from uploads.services.transfers.complete import complete_transfer
from uploads.services.transfers.create import open_store_upload
from uploads.services.transfers.send import send_part
from uploads.services.transfers.steps import StepRefused, request_cancel, request_retry
from uploads.services.upkeep.watchdog import watch
from uploads.services.work import attempts, leases

PART = 5 * MIB
KEY = "a/key"
Reader = Callable[[str], bytes]


@pytest.fixture
def proxy(swift_store: SwiftStore) -> Iterator[FaultProxy]:
    with FaultProxy(swift_store.endpoint_url) as running:
        yield running


@pytest.fixture
def store(transactional_db: None, swift_store: SwiftStore, proxy: FaultProxy, settings: Settings) -> Store:
    settings.STORE_STALL_SECONDS = 1.0
    return add_store(None, values_of(swift_store, proxy))


def values_of(swift_store: SwiftStore, proxy: FaultProxy, **changes: Any) -> StoreValues:
    values = {
        "name": "swift",
        "endpoint_url": proxy.url,
        "region": swift_store.region,
        "provider": "swift",
        "access_key": swift_store.access_key,
        "secret_key": swift_store.secret_key,
    }
    return StoreValues(**{**values, **changes})


@dataclass(frozen=True, slots=True)
class Truth:
    """The store as it is, asked past the proxy."""

    client: ObjectStoreClient
    bucket: str

    def uploads(self) -> list[str]:
        pages = self.client.iter_multipart_uploads(self.bucket)
        return [upload.upload_id for page in pages for upload in page.uploads]

    def begin(self, key: str = KEY) -> str:
        """An upload of another program."""
        return self.client.create_multipart_upload(self.bucket, key)


@pytest.fixture
def truth(swift_store: SwiftStore, bucket: str) -> Truth:
    credentials = Credentials(swift_store.access_key, swift_store.secret_key)
    config = StoreConfig(swift_store.endpoint_url, swift_store.region, credentials, provider="swift")
    return Truth(ObjectStoreClient(config), bucket)


@pytest.fixture
def transfer(drive: Drive) -> Transfer:
    """A file of three parts, all here, nothing of it in the store."""
    return drive.upload(os.urandom(2 * PART + 7), part_size=PART)


def bytes_of(transfer: Transfer) -> bytes:
    """What is staged, before anything has left."""
    return b"".join(part.staged_path.read_bytes() for part in transfer.parts.order_by("number"))


def due(transfer: Transfer) -> None:
    Transfer.objects.filter(pk=transfer.pk).update(not_before=None)
    Part.objects.filter(transfer=transfer).update(not_before=None)
    transfer.refresh_from_db()


def actions(transfer: Transfer) -> list[str]:
    entries = AuditEntry.objects.filter(transfer_id=transfer.pk).order_by("pk")
    return [action.removeprefix("transfer.") for action in entries.values_list("action", flat=True)]


def states(transfer: Transfer) -> dict[str, str]:
    """The state of each upload that is written down, by upload id."""
    return dict(transfer.store_uploads.values_list("upload_id", "state"))


def assert_done(drive: Drive, transfer: Transfer, truth: Truth, read_object: Reader, data: bytes) -> None:
    drive.finish(transfer)
    assert (transfer.phase, transfer.error_code, transfer.verified) == (Phase.DONE, "", True)
    assert read_object(transfer.key) == data
    assert not transfer.folder.exists()
    assert truth.uploads() == []


def lose_create(proxy: FaultProxy, transfer: Transfer, fault: Fault = Fault.RESPONSE_LOST) -> None:
    proxy.next("CreateMultipartUpload", fault)
    open_store_upload(transfer.pk)
    transfer.refresh_from_db()
    assert transfer.create_sent_at is not None
    assert transfer.phase == Phase.SENDING
    due(transfer)


class TestCreate:
    @pytest.mark.parametrize("fault", [Fault.RESPONSE_LOST, Fault.TRUNCATED])
    def test_upload_of_lost_response_is_aborted_and_another_created(
        self, drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader, fault: Fault
    ) -> None:
        data = bytes_of(transfer)
        lose_create(proxy, transfer, fault)
        [twin] = truth.uploads()
        open_store_upload(transfer.pk)
        [upload_id] = truth.uploads()
        assert upload_id != twin
        assert states(transfer) == {twin: StoreUploadState.GONE, upload_id: StoreUploadState.OPEN}
        assert "twin-aborted" in actions(transfer)
        assert_done(drive, transfer, truth, read_object, data)

    @pytest.mark.parametrize("fault", [Fault.RESET_BEFORE_BODY, Fault.INTERNAL_ERROR, Fault.BAD_GATEWAY, Fault.STALL])
    def test_upload_is_created_again_if_the_store_did_not_create_it(
        self, drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader, fault: Fault
    ) -> None:
        data = bytes_of(transfer)
        lose_create(proxy, transfer, fault)
        assert truth.uploads() == []
        open_store_upload(transfer.pk)
        assert list(states(transfer)) == truth.uploads()
        assert_done(drive, transfer, truth, read_object, data)

    def test_duplicated_response_is_one_upload(
        self, drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader
    ) -> None:
        data = bytes_of(transfer)
        proxy.next("CreateMultipartUpload", Fault.DUPLICATED)
        open_store_upload(transfer.pk)
        assert list(states(transfer)) == truth.uploads()
        assert_done(drive, transfer, truth, read_object, data)

    def test_refused_create_leaves_nothing_to_find(self, proxy: FaultProxy, transfer: Transfer) -> None:
        proxy.next("CreateMultipartUpload", Fault.ACCESS_DENIED)
        open_store_upload(transfer.pk)
        transfer.refresh_from_db()
        assert (transfer.phase, transfer.error_code) == (Phase.FAILED, "AccessDenied")
        assert transfer.create_sent_at is None

    def test_several_candidates_are_kept_as_possible_orphans(
        self, drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer
    ) -> None:
        lose_create(proxy, transfer)
        theirs = truth.begin()
        candidates = truth.uploads()
        assert len(candidates) == 2
        open_store_upload(transfer.pk)
        transfer.refresh_from_db()
        suspects = transfer.store_uploads.filter(state=StoreUploadState.SUSPECT)
        assert set(suspects.values_list("upload_id", flat=True)) == set(candidates)
        assert actions(transfer).count("possible-orphan") == 2
        assert len(truth.uploads()) == 3
        assert transfer.create_sent_at is None
        assert drive.finish(transfer).phase == Phase.DONE
        assert theirs in truth.uploads()

    def test_older_upload_is_not_a_candidate(self, proxy: FaultProxy, truth: Truth, transfer: Transfer) -> None:
        older = truth.begin()
        lose_create(proxy, transfer, Fault.RESET_BEFORE_BODY)
        # What was begun ten seconds before we asked is not ours.
        Transfer.objects.filter(pk=transfer.pk).update(create_sent_at=timezone.now() + timedelta(seconds=10))
        open_store_upload(transfer.pk)
        assert older in truth.uploads()
        assert older not in states(transfer)

    def test_upload_created_long_after_the_request_is_not_a_candidate(
        self, proxy: FaultProxy, truth: Truth, transfer: Transfer
    ) -> None:
        """The store was away for an hour; meanwhile nothing of ours can have arrived there."""
        lose_create(proxy, transfer, Fault.RESET_BEFORE_BODY)
        later = truth.begin()
        Transfer.objects.filter(pk=transfer.pk).update(create_sent_at=timezone.now() - timedelta(hours=1))
        open_store_upload(transfer.pk)
        assert later in truth.uploads()
        assert later not in states(transfer)

    @pytest.mark.parametrize("key", ["a/key2", "a/ke", "a/key/b", "A/KEY"])
    def test_upload_of_another_key_is_not_a_candidate(
        self, proxy: FaultProxy, truth: Truth, transfer: Transfer, key: str
    ) -> None:
        lose_create(proxy, transfer, Fault.RESET_BEFORE_BODY)
        other = truth.begin(key)
        open_store_upload(transfer.pk)
        assert other in truth.uploads()
        assert other not in states(transfer)

    def test_upload_with_parts_is_not_a_candidate(
        self, proxy: FaultProxy, truth: Truth, transfer: Transfer, tmp_path: Path
    ) -> None:
        lose_create(proxy, transfer, Fault.RESET_BEFORE_BODY)
        other = truth.begin()
        (tmp_path / "part").write_bytes(b"theirs")
        truth.client.upload_part(truth.bucket, KEY, other, 1, FileSlice(tmp_path / "part", 0, 6))
        open_store_upload(transfer.pk)
        assert other in truth.uploads()
        assert other not in states(transfer)

    def test_upload_recorded_for_another_transfer_is_not_a_candidate(
        self, drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer
    ) -> None:
        lose_create(proxy, transfer, Fault.RESET_BEFORE_BODY)
        known = truth.begin()
        other = Transfer.objects.get(pk=transfer.pk)
        other.pk = Transfer().pk
        other.save(force_insert=True)
        StoreUpload.objects.create(transfer=other, upload_id=known)
        open_store_upload(transfer.pk)
        assert known in truth.uploads()
        assert known not in states(transfer)

    def test_candidates_are_selected_by_the_clock_of_the_store(
        self, proxy: FaultProxy, truth: Truth, transfer: Transfer
    ) -> None:
        """A process that has asked nothing yet learns the store's time from the listing itself."""
        proxy.clock_ahead = timedelta(hours=1)
        lose_create(proxy, transfer)
        clients._clients.clear()
        [initiated_an_hour_too_early_by_that_clock] = truth.uploads()
        open_store_upload(transfer.pk)
        assert initiated_an_hour_too_early_by_that_clock in truth.uploads()

    def test_transfer_continues_and_audits_that_listing_is_not_allowed(
        self, drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer
    ) -> None:
        lose_create(proxy, transfer)
        [twin] = truth.uploads()
        proxy.always("ListMultipartUploads", Fault.ACCESS_DENIED)
        assert drive.finish(transfer).phase == Phase.DONE
        assert truth.uploads() == [twin]
        entry = AuditEntry.objects.get(transfer_id=transfer.pk, action="transfer.possible-orphan")
        assert entry.detail["reason"] == Problem(Code.UPLOADS_NOT_LISTABLE).as_json()

    def test_no_second_upload_is_created_while_listing_fails(
        self, drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader
    ) -> None:
        data = bytes_of(transfer)
        lose_create(proxy, transfer)
        twins = truth.uploads()
        proxy.next("ListMultipartUploads", Fault.INTERNAL_ERROR, count=4)
        open_store_upload(transfer.pk)
        assert truth.uploads() == twins
        transfer.refresh_from_db()
        assert (transfer.phase, transfer.error_code) == (Phase.SENDING, "InternalError")
        assert transfer.create_sent_at is not None
        assert_done(drive, transfer, truth, read_object, data)

    def test_upload_of_a_process_that_died_is_found(
        self,
        drive: Drive,
        truth: Truth,
        transfer: Transfer,
        read_object: Reader,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        class Killed(BaseException):
            pass

        data = bytes_of(transfer)
        create = ObjectStoreClient.create_multipart_upload

        def die_afterwards(*args: Any, **kwargs: Any) -> str:
            create(*args, **kwargs)
            raise Killed

        with monkeypatch.context() as patched, pytest.raises(Killed):
            patched.setattr(ObjectStoreClient, "create_multipart_upload", die_afterwards)
            open_store_upload(transfer.pk)
        [twin] = truth.uploads()
        open_store_upload(transfer.pk)
        assert truth.uploads() == [twin], "the lease of the dead still runs"
        Transfer.objects.filter(pk=transfer.pk).update(lease_until=leases.in_seconds(-1))
        open_store_upload(transfer.pk)
        assert states(transfer)[twin] == StoreUploadState.GONE
        assert len(truth.uploads()) == 1
        assert_done(drive, transfer, truth, read_object, data)

    @pytest.mark.parametrize("fault", [Fault.RESPONSE_LOST, Fault.RESET_BEFORE_BODY])
    def test_transfer_cancelled_after_lost_response_leaves_nothing(
        self, drive: Drive, user: User, proxy: FaultProxy, truth: Truth, transfer: Transfer, fault: Fault
    ) -> None:
        lose_create(proxy, transfer, fault)
        request_cancel(user, transfer)
        drive.finish(transfer)
        assert transfer.phase == Phase.CANCELLED
        assert transfer.create_sent_at is None
        assert truth.uploads() == []
        assert not transfer.folder.exists()

    def test_cancellation_waits_until_uploads_can_be_listed(
        self, drive: Drive, user: User, proxy: FaultProxy, truth: Truth, transfer: Transfer
    ) -> None:
        lose_create(proxy, transfer)
        proxy.always("ListMultipartUploads", Fault.INVALID_ACCESS_KEY)
        request_cancel(user, transfer)
        drive.finish(transfer, rounds=2)
        assert transfer.state is TransferState.CANCELLING
        proxy.clear()
        assert drive.finish(transfer).phase == Phase.CANCELLED
        assert truth.uploads() == []

    def test_upload_created_after_a_takeover_is_aborted_and_recorded(
        self, drive: Drive, truth: Truth, transfer: Transfer, read_object: Reader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Our answer took longer than our lease: another process has begun an upload meanwhile."""
        data = bytes_of(transfer)
        create = ObjectStoreClient.create_multipart_upload
        late = iter([True])

        def overtaken(*args: Any, **kwargs: Any) -> str:
            if next(late, False):
                Transfer.objects.filter(pk=transfer.pk).update(lease_until=leases.in_seconds(-1))
                open_store_upload(transfer.pk)
            return create(*args, **kwargs)

        monkeypatch.setattr(ObjectStoreClient, "create_multipart_upload", overtaken)
        open_store_upload(transfer.pk)
        assert sorted(states(transfer).values()) == [StoreUploadState.GONE, StoreUploadState.OPEN]
        assert len(truth.uploads()) == 1
        assert_done(drive, transfer, truth, read_object, data)

    def test_upload_that_another_worker_aborted_is_not_recorded_as_open(
        self, drive: Drive, truth: Truth, transfer: Transfer, read_object: Reader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = bytes_of(transfer)
        create = ObjectStoreClient.create_multipart_upload
        late = iter([True])

        def overtaken(*args: Any, **kwargs: Any) -> str:
            upload_id = create(*args, **kwargs)
            if next(late, False):
                Transfer.objects.filter(pk=transfer.pk).update(lease_until=leases.in_seconds(-1))
                open_store_upload(transfer.pk)
            return upload_id

        monkeypatch.setattr(ObjectStoreClient, "create_multipart_upload", overtaken)
        open_store_upload(transfer.pk)
        assert sorted(states(transfer).values()) == [StoreUploadState.GONE, StoreUploadState.OPEN]
        assert_done(drive, transfer, truth, read_object, data)


def first_part(transfer: Transfer) -> Part:
    return transfer.parts.get(number=1)


class TestParts:
    def test_part_whose_response_was_lost_is_not_sent_twice(
        self, drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader
    ) -> None:
        data = bytes_of(transfer)
        proxy.next("UploadPart", Fault.RESPONSE_LOST, count=3)
        assert_done(drive, transfer, truth, read_object, data)
        assert proxy.faults == {Fault.RESPONSE_LOST: 3}
        assert (proxy.requests["UploadPart"], proxy.requests["ListParts"]) == (3, 3)

    def test_object_whose_response_was_lost_is_not_sent_twice(
        self, drive: Drive, proxy: FaultProxy, truth: Truth, read_object: Reader
    ) -> None:
        data = os.urandom(PART)
        transfer = drive.upload(data)
        proxy.next("PutObject", Fault.RESPONSE_LOST)
        send_part(first_part(transfer).pk)
        assert first_part(transfer).state == PartState.SENT
        assert_done(drive, transfer, truth, read_object, data)
        assert proxy.requests["PutObject"] == 1

    def test_empty_object_whose_response_was_lost_is_sent_again(
        self, drive: Drive, proxy: FaultProxy, truth: Truth, read_object: Reader
    ) -> None:
        transfer = drive.upload(b"")
        proxy.next("PutObject", Fault.RESPONSE_LOST)
        assert_done(drive, transfer, truth, read_object, b"")

    @pytest.mark.parametrize(
        "fault",
        [
            Fault.RESET_BEFORE_BODY,
            Fault.RESET_DURING_BODY,
            Fault.RESET_AFTER_BODY,
            Fault.STALL,
            Fault.INTERNAL_ERROR,
            Fault.BAD_GATEWAY,
            Fault.TOO_MANY_REQUESTS,
            Fault.ERROR_INSIDE,
            Fault.DUPLICATED,
        ],
    )
    @pytest.mark.parametrize("size", [2 * PART, PART], ids=["parts", "object"])
    def test_part_arrives_after_any_fault(
        self, drive: Drive, proxy: FaultProxy, truth: Truth, read_object: Reader, fault: Fault, size: int
    ) -> None:
        data = os.urandom(size)
        transfer = drive.upload(data, part_size=PART)
        proxy.next("UploadPart" if size > PART else "PutObject", fault)
        assert_done(drive, transfer, truth, read_object, data)
        assert proxy.faults == {fault: 1}

    def test_part_is_sent_again_if_listing_parts_is_not_allowed(
        self, drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader
    ) -> None:
        data = bytes_of(transfer)
        proxy.next("UploadPart", Fault.RESPONSE_LOST)
        proxy.always("ListParts", Fault.ACCESS_DENIED)
        assert_done(drive, transfer, truth, read_object, data)
        assert proxy.parts[1] == 2

    def test_part_with_a_flipped_byte_is_sent_again(
        self, drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader
    ) -> None:
        data = bytes_of(transfer)
        open_store_upload(transfer.pk)
        proxy.next("UploadPart", Fault.FLIPPED_BYTE)
        send_part(first_part(transfer).pk)
        assert (first_part(transfer).state, first_part(transfer).error_code) == (PartState.STAGED, "BadDigest")
        assert_done(drive, transfer, truth, read_object, data)
        assert proxy.parts[1] == 2

    def test_part_corrupted_eight_times_fails_the_transfer(
        self, drive: Drive, user: User, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader
    ) -> None:
        data = bytes_of(transfer)
        open_store_upload(transfer.pk)
        proxy.always("UploadPart", Fault.FLIPPED_BYTE)
        for count in range(1, attempts.MAX_TRIES + 1):
            transfer.refresh_from_db()
            assert transfer.phase == Phase.SENDING
            due(transfer)
            send_part(first_part(transfer).pk)
            assert proxy.parts[1] == count
        transfer.refresh_from_db()
        assert (transfer.phase, transfer.error_code) == (Phase.FAILED, "BadDigest")
        assert transfer.error_reason == Reason.DIGEST_MISMATCH
        proxy.clear()
        request_retry(user, transfer)
        assert_done(drive, transfer, truth, read_object, data)

    def test_corruption_is_counted_apart_from_waiting(
        self, drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader
    ) -> None:
        """Tries that found the store away are no tries that found bytes damaged."""
        data = bytes_of(transfer)
        open_store_upload(transfer.pk)
        proxy.next("UploadPart", *[Fault.INTERNAL_ERROR] * 10, Fault.FLIPPED_BYTE)
        for _ in range(11):
            due(transfer)
            send_part(first_part(transfer).pk)
        part = first_part(transfer)
        assert (part.error_code, part.tries) == ("BadDigest", 1)
        assert_done(drive, transfer, truth, read_object, data)

    def test_part_that_arrives_while_its_upload_vanishes_is_not_counted(
        self, drive: Drive, truth: Truth, transfer: Transfer, read_object: Reader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else it would be missing in the upload that is begun anew, and the object would be short."""
        data = bytes_of(transfer)
        open_store_upload(transfer.pk)
        one, two, _ = transfer.parts.order_by("number")
        upload = ObjectStoreClient.upload_part
        once = iter([True])

        def vanishing(*args: Any, **kwargs: Any) -> Any:
            answer = upload(*args, **kwargs)
            if next(once, False):
                truth.client.abort_multipart_upload(truth.bucket, KEY, transfer.store_uploads.get().upload_id)
                send_part(two.pk)
            return answer

        monkeypatch.setattr(ObjectStoreClient, "upload_part", vanishing)
        send_part(one.pk)
        one.refresh_from_db()
        assert one.state == PartState.STAGED
        assert_done(drive, transfer, truth, read_object, data)


class TestComplete:
    @pytest.fixture
    def sent(self, drive: Drive, transfer: Transfer) -> bytes:
        """Every part is in the store, and nothing is completed."""
        data = bytes_of(transfer)
        drive.send(transfer)
        return data

    @pytest.mark.parametrize("fault", [Fault.RESPONSE_LOST, Fault.TRUNCATED, Fault.DUPLICATED])
    def test_completion_whose_response_was_lost_is_found_at_once(
        self, proxy: FaultProxy, truth: Truth, transfer: Transfer, sent: bytes, read_object: Reader, fault: Fault
    ) -> None:
        proxy.next("CompleteMultipartUpload", fault)
        complete_transfer(transfer.pk)
        transfer.refresh_from_db()
        assert (transfer.phase, transfer.verified) == (Phase.DONE, True)
        assert proxy.requests["CompleteMultipartUpload"] == 1
        assert read_object(KEY) == sent
        assert truth.uploads() == []

    @pytest.mark.parametrize(
        "fault",
        [
            Fault.ERROR_INSIDE,
            Fault.INTERNAL_ERROR,
            Fault.RESET_BEFORE_BODY,
            Fault.RESET_DURING_BODY,
            Fault.STALL,
            Fault.FLIPPED_BYTE,
            Fault.BAD_GATEWAY,
        ],
    )
    def test_completion_that_did_not_happen_is_sent_again(
        self,
        drive: Drive,
        proxy: FaultProxy,
        truth: Truth,
        transfer: Transfer,
        sent: bytes,
        read_object: Reader,
        fault: Fault,
    ) -> None:
        proxy.next("CompleteMultipartUpload", fault)
        complete_transfer(transfer.pk)
        transfer.refresh_from_db()
        assert transfer.phase == Phase.COMPLETING
        assert transfer.error_code
        assert_done(drive, transfer, truth, read_object, sent)

    def test_another_object_with_the_key_is_not_the_completed_one(
        self, drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer, sent: bytes, read_object: Reader
    ) -> None:
        truth.client.put_object(truth.bucket, KEY, None)
        proxy.next("CompleteMultipartUpload", Fault.RESET_BEFORE_BODY)
        complete_transfer(transfer.pk)
        transfer.refresh_from_db()
        assert transfer.phase == Phase.COMPLETING
        assert_done(drive, transfer, truth, read_object, sent)

    @pytest.mark.parametrize("fault", [Fault.RESET_BEFORE_BODY, Fault.INTERNAL_ERROR, Fault.EXPIRED_TOKEN])
    def test_transfer_is_not_done_while_head_fails(
        self,
        drive: Drive,
        proxy: FaultProxy,
        truth: Truth,
        transfer: Transfer,
        sent: bytes,
        read_object: Reader,
        fault: Fault,
    ) -> None:
        proxy.always("HeadObject", fault)
        proxy.always("ListMultipartUploads", fault)
        for _ in range(2):
            complete_transfer(transfer.pk)
            transfer.refresh_from_db()
            assert transfer.phase == Phase.COMPLETING
            due(transfer)
        proxy.clear()
        assert_done(drive, transfer, truth, read_object, sent)

    def test_transfer_is_done_unverified_if_head_is_not_allowed(
        self, proxy: FaultProxy, transfer: Transfer, sent: bytes, read_object: Reader
    ) -> None:
        proxy.always("HeadObject", Fault.ACCESS_DENIED)
        complete_transfer(transfer.pk)
        transfer.refresh_from_db()
        assert (transfer.phase, transfer.verified) == (Phase.DONE, False)
        assert read_object(KEY) == sent

    def test_completion_continues_after_the_process_died(
        self, truth: Truth, transfer: Transfer, sent: bytes, read_object: Reader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Killed(BaseException):
            pass

        def die(*_: Any) -> None:
            raise Killed

        with monkeypatch.context() as patched, pytest.raises(Killed):
            patched.setattr("uploads.services.multipart.complete.prove_object", die)
            complete_transfer(transfer.pk)
        Transfer.objects.filter(pk=transfer.pk).update(lease_until=leases.in_seconds(-1))
        complete_transfer(transfer.pk)
        transfer.refresh_from_db()
        assert (transfer.phase, transfer.verified) == (Phase.DONE, True)
        assert read_object(KEY) == sent

    def test_failure_after_a_takeover_does_not_fail_the_transfer(
        self,
        drive: Drive,
        proxy: FaultProxy,
        truth: Truth,
        transfer: Transfer,
        sent: bytes,
        read_object: Reader,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def overtaken(*_: Any, **__: Any) -> Any:
            Transfer.objects.filter(pk=transfer.pk).update(lease_token=transfer.pk)
            raise Refused("no", code="AccessDenied", status=403, reason=Reason.PERMISSION)

        with monkeypatch.context() as patched:
            patched.setattr(ObjectStoreClient, "complete_multipart_upload", overtaken)
            complete_transfer(transfer.pk)
        transfer.refresh_from_db()
        assert (transfer.phase, transfer.error_code) == (Phase.COMPLETING, "")
        Transfer.objects.filter(pk=transfer.pk).update(lease_until=leases.in_seconds(-1))
        assert_done(drive, transfer, truth, read_object, sent)

    def test_upload_with_only_some_parts_is_not_completed(
        self, proxy: FaultProxy, truth: Truth, transfer: Transfer, sent: bytes
    ) -> None:
        row = StoreUpload.objects.create(transfer=transfer, upload_id="lost", state=StoreUploadState.GONE)
        transfer.parts.filter(number=2).update(store_upload=row)
        complete_transfer(transfer.pk)
        transfer.refresh_from_db()
        assert transfer.phase == Phase.FAILED
        assert transfer.error_reason == Code.PARTS_NOT_IN_UPLOAD
        assert transfer.error_params == {"count": 3, "present": 2}
        assert not proxy.requests["CompleteMultipartUpload"]


class TestAbort:
    @pytest.mark.parametrize("fault", [Fault.RESPONSE_LOST, Fault.RESET_BEFORE_BODY, Fault.INTERNAL_ERROR, Fault.STALL])
    def test_nothing_stays_after_any_fault_of_an_abort(
        self, drive: Drive, user: User, proxy: FaultProxy, truth: Truth, transfer: Transfer, fault: Fault
    ) -> None:
        drive.send(transfer, parts=1)
        request_cancel(user, transfer)
        proxy.next("AbortMultipartUpload", fault)
        drive.finish(transfer)
        assert transfer.phase == Phase.CANCELLED
        assert truth.uploads() == []
        assert set(states(transfer).values()) == {StoreUploadState.GONE}
        assert not transfer.folder.exists()

    def test_cancellation_is_never_given_up(
        self, drive: Drive, user: User, proxy: FaultProxy, truth: Truth, transfer: Transfer
    ) -> None:
        drive.send(transfer, parts=1)
        request_cancel(user, transfer)
        proxy.always("AbortMultipartUpload", Fault.INVALID_ACCESS_KEY)
        for _ in range(attempts.MAX_TRIES + 2):
            due(transfer)
            cancel_transfer(transfer.pk)
        transfer.refresh_from_db()
        assert (transfer.state, transfer.error_code) == (TransferState.CANCELLING, "InvalidAccessKeyId")
        proxy.clear()
        assert drive.finish(transfer).phase == Phase.CANCELLED
        assert truth.uploads() == []


class TestUnreachableStore:
    def test_unreachable_store_is_retried_for_a_day(
        self, drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader
    ) -> None:
        data = bytes_of(transfer)
        open_store_upload(transfer.pk)
        proxy.disconnect()
        part = first_part(transfer)
        for _ in range(attempts.MAX_TRIES + 2):
            due(transfer)
            send_part(part.pk)
        part.refresh_from_db()
        assert (part.state, part.error_code, part.tries) == (PartState.STAGED, "Unreachable", attempts.MAX_TRIES + 2)
        assert part.not_before is not None
        assert part.failing_since is not None
        assert timezone.now() < part.not_before + timedelta(seconds=1)
        assert part.not_before < timezone.now() + timedelta(seconds=attempts.BACKOFF_CAP_SECONDS)
        Part.objects.filter(pk=part.pk).update(failing_since=timezone.now() - timedelta(hours=23, minutes=59))
        due(transfer)
        send_part(part.pk)
        transfer.refresh_from_db()
        assert transfer.phase == Phase.SENDING
        proxy.reconnect()
        assert_done(drive, transfer, truth, read_object, data)
        sent = first_part(transfer)
        assert (sent.tries, sent.failing_since) == (0, None)

    def test_transfer_fails_after_a_day_and_can_be_retried(
        self, drive: Drive, user: User, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader
    ) -> None:
        data = bytes_of(transfer)
        open_store_upload(transfer.pk)
        proxy.disconnect()
        Part.objects.filter(transfer=transfer).update(failing_since=timezone.now() - timedelta(hours=24, minutes=1))
        send_part(first_part(transfer).pk)
        transfer.refresh_from_db()
        assert (transfer.phase, transfer.error_code) == (Phase.FAILED, "Unreachable")
        assert len(staged_names(transfer)) == 3
        proxy.reconnect()
        request_retry(user, transfer)
        assert_done(drive, transfer, truth, read_object, data)

    @pytest.mark.parametrize("step", ["create", "complete"])
    def test_steps_of_a_transfer_wait_for_the_store(
        self, drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader, step: str
    ) -> None:
        data = bytes_of(transfer)
        if step == "complete":
            drive.send(transfer)
        proxy.disconnect()
        for _ in range(2):
            due(transfer)
            open_store_upload(transfer.pk) if step == "create" else complete_transfer(transfer.pk)
        transfer.refresh_from_db()
        assert transfer.phase in (Phase.SENDING, Phase.COMPLETING)
        assert (transfer.error_code, transfer.tries) == ("Unreachable", 2)
        assert transfer.create_sent_at is None, "nothing was sent"
        proxy.reconnect()
        assert_done(drive, transfer, truth, read_object, data)

    def test_retry_after_of_the_store_is_respected(
        self,
        drive: Drive,
        proxy: FaultProxy,
        truth: Truth,
        transfer: Transfer,
        read_object: Reader,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        data = bytes_of(transfer)
        open_store_upload(transfer.pk)
        monkeypatch.setattr(attempts, "backoff_seconds", lambda tries: 0.0)
        proxy.next("UploadPart", Fault.SLOW_DOWN)
        part = first_part(transfer)
        before = timezone.now()
        send_part(part.pk)
        part.refresh_from_db()
        assert (part.state, part.error_code) == (PartState.STAGED, "SlowDown")
        assert part.not_before is not None
        assert part.not_before >= before + timedelta(seconds=1)
        send_part(part.pk)
        assert proxy.requests["UploadPart"] == 1
        assert_done(drive, transfer, truth, read_object, data)


class TestCredentials:
    def test_transfer_waits_for_new_credentials_after_they_expired(
        self,
        drive: Drive,
        swift_store: SwiftStore,
        proxy: FaultProxy,
        truth: Truth,
        transfer: Transfer,
        read_object: Reader,
    ) -> None:
        data = bytes_of(transfer)
        drive.send(transfer, parts=1)
        for operation in ("UploadPart", "CompleteMultipartUpload", "HeadObject", "ListParts"):
            proxy.always(operation, Fault.EXPIRED_TOKEN)
        part = transfer.parts.get(number=2)
        for _ in range(attempts.MAX_TRIES + 2):
            due(transfer)
            send_part(part.pk)
        part.refresh_from_db()
        transfer.refresh_from_db()
        assert (transfer.phase, part.error_code) == (Phase.SENDING, "ExpiredToken")
        assert part.error_reason == Reason.CREDENTIALS_EXPIRED
        proxy.clear()
        change_store(None, drive.store, values_of(swift_store, proxy, session_token="new"))
        change_store(None, drive.store, values_of(swift_store, proxy, clear_session_token=True))
        assert_done(drive, transfer, truth, read_object, data)
        assert proxy.parts[1] == 1

    def test_revoked_credentials_fail_the_transfer_and_keep_its_bytes(
        self,
        drive: Drive,
        user: User,
        swift_store: SwiftStore,
        proxy: FaultProxy,
        truth: Truth,
        transfer: Transfer,
        read_object: Reader,
    ) -> None:
        data = bytes_of(transfer)
        drive.send(transfer, parts=1)
        proxy.always("UploadPart", Fault.INVALID_ACCESS_KEY)
        drive.finish(transfer)
        assert (transfer.phase, transfer.error_code) == (Phase.FAILED, "InvalidAccessKeyId")
        assert transfer.error_request_id == "proxy-1"
        assert len(staged_names(transfer)) == 2
        proxy.clear()
        change_store(None, drive.store, values_of(swift_store, proxy))
        request_retry(user, transfer)
        assert_done(drive, transfer, truth, read_object, data)
        assert proxy.parts[1] == 1


class TestUploadEndedByOthers:
    def abort(self, truth: Truth, transfer: Transfer) -> str:
        upload_id = transfer.store_uploads.get(state=StoreUploadState.OPEN).upload_id
        truth.client.abort_multipart_upload(truth.bucket, KEY, upload_id)
        return upload_id

    def test_another_upload_is_created_while_every_byte_is_staged(
        self, drive: Drive, truth: Truth, transfer: Transfer, read_object: Reader
    ) -> None:
        data = bytes_of(transfer)
        open_store_upload(transfer.pk)
        gone = self.abort(truth, transfer)
        assert_done(drive, transfer, truth, read_object, data)
        assert states(transfer)[gone] == StoreUploadState.GONE
        assert sorted(states(transfer).values()) == [StoreUploadState.COMPLETED, StoreUploadState.GONE]
        assert actions(transfer).count("begun-anew") == 1

    def test_transfer_fails_if_bytes_were_in_the_aborted_upload(
        self, drive: Drive, user: User, truth: Truth, transfer: Transfer
    ) -> None:
        drive.send(transfer, parts=1)
        self.abort(truth, transfer)
        drive.finish(transfer)
        assert (transfer.phase, transfer.error_code) == (Phase.FAILED, "NoSuchUpload")
        assert transfer.error_reason == Reason.NO_SUCH_UPLOAD
        assert transfer.error is not None
        assert transfer.error.details == (Problem(Code.UPLOAD_ENDED_BY_OTHERS),)
        with pytest.raises(StepRefused, match=Code.BYTES_MISSING):
            request_retry(user, transfer)
        assert len(staged_names(transfer)) == 2
        assert truth.uploads() == []

    def test_transfer_fails_if_its_upload_was_aborted_before_completion(
        self, drive: Drive, truth: Truth, transfer: Transfer
    ) -> None:
        drive.send(transfer)
        self.abort(truth, transfer)
        drive.finish(transfer)
        assert (transfer.phase, transfer.error_code) == (Phase.FAILED, "NoSuchUpload")
        assert transfer.error_reason == Reason.NO_SUCH_UPLOAD

    @pytest.mark.parametrize("state", [ItemState.RUNNING, ItemState.DONE])
    def test_upload_that_an_operator_aborted_is_not_created_again(
        self, drive: Drive, user: User, truth: Truth, transfer: Transfer, state: ItemState
    ) -> None:
        open_store_upload(transfer.pk)
        upload_id = self.abort(truth, transfer)
        operation = Operation.objects.create(
            kind=OperationKind.ABORT, actor=user, store=drive.store, bucket=truth.bucket
        )
        OperationItem.objects.create(operation=operation, key=KEY, upload_id=upload_id, state=state)
        drive.finish(transfer)
        assert (transfer.phase, transfer.error_code) == (Phase.FAILED, "NoSuchUpload")
        assert truth.uploads() == []


class TestFencing:
    def test_task_that_ends_after_its_lease_changes_nothing(
        self, drive: Drive, truth: Truth, transfer: Transfer, read_object: Reader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = bytes_of(transfer)
        open_store_upload(transfer.pk)
        part = first_part(transfer)
        upload = ObjectStoreClient.upload_part
        once = iter([True])
        seen: list[Any] = []

        def slow(*args: Any, **kwargs: Any) -> Any:
            answer = upload(*args, **kwargs)
            if next(once, False):
                Part.objects.filter(pk=part.pk).update(lease_until=leases.in_seconds(-1))
                watch()
                send_part(part.pk)
                seen.append(Part.objects.filter(pk=part.pk).values().get())
            return answer

        monkeypatch.setattr(ObjectStoreClient, "upload_part", slow)
        send_part(part.pk)
        assert seen[0]["state"] == PartState.SENT
        assert seen[0] == Part.objects.filter(pk=part.pk).values().get()
        assert_done(drive, transfer, truth, read_object, data)

    def test_task_after_the_end_changes_nothing(
        self, drive: Drive, user: User, proxy: FaultProxy, transfer: Transfer
    ) -> None:
        part = first_part(transfer)
        drive.finish(transfer)
        before = Transfer.objects.filter(pk=transfer.pk).values().get()
        asked = dict(proxy.requests)
        send_part(part.pk)
        open_store_upload(transfer.pk)
        complete_transfer(transfer.pk)
        cancel_transfer(transfer.pk)
        watch()
        assert Transfer.objects.filter(pk=transfer.pk).values().get() == before
        assert dict(proxy.requests) == asked

    def test_part_is_sent_once_by_concurrent_tasks(
        self, drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader
    ) -> None:
        data = bytes_of(transfer)
        open_store_upload(transfer.pk)
        proxy.next("UploadPart", Fault.LATENCY)
        at_once([lambda: send_part(first_part(transfer).pk)] * 4)
        assert proxy.parts[1] == 1
        assert_done(drive, transfer, truth, read_object, data)

    def test_upload_is_created_once_by_concurrent_tasks(
        self, proxy: FaultProxy, truth: Truth, transfer: Transfer
    ) -> None:
        proxy.next("CreateMultipartUpload", Fault.LATENCY)
        at_once([lambda: open_store_upload(transfer.pk)] * 4)
        assert proxy.requests["CreateMultipartUpload"] == 1
        assert len(truth.uploads()) == 1

    def test_upload_is_completed_once_by_concurrent_tasks(
        self, drive: Drive, proxy: FaultProxy, transfer: Transfer, read_object: Reader
    ) -> None:
        data = bytes_of(transfer)
        drive.send(transfer)
        proxy.next("CompleteMultipartUpload", Fault.LATENCY)
        at_once([lambda: complete_transfer(transfer.pk)] * 4)
        transfer.refresh_from_db()
        assert transfer.phase == Phase.DONE
        assert proxy.requests["CompleteMultipartUpload"] == 1
        assert read_object(KEY) == data

    def test_concurrent_watchdogs_do_no_harm(
        self, drive: Drive, truth: Truth, transfer: Transfer, read_object: Reader
    ) -> None:
        data = bytes_of(transfer)
        open_store_upload(transfer.pk)
        transfer.parts.filter(number=1).update(
            state=PartState.SENDING, lease_token=transfer.pk, lease_until=leases.in_seconds(-1)
        )
        transfer.parts.filter(number=2).update(queued_at=leases.in_seconds(-3600))
        at_once([watch] * 3)
        assert set(transfer.parts.values_list("state", flat=True)) == {PartState.STAGED}
        assert_done(drive, transfer, truth, read_object, data)

    def test_late_upload_of_a_cancelled_transfer_is_aborted(
        self, drive: Drive, user: User, truth: Truth, transfer: Transfer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        create = ObjectStoreClient.create_multipart_upload

        def cancelled(*args: Any, **kwargs: Any) -> str:
            Transfer.objects.filter(pk=transfer.pk).update(lease_until=leases.in_seconds(-1))
            request_cancel(user, transfer)
            drive.finish(transfer)
            return create(*args, **kwargs)

        monkeypatch.setattr(ObjectStoreClient, "create_multipart_upload", cancelled)
        open_store_upload(transfer.pk)
        transfer.refresh_from_db()
        assert transfer.phase == Phase.CANCELLED
        assert truth.uploads() == []
        assert set(states(transfer).values()) == {StoreUploadState.GONE}


def at_once(works: list[Callable[[], object]]) -> None:
    """Run all in threads of their own that start together; what one raises is raised."""
    gate = threading.Barrier(len(works))
    failed: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        gate.wait()
        try:
            work()
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
