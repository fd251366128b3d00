"""An exception that no code expects: the row is deferred and fails in the end, and never stays under its lease."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError, connection
from django.utils import timezone

import uploads.tasks  # noqa: F401 - declares all tasks
from tests.grants import make_operator
from uploads.domain.states import (
    DesiredState,
    ItemState,
    PartState,
    Phase,
    StoreUploadState,
    SweepItemState,
    SweepState,
)
from uploads.models import (
    AlertDelivery,
    AlertRule,
    BucketScan,
    InventoryBucket,
    InventoryUpload,
    LifecycleReading,
    ObjectsBatch,
    Operation,
    OperationItem,
    Part,
    PartsBatch,
    Scan,
    Store,
    StoreCheck,
    StoreUpload,
    Sweep,
    SweepItem,
    Transfer,
)
from uploads.models.operation import active_key
from uploads.models.work import WorkFields
from uploads.objectstore.errors import NotSent, OutcomeUnknown, Reason, Refused
from uploads.problems import Code, Problem
from uploads.services.operations.kinds import dispatch_guarded as dispatch_operation_guarded
from uploads.services.transfers.kinds import TRANSFERS
from uploads.services.transfers.kinds import dispatch_guarded as dispatch_transfer_guarded
from uploads.services.upkeep.watchdog import watch
from uploads.services.work import attempts, leases
from uploads.services.work.attempts import MAX_ATTEMPTS
from uploads.services.work.tasks import TASKS

CLIENT = "uploads.objectstore.client.ObjectStoreClient"
CREATE = "uploads.services.transfers.create"
MALFORMED = KeyError("a field that the response does not have")


@pytest.fixture
def store(transactional_db: None) -> Store:
    return Store.objects.create(name="s", endpoint_url="http://127.0.0.1:1", access_key="a", secret_key="b")


@pytest.fixture
def transfer(store: Store) -> Transfer:
    """Two parts, the first of which is sent; its upload in the store is open."""
    owner = make_operator("olga")
    facts = {"owner": owner, "store": store, "bucket": "photos", "key": "cat.jpg", "all_received": True}
    created = Transfer.objects.create(
        size=20, part_size=10, part_count=2, node=settings.NODE_NAME, phase=Phase.SENDING, **facts
    )
    upload = StoreUpload.objects.create(transfer=created, upload_id="u")
    Part.objects.create(transfer=created, number=1, size=10, state=PartState.SENT, store_upload=upload, etag="e")
    Part.objects.create(transfer=created, number=2, size=10, state=PartState.STAGED)
    created.folder.make()
    created.folder.whole(2).write_bytes(bytes(10))
    return created


def _part(transfer: Transfer) -> Part:
    return transfer.parts.get(number=2)


def _create(transfer: Transfer) -> Transfer:
    transfer.store_uploads.all().delete()
    return transfer


def _complete(transfer: Transfer) -> Transfer:
    transfer.parts.update(state=PartState.SENT, store_upload=transfer.store_uploads.get())
    Transfer.objects.update(phase=Phase.COMPLETING)
    return transfer


def _cancel(transfer: Transfer) -> Transfer:
    Transfer.objects.update(desired_state=DesiredState.CANCEL)
    return transfer


def _item(transfer: Transfer) -> OperationItem:
    operation = Operation.objects.create(kind="abort", actor=transfer.owner, store=transfer.store, bucket="photos")
    name = active_key(transfer.store_id, "photos", "k", "other")
    return OperationItem.objects.create(operation=operation, key="k", upload_id="other", active_key=name)


def _check(transfer: Transfer) -> StoreCheck:
    return StoreCheck.objects.create(store=transfer.store, bucket="photos", active_key="a")


def _scan(transfer: Transfer) -> Scan:
    return Scan.objects.create(store=transfer.store, origin="command")


def _bucket_scan(transfer: Transfer) -> BucketScan:
    scan = Scan.objects.create(store=transfer.store, origin="command", state=ItemState.DONE)
    bucket = InventoryBucket.objects.create(store=transfer.store, name="photos")
    return BucketScan.objects.create(scan=scan, bucket=bucket, active_key="a")


def _batch(transfer: Transfer) -> PartsBatch:
    row = _bucket_scan(transfer)
    BucketScan.objects.filter(pk=row.pk).update(state=ItemState.DONE)
    now = timezone.now()
    times = {"first_seen_at": now, "last_seen_at": now, "started_at": now, "active_at": now}
    upload = InventoryUpload.objects.create(store=transfer.store, bucket=row.bucket, key="k", upload_id="u", **times)
    return PartsBatch.objects.create(bucket_scan=row, uploads=[upload.pk])


def _objects(transfer: Transfer) -> ObjectsBatch:
    rows = _batch(transfer).uploads
    InventoryUpload.objects.update(object_due_at=timezone.now())
    return ObjectsBatch.objects.create(store=transfer.store, uploads=rows)


def _delivery(transfer: Transfer) -> AlertDelivery:
    rule = AlertRule.objects.create(name="r", what="bytes", threshold=1, store=transfer.store, emails=["a@example.org"])
    return AlertDelivery.objects.create(rule=rule, event="test", channel="email")


def _reading(transfer: Transfer) -> LifecycleReading:
    return LifecycleReading.objects.create(store=transfer.store, buckets=["photos"])


def _sweep(transfer: Transfer) -> Sweep:
    _batch(transfer)
    return Sweep.objects.create(rule={"verdicts": ["dead"]}, author=transfer.owner)


def _sweep_item(transfer: Transfer) -> SweepItem:
    (upload,) = _batch(transfer).uploads
    running = {"state": "running", "started_by": transfer.owner, "started_at": timezone.now(), "uploads": 1}
    sweep = Sweep.objects.create(rule={"verdicts": ["dead"]}, author=transfer.owner, **running)
    facts = {"key": "k", "upload_id": "u", "verdict": "dead", "parts": 1, "bytes": 1, "active_at": timezone.now()}
    names = {"store": transfer.store, "bucket": "photos", "number": 0, "upload_row": upload}
    return SweepItem.objects.create(sweep=sweep, state="ordered", **names, **facts)


@dataclass(frozen=True)
class Case:
    """A task, a row of it, the call that raises, and the end of the row."""

    task: str
    row: Callable[[Transfer], WorkFields]
    raises: str
    waiting: str
    ended: str
    attempts: int = MAX_ATTEMPTS

    @property
    def column(self) -> str:
        return "phase" if TASKS[self.task].kind is TRANSFERS else "state"


CASES = (
    Case("send_part", _part, f"{CLIENT}.upload_part", PartState.STAGED, PartState.STAGED),
    Case("open_store_upload", _create, f"{CREATE}.settle_unknown_create", Phase.SENDING, Phase.FAILED),
    Case("complete_transfer", _complete, f"{CLIENT}.complete_multipart_upload", Phase.COMPLETING, Phase.FAILED),
    Case("run_item", _item, f"{CLIENT}.abort_multipart_upload", ItemState.ORDERED, ItemState.FAILED),
    Case("run_store_check", _check, "uploads.services.stores.checks.run.probe_store", "", ItemState.FAILED, attempts=1),
    Case("find_buckets", _scan, f"{CLIENT}.list_buckets", ItemState.ORDERED, ItemState.FAILED),
    Case("list_bucket", _bucket_scan, f"{CLIENT}.list_multipart_uploads", ItemState.ORDERED, ItemState.FAILED),
    Case("read_parts", _batch, f"{CLIENT}.list_parts", ItemState.ORDERED, ItemState.FAILED),
    Case("look_up_objects", _objects, f"{CLIENT}.head_object", ItemState.ORDERED, ItemState.FAILED),
    Case("read_lifecycle", _reading, f"{CLIENT}.get_bucket_lifecycle", ItemState.ORDERED, ItemState.FAILED),
    Case("drive_sweep", _sweep, "uploads.services.sweeps.plan.judge_rows", SweepState.PLANNING, SweepState.FAILED),
    Case("run_sweep_item", _sweep_item, f"{CLIENT}.list_parts", SweepItemState.ORDERED, SweepItemState.FAILED),
    Case("deliver_alert", _delivery, "uploads.services.alerts.deliver.send", ItemState.ORDERED, ItemState.FAILED),
)
by_task = pytest.mark.parametrize("case", CASES, ids=[case.task for case in CASES])


@pytest.fixture(autouse=True)
def backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deferred row is not due at once, as it may be by chance."""
    monkeypatch.setattr(attempts, "backoff_seconds", lambda _: 30.0)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have a function raise an exception that no code expects."""

    def break_it(name: str, error: Exception = MALFORMED) -> None:
        def raises(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(name, raises)

    return break_it


def attempt(case: Case, row: WorkFields) -> None:
    type(row)._default_manager.update(not_before=None)
    TASKS[case.task](row.pk)
    row.refresh_from_db()


def tracebacks(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The messages of the exceptions that were logged with their traceback."""
    return [str(record.exc_info[1]) for record in caplog.records if record.exc_info and record.exc_info[1]]


