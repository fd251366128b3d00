"""The files of one transfer: the offset they give after any crash, and the lock of their writer."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploads.domain.planning import Plan
from uploads.staging.disk import (
    PartialFile,
    StagingFolder,
    WriterBusy,
    free_bytes,
    make_whole,
    remove_part,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> StagingFolder:
    folder = StagingFolder(tmp_path / "staging" / "transfer")
    folder.make()
    return folder


# --- Any sequence of bodies and crashes -------------------------------------------------------------------------------


class Disk:
    """A transfer's folder, the number of whole parts in the database, and a receiver's effects on both, one by one.

    `counted` is the number of bytes that must be present if the writer crashes after the last effect.
    """

    def __init__(self, folder: StagingFolder, plan: Plan, content: bytes) -> None:
        self.folder, self.plan, self.content = folder, plan, content
        self.whole = 0
        self.counted = 0

    def resume(self) -> None:
        offset = self.folder.offset(self.plan, self.whole)
        self.folder.truncate_to(self.plan, offset)
        self.folder.mark_verified()
        while self.whole < self.plan.part_count and self._is_full(self.whole + 1):
            if not self.folder.whole(self.whole + 1).exists():
                make_whole(self.folder, self.whole + 1)
            self.whole += 1

    def plain_body(self, length: int) -> Iterator[None]:
        end = self.counted + length
        while self.counted < end:
            number = self.whole + 1
            part = self.plan.part(number)
            file = PartialFile(self.folder, number)
            try:
                yield
                for _ in range(2):  # A write can be interrupted anywhere.
                    rest = min(end, part.offset + part.size) - self.counted
                    file.write(memoryview(self.content)[self.counted : self.counted + (rest + 1) // 2])
                    self.counted += (rest + 1) // 2
                    yield
                file.write(memoryview(self.content)[self.counted : min(end, part.offset + part.size)])
                self.counted = min(end, part.offset + part.size)
                if self.counted == part.offset + part.size:
                    file.finish()
                    yield
                    self.whole += 1
                    yield
            finally:
                file.close()

    def checked_body(self, length: int, fits: bool) -> Iterator[None]:
        start, end = self.counted, self.counted + length
        (self.folder.path / "unverified.new").write_text("1")
        yield
        self.folder.mark_unverified(start)
        yield
        full = []
        for part in self.plan.parts():
            piece = self.content[max(part.offset, start) : min(part.offset + part.size, end)]
            if not piece:
                continue
            file = PartialFile(self.folder, part.number)
            file.write(memoryview(piece))
            file.close()
            full += [part.number] if self._is_full(part.number) else []
            yield
        if not fits:
            self.folder.truncate_to(self.plan, start)
            yield
        self.folder.mark_verified()
        if not fits:
            return
        self.counted = end
        yield
        for number in full:
            PartialFile(self.folder, number).finish()
            yield
            self.whole += 1
            yield

    def _is_full(self, number: int) -> bool:
        return 0 < self.folder.arrived(number) == self.plan.part(number).size

    def staged_bytes(self) -> bytes:
        paths = (
            path
            for number in range(1, self.plan.part_count + 1)
            for path in (self.folder.whole(number), self.folder.partial(number))
        )
        return b"".join(path.read_bytes() for path in paths if path.exists())


bodies = st.tuples(st.integers(0, 40), st.sampled_from(["plain", "fits", "differs"]), st.integers(0, 30))


@given(st.integers(1, 60), st.integers(1, 13), st.lists(bodies, max_size=12))
def test_offset_is_right_after_any_bodies_and_crashes(
    size: int, part_size: int, events: list[tuple[int, str, int]]
) -> None:
    plan, content = Plan(size, part_size, -(-size // part_size)), os.urandom(size)
    with tempfile.TemporaryDirectory() as place:
        folder = StagingFolder(Path(place) / "t")
        folder.make()
        disk = Disk(folder, plan, content)
        for requested, kind, effects in events:
            length = min(requested, size - disk.counted)
            body = disk.plain_body(length) if kind == "plain" else disk.checked_body(length, kind == "fits")
            for _ in itertools.islice(body, effects):
                assert folder.offset(plan, disk.whole) == disk.counted
            body.close()  # type: ignore[attr-defined]  # and the writer crashed
            assert folder.offset(plan, disk.whole) == disk.counted
            disk.resume()
            assert folder.offset(plan, disk.whole) == disk.counted
            assert disk.staged_bytes() == content[: disk.counted]


# --- Truncating -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "left"),
    [
        (25, {"00001": 10, "00002.partial": 10, "00003.partial": 5}),
        (24, {"00001": 10, "00002.partial": 10, "00003.partial": 4}),
        (21, {"00001": 10, "00002.partial": 10, "00003.partial": 1}),
        (20, {"00001": 10, "00002.partial": 10}),
        (11, {"00001": 10, "00002.partial": 1}),
        (10, {"00001": 10}),
        (0, {"00001": 10}),
    ],
)
def test_truncate_to_removes_only_partial_bytes_behind_the_offset(
    folder: StagingFolder, offset: int, left: dict[str, int]
) -> None:
    folder.whole(1).write_bytes(bytes(10))
    folder.partial(2).write_bytes(bytes(10))
    folder.partial(3).write_bytes(bytes(5))
    folder.truncate_to(Plan(30, 10, 3), offset)
    assert {path.name: path.stat().st_size for path in folder.path.iterdir()} == left


def test_offset_stops_at_the_first_gap(folder: StagingFolder) -> None:
    folder.partial(1).write_bytes(bytes(10))
    folder.partial(2).write_bytes(bytes(3))
    folder.partial(3).write_bytes(bytes(10))
    assert folder.offset(Plan(30, 10, 3), 0) == 13
    assert folder.offset(Plan(30, 10, 3), 3) == 30
    assert StagingFolder(folder.path / "none").offset(Plan(30, 10, 3), 0) == 0


@pytest.mark.parametrize("note", ["", "1x", " "])
def test_incomplete_note_is_ignored(folder: StagingFolder, note: str) -> None:
    (folder.path / "unverified").write_text(note)
    assert folder.unverified_from() is None


# --- One writer -------------------------------------------------------------------------------------------------------

HOLD = """
import sys
from pathlib import Path
from uploads.staging.disk import StagingFolder
with StagingFolder(Path(sys.argv[1])).writer():
    print("held", flush=True)
    sys.stdin.read()
