"""Several small files in one task: what happens to one of them does not concern the others."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection

from tests.services.drive import Drive
from tests.services.transfers.unknown_outcomes.outcomes import Reader, actions, bytes_of, due, first_part
from tests.services.transfers.unknown_outcomes.test_one_part import raising
from tests.system.fault_proxy import Fault, FaultProxy
from uploads import crash
from uploads.domain.states import DesiredState, PartState, Phase
from uploads.models import Part, Transfer
from uploads.services.transfers import small_files
from uploads.services.transfers.cancel import cancel_transfer
from uploads.services.transfers.complete import complete_transfer
from uploads.services.transfers.dispatch import dispatch_many
from uploads.services.transfers.proved import ProvedFile, record_proved
from uploads.services.transfers.small_files import send_small_files
from uploads.services.transfers.steps import request_cancel, request_pause, request_resume
from uploads.services.upkeep.cleanup import release_left_bytes
from uploads.services.upkeep.watchdog import _return_expired_leases
from uploads.services.work import leases, queue

NODE = "test-node"
COUNT = 6
DONE = (Phase.DONE, True, "")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is returned because this machine is busy."""
    monkeypatch.setattr(small_files, "START_SECONDS", 600.0)


@pytest.fixture
def files(drive: Drive) -> list[Transfer]:
    return [drive.upload(os.urandom(1000 + number), f"k{number}") for number in range(COUNT)]


@pytest.fixture
def data(files: Sequence[Transfer]) -> dict[str, bytes]:
    return {transfer.key: bytes_of(transfer) for transfer in files}


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch, files: Sequence[Transfer]) -> list[str]:
    """The tasks that are published after the files have arrived."""
    del files
    published: list[str] = []
    monkeypatch.setattr(queue, "_publish", lambda task, *_: published.append(task))
    return published


def closing(act: Callable[[], object]) -> Callable[[], None]:
    """For a thread of the proxy, which does not close its connection to the database."""

    def act_and_close() -> None:
        try:
            act()
        finally:
            connection.close()

    return act_and_close


def states(files: Sequence[Transfer]) -> list[tuple[str, bool, str]]:
    rows = {row.pk: row for row in Transfer.objects.filter(pk__in=[each.pk for each in files])}
    return [(rows[each.pk].phase, rows[each.pk].verified, rows[each.pk].error_code) for each in files]


def assert_done(files: Sequence[Transfer], data: dict[str, bytes], read_object: Reader) -> None:
    assert states(files) == [DONE] * len(files)
    assert {transfer.key: read_object(transfer.key) for transfer in files} == {
        transfer.key: data[transfer.key] for transfer in files
    }
    assert not any(transfer.folder.exists() for transfer in files)
    ids = [transfer.pk for transfer in files]
    assert not Part.objects.filter(transfer__in=ids, reserved_bytes__gt=0).exists()
    assert not Transfer.objects.filter(pk__in=ids, release_at__isnull=False).exists()


def test_files_are_sent_together(
    files: Sequence[Transfer], data: dict[str, bytes], proxy: FaultProxy, read_object: Reader
) -> None:
    send_small_files(NODE)
    assert_done(files, data, read_object)
    assert (proxy.requests["PutObject"], proxy.requests["HeadObject"]) == (COUNT, COUNT)
    for transfer in files:
        assert actions(transfer) == ["begun", "done"]
        transfer.refresh_from_db()
        part = first_part(transfer)
        assert (part.state, part.lease_token, part.moved) == (PartState.SENT, None, part.size)
        assert transfer.etag == part.etag
        assert transfer.crc64.endswith(part.crc64)
        assert transfer.completed_at is not None


def test_file_that_fails_is_attempted_again_alone(
    files: Sequence[Transfer], data: dict[str, bytes], drive: Drive, proxy: FaultProxy, read_object: Reader
) -> None:
    proxy.next("PutObject", Fault.INTERNAL_ERROR)
    send_small_files(NODE)
    [failed] = [each for each in files if states([each]) != [DONE]]
    part = first_part(failed)
    assert (part.state, part.tries, part.error_code) == (PartState.STAGED, 1, "InternalError")
    assert part.error_request_id or part.error_message
    due(failed)
    send_small_files(NODE)
    assert states([failed]) != [DONE], "a file that has failed does not share its task"
    drive.finish(failed)
    assert_done(files, data, read_object)


@pytest.mark.parametrize("fault", [Fault.RESPONSE_LOST, Fault.RESET_DURING_BODY, Fault.STALL, Fault.DUPLICATED])
def test_unknown_outcome_of_one_file_is_found_out(
    files: Sequence[Transfer],
    data: dict[str, bytes],
    drive: Drive,
    proxy: FaultProxy,
    read_object: Reader,
    fault: Fault,
) -> None:
    proxy.next("PutObject", None, fault)
    send_small_files(NODE)
    assert sum(state == DONE for state in states(files)) >= COUNT - 1
    for transfer in files:
        drive.finish(transfer)
    assert_done(files, data, read_object)


def test_object_that_head_does_not_show_is_looked_at_again(
    files: Sequence[Transfer], data: dict[str, bytes], proxy: FaultProxy, read_object: Reader
) -> None:
    proxy.next("HeadObject", Fault.INTERNAL_ERROR, Fault.INTERNAL_ERROR)
    send_small_files(NODE)
    assert proxy.requests["PutObject"] == COUNT
    for transfer in files:
        due(transfer)
        complete_transfer(transfer.pk)
    assert_done(files, data, read_object)
    assert proxy.requests["PutObject"] == COUNT


