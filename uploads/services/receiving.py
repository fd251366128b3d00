"""The browser's leg: bytes as they arrive, cut at part boundaries straight into part files."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from django.db import transaction
from django.utils import timezone

from uploads.models import Part, Transfer
from uploads.planning import PlannedPart
from uploads.services.dispatch import dispatch
from uploads.services.transfers import StepRefused, order_cancel
from uploads.staging.disk import PartialFile, make_folder
from uploads.states import FINAL_PHASES, PartState, Want

NOTE_SECONDS = 0.5
"""How often the progress of a part that is arriving is written down."""


class ReceivingStopped(Exception):
    """The transfer was cancelled while its bytes were arriving."""


class WrongLength(Exception):
    """More or fewer bytes came than the request had announced."""


class Receiver:
    """Takes a transfer's bytes in order and stages them; whole parts leave for the store while later ones arrive.

    Use as a context manager. Leaving it before `finish` has been called cancels the transfer: what came through a form
    cannot be resumed. Raises ReceivingStopped, WrongLength, OSError.
    """

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer
        self._next_number = 1
        self._planned: PlannedPart | None = None
        self._file: PartialFile | None = None
        self._row: Part | None = None
        self._in_part = 0
        self._next_note = 0.0
        self._finished = False

    def write(self, block: bytes | bytearray | memoryview) -> None:
        rest = memoryview(block)
        while rest:
            planned = self._planned or self._begin_part()
            piece = rest[: planned.size - self._in_part]
            self._write_piece(piece)
            rest = rest[len(piece) :]
            if self._in_part == planned.size:
                self._end_part()

    def finish(self) -> None:
        """All bytes have come: hand over to the store leg."""
        if self._planned is not None or self._next_number <= self._transfer.part_count:
            if self._transfer.size:
                raise WrongLength("The file ended before its announced size.")
            self._begin_part()
            self._end_part()
        with transaction.atomic():
            Transfer.objects.filter(pk=self._transfer.pk).update(all_received=True, received_at=timezone.now())
        self._finished = True
        dispatch(self._transfer.pk)

    def _begin_part(self) -> PlannedPart:
        if self._next_number > self._transfer.part_count:
            raise WrongLength("The file is longer than its announced size.")
        planned = self._transfer.plan.part(self._next_number)
        self._check_wanted()
        self._row = Part.objects.create(transfer=self._transfer, number=planned.number, size=planned.size)
        self._file = PartialFile(self._row.partial_path, self._row.staged_path)
        self._planned, self._in_part = planned, 0
        return planned

    def _write_piece(self, piece: memoryview) -> None:
        assert self._file is not None
        self._file.write(piece)
        self._in_part += len(piece)
        if time.monotonic() >= self._next_note:
            self._note()

    def _note(self) -> None:
        """Write down how far this part is, and see whether it is still wanted."""
        self._next_note = time.monotonic() + NOTE_SECONDS
        assert self._row is not None
        self._check_wanted()
        Part.objects.filter(pk=self._row.pk, state=PartState.WAITING).update(received=self._in_part)

    def _check_wanted(self) -> None:
        live = Transfer.objects.filter(pk=self._transfer.pk).exclude(wanted=Want.CANCEL)
        if not live.exclude(phase__in=FINAL_PHASES).update(received_at=timezone.now()):
            raise ReceivingStopped("The transfer was cancelled.")

    def _end_part(self) -> None:
        """The part is whole: on the disk first, then in the database, then to the queue."""
        assert self._file is not None
        assert self._row is not None
        self._file.finish()
        with transaction.atomic():
            Part.objects.filter(pk=self._row.pk, state=PartState.WAITING).update(
                state=PartState.STAGED, received=self._row.size
            )
            dispatch(self._transfer.pk)
        self._planned = self._file = self._row = None
        self._next_number += 1

    def __enter__(self) -> Self:
        make_folder(self._transfer.folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
        if not self._finished:
            abandon(self._transfer, str(error) if error else "")


def abandon(transfer: Transfer, reason: str) -> None:
    """The file did not arrive whole and cannot be resumed: leave nothing of it."""
    message = reason or "The connection from the browser ended before the whole file had arrived."
    Transfer.objects.filter(pk=transfer.pk).update(error_code="IncompleteBody", error_message=message)
    try:
        order_cancel(None, transfer, reason=message)
    except StepRefused:
        return  # It is being cancelled already.
