"""Unusual responses to HEAD after a completion that the store has confirmed, and responses to Complete of proxies."""

from __future__ import annotations

import os

import pytest
from django.contrib.auth.models import User

from tests.services.drive import Drive
from tests.services.transfers.unknown_outcomes.outcomes import KEY, PART, Reader, Truth, actions, bytes_of, due
from tests.stores.swift import SwiftStore
from tests.system.fault_proxy import Fault, FaultProxy
from uploads.domain.proofs import Proof
from uploads.domain.states import Phase, StoreUploadState
from uploads.models import Transfer
from uploads.objectstore.errors import Reason
from uploads.problems import Code, Problem
from uploads.selectors.transfers import why_waiting
from uploads.services.transfers import send
from uploads.services.transfers.complete import complete_transfer
from uploads.services.transfers.steps import StepRefused, can_retry, request_retry
from uploads.services.transfers.verify import can_verify, request_verification
from uploads.services.upkeep.watchdog import watch
from uploads.services.work import leases
from uploads.services.work.attempts import MAX_ATTEMPTS

PROVED = [Proof.SIZE, Proof.ETAG, Proof.TRANSFER_ID]
UNUSABLE = (
    Fault.NO_SUCH_BUCKET,
    Fault.NOT_FOUND_PAGE,
    Fault.BAD_REQUEST_PAGE,
    Fault.REDIRECT,
    Fault.WITHOUT_LENGTH,
)
UNUSUAL = (*UNUSABLE, Fault.NO_SUCH_KEY, Fault.INTERNAL_ERROR, Fault.RESET_BEFORE_BODY, Fault.EXPIRED_TOKEN)


@pytest.fixture(scope="module")
def any_store(swift_store: SwiftStore) -> SwiftStore:
    """Swift reports no checksum of objects: what is verified is what HEAD shows."""
    return swift_store


@pytest.fixture(params=["multipart", "put-object"])
def sent(request: pytest.FixtureRequest, drive: Drive) -> Transfer:
    """Every byte is in the store; nothing is verified: the task of PutObject does not go on with the proof."""
    size = 2 * PART + 7 if request.param == "multipart" else 1000
    transfer = drive.upload(os.urandom(size), part_size=PART)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(send, "take_to_prove", lambda _transfer: None)
        drive.send(transfer)
    transfer.refresh_from_db()
    return transfer


def complete(transfer: Transfer, times: int = 1) -> Transfer:
    for _ in range(times):
        due(transfer)
        complete_transfer(transfer.pk)
    transfer.refresh_from_db()
    return transfer


def assert_verified(proxy: FaultProxy, transfer: Transfer) -> None:
    assert (transfer.phase, transfer.verified, transfer.error) == (Phase.DONE, True, None)
    assert transfer.proofs == PROVED
    assert proxy.requests["CompleteMultipartUpload"] == (0 if transfer.by_put_object else 1)
    assert proxy.requests["PutObject"] == (1 if transfer.by_put_object else 0)


@pytest.mark.parametrize("fault", UNUSUAL)
def test_transfer_is_verified_after_an_unusual_response_to_head(
    proxy: FaultProxy, sent: Transfer, fault: Fault
) -> None:
    """Any response to HEAD other than the object's facts: a 404 while the store is not consistent yet, a redirect,
    a page, no length, an error. It never fails a transfer whose object is complete.
    """
    proxy.next("HeadObject", fault, count=4)
    proxy.next("ListMultipartUploads", fault, count=4)
    transfer = complete(sent)
    assert (transfer.phase, transfer.verified) == (Phase.COMPLETING, False)
    assert transfer.completed_at is not None
    assert transfer.error_code
    assert why_waiting(transfer) == Problem(Code.COMPLETED_NOT_VERIFIED)
    proxy.clear()
    assert_verified(proxy, complete(transfer))


