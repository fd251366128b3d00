"""An exception that no code expects, while one task sends a file of one part and proves its object."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from django.db import OperationalError
from pytest_django import Settings

from tests.services.drive import Drive, staged_names
from tests.services.transfers.unknown_outcomes.outcomes import bytes_of
from tests.services.transfers.unknown_outcomes.test_raising_points import work
from tests.system.fault_proxy import Fault, FaultProxy
from uploads import crash
from uploads.domain.replacement import Replacement
from uploads.domain.states import Phase
from uploads.services.transfers.steps import request_retry
from uploads.services.upkeep.cleanup import release_left_bytes
from uploads.services.work.attempts import MAX_ATTEMPTS

Reader = Callable[[str], bytes]

POINTS = ("part.taken", "part.responded", "part.recorded", "transfer.ended", "staging.removed")
MANY = 3 * MAX_ATTEMPTS


def raising(name: str, error: Exception, times: int) -> Callable[[str], None]:
    """A crash point that raises an error so many times."""
    left = [error] * times

    def point(reached: str) -> None:
        if reached == name and left:
            raise left.pop()

    return point


@pytest.mark.parametrize(
    ("error", "times"), [(KeyError("a field"), 1), (OperationalError("database is locked"), 1), (KeyError("f"), MANY)]
)
@pytest.mark.parametrize("point", POINTS)
def test_exceptions_do_no_harm(
    drive: Drive,
    read_object: Reader,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    point: str,
    error: Exception,
    times: int,
) -> None:
    transfer = drive.upload(os.urandom(1000))
    data = bytes_of(transfer)
    monkeypatch.setattr(crash, "point", raising(point, error, times))
    work(drive, transfer, MANY)
    monkeypatch.setattr(crash, "point", lambda _name: None)
    if transfer.phase == Phase.FAILED:
        assert transfer.error_code == "InternalError"
        request_retry(transfer.owner, transfer)
        work(drive, transfer, 5)
    assert transfer.phase == Phase.DONE
    # If the task could not remove its bytes, the task of the node does.
    settings.LOST_MESSAGE_SECONDS = 0
    release_left_bytes()
    assert read_object(transfer.key) == data
    assert staged_names(transfer) == []
    assert not transfer.parts.filter(reserved_bytes__gt=0).exists()


def test_sender_does_not_wait_for_a_store_that_fails_to_show_the_object(drive: Drive, proxy: FaultProxy) -> None:
    transfer = drive.upload(os.urandom(1000), replace=True, replacement=Replacement(any_object=True))
    proxy.always("HeadObject", Fault.INTERNAL_ERROR)
    drive.send(transfer)
    assert proxy.requests["HeadObject"] == 1
    transfer.refresh_from_db()
    assert (transfer.phase, transfer.error_code) == (Phase.COMPLETING, "StoreFault")
    proxy.clear()
    assert drive.finish(transfer).phase == Phase.DONE


@pytest.mark.parametrize("fault", [Fault.INTERNAL_ERROR, Fault.RESET_BEFORE_BODY, Fault.NOT_FOUND_PAGE])
def test_own_object_is_found_although_it_could_not_be_looked_at(
    drive: Drive, proxy: FaultProxy, read_object: Reader, fault: Fault
) -> None:
    """The store refuses to replace the object of a lost response. Whose it is, is not known while HEAD fails."""
    transfer = drive.upload(os.urandom(1000), replace=False, replacement=Replacement())
    data = bytes_of(transfer)
    proxy.next("PutObject", Fault.RESPONSE_LOST)
    proxy.always("HeadObject", fault)
    for _ in range(2):
        drive.finish(transfer, rounds=1)
        assert transfer.phase == Phase.SENDING
    assert proxy.requests["PutObject"] == 2
    proxy.clear()
    assert drive.finish(transfer).phase == Phase.DONE
    assert read_object(transfer.key) == data
    assert staged_names(transfer) == []
