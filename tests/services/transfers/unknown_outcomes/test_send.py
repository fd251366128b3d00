"""Lost responses to UploadPart and PutObject, and damaged parts."""

from __future__ import annotations

import os
from typing import Any

import pytest
from django.contrib.auth.models import User

from tests.services.drive import Drive
from tests.services.transfers.unknown_outcomes.outcomes import (
    KEY,
    PART,
    Reader,
    Truth,
    assert_done,
    bytes_of,
    due,
    first_part,
)
from tests.stores.any_store import ON_SWIFT
from tests.system.fault_proxy import Fault, FaultProxy
from uploads.domain.states import PartState, Phase
from uploads.models import Transfer
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import Reason
from uploads.services.transfers.create import open_store_upload
from uploads.services.transfers.send import send_part
from uploads.services.transfers.steps import request_retry
from uploads.services.work import attempts


def test_part_whose_response_was_lost_is_not_sent_twice(
    drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader
) -> None:
    data = bytes_of(transfer)
    proxy.next("UploadPart", Fault.RESPONSE_LOST, count=3)
    assert_done(drive, transfer, truth, read_object, data)
    assert proxy.faults == {Fault.RESPONSE_LOST: 3}
    assert (proxy.requests["UploadPart"], proxy.requests["ListParts"]) == (3, 3)


def test_object_whose_response_was_lost_is_not_sent_twice(
    drive: Drive, proxy: FaultProxy, truth: Truth, read_object: Reader
) -> None:
    data = os.urandom(PART)
    transfer = drive.upload(data)
    proxy.next("PutObject", Fault.RESPONSE_LOST)
    send_part(first_part(transfer).pk)
    assert first_part(transfer).state == PartState.SENT
    assert_done(drive, transfer, truth, read_object, data)
    assert proxy.requests["PutObject"] == 1


def test_empty_object_whose_response_was_lost_is_not_sent_twice(
    drive: Drive, proxy: FaultProxy, truth: Truth, read_object: Reader
) -> None:
    transfer = drive.upload(b"")
    proxy.next("PutObject", Fault.RESPONSE_LOST)
    assert_done(drive, transfer, truth, read_object, b"")
    assert proxy.requests["PutObject"] == 1


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
        Fault.NOT_FOUND_EMPTY,
    ],
)
@pytest.mark.parametrize("size", [2 * PART, PART], ids=["parts", "object"])
def test_part_arrives_after_any_fault(
    drive: Drive, proxy: FaultProxy, truth: Truth, read_object: Reader, fault: Fault, size: int
) -> None:
    data = os.urandom(size)
    transfer = drive.upload(data, part_size=PART)
    proxy.next("UploadPart" if size > PART else "PutObject", fault)
    assert_done(drive, transfer, truth, read_object, data)
    assert proxy.faults == {fault: 1}


def test_part_is_sent_again_if_listing_parts_is_not_allowed(
    drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader
) -> None:
    data = bytes_of(transfer)
    proxy.next("UploadPart", Fault.RESPONSE_LOST)
    proxy.always("ListParts", Fault.ACCESS_DENIED)
    assert_done(drive, transfer, truth, read_object, data)
    assert proxy.parts[1] == 2


def test_part_with_a_flipped_byte_is_sent_again(
    drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader
) -> None:
    data = bytes_of(transfer)
    open_store_upload(transfer.pk)
    proxy.next("UploadPart", Fault.FLIPPED_BYTE)
    send_part(first_part(transfer).pk)
    assert (first_part(transfer).state, first_part(transfer).error_code) == (PartState.STAGED, "BadDigest")
    assert_done(drive, transfer, truth, read_object, data)
    assert proxy.parts[1] == 2


def test_part_corrupted_eight_times_fails_the_transfer(
    drive: Drive, user: User, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader
) -> None:
    data = bytes_of(transfer)
    open_store_upload(transfer.pk)
    proxy.always("UploadPart", Fault.FLIPPED_BYTE)
    for count in range(1, attempts.MAX_ATTEMPTS + 1):
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
    drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader
) -> None:
    """Attempts that found the store unreachable do not count as corruption."""
    data = bytes_of(transfer)
    open_store_upload(transfer.pk)
    proxy.next("UploadPart", *[Fault.INTERNAL_ERROR] * 10, Fault.FLIPPED_BYTE)
    for _ in range(11):
        due(transfer)
        send_part(first_part(transfer).pk)
    part = first_part(transfer)
    assert (part.error_code, part.tries) == ("BadDigest", 1)
    assert_done(drive, transfer, truth, read_object, data)


@ON_SWIFT
def test_part_that_arrives_while_its_upload_vanishes_is_not_counted(
    drive: Drive, truth: Truth, transfer: Transfer, read_object: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise it would be missing from the upload that is created next, and the object would be too short."""
    data = bytes_of(transfer)
    open_store_upload(transfer.pk)
    one, two, _ = transfer.parts.order_by("number")
    upload = ObjectStoreClient.upload_part
    once = iter([True])

    def vanishing(*args: Any, **kwargs: Any) -> Any:
        response = upload(*args, **kwargs)
        if next(once, False):
            truth.client.abort_multipart_upload(truth.bucket, KEY, transfer.store_uploads.get().upload_id)
            send_part(two.pk)
        return response

    monkeypatch.setattr(ObjectStoreClient, "upload_part", vanishing)
    send_part(one.pk)
    one.refresh_from_db()
    assert one.state == PartState.STAGED
    assert_done(drive, transfer, truth, read_object, data)