@pytest.mark.parametrize("fault", UNUSUAL)
def test_task_of_put_object_leaves_the_proof_to_another_one_after_an_unusual_response_to_head(
    proxy: FaultProxy, drive: Drive, fault: Fault
) -> None:
    transfer = drive.upload(os.urandom(1000))
    proxy.next("HeadObject", fault, count=4)
    proxy.next("ListMultipartUploads", fault, count=4)
    drive.send(transfer)
    transfer.refresh_from_db()
    assert (transfer.phase, transfer.tries, transfer.lease_token) == (Phase.COMPLETING, 1, None)
    assert transfer.completed_at is not None
    assert transfer.folder.whole(1).exists()
    proxy.clear()
    assert_verified(proxy, complete(transfer))
    assert not transfer.folder.exists()


@pytest.mark.parametrize("fault", UNUSABLE)
def test_transfer_without_a_usable_response_to_head_is_done_unverified(
    proxy: FaultProxy, sent: Transfer, fault: Fault
) -> None:
    proxy.always("HeadObject", fault)
    proxy.always("ListMultipartUploads", fault)
    transfer = complete(sent, MAX_ATTEMPTS - 1)
    assert transfer.phase == Phase.COMPLETING
    transfer = complete(transfer)
    assert (transfer.phase, transfer.verified, transfer.proofs) == (Phase.DONE, False, [])
    assert transfer.error_code
    assert transfer.crc64
    assert actions(transfer)[-1] == "done"
    assert proxy.requests["CompleteMultipartUpload"] <= 1


def test_transfer_fails_if_the_store_repeatedly_has_no_object(proxy: FaultProxy, user: User, sent: Transfer) -> None:
    """The store's own 404 decides after the time that it may need to become consistent. A retry verifies again."""
    proxy.always("HeadObject", Fault.NO_SUCH_KEY)
    transfer = complete(sent, MAX_ATTEMPTS)
    assert transfer.phase == Phase.FAILED
    assert transfer.error_request_id == "proxy-1"
    if not transfer.by_put_object:
        assert transfer.error_reason == Code.COMPLETED_OBJECT_MISSING
        assert transfer.error_params == {"request_id": transfer.complete_request_id}
    assert can_retry(transfer)
    proxy.clear()
    request_retry(user, transfer)
    transfer.refresh_from_db()
    # PutObject is sent again: its bytes are staged until its object is proved.
    assert transfer.phase == (Phase.SENDING if transfer.by_put_object else Phase.COMPLETING)
    if not transfer.by_put_object:
        assert_verified(proxy, complete(transfer))


def test_transfer_fails_if_another_object_stays(
    proxy: FaultProxy, truth: Truth, user: User, sent: Transfer, read_object: Reader
) -> None:
    if not sent.by_put_object:
        proxy.next("HeadObject", Fault.NO_SUCH_KEY)
        complete(sent)
    truth.client.put_object(truth.bucket, KEY, None)
    transfer = complete(sent, MAX_ATTEMPTS)
    assert (transfer.phase, transfer.error_reason) == (Phase.FAILED, Code.OBJECT_DIFFERS)
    assert transfer.error_params == {"expected_size": transfer.size, "size": 0}
    request_retry(user, transfer)
    assert complete(transfer).phase == (Phase.SENDING if transfer.by_put_object else Phase.COMPLETING)
    assert read_object(KEY) == b""
    assert proxy.requests["CompleteMultipartUpload"] <= 1


def test_waiting_is_not_counted_as_a_failed_verification(proxy: FaultProxy, sent: Transfer) -> None:
    proxy.always("HeadObject", Fault.INTERNAL_ERROR)
    complete(sent, MAX_ATTEMPTS + 2)
    proxy.always("HeadObject", Fault.NO_SUCH_KEY)
    transfer = complete(sent, MAX_ATTEMPTS - 1)
    assert (transfer.phase, transfer.tries) == (Phase.COMPLETING, MAX_ATTEMPTS - 1)
    proxy.clear()
    assert_verified(proxy, complete(transfer))


def test_completed_transfer_is_done_unverified_if_its_workers_die(proxy: FaultProxy, sent: Transfer) -> None:
    """The state "completed, not verified yet" survives the loss of any process; it never becomes a failure."""
    proxy.next("HeadObject", Fault.REDIRECT)
    complete(sent)
    for _ in range(MAX_ATTEMPTS):
        due(sent)
        assert leases.take(leases_of_transfers(), Transfer.objects.all(), sent.pk)
        Transfer.objects.filter(pk=sent.pk).update(lease_until=leases.in_seconds(-1))
        watch()
    sent.refresh_from_db()
    assert (sent.phase, sent.verified, sent.error_reason) == (Phase.DONE, False, Code.WORKER_LOST)


