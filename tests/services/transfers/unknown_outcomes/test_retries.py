"""What is retried, for how long, and when it is given up."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tests.services.drive import Drive, staged_names
from tests.services.transfers.unknown_outcomes.outcomes import (
    Reader,
    Truth,
    assert_done,
    bytes_of,
    due,
    first_part,
    states,
)
from tests.stores.any_store import values_of
from tests.stores.running import RunningStore
from tests.system.fault_proxy import Fault, FaultProxy
from uploads.domain.states import PartState, Phase, StoreUploadState, TransferState
from uploads.models import Part, Transfer
from uploads.objectstore.errors import Reason
from uploads.services.stores.settings import change_store
from uploads.services.transfers.cancel import cancel_transfer
from uploads.services.transfers.complete import complete_transfer
from uploads.services.transfers.create import open_store_upload
from uploads.services.transfers.send import send_part
from uploads.services.transfers.steps import request_cancel, request_retry
from uploads.services.work import attempts


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
        for _ in range(attempts.MAX_ATTEMPTS + 2):
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
        for _ in range(attempts.MAX_ATTEMPTS + 2):
            due(transfer)
            send_part(part.pk)
        part.refresh_from_db()
        assert (part.state, part.error_code, part.tries) == (PartState.STAGED, "Unreachable", attempts.MAX_ATTEMPTS + 2)
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
        any_store: RunningStore,
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
        for _ in range(attempts.MAX_ATTEMPTS + 2):
            due(transfer)
            send_part(part.pk)
        part.refresh_from_db()
        transfer.refresh_from_db()
        assert (transfer.phase, part.error_code) == (Phase.SENDING, "ExpiredToken")
        assert part.error_reason == Reason.CREDENTIALS_EXPIRED
        proxy.clear()
        change_store(None, drive.store, values_of(any_store, endpoint_url=proxy.url, session_token="new"))
        change_store(None, drive.store, values_of(any_store, endpoint_url=proxy.url, clear_session_token=True))
        assert_done(drive, transfer, truth, read_object, data)
        assert proxy.parts[1] == 1

    def test_revoked_credentials_fail_the_transfer_and_keep_its_bytes(
        self,
        drive: Drive,
        user: User,
        any_store: RunningStore,
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
        change_store(None, drive.store, values_of(any_store, endpoint_url=proxy.url))
        request_retry(user, transfer)
        assert_done(drive, transfer, truth, read_object, data)
        assert proxy.parts[1] == 1
