"""Aborts and completions, ordered once and twice, against the real store."""

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
from uploads.services.operations.order import OwnedByTransfer, request_abort, request_complete
from uploads.services.operations.run import run_item

PART = 5 * MIB
Begin = Callable[..., UploadRef]


@pytest.fixture
def begin(client: ObjectStoreClient, bucket: str, tmp_path: Path) -> Begin:
    """Begin an upload by another program: parts by number, each of so many bytes."""
    source = tmp_path / "source"
    source.write_bytes(os.urandom(PART))

    def begin_upload(key: str = "foreign/key", parts: dict[int, int] | None = None) -> UploadRef:
        upload_id = client.create_multipart_upload(bucket, key)
        for number, size in (parts or {}).items():
            client.upload_part(bucket, key, upload_id, number, FileSlice(source, 0, size))
        return UploadRef(key, upload_id)

    return begin_upload


def exists(client: ObjectStoreClient, bucket: str, upload: UploadRef) -> bool:
    return any(
        each.upload_id == upload.upload_id for page in client.iter_multipart_uploads(bucket) for each in page.uploads
    )


def test_abort_is_done_once_though_ordered_twice(
    drive: Drive, begin: Begin, client: ObjectStoreClient, user: User
) -> None:
    upload = begin(parts={1: 10})
    first = request_abort(user, drive.store, drive.bucket, [upload])
    assert request_abort(user, drive.store, drive.bucket, [upload]).pk == first.pk
    drive.work_off()
    assert not exists(client, drive.bucket, upload)
    item = first.items.get()
    assert (item.state, item.outcome) == (ItemState.DONE, {"repeats": 1, "already_gone": False})
    assert request_abort(user, drive.store, drive.bucket, [upload]).pk == first.pk
    run_item(item.pk)
    assert Operation.objects.count() == 1
    actions = AuditEntry.objects.filter(operation_id=first.pk).values_list("action", "actor_name", "upload_id")
    assert list(actions) == [("abort.done", "olga", upload.upload_id), ("abort.ordered", "olga", upload.upload_id)]


def test_abort_of_an_upload_that_is_gone_says_so(drive: Drive, begin: Begin, client: ObjectStoreClient) -> None:
    upload = begin()
    client.abort_multipart_upload(drive.bucket, upload.key, upload.upload_id)
    assert preflight_abort(drive.store, drive.bucket, upload).gone
    operation = request_abort(drive.user, drive.store, drive.bucket, [upload])
    drive.work_off()
    assert operation.items.get().outcome["already_gone"] is True


def test_abort_of_an_upload_that_somebody_completed_ends(drive: Drive, begin: Begin, client: ObjectStoreClient) -> None:
    """Swift goes on listing the parts of a completed upload."""
    upload = begin(parts={1: 3})
    (part,) = client.iter_parts(drive.bucket, upload.key, upload.upload_id)
    client.complete_multipart_upload(drive.bucket, upload.key, upload.upload_id, [CompletedPart(1, part.etag)])
    operation = request_abort(drive.user, drive.store, drive.bucket, [upload])
    drive.work_off()
    item = operation.items.get()
    assert (item.state, item.outcome["already_gone"]) == (ItemState.DONE, True)
    assert client.head_object(drive.bucket, upload.key).size == 3


def test_many_are_aborted_a_window_at_a_time(drive: Drive, begin: Begin, client: ObjectStoreClient) -> None:
    uploads = [begin(f"many/{number}") for number in range(20)]
    operation = request_abort(drive.user, drive.store, drive.bucket, uploads)
    assert operation.items.filter(queued_at__isnull=False).count() == 8
    drive.work_off()
    assert operation.items.filter(state=ItemState.DONE).count() == 20
    assert not any(page.uploads for page in client.iter_multipart_uploads(drive.bucket))


def test_abort_warns_of_a_part_that_arrived_lately(drive: Drive, begin: Begin) -> None:
    asked = preflight_abort(drive.store, drive.bucket, begin(parts={1: 10, 2: 20}))
    assert asked.recent
    assert asked.part_summary is not None
    assert (asked.part_summary.count, asked.part_summary.total_bytes) == (2, 30)


def test_complete_is_proved_by_head(drive: Drive, begin: Begin, client: ObjectStoreClient) -> None:
    upload = begin(parts={1: PART, 2: 7})
    asked = preflight_complete(drive.store, drive.bucket, upload)
    assert (asked.blockers, asked.has_gaps, asked.resulting_size) == ((), False, PART + 7)
    operation = request_complete(drive.user, drive.store, drive.bucket, upload)
    drive.work_off()
    item = operation.items.get()
    assert item.state == ItemState.DONE
    assert (item.outcome["verified"], item.outcome["size"]) == (True, PART + 7)
    assert client.head_object(drive.bucket, upload.key).etag == item.outcome["etag"]