def leases_of_transfers() -> leases.Kind[Transfer]:
    from uploads.services.transfers.kinds import TRANSFERS

    return TRANSFERS


def test_transfer_that_an_earlier_version_failed_is_verified_by_a_retry(
    drive: Drive, proxy: FaultProxy, user: User, transfer: Transfer
) -> None:
    """Rows from before `completed_at`: their upload is recorded as completed."""
    drive.finish(transfer)
    Transfer.objects.filter(pk=transfer.pk).update(
        phase=Phase.FAILED, verified=False, completed_at=None, complete_sent_at=None, error_code="NoSuchKey"
    )
    assert transfer.store_uploads.get().state == StoreUploadState.COMPLETED
    transfer.refresh_from_db()
    assert can_retry(transfer)
    request_retry(user, transfer)
    assert_verified(proxy, complete(transfer))


@pytest.mark.parametrize("fault", [Fault.RESPONSE_LOST, Fault.REDIRECT_AFTER])
@pytest.mark.parametrize("head", [Fault.REDIRECT, Fault.NO_SUCH_KEY, Fault.NOT_FOUND_PAGE])
def test_lost_completion_is_found_after_an_unusual_response_to_head(
    drive: Drive, proxy: FaultProxy, transfer: Transfer, read_object: Reader, fault: Fault, head: Fault
) -> None:
    """Nothing but a readable refusal says that the store did not act; one HEAD that shows no object does not either."""
    data = bytes_of(transfer)
    drive.send(transfer)
    proxy.next("CompleteMultipartUpload", fault)
    proxy.next("HeadObject", head)
    assert complete(transfer).phase == Phase.COMPLETING
    assert transfer.complete_sent_at is not None
    transfer = complete(transfer, 3)
    assert (transfer.phase, transfer.verified, transfer.error) == (Phase.DONE, True, None)
    assert read_object(KEY) == data


@pytest.mark.parametrize("fault", [Fault.REDIRECT, Fault.BAD_REQUEST_PAGE, Fault.NOT_FOUND_PAGE])
def test_completion_that_a_proxy_answered_is_sent_again(
    drive: Drive, proxy: FaultProxy, transfer: Transfer, read_object: Reader, fault: Fault
) -> None:
    data = bytes_of(transfer)
    drive.send(transfer)
    proxy.next("CompleteMultipartUpload", fault)
    assert complete(transfer).phase == Phase.COMPLETING
    assert Problem(Code.COMPLETION_UNKNOWN) in (transfer.error.details if transfer.error else ())
    transfer = complete(transfer)
    assert (transfer.phase, transfer.verified) == (Phase.DONE, True)
    assert read_object(KEY) == data


def test_done_transfer_is_verified_again_on_request(proxy: FaultProxy, user: User, sent: Transfer) -> None:
    """Whatever HEAD returned last: an operator can verify a transfer that is done, unverified, at any time."""
    proxy.always("HeadObject", Fault.ACCESS_DENIED)
    transfer = complete(sent)
    assert (transfer.phase, transfer.error_code, can_verify(transfer)) == (Phase.DONE, "AccessDenied", True)
    proxy.always("HeadObject", Fault.REDIRECT)
    with pytest.raises(StepRefused, match=Code.STILL_NOT_VERIFIED):
        request_verification(user, transfer)
    transfer.refresh_from_db()
    assert (transfer.phase, transfer.verified, transfer.error_reason) == (Phase.DONE, False, Reason.UNREADABLE_RESPONSE)
    proxy.clear()
    request_verification(user, transfer)
    transfer.refresh_from_db()
    assert_verified(proxy, transfer)
    assert actions(transfer)[-1] == "verified"
    with pytest.raises(StepRefused, match=Code.CANNOT_VERIFY):
        request_verification(user, transfer)