@by_task
def test_row_is_deferred_and_the_traceback_is_logged(
    case: Case, transfer: Transfer, broken: Any, caplog: pytest.LogCaptureFixture
) -> None:
    row: Any = case.row(transfer)
    broken(case.raises)
    attempt(case, row)
    assert (row.lease_token, row.lease_until, row.queued_at) == (None, None, None)
    assert (row.error_code, row.error_reason, row.error_message) == ("InternalError", "InternalError", "")
    assert row.tries == 1
    assert tracebacks(caplog) == [str(MALFORMED)]
    if case.attempts > 1:
        assert getattr(row, case.column) == case.waiting
        assert row.not_before > timezone.now()


@by_task
def test_row_fails_after_a_limited_number_of_attempts(
    case: Case, transfer: Transfer, broken: Any, caplog: pytest.LogCaptureFixture
) -> None:
    row: Any = case.row(transfer)
    broken(case.raises)
    for count in range(1, case.attempts + 1):
        assert row.error_code == ("InternalError" if count > 1 else "")
        attempt(case, row)
    assert getattr(row, case.column) == case.ended
    assert (row.lease_token, row.error_code) == (None, "InternalError")
    assert len(tracebacks(caplog)) == case.attempts
    if case.task == "send_part":
        transfer.refresh_from_db()
        assert (transfer.phase, transfer.error_code) == (Phase.FAILED, "InternalError")
    if case.task in ("run_item", "run_store_check"):
        assert (row.active_key, row.finished_at is None) == (None, False)


