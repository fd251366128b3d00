"""Aborts and completions, requested once and twice, on a real store."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from tests.services.drive import MIB, Drive
from uploads.domain.states import ItemState, Phase
from uploads.models import AuditEntry, Operation, OperationItem
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import Reason
from uploads.objectstore.types import CompletedPart, FileSlice, UploadRef
from uploads.problems import Code, Problem, RecordedError
from uploads.services.browse.preflight import preflight_abort, preflight_complete
from uploads.services.operations.order import OwnedByTransfer, request_abort
from uploads.services.operations.run import run_item

PART = 5 * MIB
Start = Callable[..., UploadRef]


@pytest.fixture
def start(client: ObjectStoreClient, bucket: str, tmp_path: Path) -> Start:
    """Start an upload of another program, with the sizes of its parts by number."""
    source = tmp_path / "source"
    source.write_bytes(os.urandom(PART))

    def start_upload(key: str = "foreign/key", parts: dict[int, int] | None = None) -> UploadRef:
        upload_id = client.create_multipart_upload(bucket, key)
        for number, size in (parts or {}).items():
            client.upload_part(bucket, key, upload_id, number, FileSlice(source, 0, size))
        return UploadRef(key, upload_id)

    return start_upload


def exists(client: ObjectStoreClient, bucket: str, upload: UploadRef) -> bool:
    return any(
        each.upload_id == upload.upload_id for page in client.iter_multipart_uploads(bucket) for each in page.uploads
    )


def test_abort_that_is_requested_twice_is_done_once(
    drive: Drive, start: Start, client: ObjectStoreClient, user: User
) -> None:
    upload = start(parts={1: 10})
    first = request_abort(user, drive.store, drive.bucket, [upload])
    assert request_abort(user, drive.store, drive.bucket, [upload]).pk == first.pk
    drive.work_off()
    assert not exists(client, drive.bucket, upload)
    item = first.items.get()
    request_id = item.outcome["request_id"]
    expected = {"repeats": 1, "already_gone": False, "request_id": request_id}
    assert (item.state, item.outcome) == (ItemState.DONE, expected)
    assert request_abort(user, drive.store, drive.bucket, [upload]).pk == first.pk
    run_item(item.pk)
    assert Operation.objects.count() == 1
    actions = AuditEntry.objects.filter(operation_id=first.pk).values_list("action", "actor_name", "upload_id")
    assert list(actions) == [("abort.done", "olga", upload.upload_id), ("abort.ordered", "olga", upload.upload_id)]
    assert request_id
    assert AuditEntry.objects.get(action="abort.done").request_id == request_id


def test_abort_of_an_upload_that_is_gone_is_reported(drive: Drive, start: Start, client: ObjectStoreClient) -> None:
    upload = start()
    client.abort_multipart_upload(drive.bucket, upload.key, upload.upload_id)
    assert preflight_abort(drive.store, drive.bucket, upload).gone
    operation = request_abort(drive.user, drive.store, drive.bucket, [upload])
    drive.work_off()
    assert operation.items.get().outcome["already_gone"] is True


def test_abort_of_a_completed_upload_ends(drive: Drive, start: Start, client: ObjectStoreClient) -> None:
    """Swift still lists the parts of a completed upload."""
    upload = start(parts={1: 3})
    (part,) = client.iter_parts(drive.bucket, upload.key, upload.upload_id)
    client.complete_multipart_upload(drive.bucket, upload.key, upload.upload_id, [CompletedPart(1, part.etag)])
    operation = request_abort(drive.user, drive.store, drive.bucket, [upload])
    drive.work_off()
    item = operation.items.get()
    assert (item.state, item.outcome["already_gone"]) == (ItemState.DONE, True)
    assert client.head_object(drive.bucket, upload.key).size == 3


def test_uploads_are_aborted_one_window_at_a_time(drive: Drive, start: Start, client: ObjectStoreClient) -> None:
    uploads = [start(f"many/{number}") for number in range(20)]
    operation = request_abort(drive.user, drive.store, drive.bucket, uploads)
    assert operation.items.filter(queued_at__isnull=False).count() == 8
    drive.work_off()
    assert operation.items.filter(state=ItemState.DONE).count() == 20
    assert not any(page.uploads for page in client.iter_multipart_uploads(drive.bucket))


def test_abort_warns_of_a_part_that_arrived_recently(drive: Drive, start: Start) -> None:
    preflight = preflight_abort(drive.store, drive.bucket, start(parts={1: 10, 2: 20}))
    assert preflight.recent
    assert preflight.part_summary is not None
    assert (preflight.part_summary.count, preflight.part_summary.total_bytes) == (2, 30)


def test_completion_is_verified_by_head(drive: Drive, start: Start, client: ObjectStoreClient) -> None:
    upload = start(parts={1: PART, 2: 7})
    preflight = preflight_complete(drive.store, drive.bucket, upload)
    assert (preflight.blockers, preflight.has_gaps, preflight.resulting_size) == ((), False, PART + 7)
    operation = drive.complete(upload)
    drive.work_off()
    item = operation.items.get()
    assert item.state == ItemState.DONE
    assert (item.outcome["verified"], item.outcome["size"]) == (True, PART + 7)
    assert client.head_object(drive.bucket, upload.key).etag == item.outcome["etag"]


def test_preflight_shows_the_object_that_would_be_replaced(drive: Drive, start: Start) -> None:
    drive.finish(drive.upload(b"old", "foreign/key"))
    preflight = preflight_complete(drive.store, drive.bucket, start(parts={1: 1}))
    assert preflight.existing is not None
    assert preflight.existing.facts is not None
    assert preflight.existing.facts.size == 3
    assert Problem(Code.OBJECT_WOULD_BE_REPLACED) in preflight.warnings


@pytest.mark.parametrize(
    ("parts", "blocker"),
    [
        ({}, Problem(Code.NO_PARTS)),
        ({1: 1, 2: 2, 3: 1}, Problem(Code.PARTS_TOO_SMALL, count=2, limit_bytes=PART, parts="1-2")),
    ],
)
def test_preflight_blocks_what_the_store_would_refuse(
    drive: Drive, start: Start, client: ObjectStoreClient, parts: dict[int, int], blocker: Problem
) -> None:
    upload = start(parts=parts)
    assert preflight_complete(drive.store, drive.bucket, upload).blockers == (blocker,)
    operation = drive.complete(upload)
    drive.work_off()
    item = operation.items.get()
    assert (item.state, item.error_code) == (ItemState.FAILED, "PreflightFailed")
    assert item.error == RecordedError("PreflightFailed", Code.PREFLIGHT_FAILED, details=(blocker,))
    assert exists(client, drive.bucket, upload)


def test_missing_parts_need_a_confirmation(drive: Drive, start: Start, client: ObjectStoreClient) -> None:
    upload = start(parts={2: PART, 5: 1})
    preflight = preflight_complete(drive.store, drive.bucket, upload)
    assert preflight.has_gaps
    assert Problem(Code.PARTS_MISSING, count=3, parts="1, 3-4") in preflight.warnings
    refused = drive.complete(upload)
    drive.work_off()
    assert refused.items.get().error_code == "GapNotAllowed"
    allowed = drive.complete(upload, gaps=True)
    drive.work_off()
    assert allowed.items.get().state == ItemState.DONE
    assert client.head_object(drive.bucket, upload.key).size == PART + 1


def test_completion_whose_response_was_lost_is_found_by_head(
    drive: Drive, start: Start, client: ObjectStoreClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker died after the store had completed the upload, and before it recorded the result."""
    upload = start(parts={1: PART, 2: 7})
    operation = drive.complete(upload)

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("uploads.services.operations.run.end_item", dies)
        with pytest.raises(KeyboardInterrupt):
            run_item(operation.items.get().pk)
    assert not exists(client, drive.bucket, upload)
    OperationItem.objects.update(state=ItemState.ORDERED, lease_token=None, lease_until=None)
    drive.work_off()
    item = operation.items.get()
    assert (item.state, item.outcome.get("verified")) == (ItemState.DONE, True)


