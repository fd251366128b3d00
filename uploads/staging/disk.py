"""The disk under staging: a part is the file `N.partial` while its bytes arrive, `N` once it is whole and synced."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO


class PartialFile:
    """A part whose bytes are arriving. Raises OSError as the disk does."""

    def __init__(self, partial: Path, final: Path) -> None:
        self._partial = partial
        self._final = final
        self._file: BinaryIO = partial.open("wb", buffering=0)

    def write(self, block: memoryview) -> None:
        while block:
            block = block[self._file.write(block) :]

    def finish(self) -> None:
        """Make the part last: its bytes on the disk, then its name, then the folder that holds the name."""
        os.fsync(self._file.fileno())
        self._file.close()
        self._partial.rename(self._final)
        sync_folder(self._final.parent)

    def close(self) -> None:
        """Leave the bytes as they are."""
        self._file.close()


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """A transfer's folder, readable by nobody else."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    sync_folder(folder.parent)


def remove_part(path: Path) -> None:
    path.unlink(missing_ok=True)


def remove_folder(folder: Path) -> None:
    """All staged bytes of a transfer. A folder that is gone already is fine."""
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)


def free_bytes(folder: Path) -> int:
    """Bytes that may still be written to the disk of `folder`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return shutil.disk_usage(folder).free
