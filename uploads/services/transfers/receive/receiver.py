"""The browser's leg: bytes as they arrive, cut at part boundaries straight into part files.

One writer at a time takes a transfer's bytes, under a lock that the kernel keeps. It may die at any instant: the next
one reads from the files how far the last one came.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from django.db import transaction
from django.utils import timezone

from uploads import crash
from uploads.domain.planning import PlannedPart
from uploads.domain.states import FINAL_PHASES, PART_STATES, DesiredState, PartState, Phase
from uploads.models import Part, Transfer
from uploads.services.staging import expected_sha256, quota
from uploads.services.staging.expected_sha256 import FileSha256
from uploads.services.transfers.dispatch import dispatch
from uploads.services.transfers.ending import fail_transfer
from uploads.services.transfers.steps import StepRefused, request_cancel
from uploads.services.work.failures import problem_fields
from uploads.services.work.transitions import change
from uploads.staging.disk import PartialFile
from uploads.staging.tus import Checksum

NOTE_SECONDS = 0.5
"""How often the progress of a part that is arriving is written down."""

ROOM_LOOK_SECONDS = 0.25
"""Between two looks whether there is room by now."""

_syncing = ThreadPoolExecutor(max_workers=8, thread_name_prefix="sync")
"""Writes whole parts through to the disk while the bytes of the next ones arrive."""


class ReceivingStopped(Exception):
    """No more bytes are taken now. `code` is Cancelled, Paused or Failed."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class QuotaExceeded(Exception):
    """Staging is full. What came stands."""


class WrongLength(Exception):
    """More or fewer bytes came than the request had announced."""


@dataclass(frozen=True, slots=True)
class _Syncing:
    """A whole part whose bytes are on their way to the disk."""

    future: Future[None]
    part: Part
    sha256_state: bytes | None


