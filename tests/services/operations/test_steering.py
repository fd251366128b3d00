"""Pausing, resuming and stopping an operation, and the uploads that it spares, on a real store."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from tests.services.drive import Drive
from uploads.domain.states import DesiredState, ItemState
from uploads.models import AuditEntry, Operation, OperationItem
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import FileSlice, ListedPart, UploadRef
from uploads.problems import Code
from uploads.selectors.operations import operation_progress
from uploads.services.browse import browsing
from uploads.services.operations.order import dispatch_operation, due_operations, request_abort
from uploads.services.operations.outcomes import UNANSWERED_AT
from uploads.services.operations.run import run_item
from uploads.services.operations.steps import StepRefused, pause_operation, resume_operation, stop_operation
from uploads.services.work.attempts import WorkerLost
from uploads.services.work.tasks import failure_fields

COUNT = 12


@pytest.fixture
def operation(drive: Drive, client: ObjectStoreClient) -> Operation:
    uploads = [
        UploadRef(f"key {number:02}", client.create_multipart_upload(drive.bucket, f"key {number:02}"))
        for number in range(COUNT)
    ]
    return request_abort(drive.user, drive.store, drive.bucket, uploads)


def states(operation: Operation) -> list[str]:
    return list(operation.items.order_by("pk").values_list("state", flat=True))


def state_of(operation: Operation) -> str:
    operation.refresh_from_db()
    return operation_progress([operation])[operation.pk].state


def left_in_store(client: ObjectStoreClient, bucket: str) -> int:
    return sum(len(page.uploads) for page in client.iter_multipart_uploads(bucket))


def test_paused_operation_begins_nothing_and_continues_when_resumed(
    drive: Drive, operation: Operation, client: ObjectStoreClient
) -> None:
    enqueued = list(operation.items.filter(queued_at__isnull=False).values_list("pk", flat=True))
    run_item(enqueued[0])
    pause_operation(drive.user, operation)
    pause_operation(drive.user, operation)
    for item in enqueued:
        run_item(item)
    dispatch_operation(operation.pk)
    assert due_operations(10) == []
    assert states(operation) == [ItemState.DONE] + [ItemState.ORDERED] * (COUNT - 1)
    assert not operation.items.filter(queued_at__isnull=False).exists()
    assert state_of(operation) == "paused"
    assert left_in_store(client, drive.bucket) == COUNT - 1
    resume_operation(drive.user, operation)
    assert state_of(operation) == "running"
    drive.work_off()
    assert states(operation) == [ItemState.DONE] * COUNT
    assert state_of(operation) == "done"
    actions = AuditEntry.objects.filter(action__startswith="operation.").order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["operation.paused", "operation.resumed"]


def test_stopped_operation_leaves_what_is_not_begun(
    drive: Drive, operation: Operation, client: ObjectStoreClient
) -> None:
    first = operation.items.order_by("pk")[0]
    run_item(first.pk)
    stop_operation(drive.user, operation)
    stop_operation(drive.user, operation)
    for item in operation.items.all():
        run_item(item.pk)
    drive.work_off()
    assert states(operation) == [ItemState.DONE] + [ItemState.LEFT] * (COUNT - 1)
    assert state_of(operation) == "halted"
    assert left_in_store(client, drive.bucket) == COUNT - 1
    assert AuditEntry.objects.filter(action="abort.left", outcome="refused").count() == COUNT - 1
    assert not operation.items.filter(active_key__isnull=False).exists()
    left = operation.items.filter(state=ItemState.LEFT)[0]
    again = request_abort(drive.user, drive.store, drive.bucket, [UploadRef(left.key, left.upload_id)])
    assert again.pk != operation.pk
    for step in (pause_operation, resume_operation):
        with pytest.raises(StepRefused):
            step(drive.user, operation)


@pytest.mark.parametrize("sign", ["unanswered", "worker lost"])
@pytest.mark.parametrize("paused", [False, True])
def test_request_that_may_have_had_an_effect_is_followed_to_its_outcome(
    drive: Drive, operation: Operation, sign: str, *, paused: bool
) -> None:
    begun = operation.items.order_by("pk")[0]
    fields = {"outcome": {UNANSWERED_AT: timezone.now().isoformat()}}
    OperationItem.objects.filter(pk=begun.pk).update(
        tries=1, **(fields if sign == "unanswered" else failure_fields(WorkerLost()))
    )
    if paused:
        pause_operation(drive.user, operation)
    stop_operation(drive.user, operation)
    assert state_of(operation) == "stopping"
    drive.work_off()
    begun.refresh_from_db()
    assert begun.state == ItemState.DONE
    assert state_of(operation) == "halted"


def test_operation_that_has_ended_cannot_be_steered(drive: Drive, operation: Operation) -> None:
    drive.work_off()
    for step in (pause_operation, stop_operation):
        with pytest.raises(StepRefused):
            step(drive.user, operation)
    operation.refresh_from_db()
    assert operation.desired_state == DesiredState.RUN


# --- Uploads that are spared ------------------------------------------------------------------------------------------


@pytest.fixture
def with_part(drive: Drive, client: ObjectStoreClient, tmp_path: Path) -> UploadRef:
    return UploadRef("with a part", started(client, drive.bucket, "with a part", tmp_path))


def started(client: ObjectStoreClient, bucket: str, key: str, folder: Path) -> str:
    upload_id = client.create_multipart_upload(bucket, key)
    send_part(client, bucket, UploadRef(key, upload_id), folder)
    return upload_id


def send_part(client: ObjectStoreClient, bucket: str, upload: UploadRef, folder: Path) -> None:
    (folder / "part").write_bytes(b"part")
    client.upload_part(bucket, upload.key, upload.upload_id, 1, FileSlice(folder / "part", 0, 4))


def abort(drive: Drive, upload: UploadRef, hours: float) -> OperationItem:
    spare_after = timezone.now() - timedelta(hours=hours)
    operation = request_abort(drive.user, drive.store, drive.bucket, [upload], spare_after)
    drive.work_off()
    return operation.items.get()


def test_upload_with_a_recent_part_is_spared(drive: Drive, with_part: UploadRef, client: ObjectStoreClient) -> None:
    item = abort(drive, with_part, hours=24)
    assert (item.state, item.error_code) == (ItemState.SPARED, Code.SPARED_RECENT)
    assert item.active_key is None
    assert left_in_store(client, drive.bucket) == 1
    assert state_of(item.operation) == "done"
    assert AuditEntry.objects.get(action="abort.spared").outcome == "refused"


def test_upload_with_an_older_part_is_aborted(drive: Drive, with_part: UploadRef, client: ObjectStoreClient) -> None:
    assert abort(drive, with_part, hours=-1).state == ItemState.DONE
    assert left_in_store(client, drive.bucket) == 0


def test_part_that_arrives_after_the_request_spares_its_upload(
    drive: Drive, client: ObjectStoreClient, tmp_path: Path
) -> None:
    upload = UploadRef("late", client.create_multipart_upload(drive.bucket, "late"))
    operation = request_abort(drive.user, drive.store, drive.bucket, [upload], timezone.now() - timedelta(hours=1))
    send_part(client, drive.bucket, upload, tmp_path)
    drive.work_off()
    assert operation.items.get().state == ItemState.SPARED


def test_upload_that_is_gone_or_has_no_parts_is_not_spared(drive: Drive, client: ObjectStoreClient) -> None:
    empty = UploadRef("empty", client.create_multipart_upload(drive.bucket, "empty"))
    assert abort(drive, empty, hours=24).state == ItemState.DONE
    gone = abort(drive, UploadRef("gone", empty.upload_id), hours=24)
    assert (gone.state, gone.outcome["already_gone"]) == (ItemState.DONE, True)


def test_unknown_activity_is_never_counted_as_old(
    drive: Drive, with_part: UploadRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    undated = ListedPart(1, 4, "etag", None)
    monkeypatch.setattr(browsing, "list_all_parts", lambda *_: [undated])
    item = abort(drive, with_part, hours=-1)
    assert (item.state, item.error_code) == (ItemState.SPARED, Code.SPARED_UNKNOWN)


def test_abort_that_may_have_had_an_effect_is_repeated(drive: Drive, with_part: UploadRef) -> None:
    """It is not spared: what it has deleted does not come back."""
    spare_after = timezone.now() - timedelta(hours=24)
    operation = request_abort(drive.user, drive.store, drive.bucket, [with_part], spare_after)
    operation.items.update(outcome={UNANSWERED_AT: timezone.now().isoformat()}, tries=1)
    drive.work_off()
    assert operation.items.get().state == ItemState.DONE
