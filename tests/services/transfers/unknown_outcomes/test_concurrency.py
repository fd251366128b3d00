"""Tasks that run twice, at the same moment, or after their lease."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from tests.services.drive import Drive
from tests.services.transfers.unknown_outcomes.outcomes import (
    KEY,
    Reader,
    Truth,
    assert_done,
    at_once,
    bytes_of,
    first_part,
    states,
)
from tests.system.fault_proxy import Fault, FaultProxy
from uploads.domain.states import PartState, Phase, StoreUploadState
from uploads.models import Part, Transfer
from uploads.objectstore.client import ObjectStoreClient
from uploads.services.transfers.cancel import cancel_transfer
from uploads.services.transfers.complete import complete_transfer
from uploads.services.transfers.create import open_store_upload
from uploads.services.transfers.send import send_part
from uploads.services.transfers.steps import request_cancel
from uploads.services.upkeep.watchdog import watch
from uploads.services.work import leases


def test_task_that_ends_after_its_lease_changes_nothing(
    drive: Drive, truth: Truth, transfer: Transfer, read_object: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytes_of(transfer)
    open_store_upload(transfer.pk)
    part = first_part(transfer)
    upload = ObjectStoreClient.upload_part
    once = iter([True])
    seen: list[Any] = []

    def slow(*args: Any, **kwargs: Any) -> Any:
        response = upload(*args, **kwargs)
        if next(once, False):
            Part.objects.filter(pk=part.pk).update(lease_until=leases.in_seconds(-1))
            watch()
            Part.objects.filter(pk=part.pk).update(not_before=None)
            send_part(part.pk)
            seen.append(Part.objects.filter(pk=part.pk).values().get())
        return response

    monkeypatch.setattr(ObjectStoreClient, "upload_part", slow)
    send_part(part.pk)
    assert seen[0]["state"] == PartState.SENT
    assert seen[0] == Part.objects.filter(pk=part.pk).values().get()
    assert_done(drive, transfer, truth, read_object, data)


def test_task_after_the_end_changes_nothing(drive: Drive, user: User, proxy: FaultProxy, transfer: Transfer) -> None:
    part = first_part(transfer)
    drive.finish(transfer)
    before = Transfer.objects.filter(pk=transfer.pk).values().get()
    requests = dict(proxy.requests)
    send_part(part.pk)
    open_store_upload(transfer.pk)
    complete_transfer(transfer.pk)
    cancel_transfer(transfer.pk)
    watch()
    assert Transfer.objects.filter(pk=transfer.pk).values().get() == before
    assert dict(proxy.requests) == requests


def test_part_is_sent_once_by_concurrent_tasks(
    drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader
) -> None:
    data = bytes_of(transfer)
    open_store_upload(transfer.pk)
    proxy.next("UploadPart", Fault.LATENCY)
    at_once([lambda: send_part(first_part(transfer).pk)] * 4)
    assert proxy.parts[1] == 1
    assert_done(drive, transfer, truth, read_object, data)


def test_upload_is_created_once_by_concurrent_tasks(proxy: FaultProxy, truth: Truth, transfer: Transfer) -> None:
    proxy.next("CreateMultipartUpload", Fault.LATENCY)
    at_once([lambda: open_store_upload(transfer.pk)] * 4)
    assert proxy.requests["CreateMultipartUpload"] == 1
    assert len(truth.uploads()) == 1


def test_upload_is_completed_once_by_concurrent_tasks(
    drive: Drive, proxy: FaultProxy, transfer: Transfer, read_object: Reader
) -> None:
    data = bytes_of(transfer)
    drive.send(transfer)
    proxy.next("CompleteMultipartUpload", Fault.LATENCY)
    at_once([lambda: complete_transfer(transfer.pk)] * 4)
    transfer.refresh_from_db()
    assert transfer.phase == Phase.DONE
    assert proxy.requests["CompleteMultipartUpload"] == 1
    assert read_object(KEY) == data


def test_concurrent_watchdogs_do_no_harm(drive: Drive, truth: Truth, transfer: Transfer, read_object: Reader) -> None:
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
    drive: Drive, user: User, truth: Truth, transfer: Transfer, monkeypatch: pytest.MonkeyPatch
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
