"""A worker that is killed while it works on a row: the loss counts as a failed attempt, with a limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from dashboard.shared.messages import error_text
from tests.services.work.test_internal_errors import (
    CASES,
    Case,
    _cancel,
    _check,
    _item,
    _part,
    attempt,
    backoff,
    broken,
    store,
    transfer,
)
from uploads.domain.states import DesiredState, ItemState, PartState, Phase
from uploads.models import Part, Transfer
from uploads.models.work import WorkFields
from uploads.problems import Code, Problem
from uploads.services.transfers.steps import request_retry
from uploads.services.upkeep.watchdog import _return_expired_leases
from uploads.services.work import leases
from uploads.services.work.attempts import GIVE_UP, MAX_ATTEMPTS
from uploads.services.work.failures import problem_fields
from uploads.services.work.leases import Lease
from uploads.services.work.tasks import TASKS

__all__ = ["backoff", "broken", "store", "transfer"]

LIMITED = [case for case in CASES if case.attempts > 1]
by_task = pytest.mark.parametrize("case", LIMITED, ids=[case.task for case in LIMITED])


def take(task: str, row: WorkFields) -> Lease[Any]:
    """Take the lease of a row, as a worker does."""
    type(row)._default_manager.update(not_before=None)
    lease = leases.take(TASKS[task].kind, TASKS[task].ready(), row.pk)
    assert lease is not None
    return lease


def kill_worker(task: str, row: WorkFields) -> Lease[Any]:
    """Let a worker take the lease of a row and die, and the watchdog notice it. Returns the lost lease."""
    lease = take(task, row)
    expire(row)
    _return_expired_leases()
    row.refresh_from_db()
    return lease


def expire(row: WorkFields) -> None:
    type(row)._default_manager.filter(lease_until__isnull=False).update(lease_until=leases.in_seconds(-1))


@by_task
def test_lost_worker_counts_as_a_failed_attempt(case: Case, transfer: Transfer) -> None:
    row: Any = case.row(transfer)
    lost = kill_worker(case.task, row)
    assert getattr(row, case.column) == case.waiting
    assert (row.lease_token, row.lease_until, row.queued_at) == (None, None, None)
    assert (row.error_code, row.tries) == ("WorkerLost", 1)
    assert row.not_before > timezone.now()
    assert error_text(row.error).startswith("The worker process ended")
    assert not lost.release(), "the worker was cut off, and returns too late"


@by_task
def test_row_that_kills_its_workers_fails(case: Case, transfer: Transfer) -> None:
    row: Any = case.row(transfer)
    row.refresh_from_db()
    for count in range(1, MAX_ATTEMPTS + 1):
        assert getattr(row, case.column) == case.waiting, count
        kill_worker(case.task, row)
    # An operation may have had an effect: nobody knows.
    ended = ItemState.UNKNOWN if case.task == "run_item" else case.ended
    assert (getattr(row, case.column), row.error_code, row.lease_token) == (ended, "WorkerLost", None)
    if case.task == "send_part":
        transfer.refresh_from_db()
        assert (transfer.phase, transfer.error_code) == (Phase.FAILED, "WorkerLost")
        request_retry(transfer.owner, transfer)
        row.refresh_from_db()
        assert (row.state, row.tries, row.error_code) == (PartState.STAGED, 0, "")


def test_success_resets_the_count(transfer: Transfer) -> None:
    row = _part(transfer)
    for _ in range(MAX_ATTEMPTS - 1):
        kill_worker("send_part", row)
    lease = take("send_part", row)
    lease.end(PartState.SENT, **leases.SUCCEEDED)
    row.refresh_from_db()
    assert row.tries == 0


def test_interrupted_part_does_not_count(transfer: Transfer) -> None:
    """A worker that shuts down returns its part."""
    row = _part(transfer)
    take("send_part", row).release()
    row.refresh_from_db()
    assert (row.state, row.tries, row.error_code) == (PartState.STAGED, 0, "")


def test_internal_errors_and_lost_workers_count_together(transfer: Transfer, broken: Callable[..., None]) -> None:
    item, case = _item(transfer), next(case for case in CASES if case.task == "run_item")
    broken(case.raises)
    for _ in range(MAX_ATTEMPTS // 2):
        kill_worker("run_item", item)
        attempt(case, item)
    assert (item.state, item.error_code) == (ItemState.FAILED, "InternalError")


def test_machine_that_was_off_for_days_does_not_fail_its_work(transfer: Transfer) -> None:
    row = _part(transfer)
    long_ago = timezone.now() - 2 * GIVE_UP
    Part.objects.update(tries=3, error_code="Unreachable", error_reason="unreachable", failing_since=long_ago)
    kill_worker("send_part", row)
    assert (row.state, row.tries, row.error_code) == (PartState.STAGED, 1, "WorkerLost")


def test_cancellation_keeps_its_error_until_many_workers_were_lost(transfer: Transfer) -> None:
    _cancel(transfer)
    Transfer.objects.update(**problem_fields(Problem(Code.EXPIRED, silent_seconds=60)))
    for _ in range(MAX_ATTEMPTS - 1):
        kill_worker("cancel_transfer", transfer)
    assert (transfer.error_code, transfer.phase) == ("Expired", Phase.SENDING)
    for _ in range(MAX_ATTEMPTS + 2):
        kill_worker("cancel_transfer", transfer)
    assert (transfer.error_code, transfer.phase) == ("WorkerLost", Phase.SENDING)
    assert (transfer.desired_state, transfer.lease_token) == (DesiredState.CANCEL, None)
    take("cancel_transfer", transfer)


def test_store_check_counts_its_starts_itself(transfer: Transfer) -> None:
    check = _check(transfer)
    kill_worker("run_store_check", check)
    assert (check.state, check.tries, check.error_code) == (ItemState.ORDERED, 1, "")


def test_lease_that_was_renewed_is_not_taken_over(transfer: Transfer) -> None:
    row = _item(transfer)
    lease = take("run_item", row)
    expire(row)
    expired = list(lease.kind.expired_rows())
    lease.renew()
    assert leases.take_over(lease.kind, expired[0].pk) is None
    lease.renew()


def test_other_rows_are_returned_if_one_cannot_be(transfer: Transfer, monkeypatch: pytest.MonkeyPatch) -> None:
    item, part = _item(transfer), _part(transfer)
    take("run_item", item)
    take("send_part", part)
    expire(item)
    expire(part)
    record = "uploads.services.transfers.kinds._resume_part"
    monkeypatch.setattr(record, lambda *_: 1 / 0)
    _return_expired_leases()
    item.refresh_from_db()
    part.refresh_from_db()
    assert (item.state, item.error_code) == (ItemState.ORDERED, "WorkerLost")
    assert (part.state, part.lease_token) == (PartState.STAGED, None)