def test_malformed_value_in_a_row_fails_a_transfer(transfer: Transfer, caplog: pytest.LogCaptureFixture) -> None:
    _complete(transfer).parts.update(crc64="not hex")
    case = next(case for case in CASES if case.task == "complete_transfer")
    for _ in range(MAX_ATTEMPTS):
        attempt(case, transfer)
    assert (transfer.phase, transfer.error_code) == (Phase.FAILED, "InternalError")
    assert "not hex" in tracebacks(caplog)[0]


def test_cancellation_is_deferred_without_end_and_shows_the_error(transfer: Transfer, broken: Any) -> None:
    case = Case("cancel_transfer", _cancel, f"{CLIENT}.abort_multipart_upload", Phase.SENDING, Phase.SENDING)
    _cancel(transfer)
    broken(case.raises)
    for _ in range(MAX_ATTEMPTS + 2):
        attempt(case, transfer)
    assert (transfer.phase, transfer.lease_token) == (Phase.SENDING, None)
    assert (transfer.error_code, transfer.tries) == ("InternalError", MAX_ATTEMPTS + 2)
    assert transfer.store_uploads.get().state == StoreUploadState.OPEN


def test_row_whose_end_cannot_be_written_is_deferred(
    transfer: Transfer, broken: Any, caplog: pytest.LogCaptureFixture
) -> None:
    row = _item(transfer)
    OperationItem.objects.update(tries=MAX_ATTEMPTS - 1, error_reason="InternalError")
    broken(f"{CLIENT}.abort_multipart_upload")
    broken("uploads.audit.record_item", TypeError("not serializable"))
    attempt(CASES[3], row)
    assert (row.state, row.lease_token, row.error_code) == (ItemState.ORDERED, None, "InternalError")
    assert tracebacks(caplog) == [str(MALFORMED), "not serializable", "not serializable"]


def test_failure_that_cannot_be_recorded_is_an_internal_error(
    transfer: Transfer, broken: Any, caplog: pytest.LogCaptureFixture
) -> None:
    row = _part(transfer)
    error = NotSent(Problem(Code.CONNECTION_FAILED, detail=object()), reason=Reason.UNREACHABLE, retryable=True)  # type: ignore[arg-type]
    broken(f"{CLIENT}.upload_part", error)
    for _ in range(MAX_ATTEMPTS):
        attempt(CASES[0], row)
    assert (row.state, row.lease_token, row.error_code) == (PartState.STAGED, None, "InternalError")
    assert "not JSON serializable" in tracebacks(caplog)[0]
    transfer.refresh_from_db()
    assert (transfer.phase, transfer.error_code) == (Phase.FAILED, "InternalError")


def test_nul_characters_of_a_response_are_replaced(transfer: Transfer, broken: Any) -> None:
    row = _part(transfer)
    problem = Problem(Code.RESPONSE_NOT_HTTP, detail="\0garbage")
    broken(f"{CLIENT}.upload_part", OutcomeUnknown(problem, reason=Reason.CONNECTION_LOST, retryable=True))
    attempt(CASES[0], row)
    assert row.error is not None
    assert row.error.details == (Problem(Code.RESPONSE_NOT_HTTP, detail="\ufffdgarbage"),)
    broken(f"{CLIENT}.upload_part", Refused("no\0", code="C\0", status=403, reason=Reason.PERMISSION, request_id="\0"))
    attempt(CASES[0], row)
    transfer.refresh_from_db()
    assert (transfer.phase, transfer.error_code, transfer.error_message) == (Phase.FAILED, "C\ufffd", "no\ufffd")