def test_complete_shows_what_would_be_replaced(drive: Drive, begin: Begin) -> None:
    drive.finish(drive.upload(b"old", "foreign/key"))
    asked = preflight_complete(drive.store, drive.bucket, begin(parts={1: 1}))
    assert asked.existing is not None
    assert asked.existing.facts is not None
    assert asked.existing.facts.size == 3
    assert Problem(Code.OBJECT_WOULD_BE_REPLACED) in asked.warnings


@pytest.mark.parametrize(
    ("parts", "blocker"),
    [
        ({}, Problem(Code.NO_PARTS)),
        ({1: 1, 2: 2, 3: 1}, Problem(Code.PARTS_TOO_SMALL, count=2, limit_bytes=PART, parts="1-2")),
    ],
)
def test_what_the_store_would_refuse_blocks(
    drive: Drive, begin: Begin, client: ObjectStoreClient, parts: dict[int, int], blocker: Problem
) -> None:
    upload = begin(parts=parts)
    assert preflight_complete(drive.store, drive.bucket, upload).blockers == (blocker,)
    operation = request_complete(drive.user, drive.store, drive.bucket, upload)
    drive.work_off()
    item = operation.items.get()
    assert (item.state, item.error_code) == (ItemState.FAILED, "PreflightFailed")
    assert item.error == RecordedError("PreflightFailed", Code.PREFLIGHT_FAILED, details=(blocker,))
    assert exists(client, drive.bucket, upload)


def test_a_gap_needs_an_explicit_word(drive: Drive, begin: Begin, client: ObjectStoreClient) -> None:
    upload = begin(parts={2: PART, 5: 1})
    asked = preflight_complete(drive.store, drive.bucket, upload)
    assert asked.has_gaps
    assert Problem(Code.PARTS_MISSING, count=3, parts="1, 3-4") in asked.warnings
    refused = request_complete(drive.user, drive.store, drive.bucket, upload)
    drive.work_off()
    assert refused.items.get().error_code == "GapNotAllowed"
    allowed = request_complete(drive.user, drive.store, drive.bucket, upload, allow_gaps=True)
    drive.work_off()
    assert allowed.items.get().state == ItemState.DONE
    assert client.head_object(drive.bucket, upload.key).size == PART + 1


def test_a_complete_whose_answer_was_lost_is_found_by_head(
    drive: Drive, begin: Begin, client: ObjectStoreClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker died after the store had acted and before it could write that down."""
    upload = begin(parts={1: PART, 2: 7})
    operation = request_complete(drive.user, drive.store, drive.bucket, upload)

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


def test_complete_of_an_upload_that_is_gone_fails_in_words(
    drive: Drive, begin: Begin, client: ObjectStoreClient
) -> None:
    upload = begin(parts={1: 1})
    client.abort_multipart_upload(drive.bucket, upload.key, upload.upload_id)
    operation = request_complete(drive.user, drive.store, drive.bucket, upload)
    drive.work_off()
    item = operation.items.get()
    assert (item.state, item.error_code) == (ItemState.FAILED, "NoSuchUpload")
    assert item.error_reason == Reason.NO_SUCH_UPLOAD


def test_an_upload_of_a_live_transfer_is_its_transfers_to_end(drive: Drive, client: ObjectStoreClient) -> None:
    transfer = drive.upload(os.urandom(2 * PART), part_size=PART)
    drive.send(transfer, parts=1)
    owned = UploadRef(transfer.key, transfer.store_uploads.get().upload_id)
    with pytest.raises(OwnedByTransfer) as refusal:
        request_abort(drive.user, drive.store, drive.bucket, [owned])
    assert refusal.value.transfer.pk == transfer.pk
    with pytest.raises(OwnedByTransfer):
        request_complete(drive.user, drive.store, drive.bucket, owned)
    other = UploadRef("other", client.create_multipart_upload(drive.bucket, "other"))
    operation = request_abort(drive.user, drive.store, drive.bucket, [owned, other])
    drive.work_off()
    codes = dict(operation.items.values_list("key", "error_code"))
    assert codes == {transfer.key: "OwnedByTransfer", "other": ""}
    assert drive.finish(transfer).phase == Phase.DONE


def test_complete_and_abort_of_the_same_upload_exclude_each_other(drive: Drive, begin: Begin) -> None:
    upload = begin(parts={1: 1})
    completion = request_complete(drive.user, drive.store, drive.bucket, upload)
    assert request_abort(drive.user, drive.store, drive.bucket, [upload]).pk == completion.pk
    several = request_abort(drive.user, drive.store, drive.bucket, [upload, begin("b")])
    assert several.items.get(key=upload.key).error_code == "AlreadyOrdered"


def test_part_etags_are_what_complete_names(drive: Drive, begin: Begin, client: ObjectStoreClient) -> None:
    """Guards the assumption behind the preflight's expected ETag: parts are listed with the ETags Complete takes."""
    upload = begin(parts={1: 3})
    (part,) = client.iter_parts(drive.bucket, upload.key, upload.upload_id)
    client.complete_multipart_upload(drive.bucket, upload.key, upload.upload_id, [CompletedPart(1, part.etag)])
    assert client.head_object(drive.bucket, upload.key).size == 3
