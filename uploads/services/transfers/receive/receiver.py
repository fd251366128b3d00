"""One request's bytes: written to part files as they arrive, by one writer at a time.

The process may die at any moment. The next writer reads from the files how far the previous one came.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, nullcontext, suppress
from types import TracebackType
from typing import Self

from uploads.domain.states import PartState
from uploads.models import Part, Transfer
from uploads.problems import Code, Problem
from uploads.services.staging import quota
from uploads.services.staging.expected_sha256 import FileSha256
from uploads.services.staging.writing import only_writer
from uploads.services.transfers.receive.checksum import CheckedBody
from uploads.services.transfers.receive.ending import abandon, finish_receiving, reason_of
from uploads.services.transfers.receive.errors import GaveWay, WrongLength
from uploads.services.transfers.receive.parts import ArrivingPart, PartWriter
from uploads.services.transfers.receive.progress import Progress
from uploads.services.transfers.receive.reservations import Reservations
from uploads.services.transfers.receive.resume import resume
from uploads.services.transfers.receive.staged import Syncer
from uploads.staging.tus import Checksum


class Receiver:
    """Receives a transfer's bytes in order and stages them. Whole parts are sent to the store meanwhile.

    Use it as a context manager: inside, it is the transfer's only writer, and `offset` is where the next byte goes. A
    transfer that cannot be resumed (from the plain form) is cancelled on exit unless `end` has succeeded.

    `quota_patience` is how many seconds to wait for space between two parts, `is_ready` tells whether more bytes can be
    read at once, and `on_wait` is called whenever the sender is kept waiting. With a `checksum`, nothing counts and
    nothing is sent before `end` has verified it. `reserved` is the only part of a transfer that was created a moment
    ago, if its bytes are reserved.

    Raises WriterBusy, ReceivingStopped, QuotaExceeded (also GaveWay), WrongLength, OSError.
    """

    def __init__(
        self,
        transfer: Transfer,
        *,
        quota_patience: float = 0,
        checksum: Checksum | None = None,
        reserved: Part | None = None,
        is_ready: Callable[[], bool] = lambda: True,
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        self._transfer = transfer
        self._reserved = reserved
        self._quota_patience = quota_patience
        self._is_ready = is_ready
        self._syncer = Syncer()
        self._progress = Progress(transfer)
        self._reservations = Reservations(transfer, before_wait=self._syncer.wait, on_wait=on_wait)
        self._parts = PartWriter(transfer, self._reservations, 1, FileSha256(None))
        self._checked = CheckedBody(transfer, checksum) if checksum else None
        self._exit = ExitStack()
        self._ended = False
        self.offset = 0

    def __enter__(self) -> Self:
        self._exit.enter_context(only_writer(self._transfer))
        try:
            position = resume(self._transfer, self._reserved)
        except BaseException as error:
            self._leave(error)
            raise
        self.offset = position.offset
        if position.reserved is not None:
            self._reservations.keep(position.reserved)
            self._progress.has_begun()
        self._parts = PartWriter(self._transfer, self._reservations, position.number, position.sha256)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        with self._exit:
            try:
                self._parts.close()
                # If the transfer's folder is gone there is nothing left to sync, and `error` is the better reason.
                with suppress(OSError) if error else nullcontext():
                    self._syncer.wait()
                if not self._ended:
                    self._keep_what_counts()
                if isinstance(error, GaveWay):
                    quota.give_up(self._transfer)
            finally:
                if not self._ended and not self._transfer.resumable:
                    abandon(self._transfer, reason_of(error))

    def _keep_what_counts(self) -> None:
        unverified = self._checked.discard() if self._checked else None
        if unverified is not None:
            self.offset = unverified
        self._progress.record(self._parts.current_row)

    def expect(self, length: int | None, patience: float = 0) -> None:
        """Announce a body of `length` bytes, or of unknown length, and reserve space before the first byte is read.

        The space is that of the whole body if it has a checksum and its length is known, otherwise that of the next
        part. `patience` is how many seconds to wait for it. Raises QuotaExceeded, WrongLength.
        """
        rest = self._transfer.size - self.offset
        if length is not None and length > rest:
            raise WrongLength(Problem(Code.BODY_TOO_LONG, length_bytes=length, size_bytes=self._transfer.size))
        if not (rest if length is None else length):
            return
        if self._checked:
            self._checked.expect(self.offset, length, self._reservations, patience)
        elif self._parts.current is None:
            self._parts.start(patience)

    def write(self, block: bytes | memoryview) -> None:
        rest = memoryview(block)
        while rest:
            rest = rest[self._write_piece(rest) :]
        is_complete = self.offset == self._transfer.size
        # The end of a small file, which follows at once, also records that its sender is active.
        if self._progress.is_due and not (is_complete and self._transfer.by_put_object):
            self._check_progress()
        if is_complete:
            return  # The last part is recorded together with the end of the file.
        if self._syncer.is_done or (self._syncer.is_busy and not self._is_ready()):
            self._syncer.wait()

    def _write_piece(self, block: memoryview) -> int:
        """Write as much as the current part takes. Returns the number of bytes."""
        part = self._parts.current or self._start_part()
        piece = self._parts.write(part, block)
        if self._checked:
            self._checked.update(piece)
        self.offset += len(piece)
        if not part.missing_bytes:
            self._end_part()
        return len(piece)

    def _start_part(self) -> ArrivingPart:
        if self._checked:
            self._checked.expect_more(self.offset)
        return self._parts.start(self._quota_patience)

    def _end_part(self) -> None:
        # If the previous part cannot be synced, the file of this one still has to be closed by `_leave`.
        self._syncer.wait()
        part, sha256_state = self._parts.end()
        if self._checked:
            self._checked.keep(part, sha256_state)
        elif part.row.number == self._transfer.part_count:
            self._syncer.sync(part, sha256_state)
        else:
            self._syncer.start(part, sha256_state)

    def _check_progress(self) -> None:
        self._progress.check(self.offset if self._checked is None else self._checked.start, self.offset)
        if not self._checked:
            self._progress.record(self._parts.current_row)

    def end(self) -> None:
        """All expected bytes have arrived. If the file is complete, it is handed over to be sent.

        Raises TusError with 460 if the body does not match its checksum; none of it is kept then.
        """
        self._parts.close()
        if self._checked:
            self._checked.verify()
        if self.offset == self._transfer.size:
            self._stage_empty_file()
            finish_receiving(self._transfer, self._parts.digest, self._syncer.synced())
        else:
            self._end_early()
        self._ended = True

    def _end_early(self) -> None:
        self._syncer.wait()
        if not self._transfer.resumable:
            raise WrongLength(Problem(Code.FILE_ENDED_EARLY, size_bytes=self._transfer.size))
        self._progress.record(self._parts.current_row)

    def _stage_empty_file(self) -> None:
        """An empty file has one part of no bytes."""
        if not self._transfer.size and not self._transfer.parts.exclude(state=PartState.WAITING).exists():
            self._parts.start(self._quota_patience)
            # A checksum has been verified by now, so the part does not wait for it.
            self._syncer.start(*self._parts.end())


def recover(transfer: Transfer) -> None:
    """Stage what a crashed writer left behind: parts that are full, and a file that is complete.

    Raises WriterBusy, ReceivingStopped, OSError; QuotaExceeded for an empty file whose part has no reservation.
    """
    with Receiver(transfer) as receiver:
        receiver.end()