def test_file_that_is_cancelled_meanwhile_is_not_done(
    files: Sequence[Transfer], data: dict[str, bytes], user: User, proxy: FaultProxy, read_object: Reader
) -> None:
    proxy.before("PutObject", closing(lambda: request_cancel(user, files[-1])))
    send_small_files(NODE)
    files[-1].refresh_from_db()
    assert (files[-1].phase, files[-1].desired_state) == (Phase.SENDING, DesiredState.CANCEL)
    assert first_part(files[-1]).lease_token is None
    cancel_transfer(files[-1].pk)
    assert states(files[-1:]) == [(Phase.CANCELLED, False, "")]
    assert_done(files[:-1], data, read_object)


def test_file_that_is_paused_meanwhile_goes_on_later(
    files: Sequence[Transfer], data: dict[str, bytes], user: User, drive: Drive, proxy: FaultProxy, read_object: Reader
) -> None:
    proxy.before("HeadObject", closing(lambda: request_pause(user, files[0])))
    send_small_files(NODE)
    assert states(files) == [(Phase.SENDING, False, ""), *[DONE] * (COUNT - 1)]
    files[0].refresh_from_db()
    request_resume(user, files[0])
    drive.finish(files[0])
    assert_done(files, data, read_object)


def test_owner_without_a_role_sends_nothing(files: Sequence[Transfer], user: User, proxy: FaultProxy) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)
    send_small_files(NODE)
    assert states(files) == [(Phase.FAILED, False, "ActorDisabled")] * COUNT
    assert proxy.requests["PutObject"] == 0


def test_files_that_would_wait_for_a_slow_store_are_returned(
    files: Sequence[Transfer],
    data: dict[str, bytes],
    messages: list[str],
    read_object: Reader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(small_files, "START_SECONDS", 0.0)
    send_small_files(NODE)
    assert states(files[: small_files.THREADS]) == [DONE] * small_files.THREADS
    left = Part.objects.filter(state=PartState.STAGED)
    assert left.count() == COUNT - small_files.THREADS
    assert not left.exclude(queued_at__isnull=False, lease_token=None, tries=0).exists()
    assert messages == ["send_small_files"]
    send_small_files(NODE)
    assert_done(files, data, read_object)


def test_more_files_are_left_to_the_next_task(
    files: Sequence[Transfer], messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_files, "FILES", 4)
    send_small_files(NODE)
    assert states(files).count(DONE) == 4
    assert messages == ["send_small_files"]


def test_files_whose_message_was_lost_share_the_next_one(files: Sequence[Transfer], messages: list[str]) -> None:
    Part.objects.update(queued_at=None)
    Part.objects.filter(transfer=files[0]).update(tries=1)
    dispatch_many([transfer.pk for transfer in files])
    assert messages == ["send_small_files", "send_part"]
    assert not Part.objects.filter(queued_at=None).exists()
    send_small_files(NODE)
    assert states(files).count(DONE) == COUNT - 1


def test_bytes_of_one_task_are_limited(files: Sequence[Transfer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_files, "BYTES", 2100)
    send_small_files(NODE)
    assert states(files).count(DONE) == 2


def test_killed_worker_counts_an_attempt_of_each_file(
    files: Sequence[Transfer], data: dict[str, bytes], drive: Drive, proxy: FaultProxy, read_object: Reader
) -> None:
    assert len(small_files._take()) == COUNT
    send_small_files(NODE)
    assert proxy.requests["PutObject"] == 0, "another process has them"
    Part.objects.update(lease_until=leases.in_seconds(-1))
    _return_expired_leases()
    assert set(Part.objects.values_list("state", "tries", "error_code")) == {(PartState.STAGED, 1, "WorkerLost")}
    for transfer in files:
        drive.finish(transfer)
    assert_done(files, data, read_object)


def test_process_that_has_to_end_returns_its_files(
    files: Sequence[Transfer],
    data: dict[str, bytes],
    drive: Drive,
    proxy: FaultProxy,
    read_object: Reader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(small_files, "STOP_SECONDS", 0.0)
    monkeypatch.setattr(small_files, "has_to_end", lambda: True)
    send_small_files(NODE)
    assert not Part.objects.exclude(lease_token=None).exists()
    assert set(Part.objects.values_list("tries", "error_code")) == {(0, "")}
    for transfer in files:
        drive.finish(transfer)
    assert_done(files, data, read_object)


@pytest.mark.parametrize("error", [KeyError("a field"), OperationalError("database is locked")])
@pytest.mark.parametrize("point", ["files.taken", "part.responded", "files.recorded", "part.recorded", "files.removed"])
def test_exceptions_do_no_harm(
    files: Sequence[Transfer],
    data: dict[str, bytes],
    drive: Drive,
    read_object: Reader,
    monkeypatch: pytest.MonkeyPatch,
    point: str,
    error: Exception,
) -> None:
    monkeypatch.setattr(crash, "point", raising(point, error, 1))
    send_small_files(NODE)
    monkeypatch.setattr(crash, "point", lambda _name: None)
    for transfer in files:
        drive.finish(transfer)
    release_left_bytes()
    assert_done(files, data, read_object)


def test_rows_that_cannot_be_recorded_together_are_recorded_alone(
    files: Sequence[Transfer], data: dict[str, bytes], read_object: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def record_one(files: Sequence[ProvedFile]) -> bool:
        if len(files) > 1:
            raise KeyError("a field")
        return record_proved(files)

    monkeypatch.setattr(small_files, "record_proved", record_one)
    send_small_files(NODE)
    assert_done(files, data, read_object)
