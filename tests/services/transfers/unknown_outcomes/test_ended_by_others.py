"""Uploads that were aborted by others while a transfer was running."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from tests.services.drive import Drive, staged_names
from tests.services.transfers.unknown_outcomes.outcomes import (
    KEY,
    Reader,
    Truth,
    actions,
    assert_done,
    bytes_of,
    states,
)
from uploads.domain.states import ItemState, OperationKind, Phase, StoreUploadState
from uploads.models import Operation, OperationItem, Transfer
from uploads.objectstore.errors import Reason
from uploads.problems import Code, Problem
from uploads.services.transfers.create import open_store_upload
from uploads.services.transfers.steps import StepRefused, request_retry


def abort_upload(truth: Truth, transfer: Transfer) -> str:
    upload_id = transfer.store_uploads.get(state=StoreUploadState.OPEN).upload_id
    truth.client.abort_multipart_upload(truth.bucket, KEY, upload_id)
    return upload_id


def test_another_upload_is_created_while_every_byte_is_staged(
    drive: Drive, truth: Truth, transfer: Transfer, read_object: Reader
) -> None:
    data = bytes_of(transfer)
    open_store_upload(transfer.pk)
    gone = abort_upload(truth, transfer)
    assert_done(drive, transfer, truth, read_object, data)
    assert states(transfer)[gone] == StoreUploadState.GONE
    assert sorted(states(transfer).values()) == [StoreUploadState.COMPLETED, StoreUploadState.GONE]
    assert actions(transfer).count("begun-anew") == 1


def test_transfer_fails_if_bytes_were_in_the_aborted_upload(
    drive: Drive, user: User, truth: Truth, transfer: Transfer
) -> None:
    drive.send(transfer, parts=1)
    abort_upload(truth, transfer)
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
    drive: Drive, truth: Truth, transfer: Transfer
) -> None:
    drive.send(transfer)
    abort_upload(truth, transfer)
    drive.finish(transfer)
    assert (transfer.phase, transfer.error_code) == (Phase.FAILED, "NoSuchUpload")
    assert transfer.error_reason == Reason.NO_SUCH_UPLOAD


@pytest.mark.parametrize("state", [ItemState.RUNNING, ItemState.DONE])
def test_upload_that_an_operator_aborted_is_not_created_again(
    drive: Drive, user: User, truth: Truth, transfer: Transfer, state: ItemState
) -> None:
    open_store_upload(transfer.pk)
    upload_id = abort_upload(truth, transfer)
    operation = Operation.objects.create(kind=OperationKind.ABORT, actor=user, store=drive.store, bucket=truth.bucket)
    OperationItem.objects.create(operation=operation, key=KEY, upload_id=upload_id, state=state)
    drive.finish(transfer)
    assert (transfer.phase, transfer.error_code) == (Phase.FAILED, "NoSuchUpload")
    assert truth.uploads() == []
