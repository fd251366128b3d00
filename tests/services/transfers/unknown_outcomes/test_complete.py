"""Lost and late responses to CompleteMultipartUpload."""

from __future__ import annotations

from typing import Any

import pytest

from tests.killed import Killed
from tests.services.drive import Drive
from tests.services.transfers.unknown_outcomes.outcomes import KEY, Reader, Truth, assert_done, bytes_of, due
from tests.system.fault_proxy import Fault, FaultProxy
from uploads.domain.states import Phase, StoreUploadState
from uploads.models import StoreUpload, Transfer
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import Reason, Refused
from uploads.problems import Code
from uploads.services.transfers.complete import complete_transfer
from uploads.services.work import leases


@pytest.fixture
def sent(drive: Drive, transfer: Transfer) -> bytes:
    """Every part is in the store, and nothing is completed."""
    data = bytes_of(transfer)
    drive.send(transfer)
    return data


@pytest.mark.parametrize("fault", [Fault.RESPONSE_LOST, Fault.TRUNCATED, Fault.DUPLICATED, Fault.UNAVAILABLE_AFTER])
def test_completion_whose_response_was_lost_is_found_at_once(
    proxy: FaultProxy, truth: Truth, transfer: Transfer, sent: bytes, read_object: Reader, fault: Fault
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
    drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer, sent: bytes, read_object: Reader
) -> None:
    truth.client.put_object(truth.bucket, KEY, None)
    proxy.next("CompleteMultipartUpload", Fault.RESET_BEFORE_BODY)
    complete_transfer(transfer.pk)
    transfer.refresh_from_db()
    assert transfer.phase == Phase.COMPLETING
    assert_done(drive, transfer, truth, read_object, sent)


@pytest.mark.parametrize("fault", [Fault.RESET_BEFORE_BODY, Fault.INTERNAL_ERROR, Fault.EXPIRED_TOKEN])
def test_transfer_is_not_done_while_head_fails(
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
    proxy: FaultProxy, transfer: Transfer, sent: bytes, read_object: Reader
) -> None:
    proxy.always("HeadObject", Fault.ACCESS_DENIED)
    complete_transfer(transfer.pk)
    transfer.refresh_from_db()
    assert (transfer.phase, transfer.verified) == (Phase.DONE, False)
    assert read_object(KEY) == sent


def test_completion_continues_after_the_process_died(
    truth: Truth, transfer: Transfer, sent: bytes, read_object: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    proxy: FaultProxy, truth: Truth, transfer: Transfer, sent: bytes
) -> None:
    row = StoreUpload.objects.create(transfer=transfer, upload_id="lost", state=StoreUploadState.GONE)
    transfer.parts.filter(number=2).update(store_upload=row)
    complete_transfer(transfer.pk)
    transfer.refresh_from_db()
    assert transfer.phase == Phase.FAILED
    assert transfer.error_reason == Code.PARTS_NOT_IN_UPLOAD
    assert transfer.error_params == {"count": 3, "present": 2}
    assert not proxy.requests["CompleteMultipartUpload"]