def test_completion_of_an_upload_that_is_gone_fails_with_a_reason(
    drive: Drive, start: Start, client: ObjectStoreClient
) -> None:
    upload = start(parts={1: 1})
    client.abort_multipart_upload(drive.bucket, upload.key, upload.upload_id)
    operation = drive.complete(upload)
    drive.work_off()
    item = operation.items.get()
    assert (item.state, item.error_code) == (ItemState.FAILED, "NoSuchUpload")
    assert item.error_reason == Reason.NO_SUCH_UPLOAD


def test_upload_of_a_transfer_in_progress_cannot_be_aborted_or_completed(
    drive: Drive, client: ObjectStoreClient
) -> None:
    transfer = drive.upload(os.urandom(2 * PART), part_size=PART)
    drive.send(transfer, parts=1)
    owned = UploadRef(transfer.key, transfer.store_uploads.get().upload_id)
    with pytest.raises(OwnedByTransfer) as refusal:
        request_abort(drive.user, drive.store, drive.bucket, [owned])
    assert refusal.value.transfer.pk == transfer.pk
    with pytest.raises(OwnedByTransfer):
        drive.complete(owned)
    other = UploadRef("other", client.create_multipart_upload(drive.bucket, "other"))
    operation = request_abort(drive.user, drive.store, drive.bucket, [owned, other])
    drive.work_off()
    codes = dict(operation.items.values_list("key", "error_code"))
    assert codes == {transfer.key: "OwnedByTransfer", "other": ""}
    assert drive.finish(transfer).phase == Phase.DONE


def test_upload_cannot_be_completed_and_aborted_at_once(drive: Drive, start: Start) -> None:
    upload = start(parts={1: 1})
    completion = drive.complete(upload)
    assert request_abort(drive.user, drive.store, drive.bucket, [upload]).pk == completion.pk
    several = request_abort(drive.user, drive.store, drive.bucket, [upload, start("b")])
    assert several.items.get(key=upload.key).error_code == "AlreadyOrdered"


def test_listed_etags_are_those_that_complete_needs(drive: Drive, start: Start, client: ObjectStoreClient) -> None:
    """The expected ETag of the preflight relies on it: parts are listed with the ETags that Complete requires."""
    upload = start(parts={1: 3})
    (part,) = client.iter_parts(drive.bucket, upload.key, upload.upload_id)
    client.complete_multipart_upload(drive.bucket, upload.key, upload.upload_id, [CompletedPart(1, part.etag)])
    assert client.head_object(drive.bucket, upload.key).size == 3