def test_store_whose_secret_cannot_be_decrypted_does_not_leave_a_row_running(
    transfer: Transfer, caplog: pytest.LogCaptureFixture
) -> None:
    """The key that encrypted the store's credentials is not among the settings any more."""
    row = _part(transfer)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE uploads_store SET secret_key = 'no token'")
    for count in range(1, MAX_ATTEMPTS + 3):
        attempt(CASES[0], row)
        assert (row.state, row.lease_token, row.tries) == (PartState.STAGED, None, count)
        assert row.error_code == "SecretUnreadable"
        assert row.not_before is not None
        assert row.not_before > timezone.now()
    assert caplog.records


def test_database_that_is_unavailable_is_not_counted_as_a_bug(transfer: Transfer, broken: Any) -> None:
    row = _part(transfer)
    broken(f"{CLIENT}.upload_part", OperationalError("database is locked"))
    for _ in range(MAX_ATTEMPTS + 2):
        attempt(CASES[0], row)
    assert (row.state, row.error_code, row.tries) == (PartState.STAGED, "DatabaseUnavailable", MAX_ATTEMPTS + 2)
    transfer.refresh_from_db()
    assert transfer.phase == Phase.SENDING


def test_earlier_waiting_does_not_count_as_internal_errors(transfer: Transfer, broken: Any) -> None:
    row = _part(transfer)
    Part.objects.update(tries=40, error_code="Unreachable", error_reason="unreachable", failing_since=timezone.now())
    broken(f"{CLIENT}.upload_part")
    attempt(CASES[0], row)
    assert (row.state, row.tries) == (PartState.STAGED, 1)


def test_lost_lease_is_not_written_to(transfer: Transfer, monkeypatch: pytest.MonkeyPatch) -> None:
    def taken_over(*_: object, **__: object) -> None:
        Part.objects.update(lease_token=transfer.pk)
        raise MALFORMED

    monkeypatch.setattr(f"{CLIENT}.upload_part", taken_over)
    row = _part(transfer)
    attempt(CASES[0], row)
    assert (row.state, row.lease_token, row.error_code) == (PartState.SENDING, transfer.pk, "")


# --- Dispatching ------------------------------------------------------------------------------------------------------


def test_failed_dispatch_counts_as_an_attempt_of_the_transfer(
    transfer: Transfer, broken: Any, caplog: pytest.LogCaptureFixture
) -> None:
    broken("uploads.services.transfers.dispatch._run")
    dispatch_transfer_guarded(transfer.pk)
    transfer.refresh_from_db()
    assert (transfer.phase, transfer.error_code, transfer.tries) == (Phase.SENDING, "InternalError", 1)
    for _ in range(MAX_ATTEMPTS):
        Transfer.objects.update(not_before=None)
        dispatch_transfer_guarded(transfer.pk)
    transfer.refresh_from_db()
    assert (transfer.phase, transfer.error_code, transfer.lease_token) == (Phase.FAILED, "InternalError", None)
    assert set(tracebacks(caplog)) == {str(MALFORMED)}


def test_dispatch_that_finds_the_database_locked_is_no_attempt(transfer: Transfer, broken: Any) -> None:
    broken("uploads.services.transfers.dispatch._run", OperationalError("database is locked"))
    dispatch_transfer_guarded(transfer.pk)
    transfer.refresh_from_db()
    assert (transfer.error_code, transfer.tries) == ("", 0)


def test_failed_dispatch_counts_as_an_attempt_of_each_item(transfer: Transfer, broken: Any) -> None:
    item = _item(transfer)
    broken("uploads.services.operations.order.enqueue_rows")
    for _ in range(MAX_ATTEMPTS):
        OperationItem.objects.update(not_before=None)
        dispatch_operation_guarded(item.operation_id)
    item.refresh_from_db()
    assert (item.state, item.error_code, item.lease_token) == (ItemState.FAILED, "InternalError", None)


def test_watchdog_continues_after_one_transfer_and_one_step_failed(
    transfer: Transfer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    item = _item(transfer)
    OperationItem.objects.update(state=ItemState.RUNNING, lease_until=leases.in_seconds(-1))

    def fails() -> None:
        raise MALFORMED

    fails.__name__ = "_expire_silent_transfers"
    steps = [step if step.__name__ != fails.__name__ else fails for step in watchdog_steps()]
    monkeypatch.setattr("uploads.services.upkeep.watchdog.STEPS", steps)
    monkeypatch.setattr("uploads.services.transfers.dispatch._run", lambda *_: fails())
    monkeypatch.setattr(attempts, "backoff_seconds", lambda _: 0.0)
    watch()
    item.refresh_from_db()
    transfer.refresh_from_db()
    assert (item.state, item.queued_at is None) == (ItemState.ORDERED, False)
    assert transfer.error_code == "InternalError"
    assert tracebacks(caplog) == [str(MALFORMED)] * 2


def watchdog_steps() -> Iterator[Callable[[], bool | None]]:
    from uploads.services.upkeep.watchdog import STEPS

    yield from STEPS
