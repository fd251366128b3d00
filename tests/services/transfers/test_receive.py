"""The browser's leg: whatever breaks, and wherever, the next sender goes on from what came and the file is whole."""

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
from uploads.services.staging import quota
from uploads.services.transfers import receive
from uploads.services.transfers.receive import QuotaExceeded, Receiver, ReceivingStopped, WrongLength, take_up
from uploads.services.transfers.start import offset_of
from uploads.services.transfers.steps import request_cancel, request_pause, request_resume
from uploads.staging import disk
from uploads.staging.disk import PartialFile, StagingFolder, WriterBusy
from uploads.staging.tus import Checksum, TusError

Make = Callable[..., Transfer]


class Crash(BaseException):
    """The process dies here."""


@pytest.fixture
def away(transactional_db: None) -> Store:
    """A store that nothing in these tests asks."""
    return Store.objects.create(name="away", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


@pytest.fixture
def make(user: User, away: Store) -> Make:
    """A resumable transfer of a file's content, in parts of any size."""

    def make_transfer(content: bytes, part_size: int = 10, *, promise: bool = False, **values: Any) -> Transfer:
        facts: dict[str, Any] = {"bucket": "b", "key": "k", "node": "test-node", "resumable": True}
        if promise:
            facts |= {"verify_sha256": True, "expected_sha256": hashlib.sha256(content).hexdigest()}
        count = max(1, -(-len(content) // part_size))
        return Transfer.objects.create(
            owner=user,
            store=away,
            **facts | {"size": len(content), "part_size": part_size, "part_count": count} | values,
        )

    return make_transfer


def checksum_of(body: bytes) -> Checksum:
    return Checksum("sha1", hashlib.sha1(body).digest())


def send(transfer: Transfer, content: bytes, length: int | None = None, *, block: int = 7, **options: Any) -> int:
    """One request: `length` bytes (or all the rest) from where the transfer stands. The offset it leaves."""
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


def check_whole(transfer: Transfer, content: bytes) -> None:
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
    """Counts what is done to disk and database, and lets the process die before or in the middle of the n-th."""

    def __init__(self, dies_at: int | None) -> None:
        self.count, self.dies_at, self.written, self.verified = 0, dies_at, 0, False

    def step(self) -> None:
        self.count += 1
        if self.count == self.dies_at:
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
    def happening(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(PartialFile, "write", self.write(PartialFile.write))
            patch.setattr(Path, "unlink", self.unlink(Path.unlink))
            for place, name in (
                (os, "truncate"),
                (os, "fdatasync"),
                (disk, "sync_folder"),
                (Path, "rename"),
                (quota, "reserve"),
                (Receiver, "_mark_staged"),
                (Receiver, "_note_progress"),
                (receive, "dispatch"),
            ):
                patch.setattr(place, name, self.before_and_after(getattr(place, name)))
            yield


def send_and_die(transfer: Transfer, content: bytes, length: int, effects: Effects, checked: bool) -> int | None:
    """One request whose process may die. The offset it began at; None where it died before that was known."""
    start = offset_of(transfer)
    end = min(len(content), start + length)
    checksum = checksum_of(content[start:end]) if checked else None
    receiver = Receiver(transfer, checksum=checksum)
    with effects.happening():
        try:
            receiver.__enter__()
            assert receiver.offset == start
            receiver.expect(end - start)
            for at in range(start, end, 5):
                receiver.write(content[at : min(at + 5, end)])
            receiver.end()
        except Crash:
            bury(receiver)
        else:
            receiver.__exit__(None, None, None)
    return start


def bury(receiver: Receiver) -> None:
    """What the kernel does for a dead process: it closes its files, and with them its lock."""
    if receiver._syncing is not None:
        receiver._syncing.future.exception()
    if receiver._file is not None:
        receiver._file.close()
    receiver._exit.close()


requests = st.tuples(st.integers(0, 60), st.booleans(), st.none() | st.integers(1, 60))


@examples(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 100), st.integers(5, 30), st.booleans(), st.lists(requests, max_size=8))
def test_a_file_is_whole_after_any_crashes(
    make: Make, size: int, part_size: int, promise: bool, sent: list[tuple[int, bool, int | None]]
) -> None:
    content = os.urandom(size)
    transfer = make(content, part_size, promise=promise)
    for length, checked, dies_at in sent:
        effects = Effects(dies_at)
        if transfer.all_received:
            break
        start = send_and_die(transfer, content, length, effects, checked)
        assert start is not None
        now = offset_of(transfer)
        came = start + effects.written
        # The note goes once when the request begins, and a second time when its checksum was right.
        allowed = {start, came} if checked else {came}
        assert now in allowed
        assert staged_bytes(transfer)[:now] == content[:now]
        transfer.refresh_from_db()
    if not transfer.all_received:
        send(transfer, content)
    check_whole(transfer, content)


@pytest.mark.parametrize("promise", [False, True])
@pytest.mark.parametrize("checked", [False, True])
def test_a_crash_after_any_single_effect(make: Make, promise: bool, checked: bool) -> None:
    content = os.urandom(25)
    for dies_at in itertools.count(1):
        transfer = make(content, 10, promise=promise)
        effects = Effects(dies_at)
        send_and_die(transfer, content, 25, effects, checked)
        send(transfer, content)
        check_whole(transfer, content)
        if effects.count < dies_at:
            break
    assert dies_at > 20


# --- Resuming ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("promise", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_a_stream_cut_anywhere_is_put_together(make: Make, seed: int, promise: bool) -> None:
    rolls = random.Random(seed)
    content = rolls.randbytes(300_000)
    transfer = make(content, 70_000, promise=promise)
    offset = 0
    while offset < len(content):
        length = rolls.choice([1, 69_999, 70_000, 70_001, 140_000, rolls.randrange(1, 200_000)])
        expected = min(len(content), offset + length)
        body = content[offset:expected]
        checksum = checksum_of(body) if rolls.random() < 0.4 else None
        offset = send(transfer, content, length, block=rolls.choice([1000, 33_333, 10**6]), checksum=checksum)
        assert offset == expected == offset_of(Transfer.objects.get(pk=transfer.pk))
    check_whole(transfer, content)


@pytest.mark.parametrize("offset", [0, 1, 9, 10, 11, 19, 20, 24])
def test_a_sender_that_vanished_is_followed_by_another(make: Make, offset: int) -> None:
    content = os.urandom(25)
    transfer = make(content)
    with pytest.raises(ZeroDivisionError), Receiver(transfer) as receiver:
        receiver.write(content[:offset])
        raise ZeroDivisionError
    assert offset_of(transfer) == offset
    received = sum(transfer.parts.values_list("received", flat=True))
    assert received == offset
    assert send(transfer, content) == 25
    check_whole(transfer, content)


def test_whole_parts_leave_while_the_next_arrive(make: Make) -> None:
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
@pytest.mark.parametrize("promise", [False, True])
def test_a_full_part_that_was_not_written_down_is_adopted(make: Make, renamed: bool, promise: bool) -> None:
    content = os.urandom(25)
    transfer = make(content, promise=promise)
    send(transfer, content, 8)
    with transfer.folder.partial(1).open("ab") as file:
        file.write(content[8:10])
    if renamed:
        transfer.folder.partial(1).rename(transfer.folder.whole(1))
    assert offset_of(transfer) == 10
    take_up(transfer)
    part = transfer.parts.get(number=1)
    assert (part.state, part.received, part.reserved_bytes) == (PartState.STAGED, 10, 10)
    assert send(transfer, content) == 25
    check_whole(transfer, content)


def test_a_whole_file_that_was_not_handed_over_is(make: Make) -> None:
    content = os.urandom(20)
    transfer = make(content, promise=True)
    send_and_die(transfer, content, 20, Effects(None), False)
    Transfer.objects.filter(pk=transfer.pk).update(all_received=False, sha256="")
    Part.objects.filter(number=2).update(state=PartState.WAITING, sha256_state=None)
    take_up(transfer)
    check_whole(transfer, content)


def test_one_writer_at_a_time(make: Make) -> None:
    transfer = make(bytes(20))
    with Receiver(transfer) as receiver:
        with pytest.raises(WriterBusy), Receiver(transfer):
            pass
        receiver.write(bytes(20))
        receiver.end()
    check_whole(transfer, bytes(20))


# --- Checksums --------------------------------------------------------------------------------------------------------


def test_nothing_of_a_body_with_another_checksum_is_kept(make: Make) -> None:
    content = os.urandom(45)
    transfer = make(content, promise=True)
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
    check_whole(transfer, content)


def test_no_part_leaves_before_its_checksum_was_seen(make: Make) -> None:
    content = os.urandom(25)
    transfer = make(content)
    with Receiver(transfer, checksum=checksum_of(content)) as receiver:
        receiver.expect(25)
        receiver.write(content)
        assert set(transfer.parts.values_list("state", flat=True)) == {PartState.WAITING}
        assert offset_of(transfer) == 0
        receiver.end()
    check_whole(transfer, content)


def test_a_sender_that_vanishes_before_its_checksum_leaves_nothing(make: Make) -> None:
    content = os.urandom(25)
    transfer = make(content)
    with pytest.raises(ZeroDivisionError), Receiver(transfer, checksum=checksum_of(content)) as receiver:
        receiver.expect(25)
        receiver.write(content[:20])
        raise ZeroDivisionError
    assert offset_of(transfer) == 0
    assert staged_names(transfer) == []


def test_a_body_with_a_checksum_must_fit_into_staging_whole(make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA = 20
    transfer = make(bytes(45))
    with Receiver(transfer, checksum=checksum_of(bytes(25))) as receiver:
        with pytest.raises(WrongLength, match="Send the 10 that end this part"):
            receiver.expect(25)
        receiver.expect(20)


def test_two_bodies_with_checksums_never_wait_for_each_other(make: Make, settings: Settings) -> None:
    """Room for some of its parts helps neither: whoever does not get all of it keeps none."""
    settings.STAGING_QUOTA = 40
    first, second = make(bytes(30)), make(bytes(30))
    held = make(bytes(20))
    send(held, bytes(20))
    for transfer in (first, second):
        with Receiver(transfer, checksum=checksum_of(bytes(30))) as receiver, pytest.raises(QuotaExceeded):
            receiver.expect(30)
    for part in held.parts.all():
        Part.objects.filter(pk=part.pk).update(state=PartState.SENT)
        quota.release(part)
    Transfer.objects.update(quota_refused_at=None)
    send(second, bytes(30), checksum=checksum_of(bytes(30)))
    check_whole(second, bytes(30))


# --- Steered while bytes arrive ---------------------------------------------------------------------------------------


def test_pause_stops_a_resumable_one_and_keeps_what_came(make: Make, user: User) -> None:
    content = os.urandom(25)
    transfer = make(content)
    with pytest.raises(ReceivingStopped) as stopped, Receiver(transfer) as receiver:
        receiver.write(content[:12])
        request_pause(user, transfer)
        receiver._next_note = 0
        receiver.write(content[12:14])
    assert stopped.value.code == "Paused"
    assert offset_of(transfer) == 14
    with pytest.raises(ReceivingStopped), Receiver(transfer):
        pass
    request_resume(user, transfer)
    send(transfer, content)
    check_whole(transfer, content)


def test_pause_does_not_stop_a_form(make: Make, user: User) -> None:
    content = os.urandom(25)
    transfer = make(content, resumable=False)
    with Receiver(transfer) as receiver:
        receiver.write(content[:12])
        request_pause(user, transfer)
        receiver._next_note = 0
        receiver.write(content[12:])
        receiver.end()
    transfer.refresh_from_db()
    assert (transfer.all_received, transfer.desired_state) == (True, DesiredState.PAUSE)
    request_resume(user, transfer)
    check_whole(transfer, content)


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
def test_what_is_not_wanted_is_stopped_at_once_and_not_begun(make: Make, change: dict[str, Any], code: str) -> None:
    transfer = make(bytes(25))
    with pytest.raises(ReceivingStopped) as stopped, Receiver(transfer) as receiver:
        receiver.write(bytes(5))
        Transfer.objects.filter(pk=transfer.pk).update(**change)
        receiver._next_note = 0
        receiver.write(bytes(5))
    assert stopped.value.code == code
    with pytest.raises(ReceivingStopped) as stopped, Receiver(transfer):
        pass
    assert stopped.value.code == code
    with transfer.folder.writer():
        pass  # Nobody holds the lock.


def test_a_form_that_fails_on_its_way_to_the_store_still_comes_whole(make: Make) -> None:
    """It cannot be sent again, so its bytes are taken: a retry goes on with them."""
    transfer = make(bytes(25), resumable=False)
    with Receiver(transfer) as receiver:
        receiver.write(bytes(15))
        Transfer.objects.filter(pk=transfer.pk).update(phase=Phase.FAILED)
        receiver._next_note = 0
        receiver.write(bytes(10))
        receiver.end()
    transfer.refresh_from_db()
    assert (transfer.all_received, transfer.phase) == (True, Phase.FAILED)


def test_a_cancellation_at_the_last_moment_hands_nothing_over(make: Make, user: User) -> None:
    transfer = make(bytes(25))
    with pytest.raises(ReceivingStopped), Receiver(transfer) as receiver:
        receiver.write(bytes(25))
        request_cancel(user, transfer)
        receiver.end()
    transfer.refresh_from_db()
    assert not transfer.all_received


# --- Room -------------------------------------------------------------------------------------------------------------


def test_without_room_nothing_is_read_and_what_came_stands(make: Make, settings: Settings) -> None:
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


def test_a_sender_is_kept_waiting_until_there_is_room(
    make: Make, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.STAGING_QUOTA = 20
    monkeypatch.setattr(receive, "ROOM_LOOK_SECONDS", 0.01)
    content, waits = os.urandom(25), []
    transfer = make(content)

    def sent_meanwhile() -> None:
        waits.append(1)
        if len(waits) == 3:
            part = transfer.parts.get(number=1)
            Part.objects.filter(pk=part.pk).update(state=PartState.SENT)
            quota.release(part)

    assert send(transfer, content, quota_patience=30, on_wait=sent_meanwhile) == 25
    assert len(waits) == 3
    assert staged_bytes(transfer) == content[10:]


def test_a_sender_that_waits_hears_of_a_cancellation(
    make: Make, user: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.STAGING_QUOTA = 10
    monkeypatch.setattr(receive, "ROOM_LOOK_SECONDS", 0.01)
    transfer = make(bytes(25))
    with pytest.raises(ReceivingStopped):
        send(transfer, bytes(25), quota_patience=30, on_wait=lambda: request_cancel(user, transfer))


def test_no_more_than_was_announced(make: Make) -> None:
    transfer = make(bytes(25))
    with Receiver(transfer) as receiver:
        with pytest.raises(WrongLength, match="beyond the file's 25"):
            receiver.expect(26)
        receiver.expect(0)
        receiver.write(bytes(25))
        with pytest.raises(WrongLength):
            receiver.write(b"x")
        receiver.end()
    check_whole(transfer, bytes(25))


# --- Disks that fail --------------------------------------------------------------------------------------------------


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Files may grow to `size` bytes and no further, as on a disk that is full."""
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_disk_that_takes_no_more_is_an_oserror_and_what_it_took_counts(make: Make) -> None:
    size = 6 * MIB
    content = os.urandom(size)
    transfer = make(content, size, promise=True)
    receiver = Receiver(transfer)
    with pytest.raises(OSError, match="File too large"), receiver, largest_file(5 * MIB + 1):
        receiver.write(content)
    assert offset_of(transfer) == 5 * MIB + 1
    send(transfer, content, block=MIB)
    check_whole(transfer, content)


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("checked", [False, True])
def test_a_part_that_cannot_be_synced_comes_again(
    make: Make, number: int, checked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(35)
    transfer = make(content, promise=True)
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
    check_whole(transfer, content)


def test_a_folder_that_cannot_be_made_is_an_oserror(make: Make, staging: Path) -> None:
    content = os.urandom(25)
    transfer = make(content)
    staging.write_text("a file where the folder should be")
    with pytest.raises(OSError, match="Not a directory"), Receiver(transfer):
        pass
    staging.unlink()
    send(transfer, content)
    check_whole(transfer, content)


def test_a_disk_that_fails_a_form_gives_all_of_it_up(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    transfer = make(bytes(25), resumable=False)

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(OSError, match="No space"):
        send(transfer, bytes(25))
    transfer.refresh_from_db()
    assert (transfer.desired_state, transfer.error_code) == (DesiredState.CANCEL, "IncompleteBody")


# --- The end ----------------------------------------------------------------------------------------------------------


def test_the_whole_file_is_handed_over_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts are enqueued once each, and a second look at the whole file enqueues none."""
    sent: list[str] = []
    monkeypatch.setattr(
        "uploads.services.transfers.dispatch.enqueue_on_commit",
        lambda task, ids, **_: sent.extend(f"{task}" for _ in ids),
    )
    content = os.urandom(25)
    transfer = make(content)
    send(transfer, content)
    assert sent == ["open_store_upload"]
    send(transfer, content)
    take_up(transfer)
    assert sent == ["open_store_upload"]
    check_whole(transfer, content)


@pytest.mark.parametrize("promise", [False, True])
def test_an_empty_file_is_one_empty_part(make: Make, promise: bool) -> None:
    transfer = make(b"", promise=promise)
    send(transfer, b"")
    check_whole(transfer, b"")


def test_when_the_last_byte_came_is_known(make: Make) -> None:
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


def test_the_object_is_the_file_after_a_stream_in_pieces(
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


def test_folders_of_ended_transfers_are_not_made_anew(make: Make) -> None:
    transfer = make(bytes(5), phase=Phase.CANCELLED)
    with pytest.raises(ReceivingStopped), Receiver(transfer):
        pass
    assert not StagingFolder(transfer.folder.path).exists()
