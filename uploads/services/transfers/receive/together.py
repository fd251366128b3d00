"""Receiving several small files that were created together, one after the other, from one connection.

Their bytes are staged and synced file by file, as those of one file are. What is known about them is written for all of
them at once: while they arrive, and when they are handed over to be sent. The process may die at any moment: what is
on the disk then is found by the next writer of each file (`resume`).
"""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from django.conf import settings
from django.utils import timezone

from uploads.domain.states import FINAL_PHASES, DesiredState, PartState, Phase
from uploads.models import Part, Transfer
from uploads.problems import Code, Problem, ProblemError
from uploads.services.staging import quota
from uploads.services.staging.writing import only_writer
from uploads.services.transfers.file_queue import SMALL_FILE
from uploads.services.transfers.receive.ending import finish_receiving, finish_together
from uploads.services.transfers.receive.errors import GaveWay, ReceivingStopped
from uploads.services.transfers.receive.progress import CHECK_SECONDS, check_accepting
from uploads.services.transfers.receive.staged import WholePart, sync_soon
from uploads.services.transfers.start import Started
from uploads.staging.disk import PartialFile, WriterBusy, make_folders

SYNCED_AT_A_TIME = 3
"""Files that are being synced while the bytes of the next one arrive. Each keeps its lock until then."""


@dataclass(slots=True)
class _File:
    part: Part
    lock: ExitStack = field(default_factory=ExitStack)
    """Held from its first byte until it is synced."""
    synced: Future[None] | None = None
    is_whole: bool = False
    error: Exception | None = None


def _is_plain(started: Started) -> bool:
    """Whether nothing has to be decided about the file when it has arrived."""
    return started.is_new and started.transfer.size <= SMALL_FILE and not started.transfer.verify_sha256


class TogetherReceiver:
    """Receives the bytes of small files that were created a moment ago, with their bytes reserved.

    It `takes` no others. Use it as a context manager. What is whole and synced at its exit is handed over, whatever has
    ended it. `check` tells then what has become of a file.
    """

    def __init__(self, started: Iterable[Started]) -> None:
        self._files = {each.transfer.pk: _File(each.reserved) for each in started if each.reserved and _is_plain(each)}
        self._syncing: deque[_File] = deque()
        self._current: _File | None = None
        self._checked_at = time.monotonic()
        self._arrived = 0

    def __enter__(self) -> Self:
        make_folders(file.part.transfer.folder for file in self._files.values())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._current is not None:
            self._leave(self._current)
        while self._syncing:
            self._end_sync()
        self._hand_over([file for file in self._files.values() if file.is_whole])
        self._clean_up()

    def takes(self, started: Started) -> bool:
        """Not for a file that comes twice in the same request: it resumes the transfer of the first."""
        return started.is_new and started.transfer.pk in self._files

    def receive(self, transfer: Transfer, blocks: Iterable[memoryview]) -> None:
        """Stage all bytes of a file.

        Raises ReceivingStopped, GaveWay, WriterBusy, OSError, and what `blocks` raises.
        """
        file = self._current = self._files[transfer.pk]
        try:
            self._check_some()
            self._raise_error(file)
            file.lock.enter_context(only_writer(transfer))
            self._write(file, blocks)
        except (ProblemError, OSError) as error:
            file.error = error
            self._leave(file)
            raise
        self._current = None
        if len(self._syncing) >= SYNCED_AT_A_TIME:
            self._end_sync()

    def check(self, transfer: Transfer) -> int:
        """The size of a file that was received. Raises why it was not."""
        file = self._files[transfer.pk]
        self._raise_error(file)
        return transfer.size

    @staticmethod
    def _raise_error(file: _File) -> None:
        if file.error is not None:
            raise file.error

    def _write(self, file: _File, blocks: Iterable[memoryview]) -> None:
        folder = file.part.transfer.folder
        if not folder.has_only_lock():
            # Another request has sent some of the same file in the meantime.
            raise WriterBusy(Problem(Code.WRITER_BUSY))
        staged = PartialFile(folder, 1)
        try:
            for block in blocks:
                staged.write(block)
                self._arrived += len(block)
                self._check_some()
                self._raise_error(file)
        except BaseException:
            staged.close()
            raise
        file.synced = sync_soon(staged)
        self._syncing.append(file)

    def _leave(self, file: _File) -> None:
        """Its bytes stay on the disk, and another request can send the rest."""
        self._current = None
        with suppress(OSError), file.lock:
            arrived = file.part.transfer.folder.arrived(1)
            if arrived:
                Part.objects.filter(pk=file.part.pk, state=PartState.WAITING).update(received=arrived)
            if isinstance(file.error, GaveWay):
                quota.give_up(file.part.transfer)

    def _end_sync(self) -> None:
        file = self._syncing.popleft()
        assert file.synced is not None
        with file.lock:
            try:
                file.synced.result()
                file.is_whole = True
            except OSError as error:
                file.error = error

    # --- What is written for all files --------------------------------------------------------------------------------

    def _check_some(self) -> None:
        """Record now and then that the sender is active. Files that are not to be received any more are left out."""
        now = time.monotonic()
        if now - self._checked_at < CHECK_SECONDS:
            return
        elapsed, self._checked_at = now - self._checked_at, now
        is_fast = self._arrived >= settings.STAGING_LEAST_RATE * elapsed
        self._arrived = 0
        waiting = {pk: file for pk, file in self._files.items() if file.error is None}
        columns: dict[str, Any] = {"received_at": timezone.now()}
        if is_fast:
            columns["progressed_at"] = columns["received_at"]
        accepting = Transfer.objects.filter(
            pk__in=waiting, phase=Phase.RECEIVING, desired_state=DesiredState.RUN, gives_way=False
        )
        if accepting.update(**columns) < len(waiting):
            self._note_stopped(waiting, set(accepting.values_list("pk", flat=True)))

    @staticmethod
    def _note_stopped(waiting: dict[uuid.UUID, _File], accepting: set[uuid.UUID]) -> None:
        for pk, file in waiting.items():
            if pk in accepting:
                continue
            try:
                check_accepting(file.part.transfer)
            except ReceivingStopped as stopped:
                file.error = stopped
            except GaveWay as gave_way:
                file.error = gave_way

    @staticmethod
    def _hand_over(files: Sequence[_File]) -> None:
        if not files or finish_together([file.part for file in files]):
            return
        for file in files:
            try:
                finish_receiving(file.part.transfer, "", WholePart(file.part, None))
            except ReceivingStopped as stopped:
                file.error = stopped

    def _clean_up(self) -> None:
        """Leave nothing of a transfer that has ended in the meantime: nobody else would remove it."""
        stopped = {pk: file for pk, file in self._files.items() if isinstance(file.error, ReceivingStopped)}
        if stopped:
            ended = Transfer.objects.filter(pk__in=stopped, phase__in=FINAL_PHASES)
            for transfer in ended:
                transfer.folder.remove()
