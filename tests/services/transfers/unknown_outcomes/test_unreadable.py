"""Successes, and a 404 without a code, that prove nothing.

No byte is lost, because staged bytes are deleted only after proof.
"""

from __future__ import annotations

import os

import pytest
from django.contrib.auth.models import User

from tests.services.drive import Drive, staged_names
from tests.services.transfers.unknown_outcomes.outcomes import (
    PART,
    Reader,
    Truth,
    assert_done,
    due,
    first_part,
    send_unproved,
)
from tests.system.fault_proxy import Fault, FaultProxy
from uploads.domain.states import PartState, Phase
from uploads.models import Part
from uploads.objectstore.errors import Reason
from uploads.services.transfers.create import open_store_upload
from uploads.services.transfers.send import send_part
from uploads.services.transfers.steps import request_retry
from uploads.services.upkeep.cleanup import sweep_staging
from uploads.services.upkeep.watchdog import watch
from uploads.services.work import attempts

NOTHING_STORED = [Fault.PAGE, Fault.EMPTY_SUCCESS, Fault.NOT_FOUND_EMPTY]


@pytest.mark.parametrize("fault", [*NOTHING_STORED, Fault.PAGE_AFTER])
@pytest.mark.parametrize("size", [2 * PART + 1, PART, 1, 0], ids=["parts", "object", "byte", "empty"])
def test_every_byte_arrives_after_an_unreadable_response(
    drive: Drive, proxy: FaultProxy, truth: Truth, read_object: Reader, fault: Fault, size: int
) -> None:
    """Of every request of a transfer: the outcome is looked up, and the request sent again if nothing was stored."""
    data = os.urandom(size)
    transfer = drive.upload(data, part_size=PART)
    for operation in ("CreateMultipartUpload", "UploadPart", "PutObject", "CompleteMultipartUpload"):
        proxy.next(operation, fault)
    assert_done(drive, transfer, truth, read_object, data)
    sent = proxy.requests["PutObject"] if size <= PART else proxy.parts[1]
    assert sent == (1 if fault is Fault.PAGE_AFTER else 2)


@pytest.mark.parametrize("fault", NOTHING_STORED)
@pytest.mark.parametrize("operation", ["UploadPart", "PutObject"])
def test_bytes_stay_staged_while_responses_are_unreadable(
    drive: Drive, user: User, proxy: FaultProxy, truth: Truth, read_object: Reader, fault: Fault, operation: str
) -> None:
    data = os.urandom(PART if operation == "PutObject" else PART + 1)
    transfer = drive.upload(data, part_size=PART)
    proxy.always(operation, fault)
    if operation == "UploadPart":
        open_store_upload(transfer.pk)
    for _ in range(attempts.MAX_ATTEMPTS):
        due(transfer)
        send_part(first_part(transfer).pk)
        assert first_part(transfer).state == PartState.STAGED
    transfer.refresh_from_db()
    assert (transfer.phase, transfer.error_code) == (Phase.FAILED, "UnreadableResponse")
    assert transfer.error_reason == Reason.UNREADABLE_RESPONSE
    assert staged_names(transfer) == ["00001", "00002"][: transfer.part_count]
    proxy.clear()
    request_retry(user, transfer)
    assert_done(drive, transfer, truth, read_object, data)


def test_page_in_place_of_an_object_is_not_done_if_head_is_denied(
    drive: Drive, proxy: FaultProxy, truth: Truth, read_object: Reader
) -> None:
    data = os.urandom(PART)
    transfer = drive.upload(data)
    proxy.next("PutObject", Fault.PAGE)
    proxy.always("HeadObject", Fault.ACCESS_DENIED)
    send_part(first_part(transfer).pk)
    assert first_part(transfer).state == PartState.STAGED
    drive.finish(transfer)
    assert (transfer.phase, transfer.verified) == (Phase.DONE, False)
    assert read_object(transfer.key) == data


def test_bytes_of_an_object_stay_staged_until_it_is_proved(
    drive: Drive, proxy: FaultProxy, truth: Truth, read_object: Reader
) -> None:
    """Neither the worker, the watchdog nor the start of a node removes the only copy of an object that may be lost."""
    data = os.urandom(PART)
    transfer = drive.upload(data)
    send_unproved(proxy, transfer)
    Part.objects.filter(transfer=transfer).update(sent_at=transfer.created_at.replace(year=2020))
    watch()
    sweep_staging()
    part = first_part(transfer)
    assert (part.state, part.reserved_bytes) == (PartState.SENT, PART)
    assert part.staged_path.read_bytes() == data
    assert_done(drive, transfer, truth, read_object, data)
    assert first_part(transfer).reserved_bytes == 0


def test_create_that_names_another_key_leaves_no_upload(
    drive: Drive, proxy: FaultProxy, truth: Truth, read_object: Reader
) -> None:
    """The store acted, and the response is about another key: nothing is sent there, and nothing is left."""
    data = os.urandom(PART + 1)
    transfer = drive.upload(data, part_size=PART)
    proxy.next("CreateMultipartUpload", Fault.OTHER_KEY)
    open_store_upload(transfer.pk)
    transfer.refresh_from_db()
    assert (transfer.error_code, transfer.store_uploads.count()) == ("UnreadableResponse", 0)
    assert (truth.uploads(), transfer.create_sent_at) == ([], None)
    assert_done(drive, transfer, truth, read_object, data)


def test_object_that_was_lost_after_put_object_is_sent_again_on_retry(
    drive: Drive, user: User, proxy: FaultProxy, truth: Truth, read_object: Reader
) -> None:
    data = os.urandom(PART)
    transfer = drive.upload(data)
    send_unproved(proxy, transfer)
    truth.client.delete_object(truth.bucket, transfer.key)
    drive.finish(transfer, attempts.MAX_ATTEMPTS + 1)
    assert transfer.phase == Phase.FAILED
    assert staged_names(transfer) == ["00001"]
    request_retry(user, transfer)
    assert first_part(transfer).state == PartState.STAGED
    assert_done(drive, transfer, truth, read_object, data)
    assert proxy.requests["PutObject"] == 2
