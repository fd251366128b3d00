"""An exception that no code expects at any point of the work: nothing is lost, and nothing loops without an error."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest
from django.db import DatabaseError, OperationalError

from tests.services.drive import Drive, staged_names
from tests.services.transfers.unknown_outcomes.outcomes import Truth, bytes_of
from uploads import crash
from uploads.domain.states import FINAL_PHASES, PartState, Phase, StoreUploadState
from uploads.models import Part, Transfer
from uploads.problems import Code
from uploads.services.transfers.steps import can_retry, request_cancel, request_retry
from uploads.services.upkeep.watchdog import watch
from uploads.services.work.attempts import MAX_ATTEMPTS

Reader = Callable[[str], bytes]
RaiseAt = Callable[..., list[BaseException]]

POINTS = (
    *("create.requested", "create.responded", "create.recorded"),
    *("part.taken", "part.responded", "part.recorded"),
    *("complete.requested", "complete.responded", "complete.recorded", "transfer.ended"),
    "queue.committed",
)

ERRORS: tuple[BaseException, ...] = (
    KeyError("a field"),
    MemoryError(),
    AttributeError("'NoneType' object has no attribute 'etag'"),
    FileNotFoundError(errno.ENOENT, "No such file or directory", "00001"),
    DatabaseError("database disk image is malformed"),
    OperationalError("database is locked"),
    RecursionError(),
)


@pytest.fixture
def raise_at(monkeypatch: pytest.MonkeyPatch) -> RaiseAt:
    """Have a crash point raise an error so many times, or without end. Returns the errors raised so far."""

    def set_point(name: str, error: BaseException, times: int | None = None) -> list[BaseException]:
        done: list[BaseException] = []

        def point(reached: str) -> None:
            if reached == name and (times is None or len(done) < times):
                done.append(error)
                raise error

        monkeypatch.setattr(crash, "point", point)
        return done

    return set_point


def work(drive: Drive, transfer: Transfer, rounds: int) -> Transfer:
    """Run the watchdog and all tasks as often, or once more after the end. No row is under a lease in between."""
    has_ended = False
    for _ in range(rounds):
        drive.finish(transfer, rounds=1)
        watch()
        assert not Transfer.objects.filter(lease_token__isnull=False).exists()
        assert not Part.objects.filter(lease_token__isnull=False).exists()
        assert not Part.objects.filter(state=PartState.SENDING).exists()
        if has_ended:
            break
        transfer.refresh_from_db()
        has_ended = transfer.phase == Phase.FAILED or (transfer.phase in FINAL_PHASES and not staged_names(transfer))
    transfer.refresh_from_db()
    return transfer


ONCE = [(point, ERRORS[0]) for point in POINTS] + [
    (POINTS[number % len(POINTS)], error) for number, error in enumerate(ERRORS[1:] * 3)
]
"""Each point with one error, and each error at three points: all points are handled by the same code."""


@pytest.mark.parametrize(
    ("point", "error"), ONCE, ids=lambda value: value if isinstance(value, str) else type(value).__name__
)
def test_one_exception_does_no_harm(
    drive: Drive,
    transfer: Transfer,
    truth: Truth,
    read_object: Reader,
    raise_at: RaiseAt,
    point: str,
    error: BaseException,
) -> None:
    data = bytes_of(transfer)
    raised = raise_at(point, error, times=1)
    work(drive, transfer, 5)
    assert raised == [error]
    assert transfer.phase == Phase.DONE
    assert read_object(transfer.key) == data
    assert truth.uploads() == []
    assert staged_names(transfer) == []
    assert not transfer.parts.filter(reserved_bytes__gt=0).exists()


@pytest.mark.parametrize("point", POINTS)
def test_exception_that_recurs_ends_the_transfer_or_does_no_harm(
    drive: Drive,
    transfer: Transfer,
    truth: Truth,
    read_object: Reader,
    raise_at: RaiseAt,
    point: str,
) -> None:
    data, error = bytes_of(transfer), ERRORS[0]
    raise_at(point, error)
    work(drive, transfer, 3 * MAX_ATTEMPTS)
    assert transfer.phase in (Phase.DONE, Phase.FAILED), (transfer.phase, transfer.error_code, transfer.tries)
    if transfer.phase == Phase.FAILED:
        assert transfer.error_code == "InternalError"
        assert can_retry(transfer)
        raise_at(point, error, times=0)
        request_retry(transfer.owner, transfer)
        work(drive, transfer, 5)
    assert transfer.phase == Phase.DONE
    assert read_object(transfer.key) == data
    assert truth.uploads() == []
    assert staged_names(transfer) == []


@pytest.mark.parametrize("point", ["cancel.aborted", "transfer.ended", "staging.removed", "create.responded"])
def test_exceptions_do_not_keep_a_cancelled_transfer_from_ending(
    drive: Drive, transfer: Transfer, truth: Truth, raise_at: RaiseAt, point: str
) -> None:
    raise_at(point, KeyError("a field"), times=MAX_ATTEMPTS + 2)
    work(drive, transfer, 1)
    if transfer.phase != Phase.DONE:
        request_cancel(transfer.owner, transfer)
    work(drive, transfer, MAX_ATTEMPTS + 4)
    assert transfer.phase in (Phase.CANCELLED, Phase.DONE)
    assert truth.uploads() == []
    assert not transfer.store_uploads.filter(state=StoreUploadState.OPEN).exists()
    assert staged_names(transfer) == []


def test_staged_file_that_vanished_fails_the_transfer_with_a_reason(drive: Drive, transfer: Transfer) -> None:
    transfer.parts.get(number=2).staged_path.unlink()
    work(drive, transfer, 3)
    assert transfer.phase == Phase.FAILED
    assert (transfer.error_code, transfer.error_reason) == ("BytesGone", Code.STAGED_BYTES_LOST)