"""


def is_busy(folder: StagingFolder) -> bool:
    try:
        with folder.writer():
            return False
    except WriterBusy:
        return True


def test_threads_exclude_each_other(folder: StagingFolder) -> None:
    inside, most = 0, 0
    entered, busy = [], []
    barrier = threading.Barrier(8)

    def write(number: int) -> None:
        nonlocal inside, most
        barrier.wait(10)
        for _ in range(50):
            try:
                with folder.writer():
                    inside += 1
                    most = max(most, inside)
                    entered.append(number)
                    inside -= 1
            except WriterBusy:
                busy.append(number)

    threads = [threading.Thread(target=write, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert len(entered) + len(busy) == 400
    with folder.writer():
        assert is_busy(folder)
    assert not is_busy(folder)


def test_lock_is_released_when_its_process_is_killed(folder: StagingFolder) -> None:
    argv = [sys.executable, "-c", HOLD, str(folder.path)]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert is_busy(folder)
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
    assert not is_busy(folder)


def test_another_folder_is_not_locked(folder: StagingFolder) -> None:
    with folder.writer():
        assert not is_busy(StagingFolder(folder.path.parent / "other"))


def test_lock_is_released_after_an_error(folder: StagingFolder) -> None:
    with pytest.raises(ZeroDivisionError), folder.writer():
        raise ZeroDivisionError
    assert not is_busy(folder)


# --- Folders and files ------------------------------------------------------------------------------------------------


def test_folder_is_private(folder: StagingFolder) -> None:
    assert folder.path.stat().st_mode & 0o777 == 0o700
    folder.make()
    assert folder.exists()


def test_removing_twice_is_allowed(folder: StagingFolder) -> None:
    folder.remove()
    folder.remove()
    remove_part(folder.whole(1))
    assert not folder.exists()


def test_partial_file_continues_at_its_end(folder: StagingFolder) -> None:
    first = PartialFile(folder, 1)
    first.write(memoryview(b"abc"))
    first.close()
    second = PartialFile(folder, 1)
    assert second.arrived == 3
    second.write(memoryview(b"def"))
    second.finish()
    assert folder.whole(1).read_bytes() == b"abcdef"
    assert not folder.partial(1).exists()


def test_free_bytes_of_a_folder_that_does_not_exist_yet(tmp_path: Path) -> None:
    stat = os.statvfs(tmp_path)
    free = free_bytes(tmp_path / "a" / "b")
    assert 0 < free <= stat.f_blocks * stat.f_frsize
