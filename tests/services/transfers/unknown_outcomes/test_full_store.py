"""Refusals that are no missing permission: a full store, a suspended account, an invalid token."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tests.services.drive import Drive, staged_names
from tests.services.transfers.unknown_outcomes.outcomes import PART, Reader, Truth, assert_done, due, first_part
from tests.system import fault_proxy
from tests.system.fault_proxy import CannedResponse, Fault, FaultProxy
from uploads.domain.states import Phase
from uploads.models import Part, Transfer
from uploads.objectstore.errors import Reason
from uploads.problems import Code, Problem
from uploads.selectors.transfers import progress_of, why_waiting
from uploads.services.transfers.complete import complete_transfer
from uploads.services.transfers.create import open_store_upload
from uploads.services.transfers.send import send_part
from uploads.services.transfers.steps import request_retry

STEPS = ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "PutObject"]


def work(drive: Drive, transfer: Transfer, operation: str) -> Part | Transfer:
    """Let the step with this request run once; the row that it works on."""
    due(transfer)
    if operation in ("UploadPart", "PutObject"):
        send_part(first_part(transfer).pk)
        return first_part(transfer)
    open_store_upload(transfer.pk) if operation == "CreateMultipartUpload" else complete_transfer(transfer.pk)
    transfer.refresh_from_db()
    return transfer


@pytest.mark.parametrize("operation", STEPS)
def test_transfer_to_a_full_store_waits_for_an_hour_and_says_so(
    drive: Drive, user: User, proxy: FaultProxy, truth: Truth, read_object: Reader, operation: str
) -> None:
    """At every step: the reason for waiting is shown, the attempts are bounded, and a retry sends what is missing."""
    data = os.urandom(PART if operation == "PutObject" else PART + 1)
    transfer = drive.upload(data, part_size=PART)
    if operation == "UploadPart":
        open_store_upload(transfer.pk)
    if operation == "CompleteMultipartUpload":
        drive.send(transfer)
    proxy.always(operation, Fault.QUOTA_EXCEEDED)
    for _ in range(10):
        row = work(drive, transfer, operation)
        assert (row.error_code, row.error_reason) == ("QuotaExceeded", Reason.STORE_FULL)
    transfer.refresh_from_db()
    assert transfer.phase in (Phase.SENDING, Phase.COMPLETING)
    error = transfer.error or progress_of([transfer])[transfer.pk].part_error
    assert why_waiting(transfer, error) == Problem(Code.WAITING_FOR_STORE_SPACE)
    row.failing_since = timezone.now() - timedelta(minutes=61)
    row.save(update_fields=["failing_since"])
    work(drive, transfer, operation)
    transfer.refresh_from_db()
    assert (transfer.phase, transfer.error_code) == (Phase.FAILED, "QuotaExceeded")
    if operation != "CompleteMultipartUpload":
        assert len(staged_names(transfer)) == transfer.part_count
    proxy.clear()
    request_retry(user, transfer)
    assert_done(drive, transfer, truth, read_object, data)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("UserSuspended", Reason.ACCOUNT),
        ("InvalidTokenId", Reason.CREDENTIALS),
        ("UserDisable", Reason.ACCOUNT),
        ("SomethingElse", Reason.FORBIDDEN),
        ("AccessDenied", Reason.PERMISSION),
    ],
)
def test_refusal_fails_at_once_and_can_be_retried(
    drive: Drive,
    user: User,
    proxy: FaultProxy,
    truth: Truth,
    read_object: Reader,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    reason: Reason,
) -> None:
    monkeypatch.setitem(fault_proxy.CANNED, Fault.ACCESS_DENIED, CannedResponse(403, code))
    data = os.urandom(PART)
    transfer = drive.upload(data)
    proxy.always("PutObject", Fault.ACCESS_DENIED)
    send_part(first_part(transfer).pk)
    transfer.refresh_from_db()
    assert (transfer.phase, transfer.error_code, transfer.error_reason) == (Phase.FAILED, code, reason)
    proxy.clear()
    request_retry(user, transfer)
    assert_done(drive, transfer, truth, read_object, data)
