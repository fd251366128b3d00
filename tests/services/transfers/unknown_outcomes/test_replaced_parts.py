"""Parts that another client replaces in a running transfer, and whether a failed transfer can be retried."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from tests.services.drive import Drive, staged_names
from tests.services.transfers.unknown_outcomes.outcomes import (
    KEY,
    PART,
    Reader,
    Truth,
    actions,
    assert_done,
    bytes_of,
    due,
    first_part,
    send_unproved,
)
from tests.system.fault_proxy import Fault, FaultProxy
from uploads.domain.part_numbers import name_numbers
from uploads.domain.states import PartState, Phase, StoreUploadState
from uploads.models import Part, Transfer
from uploads.objectstore.types import FileSlice
from uploads.problems import Code, Problem
from uploads.services.transfers.complete import complete_transfer
from uploads.services.transfers.create import open_store_upload
from uploads.services.transfers.steps import StepRefused, can_retry, request_retry
from uploads.services.upkeep.reconcile import reconcile
from uploads.services.work.attempts import MAX_ATTEMPTS


def replace_parts(truth: Truth, transfer: Transfer, folder: Path, *numbers: int) -> None:
    """Replace parts as another client does."""
    (folder / "other").write_bytes(os.urandom(PART))
    upload_id = transfer.store_uploads.get().upload_id
    for number in numbers:
        truth.client.upload_part(truth.bucket, KEY, upload_id, number, FileSlice(folder / "other", 0, PART))


def check_can_only_be_discarded(user: User, transfer: Transfer) -> None:
    transfer.refresh_from_db()
    assert transfer.phase == Phase.FAILED
    assert not can_retry(transfer)
    with pytest.raises(StepRefused, match=Code.BYTES_MISSING):
        request_retry(user, transfer)


@pytest.mark.parametrize("replaced", [(1,), (1, 2)])
def test_transfer_with_replaced_parts_names_them_and_cannot_be_retried(
    drive: Drive, user: User, truth: Truth, transfer: Transfer, tmp_path: Path, replaced: tuple[int, ...]
) -> None:
    """A retry would fail in the same way every time: the bytes are gone."""
    drive.send(transfer)
    replace_parts(truth, transfer, tmp_path, *replaced)
    drive.finish(transfer)
    assert (transfer.phase, transfer.error_code) == (Phase.FAILED, "InvalidPart")
    assert transfer.error_request_id
    assert transfer.error is not None
    names = {1: "1", 2: "1-2"}[len(replaced)]
    assert Problem(Code.PARTS_REPLACED, count=len(replaced), parts=names) in transfer.error.details
    check_can_only_be_discarded(user, transfer)


def test_replaced_part_is_sent_again_while_its_bytes_are_staged(
    drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader, tmp_path: Path
) -> None:
    data = bytes_of(transfer)
    kept = first_part(transfer).staged_path.read_bytes()
    drive.send(transfer)
    # As after a crash between the record of a part and the removal of its bytes.
    first_part(transfer).staged_path.write_bytes(kept)
    replace_parts(truth, transfer, tmp_path, 1)
    due(transfer)
    complete_transfer(transfer.pk)
    transfer.refresh_from_db()
    assert (transfer.phase, transfer.error_code, transfer.lease_token) == (Phase.SENDING, "", None)
    part = first_part(transfer)
    assert (part.state, part.reserved_bytes, part.etag) == (PartState.STAGED, PART, "")
    assert actions(transfer).count("parts-replaced") == 1
    assert_done(drive, transfer, truth, read_object, data)
    assert dict(proxy.parts.items() - {(0, proxy.parts[0])}) == {1: 2, 2: 1, 3: 1}


def test_refused_completion_without_replaced_parts_can_be_retried(
    drive: Drive, user: User, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader
) -> None:
    data = bytes_of(transfer)
    drive.send(transfer)
    proxy.next("CompleteMultipartUpload", Fault.INVALID_PART)
    drive.finish(transfer)
    assert (transfer.phase, transfer.error_code) == (Phase.FAILED, "InvalidPart")
    request_retry(user, transfer)
    assert_done(drive, transfer, truth, read_object, data)


@pytest.mark.parametrize(
    ("listing", "found"),
    [
        (None, Problem(Code.PARTS_LISTED_AS_SENT)),
        (Fault.ACCESS_DENIED, Problem(Code.PARTS_NOT_COMPARED, code="AccessDenied", request_id="proxy-1")),
        (Fault.BAD_REQUEST_PAGE, Problem(Code.PARTS_NOT_COMPARED, code="UnreadableResponse", request_id="-")),
    ],
)
def test_refused_completion_says_what_the_comparison_of_parts_found(
    drive: Drive, proxy: FaultProxy, transfer: Transfer, listing: Fault | None, found: Problem
) -> None:
    """Whatever a comparison finds: the parts as they were sent, a refusal or a page. None of it looks like nothing was
    compared.
    """
    drive.send(transfer)
    proxy.always("CompleteMultipartUpload", Fault.INVALID_PART)
    if listing is not None:
        proxy.always("ListParts", listing)
    drive.finish(transfer)
    assert (transfer.phase, transfer.error_code) == (Phase.FAILED, "InvalidPart")
    assert transfer.error is not None
    assert found in transfer.error.details


class TestCanRetry:
    """It is offered in every phase if, and only if, every byte can still be sent."""

    def test_lost_disk(self, drive: Drive, user: User, proxy: FaultProxy, transfer: Transfer) -> None:
        drive.send(transfer, parts=1)
        transfer.folder.remove()
        drive.finish(transfer)
        check_can_only_be_discarded(user, transfer)

    def test_truncated_file(self, drive: Drive, user: User, proxy: FaultProxy, transfer: Transfer) -> None:
        os.truncate(first_part(transfer).staged_path, PART - 1)
        drive.finish(transfer)
        check_can_only_be_discarded(user, transfer)

    def test_staged_files_of_another_node_are_not_judged(
        self, drive: Drive, proxy: FaultProxy, transfer: Transfer
    ) -> None:
        transfer.folder.remove()
        Transfer.objects.filter(pk=transfer.pk).update(phase=Phase.FAILED, node="elsewhere", error_code="X")
        transfer.refresh_from_db()
        assert can_retry(transfer)

    def test_object_without_its_bytes(self, drive: Drive, user: User, proxy: FaultProxy, truth: Truth) -> None:
        """As after an upgrade: the bytes of PutObject were deleted before its object was proved."""
        transfer = drive.upload(os.urandom(PART))
        send_unproved(proxy, transfer)
        truth.client.delete_object(truth.bucket, transfer.key)
        first_part(transfer).staged_path.unlink()
        drive.finish(transfer, MAX_ATTEMPTS + 1)
        check_can_only_be_discarded(user, transfer)

    @pytest.mark.parametrize("size", [PART, 0])
    def test_object_that_was_replaced_is_sent_again(
        self, drive: Drive, user: User, proxy: FaultProxy, truth: Truth, read_object: Reader, size: int
    ) -> None:
        data = os.urandom(size)
        transfer = drive.upload(data)
        send_unproved(proxy, transfer)
        truth.client.delete_object(truth.bucket, transfer.key)
        drive.finish(transfer, MAX_ATTEMPTS + 1)
        assert transfer.phase == Phase.FAILED
        request_retry(user, transfer)
        assert_done(drive, transfer, truth, read_object, data)

    def test_parts_of_another_upload(self, drive: Drive, user: User, proxy: FaultProxy, transfer: Transfer) -> None:
        """Sent parts are in an upload that is gone, and another one is open."""
        drive.send(transfer, parts=1)
        transfer.store_uploads.update(state=StoreUploadState.GONE)
        open_store_upload(transfer.pk)
        drive.finish(transfer)
        assert transfer.error_code == Code.PARTS_NOT_IN_UPLOAD
        check_can_only_be_discarded(user, transfer)

    def test_upload_that_is_gone_before_its_completion(
        self, drive: Drive, user: User, proxy: FaultProxy, truth: Truth, transfer: Transfer
    ) -> None:
        drive.send(transfer)
        truth.client.abort_multipart_upload(truth.bucket, KEY, transfer.store_uploads.get().upload_id)
        drive.finish(transfer)
        assert transfer.error_code == "NoSuchUpload"
        check_can_only_be_discarded(user, transfer)

    def test_part_that_reconcile_found_missing(
        self, drive: Drive, user: User, proxy: FaultProxy, truth: Truth, transfer: Transfer, tmp_path: Path
    ) -> None:
        drive.send(transfer, parts=1)
        replace_parts(truth, transfer, tmp_path, 1)
        list(reconcile(dry_run=False))
        check_can_only_be_discarded(user, transfer)

    def test_failure_while_bytes_arrive(self, drive: Drive, user: User, proxy: FaultProxy) -> None:
        transfer = drive.start(PART + 1, part_size=PART, resumable=True, fingerprint="f")
        Transfer.objects.filter(pk=transfer.pk).update(phase=Phase.FAILED, error_code="X")
        transfer.refresh_from_db()
        assert can_retry(transfer)
        Transfer.objects.filter(pk=transfer.pk).update(resumable=False)
        check_can_only_be_discarded(user, transfer)


def test_parts_are_named_in_runs() -> None:
    assert name_numbers([1]) == "1"
    assert name_numbers([1, 2, 3, 7, 9, 10]) == "1-3, 7, 9-10"
    assert name_numbers(list(range(1, 100, 2))) == "1, 3, 5, 7, 9, 11, 13, 15, 17, 19, ..."


def test_staged_sizes_are_those_of_whole_parts(drive: Drive, transfer: Transfer) -> None:
    (transfer.folder.path / "00009.partial").write_bytes(b"x")
    assert transfer.folder.whole_sizes() == dict(Part.objects.values_list("number", "size"))
    transfer.folder.remove()
    assert (transfer.folder.whole_sizes(), staged_names(transfer)) == ({}, [])
