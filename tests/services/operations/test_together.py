"""Aborts of several uploads by one task, on a real store."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.services.drive import Drive
from tests.services.inventory.rows import row_of
from uploads.domain.states import EndedHow, ItemState
from uploads.models import AuditEntry, InventoryBucket, InventoryUpload, Operation, OperationItem
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import Reason, Refused
from uploads.objectstore.types import UploadRef
from uploads.problems import Code, Problem
from uploads.services.multipart.abort import AbortOutcome
from uploads.services.operations import together
from uploads.services.operations.order import WINDOW, request_abort
from uploads.services.operations.run import run_item, send_abort
from uploads.services.operations.sparing import why_spared
from uploads.services.operations.steps import pause_operation, stop_operation
from uploads.services.operations.together import UPLOADS, run_items
from uploads.services.work import queue

COUNT = 20
TOGETHER = COUNT - WINDOW + 1
"""One upload that a message is about, and all that no message is about."""

Send = Callable[[OperationItem], AbortOutcome]


@pytest.fixture(autouse=True)
def enough_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """One task aborts all it has taken, on a slow machine too."""
    monkeypatch.setattr(together, "START_SECONDS", 600)


@pytest.fixture
def operation(drive: Drive, client: ObjectStoreClient) -> Operation:
    return new_operation(drive, client, COUNT)


def new_operation(drive: Drive, client: ObjectStoreClient, count: int) -> Operation:
    keys = [f"key {number:02}" for number in range(count)]
    uploads = [UploadRef(key, client.create_multipart_upload(drive.bucket, key)) for key in keys]
    return request_abort(drive.user, drive.store, drive.bucket, uploads)


def first(operation: Operation) -> int:
    return operation.items.order_by("pk")[0].pk


def states(operation: Operation) -> list[str]:
    return list(operation.items.order_by("pk").values_list("state", flat=True))


def left_in_store(client: ObjectStoreClient, bucket: str) -> int:
    return sum(len(page.uploads) for page in client.iter_multipart_uploads(bucket))


def before_abort(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[OperationItem], object]) -> None:
    """Call `act` before the abort of this number, counted from one."""
    begun: list[int] = []

    def send(item: OperationItem) -> AbortOutcome:
        begun.append(item.pk)
        if len(begun) == number:
            act(item)
        return send_abort(item)

    monkeypatch.setattr(together, "send_abort", send)


def test_one_task_aborts_what_waits(drive: Drive, operation: Operation, client: ObjectStoreClient) -> None:
    run_items(first(operation))
    done = [ItemState.DONE] + [ItemState.ORDERED] * (WINDOW - 1) + [ItemState.DONE] * (COUNT - WINDOW)
    assert states(operation) == done
    assert left_in_store(client, drive.bucket) == WINDOW - 1
    assert not operation.items.filter(state=ItemState.DONE, active_key__isnull=False).exists()
    assert not operation.items.filter(lease_token__isnull=False).exists()
    ended = operation.items.filter(state=ItemState.DONE)
    assert {item.outcome["already_gone"] for item in ended} == {False}
    assert all(item.finished_at and item.outcome["request_id"] for item in ended)
    entries = AuditEntry.objects.filter(action="abort.done")
    assert {entry.key for entry in entries} == {item.key for item in ended}
    ordered = dict(AuditEntry.objects.filter(action="abort.ordered").values_list("key", "pk"))
    assert all(entry.ordered_id == ordered[entry.key] and entry.request_id for entry in entries)
    drive.work_off()
    assert states(operation) == [ItemState.DONE] * COUNT


def test_uploads_leave_the_inventory(drive: Drive, operation: Operation) -> None:
    place = InventoryBucket.objects.create(store=drive.store, name=drive.bucket)
    for number, item in enumerate(operation.items.all()):
        row_of(place, number, key=item.key, upload_id=item.upload_id).save()
    run_items(first(operation))
    gone = InventoryUpload.objects.filter(ended_how=EndedHow.ABORTED, ended_operation=operation.pk)
    done = operation.items.filter(state=ItemState.DONE)
    assert set(gone.values_list("key", flat=True)) == set(done.values_list("key", flat=True))


def test_statements_and_messages_are_bounded(
    drive: Drive, client: ObjectStoreClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, int]] = []
    monkeypatch.setattr(queue, "_publish", lambda task, ids, *_: sent.append((task, len(ids))))
    monkeypatch.setattr(together, "LOOK_SECONDS", 600)
    counts = []
    for count in (WINDOW + 3, WINDOW + UPLOADS - 1):
        operation = new_operation(drive, client, count)
        with CaptureQueriesContext(connection) as captured:
            run_items(first(operation))
        assert operation.items.filter(state=ItemState.DONE).count() == count - WINDOW + 1
        # One statement that is executed for several rows is logged as "8 times: INSERT …".
        statements = [each["sql"].rpartition(" times: ")[2] for each in captured]
        counts.append(sum(each.split()[0] in ("SELECT", "UPDATE", "INSERT") for each in statements))
    assert counts[0] <= 15, [each[:100] for each in statements]
    assert counts[1] == counts[0]
    assert sent == [("run_items", WINDOW), ("run_items", WINDOW)]


def test_request_for_many_takes_few_statements(drive: Drive) -> None:
    def statements(count: int) -> int:
        uploads = [UploadRef(f"{count} {number}", f"id {count} {number}") for number in range(count)]
        with CaptureQueriesContext(connection) as captured:
            request_abort(drive.user, drive.store, drive.bucket, uploads)
        return len(captured)

    assert statements(40) <= statements(10) + 4


def test_paused_operation_begins_no_other_upload(
    drive: Drive, operation: Operation, client: ObjectStoreClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "LOOK_SECONDS", 0)
    before_abort(monkeypatch, 3, lambda _: pause_operation(drive.user, operation))
    run_items(first(operation))
    assert sorted(states(operation)) == [ItemState.DONE] * 3 + [ItemState.ORDERED] * (COUNT - 3)
    assert left_in_store(client, drive.bucket) == COUNT - 3
    assert not operation.items.filter(queued_at__isnull=False).exists()


def test_stopped_operation_leaves_uploads_that_are_taken(
    drive: Drive, operation: Operation, client: ObjectStoreClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "LOOK_SECONDS", 0)
    before_abort(monkeypatch, 3, lambda _: stop_operation(drive.user, operation))
    run_items(first(operation))
    assert sorted(states(operation)) == [ItemState.DONE] * 3 + [ItemState.LEFT] * (COUNT - 3)
    assert left_in_store(client, drive.bucket) == COUNT - 3
    assert not operation.items.filter(active_key__isnull=False).exists()
    assert AuditEntry.objects.filter(action="abort.left").count() == COUNT - 3


def test_uploads_that_take_too_long_are_returned(
    drive: Drive, operation: Operation, client: ObjectStoreClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "START_SECONDS", 0)
    run_items(first(operation))
    assert states(operation) == [ItemState.DONE] + [ItemState.ORDERED] * (COUNT - 1)
    assert operation.items.filter(queued_at__isnull=False).count() == WINDOW
    assert not operation.items.filter(lease_token__isnull=False).exists()
    for _ in range(COUNT - 1):
        run_items(operation.items.filter(queued_at__isnull=False).order_by("pk")[0].pk)
    assert states(operation) == [ItemState.DONE] * COUNT
    assert left_in_store(client, drive.bucket) == 0


def test_upload_that_fails_does_not_keep_others(
    drive: Drive, operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(item: OperationItem) -> None:
        raise Refused("no", code="InternalError", status=500, reason=Reason.STORE_FAULT, retryable=True)

    before_abort(monkeypatch, 2, refuse)
    run_items(first(operation))
    assert operation.items.filter(state=ItemState.DONE).count() == TOGETHER - 1
    failed = operation.items.get(tries=1)
    assert (failed.error_code, failed.lease_token) == ("InternalError", None)
    assert failed.not_before is not None


def test_internal_error_is_recorded(drive: Drive, operation: Operation, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(together, "owners", fail)
    run_items(first(operation))
    assert operation.items.filter(tries=1, error_code=Code.INTERNAL_ERROR).count() == TOGETHER
    assert not operation.items.filter(lease_token__isnull=False).exists()


def test_results_are_recorded_alone_if_a_lease_is_lost(
    drive: Drive, operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(item: OperationItem) -> None:
        OperationItem.objects.filter(pk=item.pk).update(lease_token=operation.pk)

    before_abort(monkeypatch, 2, lose)
    run_items(first(operation))
    assert operation.items.filter(state=ItemState.DONE).count() == TOGETHER - 1
    assert operation.items.get(state=ItemState.RUNNING).lease_token == operation.pk


def test_upload_of_a_transfer_and_upload_with_a_new_part_are_not_aborted(
    drive: Drive, client: ObjectStoreClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both since the request."""
    operation = new_operation(drive, client, WINDOW + 2)
    spared, owned = operation.items.order_by("-pk")[:2]
    transfer = drive.start(5)
    transfer.store_uploads.create(upload_id=owned.upload_id)
    type(transfer).objects.filter(pk=transfer.pk).update(key=owned.key)
    problem = Problem(Code.SPARED_RECENT)
    monkeypatch.setattr(together, "why_spared", lambda item: problem if item.pk == spared.pk else why_spared(item))
    run_items(first(operation))
    spared.refresh_from_db()
    owned.refresh_from_db()
    assert (spared.state, spared.error_code) == (ItemState.SPARED, Code.SPARED_RECENT)
    assert (owned.state, owned.error_code) == (ItemState.FAILED, Code.OWNED_BY_TRANSFER)
    assert operation.items.filter(state=ItemState.DONE).count() == 1


def test_single_upload_is_aborted_as_before(drive: Drive, client: ObjectStoreClient) -> None:
    operation = new_operation(drive, client, 1)
    run_items(first(operation))
    run_items(first(operation))
    assert states(operation) == [ItemState.DONE]


def test_upload_that_failed_before_is_aborted_alone(
    drive: Drive, operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    OperationItem.objects.filter(pk=first(operation)).update(tries=1)
    run_items(first(operation))
    assert operation.items.filter(state=ItemState.DONE).count() == 1
    run_item(first(operation))