class Receiver:
    """Takes a transfer's bytes in order and stages them; whole parts leave for the store while later ones arrive.

    Use as a context manager: inside, it is the transfer's only writer and `offset` says where it goes on. Bytes that
    cannot be resumed (from the plain form) are given up when it is left before `end` was called.

    `quota_patience`: seconds to wait for room between two parts. `is_ready`: whether more bytes wait to be read.
    `on_wait`: told each time we keep the sender waiting. With a `checksum` nothing counts, or leaves, before `end` has
    seen it.

    Raises WriterBusy, ReceivingStopped, QuotaExceeded, WrongLength, OSError.
    """

    def __init__(
        self,
        transfer: Transfer,
        *,
        quota_patience: float = 0,
        checksum: Checksum | None = None,
        is_ready: Callable[[], bool] = lambda: True,
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        self._transfer = transfer
        self._folder = transfer.folder
        self._quota_patience = quota_patience
        self._is_ready = is_ready
        self._on_wait = on_wait
        self._checksum = checksum
        self._hash: Any = checksum.begin() if checksum else None
        self._unchecked: list[tuple[Part, bytes | None]] = []
        self._reserved: dict[int, Part] = {}
        self._planned: PlannedPart | None = None
        self._part: Part | None = None
        self._file: PartialFile | None = None
        self._syncing: _Syncing | None = None
        self._next_note = 0.0
        self._ended = False
        self._exit = ExitStack()
        self._number = 1
        self._sha256 = FileSha256(None)
        self.offset = 0

    # --- Coming and going ---------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._exit.enter_context(self._folder.writer())
        try:
            self._check_not_ended()
            self._take_up()
        except BaseException as error:
            self._leave(error)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        with self._exit:
            try:
                if self._file is not None:
                    self._file.close()
                # With the transfer's folder gone there is nothing left to sync, and a better reason to stop.
                with suppress(OSError) if error else nullcontext():
                    self._settle()
                if self._checksum and not self._ended:
                    self._drop_unchecked()
                if not self._ended:
                    self._note_progress()
            finally:
                if not self._ended and not self._transfer.resumable:
                    abandon(self._transfer, str(error) if error else "")

    def _take_up(self) -> None:
        """Go on where the last writer stopped, wherever that was."""
        transfer, plan, folder = self._transfer, self._transfer.plan, self._folder
        whole = transfer.parts.exclude(state=PartState.WAITING).count()
        self.offset = folder.offset(plan, whole)
        folder.truncate_to(plan, self.offset)
        folder.mark_verified()
        self._number = whole + 1
        # Full, and its writer died before that was written down.
        while self._number <= plan.part_count and 0 < folder.arrived(self._number) == plan.part(self._number).size:
            self._adopt(plan.part(self._number))
        self._sha256 = FileSha256.resume(transfer, self._number)

    def _adopt(self, planned: PlannedPart) -> None:
        sha256 = FileSha256.resume(self._transfer, planned.number)
        if not self._folder.whole(planned.number).exists():
            PartialFile(self._folder, planned.number).finish()
        part, _ = Part.objects.get_or_create(
            transfer=self._transfer,
            number=planned.number,
            defaults={"size": planned.size, "reserved_bytes": planned.size},
        )
        self._mark_staged(part, sha256.save())
        self._number += 1

    # --- Bytes --------------------------------------------------------------------------------------------------------

    def expect(self, length: int, patience: float = 0) -> None:
        """So many bytes are about to come: have room before the first is read, for all of them where a checksum is to
        be seen first, else for the next part. `patience`: seconds to wait for it. Raises QuotaExceeded, WrongLength."""
        if length > self._transfer.size - self.offset:
            raise WrongLength(f"{length:,} bytes would go beyond the file's {self._transfer.size:,}.")
        if not length:
            return
        if self._checksum:
            self._expect_unchecked(length, patience)
        elif self._planned is None:
            self._begin_part(patience)

    def _expect_unchecked(self, length: int, patience: float) -> None:
        plan = self._transfer.plan
        end = self.offset + length
        touched = [part for part in plan.parts() if part.offset < end and part.offset + part.size > self.offset]
        if sum(part.size for part in touched) > quota.limit_bytes():
            raise WrongLength(
                f"{length:,} bytes with a checksum span {len(touched)} parts, which staging cannot hold at once. Send "
                f"the {touched[0].offset + touched[0].size - self.offset:,} that end this part, or fewer."
            )
        try:
            for part in touched:
                self._reserve(part, patience)
        except QuotaExceeded:
            # Two who hold room for some of their parts would wait for each other's.
            quota.release_unused(
                self._transfer, [part.number for part in touched if not self._folder.arrived(part.number)]
            )
            raise
        self._folder.mark_unverified(self.offset)
        crash.point("checksum.expected")

    def write(self, block: bytes | memoryview) -> None:
        rest = memoryview(block)
        while rest:
            planned = self._planned or self._begin_part(self._quota_patience)
            assert self._file is not None
            piece = rest[: planned.size - self._file.arrived]
            self._file.write(piece)
            self._sha256.update(piece)
            if self._hash:
                self._hash.update(piece)
            self.offset += len(piece)
            rest = rest[len(piece) :]
            if self._file.arrived == planned.size:
                self._end_part()
        if time.monotonic() >= self._next_note:
            self._note()
        if self._syncing and (self._syncing.future.done() or not self._is_ready()):
            self._settle()

    def end(self) -> None:
        """All bytes that were expected have come. Hands over to the store leg once the file is whole.

        Raises TusError with 460 where the checksum is another; nothing of what came is kept then.
        """
        if self._file is not None:
            self._file.close()
        if self._checksum:
            self._see_checksum()
        self._settle()
        if self.offset == self._transfer.size:
            self._whole_file_is_here()
        elif not self._transfer.resumable:
            raise WrongLength("The file ended before its announced size.")
        else:
            self._note_progress()
        self._ended = True

    # --- Parts --------------------------------------------------------------------------------------------------------

    def _begin_part(self, patience: float) -> PlannedPart:
        if self._number > self._transfer.part_count:
            raise WrongLength("The file is longer than its announced size.")
        planned = self._transfer.plan.part(self._number)
        if self._number not in self._reserved:
            self._reserve(planned, patience)
        self._part = self._reserved.pop(self._number)
        self._file = PartialFile(self._folder, self._number)
        self._planned = planned
        return planned

    def _reserve(self, planned: PlannedPart, patience: float) -> None:
        """Room for a part, waited for as long as our patience lasts."""
        deadline = time.monotonic() + patience
        while True:
            try:
                parts = quota.reserve(self._transfer, planned)
            except quota.TransferEnded as error:
                raise ReceivingStopped("Cancelled", str(error)) from error
            if parts:
                self._reserved.update((part.number, part) for part in parts)
                crash.point("quota.reserved")
                return
            # A part that waits for its sync is what could make room.
            self._settle()
            if time.monotonic() >= deadline:
                raise QuotaExceeded("Staging is full: parts have to leave for the store first.")
            self._on_wait()
            time.sleep(ROOM_LOOK_SECONDS)
            self._check_wanted()

    def _end_part(self) -> None:
        """The part is whole: on the disk first, then in the database, then to the queue."""
        assert self._part is not None
        assert self._file is not None
        # Should the part before this one fail now, this one's file is still ours to close.
        self._settle()
        part, file, state = self._part, self._file, self._sha256.save()
        self._planned = self._file = self._part = None
        self._number += 1
        if self._checksum:
            file.close()
            self._unchecked.append((part, state))
            return
        self._syncing = _Syncing(_syncing.submit(file.finish), part, state)

    def _settle(self) -> None:
        """Wait until the part that is being synced is on the disk, and hand it over."""
        if self._syncing is not None:
            syncing, self._syncing = self._syncing, None
            syncing.future.result()
            crash.point("part.synced")
            self._mark_staged(syncing.part, syncing.sha256_state)

    def _mark_staged(self, part: Part, sha256_state: bytes | None) -> None:
        with transaction.atomic():
            rows = Part.objects.filter(pk=part.pk)
            staged = {"received": part.size, "sha256_state": sha256_state}
            change(PART_STATES, rows, PartState.STAGED, {PartState.WAITING}, **staged)
            dispatch(self._transfer.pk)
        crash.point("part.staged")

    # --- Checksums ----------------------------------------------------------------------------------------------------

    def _see_checksum(self) -> None:
        assert self._checksum is not None
        self._checksum.check(self._hash.digest())
        crash.point("checksum.seen")
        self._folder.mark_verified()
        crash.point("checksum.verified")
        for part, state in self._unchecked:
            PartialFile(self._folder, part.number).finish()
            self._mark_staged(part, state)

    def _drop_unchecked(self) -> None:
        """As if nothing of it had come."""
        unverified = self._folder.unverified_from()
        if unverified is not None:
            self._folder.truncate_to(self._transfer.plan, unverified)
            self._folder.mark_verified()
            self.offset = unverified

    # --- What is written down -----------------------------------------------------------------------------------------

    def _note(self) -> None:
        """Write down how far this part is, and see whether it is still wanted."""
        self._next_note = time.monotonic() + NOTE_SECONDS
        self._check_wanted()
        if not self._checksum:
            self._note_progress()

    def _note_progress(self) -> None:
        if self._part is not None and self._file is not None:
            rows = Part.objects.filter(pk=self._part.pk, state=PartState.WAITING)
            rows.update(received=self._folder.arrived(self._part.number))

    def _check_wanted(self, *, sender_is_there: bool = True) -> None:
        """Raises ReceivingStopped where no more is to come; else notes that the sender is there."""
        rows = Transfer.objects.filter(pk=self._transfer.pk)
        live = rows.exclude(phase__in=FINAL_PHASES).exclude(desired_state=DesiredState.CANCEL)
        if self._transfer.resumable:
            live = live.filter(desired_state=DesiredState.RUN).exclude(phase=Phase.FAILED)
        if live.update(received_at=timezone.now()) if sender_is_there else live.exists():
            return
        wanted, phase = rows.values_list("desired_state", "phase").get()
        raise _stopped(wanted, phase)

    def _check_not_ended(self) -> None:
        """Who comes after the end has made the transfer's folder anew: it goes again. Raises ReceivingStopped."""
        try:
            self._check_wanted(sender_is_there=False)
        except ReceivingStopped:
            if Transfer.objects.filter(pk=self._transfer.pk, phase__in=FINAL_PHASES).exists():
                self._folder.remove()
            raise

    def _whole_file_is_here(self) -> None:
        if not self._transfer.size and not self._transfer.parts.exclude(state=PartState.WAITING).exists():
            self._begin_part(self._quota_patience)
            self._end_part()
            self._settle()
        rows = Transfer.objects.filter(pk=self._transfer.pk)
        wanted, phase = rows.values_list("desired_state", "phase").get()
        if wanted == DesiredState.CANCEL:
            raise _stopped(wanted, phase)
        arrived = self._sha256.digest
        crash.point("file.whole")
        with transaction.atomic():
            rows.update(all_received=True, received_at=timezone.now(), quota_refused_at=None, sha256=arrived)
            # After that no digest is taken any more, so this is the last word on what was promised.
            expected = rows.values_list("expected_sha256", flat=True).get()
            error = expected_sha256.mismatch(self._transfer, expected, arrived)
            if error:
                fail_transfer(self._transfer.pk, problem_fields(error))
        crash.point("file.written")
        dispatch(self._transfer.pk)


def _stopped(wanted: str, phase: str) -> ReceivingStopped:
    if wanted == DesiredState.CANCEL or phase == Phase.CANCELLED:
        return ReceivingStopped("Cancelled", "The transfer was cancelled.")
    if phase == Phase.FAILED:
        return ReceivingStopped("Failed", "The transfer failed on its way to the store. Retry it there, or discard it.")
    if phase == Phase.DONE:
        return ReceivingStopped("Done", "The transfer is done.")
    return ReceivingStopped("Paused", "The transfer is paused.")


def take_up(transfer: Transfer) -> None:
    """Adopt what a writer that died left behind: whole parts leave, and a whole file is handed over.

    Raises WriterBusy, ReceivingStopped, OSError; QuotaExceeded for an empty file, whose part has not begun.
    """
    with Receiver(transfer) as receiver:
        receiver.end()


def abandon(transfer: Transfer, reason: str) -> None:
    """The file did not arrive whole and cannot be resumed: leave nothing of it."""
    message = reason or "The connection from the browser ended before the whole file had arrived."
    Transfer.objects.filter(pk=transfer.pk).update(error_code="IncompleteBody", error_message=message)
    try:
        request_cancel(None, transfer, reason=message)
    except StepRefused:
        return  # It is being cancelled already.
