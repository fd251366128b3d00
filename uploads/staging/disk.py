"""The files of staging: one folder per transfer, with one file per part.

A part is `00007.partial` while its bytes arrive and `00007` once it is whole and synced. The size of a file is how many
bytes have arrived, so that nothing else has to agree with it after a crash. Sizes are in bytes.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from uploads.domain.planning import Plan
from uploads.problems import Code, Problem, ProblemError

LOCK = "writer.lock"
UNVERIFIED = "unverified"
PARTIAL = ".partial"


class WriterBusy(ProblemError):
    """Another connection is writing to this folder."""


@dataclass(frozen=True, slots=True)
class StagingFolder:
    """The staged bytes of one transfer. Raises OSError as the disk does."""

    path: Path

    def exists(self) -> bool:
        return self.path.exists()

    def make(self) -> None:
        """Create the folder, readable by this user only and synced to the disk."""
        if not self.path.exists():
            make_folders([self])

    def remove(self) -> None:
        """Remove all staged bytes of the transfer, if there are any."""
        with suppress(FileNotFoundError):
            try:
                for file in self.path.iterdir():
                    file.unlink(missing_ok=True)
                self.path.rmdir()
            except FileNotFoundError:
                raise
            except OSError:
                # Somebody has put a folder there, or a file just now.
                shutil.rmtree(self.path)

    def has_only_lock(self) -> bool:
        """Whether nothing is staged: the folder exists, and only a writer has left its lock."""
        with suppress(FileNotFoundError):
            return all(each.name == LOCK for each in self.path.iterdir())
        return False

    def whole(self, number: int) -> Path:
        return self.path / f"{number:05d}"

    def partial(self, number: int) -> Path:
        return self.path / f"{number:05d}{PARTIAL}"

    def partials(self) -> Iterator[tuple[int, Path]]:
        """The partial files. Files that are not named like a part are not ours."""
        for path in self.path.glob(f"*{PARTIAL}"):
            if path.name.removesuffix(PARTIAL).isdecimal():
                yield int(path.name.removesuffix(PARTIAL)), path

    def whole_sizes(self) -> dict[int, int]:
        """The staged bytes of each whole part, by its number."""
        with suppress(FileNotFoundError), os.scandir(self.path) as entries:
            return {int(each.name): each.stat().st_size for each in entries if each.name.isdecimal()}
        return {}

    @contextmanager
    def writer(self) -> Iterator[None]:
        """Be the only writer. The kernel releases the lock when the process ends, even if it crashes.

        Raises WriterBusy at once if there is another writer, in this process or in another one.
        """
        self.make()
        try:
            lock = (self.path / LOCK).open("ab")
        except FileNotFoundError:
            raise WriterBusy(Problem(Code.FOLDER_BEING_REMOVED)) from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise WriterBusy(Problem(Code.WRITER_BUSY)) from None
            yield

    # --- Before its transfer exists -----------------------------------------------------------------------------------

    @contextmanager
    def holding_whole_file(self, content: memoryview) -> Iterator[None]:
        """Stage a file of one part, and keep others from removing it until its transfer exists.

        The caller syncs the folder that this one is in. The lock is that of the folder: a file for it would cost as
        much as the file itself. Raises OSError.
        """
        self.path.mkdir(mode=0o700, parents=True)
        with self.until_it_is_known() as folder:
            handle = os.open(self.whole(1), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                while content:
                    content = content[os.write(handle, content) :]
                os.fdatasync(handle)
            finally:
                os.close(handle)
            os.fsync(folder)
            yield

    @contextmanager
    def until_it_is_known(self) -> Iterator[int]:
        """Lock the folder itself. Returns its handle. Raises WriterBusy at once if its transfer is being created."""
        handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise WriterBusy(Problem(Code.WRITER_BUSY)) from None
            yield handle
        finally:
            os.close(handle)

    # --- How many bytes have arrived ---------------------------------------------------------------------------------

    def arrived(self, number: int) -> int:
        """The staged bytes of a part."""
        for path in (self.partial(number), self.whole(number)):
            with suppress(FileNotFoundError):
                return path.stat().st_size
        return 0

    def offset(self, plan: Plan, whole_parts: int) -> int:
        """Bytes of the file that have arrived without a gap, the first `whole_parts` parts being whole.

        More parts may follow that are full and not yet recorded as whole. Bytes that wait for their checksum do not
        count.
        """
        offset = min(whole_parts * plan.part_size, plan.size)
        for number in range(whole_parts + 1, plan.part_count + 1):
            arrived = self.arrived(number)
            offset += arrived
            if arrived < plan.part(number).size:
                break
        unverified = self.unverified_from()
        return offset if unverified is None else min(offset, unverified)

    # --- Bytes that do not count until their checksum is verified -----------------------------------------------------

    def unverified_from(self) -> int | None:
        """The offset behind which nothing counts; None if everything counts."""
        try:
            return int((self.path / UNVERIFIED).read_text())
        except (FileNotFoundError, ValueError):
            # An incomplete note means that its writer stopped before it wrote any of those bytes.
            return None

    def mark_unverified(self, offset: int) -> None:
        """Call before the first such byte is written. The note is renamed into place, so it is never incomplete."""
        draft = self.path / f"{UNVERIFIED}.new"
        draft.write_text(str(offset))
        draft.rename(self.path / UNVERIFIED)

    def mark_verified(self) -> None:
        (self.path / UNVERIFIED).unlink(missing_ok=True)

    def truncate_to(self, plan: Plan, offset: int) -> None:
        """Remove every byte of partial files behind an offset. Whole parts are kept."""
        for number, path in self.partials():
            keep = offset - plan.part(number).offset
            if keep <= 0:
                path.unlink()
            elif path.stat().st_size > keep:
                os.truncate(path, keep)


class PartialFile:
    """A part whose bytes are arriving, from `arrived` on."""

    def __init__(self, folder: StagingFolder, number: int) -> None:
        self._folder = folder
        self._number = number
        self._file: BinaryIO = folder.partial(number).open("ab", buffering=0)
        self.arrived = self._file.tell()

    def write(self, block: memoryview) -> None:
        while block:
            count = self._file.write(block)
            self.arrived += count
            block = block[count:]

    def finish(self) -> None:
        """Sync the part: first its bytes, then its final name, then the folder that has the name."""
        try:
            os.fdatasync(self._file.fileno())
        except OSError:
            # After a failed sync the bytes can still be read for a while, and a second sync reports success.
            self._folder.partial(self._number).unlink(missing_ok=True)
            raise
        finally:
            self._file.close()
        make_whole(self._folder, self._number)

    def close(self) -> None:
        """Keep the bytes as they are."""
        self._file.close()


def make_whole(folder: StagingFolder, number: int) -> None:
    folder.partial(number).rename(folder.whole(number))
    sync_folder(folder.path)


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folders(folders: Iterable[StagingFolder]) -> None:
    """As `StagingFolder.make` for several folders: the folder that they are in is synced once."""
    parents = set()
    for folder in folders:
        folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        parents.add(folder.path.parent)
    for parent in parents:
        sync_folder(parent)


def remove_part(path: Path) -> None:
    path.unlink(missing_ok=True)


def free_bytes(folder: Path) -> int:
    """Bytes that can still be written to the disk of `folder`."""
    try:
        return shutil.disk_usage(folder).free
    except FileNotFoundError:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return shutil.disk_usage(folder).free
