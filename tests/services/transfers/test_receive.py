"""Receiving: whatever fails, and wherever, the next sender resumes from what has arrived and the file is complete."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import random
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pytest_django import Settings

from tests.services.drive import MIB, Drive, staged_names
from uploads.domain.states import DesiredState, PartState, Phase
from uploads.models import Part, Store, Transfer
from uploads.problems import Code, Problem
from uploads.services.staging import quota
from uploads.services.transfers.receive import (
    QuotaExceeded,
    Receiver,
    ReceivingStopped,
    WrongLength,
    checksum,
    ending,
    recover,
    reservations,
    resume,
    staged,
)
from uploads.services.transfers.receive.progress import Progress
from uploads.services.transfers.start import offset_of
from uploads.services.transfers.steps import request_cancel, request_pause, request_resume
from uploads.staging import disk
from uploads.staging.disk import PartialFile, StagingFolder, WriterBusy
from uploads.staging.tus import Checksum, TusError

Make = Callable[..., Transfer]


class Crash(BaseException):
    """The process ends here."""


@pytest.fixture
def unreachable(transactional_db: None) -> Store:
    """A store that these tests never send a request to."""
    return Store.objects.create(name="unreachable", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


@pytest.fixture
def make(user: User, unreachable: Store) -> Make:
    """A resumable transfer for the content of a file, with parts of any size."""

    def make_transfer(content: bytes, part_size: int = 10, *, with_sha256: bool = False, **values: Any) -> Transfer:
        facts: dict[str, Any] = {"bucket": "b", "key": "k", "node": "test-node", "resumable": True}
        if with_sha256:
            facts |= {"verify_sha256": True, "expected_sha256": hashlib.sha256(content).hexdigest()}
        count = max(1, -(-len(content) // part_size))
        return Transfer.objects.create(
            owner=user,
            store=unreachable,
            **facts | {"size": len(content), "part_size": part_size, "part_count": count} | values,
        )

    return make_transfer


def checksum_of(body: bytes) -> Checksum:
    return Checksum("sha1", hashlib.sha1(body).digest())


def send(transfer: Transfer, content: bytes, length: int | None = None, *, block: int = 7, **options: Any) -> int:
    """One request with `length` bytes, or all that are missing, from the current offset. Returns the new offset."""
    with Receiver(transfer, **options) as receiver:
        end = len(content) if length is None else min(len(content), receiver.offset + length)
        receiver.expect(end - receiver.offset)
        for start in range(receiver.offset, end, block):
            receiver.write(content[start : min(start + block, end)])
        receiver.end()
    return receiver.offset


def staged_bytes(transfer: Transfer) -> bytes:
    folder = transfer.folder.path
    return b"".join((folder / name).read_bytes() for name in staged_names(transfer))


def check_complete(transfer: Transfer, content: bytes) -> None:
    transfer.refresh_from_db()
    assert transfer.all_received
    assert (transfer.phase, transfer.error_code) == (Phase.SENDING, "")
    assert staged_bytes(transfer) == content
    assert staged_names(transfer) == [f"{number:05}" for number in range(1, transfer.part_count + 1)]
    parts = list(transfer.parts.order_by("number"))
    assert [part.number for part in parts] == [*range(1, transfer.part_count + 1)]
    assert {part.state for part in parts} == {PartState.STAGED}
    assert sum(part.received for part in parts) == sum(part.reserved_bytes for part in parts) == len(content)
    if transfer.verify_sha256:
        assert transfer.sha256 == hashlib.sha256(content).hexdigest()


# --- Crashes ----------------------------------------------------------------------------------------------------------


class Effects:
    """Counts the effects on disk and database, and crashes before or in the middle of the n-th."""

    def __init__(self, crashes_at: int | None) -> None:
        self.count, self.crashes_at, self.written, self.verified = 0, crashes_at, 0, False

    def step(self) -> None:
        self.count += 1
        if self.count == self.crashes_at:
            raise Crash

    def before_and_after(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def stepping(*args: Any, **kwargs: Any) -> Any:
            self.step()
            result = real(*args, **kwargs)
            self.step()
            return result

        return stepping

    def write(self, real: Callable[[PartialFile, memoryview], None]) -> Callable[..., None]:
        def torn(file: PartialFile, block: memoryview) -> None:
            half = len(block) // 2
            for piece in (block[:half], block[half:]):
                real(file, piece)
                self.written += len(piece)
                self.step()

        return torn

    def unlink(self, real: Callable[..., None]) -> Callable[..., None]:
        def unlinking(path: Path, missing_ok: bool = False) -> None:
            self.step()
            real(path, missing_ok)
            self.verified |= path.name == "unverified"
            self.step()

        return unlinking

    @contextmanager
    def counted(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(PartialFile, "write", self.write(PartialFile.write))
            patch.setattr(Path, "unlink", self.unlink(Path.unlink))
            for owner, name in (
                (os, "truncate"),
                (os, "fdatasync"),
                (disk, "sync_folder"),
                (Path, "rename"),
                (quota, "reserve"),
                (checksum, "mark_staged"),
                (resume, "mark_staged"),
                (staged, "mark_staged"),
                (Progress, "record"),
                (ending, "dispatch"),
                (staged, "dispatch"),
            ):
                patch.setattr(owner, name, self.before_and_after(getattr(owner, name)))
            yield


def send_and_crash(transfer: Transfer, content: bytes, length: int, effects: Effects, checked: bool) -> int | None:
    """One request whose process may crash. Returns the offset at which it started."""
    start = offset_of(transfer)
    end = min(len(content), start + length)
    checksum = checksum_of(content[start:end]) if checked else None
    receiver = Receiver(transfer, checksum=checksum)
    with effects.counted():
        try:
            receiver.__enter__()
            assert receiver.offset == start
            receiver.expect(end - start)
            for at in range(start, end, 5):
                receiver.write(content[at : min(at + 5, end)])
            receiver.end()
        except Crash:
            clean_up(receiver)
        else:
            receiver.__exit__(None, None, None)
    return start


def clean_up(receiver: Receiver) -> None:
    """Do what the kernel does after a crash: close the files, and with them release the lock."""
    if receiver._syncer._syncing is not None:
        receiver._syncer._syncing.future.exception()
    receiver._parts.close()
    receiver._exit.close()


requests = st.tuples(st.integers(0, 60), st.booleans(), st.none() | st.integers(1, 60))


@examples(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 100), st.integers(5, 30), st.booleans(), st.lists(requests, max_size=8))
def test_file_is_complete_after_any_crashes(
    make: Make, size: int, part_size: int, with_sha256: bool, sent: list[tuple[int, bool, int | None]]
) -> None:
    content = os.urandom(size)
    transfer = make(content, part_size, with_sha256=with_sha256)
    for length, checked, crashes_at in sent:
        effects = Effects(crashes_at)
        if transfer.all_received:
            break
        start = send_and_crash(transfer, content, length, effects, checked)
        assert start is not None
        now = offset_of(transfer)
        arrived = start + effects.written
        # The note of a checked body is removed when its checksum is verified, so a crash leaves all of it or nothing.
        allowed = {start, arrived} if checked else {arrived}
        assert now in allowed
        assert staged_bytes(transfer)[:now] == content[:now]
        transfer.refresh_from_db()
    if not transfer.all_received:
        send(transfer, content)
    check_complete(transfer, content)


@pytest.mark.parametrize("with_sha256", [False, True])
@pytest.mark.parametrize("checked", [False, True])
def test_file_is_complete_after_a_crash_at_any_single_effect(make: Make, with_sha256: bool, checked: bool) -> None:
    content = os.urandom(25)
    for crashes_at in itertools.count(1):
        transfer = make(content, 10, with_sha256=with_sha256)
        effects = Effects(crashes_at)
        send_and_crash(transfer, content, 25, effects, checked)
        send(transfer, content)
        check_complete(transfer, content)
        if effects.count < crashes_at:
            break
    assert crashes_at > 20


# --- Resuming ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_sha256", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_stream_interrupted_anywhere_is_resumed(make: Make, seed: int, with_sha256: bool) -> None:
    rng = random.Random(seed)
    content = rng.randbytes(300_000)
    transfer = make(content, 70_000, with_sha256=with_sha256)
    offset = 0
    while offset < len(content):
        length = rng.choice([1, 69_999, 70_000, 70_001, 140_000, rng.randrange(1, 200_000)])
        expected = min(len(content), offset + length)
        body = content[offset:expected]
        checksum = checksum_of(body) if rng.random() < 0.4 else None
        offset = send(transfer, content, length, block=rng.choice([1000, 33_333, 10**6]), checksum=checksum)
        assert offset == expected == offset_of(Transfer.objects.get(pk=transfer.pk))
    check_complete(transfer, content)


@pytest.mark.parametrize("offset", [0, 1, 9, 10, 11, 19, 20, 24])
def test_another_sender_resumes_after_the_first_has_left(make: Make, offset: int) -> None:
    content = os.urandom(25)
    transfer = make(content)
    with pytest.raises(ZeroDivisionError), Receiver(transfer) as receiver:
        receiver.write(content[:offset])
        raise ZeroDivisionError
    assert offset_of(transfer) == offset
    received = sum(transfer.parts.values_list("received", flat=True))
    assert received == offset
    assert send(transfer, content) == 25
    check_complete(transfer, content)


def test_whole_parts_are_sent_while_the_next_arrive(make: Make) -> None:
    content = os.urandom(25)
    transfer = make(content)
    send(transfer, content, 12)
    transfer.refresh_from_db()
    assert transfer.phase == Phase.SENDING
    assert list(transfer.parts.values_list("number", "state")[:2]) == [(1, PartState.STAGED), (2, PartState.WAITING)]
    Part.objects.filter(transfer=transfer, number=1).update(state=PartState.SENT, reserved_bytes=0)
    transfer.folder.whole(1).unlink()
    assert offset_of(transfer) == 12
    assert send(transfer, content) == 25
    assert staged_bytes(transfer) == content[10:]


@pytest.mark.parametrize("renamed", [False, True])
@pytest.mark.parametrize("with_sha256", [False, True])
def test_full_part_that_was_not_recorded_is_recovered(make: Make, renamed: bool, with_sha256: bool) -> None:
    content = os.urandom(25)
    transfer = make(content, with_sha256=with_sha256)
    send(transfer, content, 8)
    with transfer.folder.partial(1).open("ab") as file:
        file.write(content[8:10])
    if renamed:
        transfer.folder.partial(1).rename(transfer.folder.whole(1))
    assert offset_of(transfer) == 10
    recover(transfer)
    part = transfer.parts.get(number=1)
    assert (part.state, part.received, part.reserved_bytes) == (PartState.STAGED, 10, 10)
    assert send(transfer, content) == 25
    check_complete(transfer, content)


def test_complete_file_that_was_not_recorded_is_recovered(make: Make) -> None:
    content = os.urandom(20)
    transfer = make(content, with_sha256=True)
    send_and_crash(transfer, content, 20, Effects(None), False)
    Transfer.objects.filter(pk=transfer.pk).update(all_received=False, sha256="")
    Part.objects.filter(number=2).update(state=PartState.WAITING, sha256_state=None)
    recover(transfer)
    check_complete(transfer, content)


def test_only_one_writer_at_a_time(make: Make) -> None:
    transfer = make(bytes(20))
    with Receiver(transfer) as receiver:
        with pytest.raises(WriterBusy), Receiver(transfer):
            pass
        receiver.write(bytes(20))
        receiver.end()
    check_complete(transfer, bytes(20))


# --- Checksums --------------------------------------------------------------------------------------------------------


def test_body_with_a_wrong_checksum_is_not_kept(make: Make) -> None:
    content = os.urandom(45)
    transfer = make(content, with_sha256=True)
    send(transfer, content, 5)
    with pytest.raises(TusError) as refused, Receiver(transfer, checksum=checksum_of(b"other")) as receiver:
        receiver.expect(30)
        receiver.write(bytes(30))
        receiver.end()
    assert refused.value.status == 460
    assert receiver.offset == offset_of(transfer) == 5
    assert staged_bytes(transfer) == content[:5]
    assert not transfer.parts.filter(state=PartState.STAGED).exists()
    assert send(transfer, content, 30, checksum=checksum_of(content[5:35])) == 35
    assert send(transfer, content) == 45
    check_complete(transfer, content)


def test_no_part_is_sent_before_the_checksum_is_verified(make: Make) -> None:
    content = os.urandom(25)
    transfer = make(content)
    with Receiver(transfer, checksum=checksum_of(content)) as receiver:
        receiver.expect(25)
        receiver.write(content)
        assert set(transfer.parts.values_list("state", flat=True)) == {PartState.WAITING}
        assert offset_of(transfer) == 0
        receiver.end()
    check_complete(transfer, content)


def test_sender_that_leaves_before_the_checksum_is_verified_leaves_no_bytes(make: Make) -> None:
    content = os.urandom(25)
    transfer = make(content)
    with pytest.raises(ZeroDivisionError), Receiver(transfer, checksum=checksum_of(content)) as receiver:
        receiver.expect(25)
        receiver.write(content[:20])
        raise ZeroDivisionError
    assert offset_of(transfer) == 0
    assert staged_names(transfer) == []


def test_body_with_a_checksum_must_fit_into_staging(make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA = 20
    transfer = make(bytes(45))
    with Receiver(transfer, checksum=checksum_of(bytes(25))) as receiver:
        with pytest.raises(WrongLength) as refusal:
            receiver.expect(25)
        assert refusal.value.problem == Problem(Code.CHECKED_BODY_TOO_LARGE, length_bytes=25, count=3, fitting_bytes=10)
        receiver.expect(20)


def test_two_bodies_with_checksums_never_wait_for_each_other(make: Make, settings: Settings) -> None:
    """A body reserves all of its parts or none of them."""
    settings.STAGING_QUOTA = 40
    first, second = make(bytes(30)), make(bytes(30))
    other = make(bytes(20))
    send(other, bytes(20))
    for transfer in (first, second):
        with Receiver(transfer, checksum=checksum_of(bytes(30))) as receiver, pytest.raises(QuotaExceeded):
            receiver.expect(30)
    for part in other.parts.all():
        Part.objects.filter(pk=part.pk).update(state=PartState.SENT)
        quota.release(part)
    Transfer.objects.update(quota_refused_at=None)
    send(second, bytes(30), checksum=checksum_of(bytes(30)))
    check_complete(second, bytes(30))


# --- Steps while bytes arrive -----------------------------------------------------------------------------------------


def test_pause_stops_a_resumable_transfer_and_keeps_its_bytes(make: Make, user: User) -> None:
    content = os.urandom(25)
    transfer = make(content)
    with pytest.raises(ReceivingStopped) as stopped, Receiver(transfer) as receiver:
        receiver.write(content[:12])
        request_pause(user, transfer)
        receiver._progress._next_check = 0
        receiver.write(content[12:14])
    assert stopped.value.code == "Paused"
    assert offset_of(transfer) == 14
    with pytest.raises(ReceivingStopped), Receiver(transfer):
        pass
    request_resume(user, transfer)
    send(transfer, content)
    check_complete(transfer, content)


def test_pause_does_not_stop_a_form(make: Make, user: User) -> None:
    content = os.urandom(25)
    transfer = make(content, resumable=False)
    with Receiver(transfer) as receiver:
        receiver.write(content[:12])
        request_pause(user, transfer)
        receiver._progress._next_check = 0
        receiver.write(content[12:])
        receiver.end()
    transfer.refresh_from_db()
    assert (transfer.all_received, transfer.desired_state) == (True, DesiredState.PAUSE)
    request_resume(user, transfer)
    check_complete(transfer, content)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"desired_state": DesiredState.CANCEL}, "Cancelled"),
        ({"phase": Phase.CANCELLED}, "Cancelled"),
        ({"phase": Phase.FAILED}, "Failed"),
        ({"phase": Phase.DONE}, "Done"),
        ({"desired_state": DesiredState.PAUSE}, "Paused"),
    ],
)
def test_transfer_that_accepts_no_bytes_is_stopped_and_not_resumed(
    make: Make, change: dict[str, Any], code: str
) -> None:
    transfer = make(bytes(25))
    with pytest.raises(ReceivingStopped) as stopped, Receiver(transfer) as receiver:
        receiver.write(bytes(5))
        Transfer.objects.filter(pk=transfer.pk).update(**change)
        receiver._progress._next_check = 0
        receiver.write(bytes(5))
    assert stopped.value.code == code
    with pytest.raises(ReceivingStopped) as stopped, Receiver(transfer):
        pass
    assert stopped.value.code == code
    with transfer.folder.writer():
        pass  # The lock is free.


def test_form_whose_transfer_fails_is_still_received_completely(make: Make) -> None:
    """It cannot be sent again, so its bytes are received: a retry continues with them."""
    transfer = make(bytes(25), resumable=False)
    with Receiver(transfer) as receiver:
        receiver.write(bytes(15))
        Transfer.objects.filter(pk=transfer.pk).update(phase=Phase.FAILED)
        receiver._progress._next_check = 0
        receiver.write(bytes(10))
        receiver.end()
    transfer.refresh_from_db()
    assert (transfer.all_received, transfer.phase) == (True, Phase.FAILED)


def test_cancellation_at_the_last_moment_is_respected(make: Make, user: User) -> None:
    transfer = make(bytes(25))
    with pytest.raises(ReceivingStopped), Receiver(transfer) as receiver:
        receiver.write(bytes(25))
        request_cancel(user, transfer)
        receiver.end()
    transfer.refresh_from_db()
    assert not transfer.all_received


# --- Quota ------------------------------------------------------------------------------------------------------------


def test_full_staging_stops_the_sender_and_keeps_the_bytes(make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA = 20
    content = os.urandom(25)
    transfer = make(content)
    with pytest.raises(QuotaExceeded), Receiver(transfer) as receiver:
        receiver.expect(25)
        receiver.write(content[:20])
        receiver.write(content[20:])
    assert offset_of(transfer) == 20
    transfer.refresh_from_db()
    assert transfer.quota_refused_at is not None
    assert set(transfer.parts.values_list("state", flat=True)) == {PartState.STAGED}
    part = transfer.parts.get(number=1)
    Part.objects.filter(pk=part.pk).update(state=PartState.SENT)
    quota.release(part)
    assert send(transfer, content) == 25
    assert staged_bytes(transfer) == content[10:]
    transfer.refresh_from_db()
    assert transfer.all_received
    assert not transfer.quota_refused_at


def test_sender_waits_until_space_is_free(make: Make, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.STAGING_QUOTA = 20
    monkeypatch.setattr(reservations, "RETRY_SECONDS", 0.01)
    content, waits = os.urandom(25), []
    transfer = make(content)

    def send_first_part() -> None:
        waits.append(1)
        if len(waits) == 3:
            part = transfer.parts.get(number=1)
            Part.objects.filter(pk=part.pk).update(state=PartState.SENT)
            quota.release(part)

    assert send(transfer, content, quota_patience=30, on_wait=send_first_part) == 25
    assert len(waits) == 3
    assert staged_bytes(transfer) == content[10:]


def test_waiting_sender_is_stopped_by_a_cancellation(
    make: Make, user: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.STAGING_QUOTA = 10
    monkeypatch.setattr(reservations, "RETRY_SECONDS", 0.01)
    transfer = make(bytes(25))
    with pytest.raises(ReceivingStopped):
        send(transfer, bytes(25), quota_patience=30, on_wait=lambda: request_cancel(user, transfer))


def test_more_bytes_than_announced_are_refused(make: Make) -> None:
    transfer = make(bytes(25))
    with Receiver(transfer) as receiver:
        with pytest.raises(WrongLength) as refusal:
            receiver.expect(26)
        assert refusal.value.problem == Problem(Code.BODY_TOO_LONG, length_bytes=26, size_bytes=25)
        receiver.expect(0)
        receiver.write(bytes(25))
        with pytest.raises(WrongLength):
            receiver.write(b"x")
        receiver.end()
    check_complete(transfer, bytes(25))


# --- Failures of the disk ---------------------------------------------------------------------------------------------


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Files can have at most `size` bytes, as on a disk that is full."""
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)


def test_full_disk_raises_oserror_and_keeps_the_bytes_written(make: Make) -> None:
    size = 6 * MIB
    content = os.urandom(size)
    transfer = make(content, size, with_sha256=True)
    receiver = Receiver(transfer)
    with pytest.raises(OSError, match="File too large"), receiver, largest_file(5 * MIB + 1):
        receiver.write(content)
    assert offset_of(transfer) == 5 * MIB + 1
    send(transfer, content, block=MIB)
    check_complete(transfer, content)


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("checked", [False, True])
def test_part_that_cannot_be_synced_is_sent_again(
    make: Make, number: int, checked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(35)
    transfer = make(content, with_sha256=True)
    real, calls = os.fdatasync, itertools.count(1)

    def fail_once(handle: int) -> None:
        if next(calls) == number:
            raise OSError(errno.EIO, "Input/output error")
        real(handle)

    monkeypatch.setattr(os, "fdatasync", fail_once)
    with pytest.raises(OSError, match="Input/output error"):
        send(transfer, content, checksum=checksum_of(content) if checked else None)
    assert offset_of(transfer) == (number - 1) * 10
    assert transfer.parts.filter(state=PartState.STAGED).count() == number - 1
    send(transfer, content)
    check_complete(transfer, content)


def test_folder_that_cannot_be_created_raises_oserror(make: Make, staging: Path) -> None:
    content = os.urandom(25)
    transfer = make(content)
    staging.write_text("a file where the folder should be")
    with pytest.raises(OSError, match="Not a directory"), Receiver(transfer):
        pass
    staging.unlink()
    send(transfer, content)
    check_complete(transfer, content)


def test_failure_of_the_disk_cancels_a_form(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    transfer = make(bytes(25), resumable=False)

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(OSError, match="No space"):
        send(transfer, bytes(25))
    transfer.refresh_from_db()
    assert (transfer.desired_state, transfer.error_code) == (DesiredState.CANCEL, "IncompleteBody")
    assert transfer.error is not None
    assert transfer.error.reason == Code.STAGING_FAILED
    assert transfer.error.params == {"detail": "No space left on device"}


# --- Complete files ---------------------------------------------------------------------------------------------------


def test_complete_file_is_enqueued_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part is enqueued once; a repeated request for the complete file enqueues nothing."""
    sent: list[str] = []
    monkeypatch.setattr(
        "uploads.services.work.queue.enqueue_on_commit",
        lambda task, ids, **_: sent.extend(f"{task}" for _ in ids),
    )
    content = os.urandom(25)
    transfer = make(content)
    send(transfer, content)
    assert sent == ["open_store_upload"]
    send(transfer, content)
    recover(transfer)
    assert sent == ["open_store_upload"]
    check_complete(transfer, content)


def test_empty_file_with_a_checksum_is_complete(make: Make) -> None:
    transfer = make(b"")
    send(transfer, b"", checksum=checksum_of(b""))
    check_complete(transfer, b"")


@pytest.mark.parametrize("with_sha256", [False, True])
def test_empty_file_has_one_empty_part(make: Make, with_sha256: bool) -> None:
    transfer = make(b"", with_sha256=with_sha256)
    send(transfer, b"")
    check_complete(transfer, b"")


def test_time_of_the_last_byte_is_recorded(make: Make) -> None:
    transfer = make(bytes(25))
    before = timezone.now()
    send(transfer, bytes(25), 5)
    transfer.refresh_from_db()
    assert transfer.received_at is not None
    assert transfer.received_at > before
    assert transfer.expires_at is not None
    send(transfer, bytes(25))
    transfer.refresh_from_db()
    assert transfer.expires_at is None


def test_object_equals_the_file_after_several_requests(
    drive: Drive, read_object: Callable[[str], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(2 * 5 * MIB + 12_345)
    digest = hashlib.sha256(content).hexdigest()
    transfer = drive.start(len(content), part_size=5 * MIB, resumable=True, verify_sha256=True, expected_sha256=digest)
    for length in (1, 4 * MIB, 3 * MIB, None):
        send(transfer, content, length, block=MIB)
        drive.send(transfer)
    drive.finish(transfer)
    assert (transfer.phase, transfer.error_code, transfer.sha256) == (Phase.DONE, "", digest)
    assert read_object("a/key") == content


def test_folder_of_an_ended_transfer_is_not_created_again(make: Make) -> None:
    transfer = make(bytes(5), phase=Phase.CANCELLED)
    with pytest.raises(ReceivingStopped), Receiver(transfer):
        pass
    assert not StagingFolder(transfer.folder.path).exists()
