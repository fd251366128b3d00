"""While bytes arrive: is the transfer still to be received, and how far has the current part come?"""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.utils import timezone

from uploads.domain.pace import add_mark
from uploads.domain.states import FINAL_PHASES, DesiredState, PartState, Phase
from uploads.models import Part, Transfer
from uploads.problems import Code, Problem
from uploads.services.staging import quota
from uploads.services.transfers.receive.errors import GaveWay, ReceivingStopped

CHECK_SECONDS = 0.5
"""How often the progress of an arriving part is recorded, and the desired state is checked."""


class Progress:
    """Checks a transfer, and records its progress, at most every CHECK_SECONDS."""

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer
        self._marks = transfer.received_marks
        self._next_check = 0.0
        self._rate = RateMark(transfer)

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self._next_check

    def has_begun(self) -> None:
        """The transfer was created just now: the row already says that its sender is active."""
        self._next_check = time.monotonic() + CHECK_SECONDS

    def check(self, received: int, offset: int) -> None:
        """Record that the sender is active, and has sent so many bytes that count, of those before `offset`.

        Raises ReceivingStopped, GaveWay.
        """
        self._next_check = time.monotonic() + CHECK_SECONDS
        self._marks = add_mark(self._marks, timezone.now().timestamp(), received)
        check_accepting(self._transfer, received_marks=self._marks, **self._rate.changes(offset))

    def record(self, part: Part | None) -> None:
        """Record how many bytes of an arriving part are on the disk."""
        if part is not None:
            rows = Part.objects.filter(pk=part.pk, state=PartState.WAITING)
            rows.update(received=self._transfer.folder.arrived(part.number))


class RateMark:
    """Which bytes of a transfer have arrived at the minimum rate, over all of its connections.

    A sender of one byte every few seconds is active, but does not progress. A sender that was silent for long
    progresses again after the bytes of IDLE.
    """

    def __init__(self, transfer: Transfer) -> None:
        self._at = transfer.progressed_at or timezone.now()
        self._bytes = transfer.progressed_bytes

    def changes(self, offset: int) -> dict[str, Any]:
        """The columns that record the progress until `offset`; none if the sender is too slow."""
        now = timezone.now()
        # A checksum that did not match, or a part that was given up, has moved the offset back.
        self._bytes = min(self._bytes, offset)
        elapsed = min(now - self._at, quota.IDLE).total_seconds()
        if offset - self._bytes < settings.STAGING_LEAST_RATE * elapsed:
            return {}
        self._at, self._bytes = now, offset
        return {"progressed_at": now, "progressed_bytes": offset}


def check_accepting(transfer: Transfer, *, sender_is_active: bool = True, **changes: Any) -> None:
    """Raise ReceivingStopped unless the transfer accepts bytes. An active sender's time is recorded, with `changes`.

    Raises GaveWay if an active sender has to give way to others.
    """
    rows = Transfer.objects.filter(pk=transfer.pk)
    accepting = rows.exclude(phase__in=FINAL_PHASES).exclude(desired_state=DesiredState.CANCEL)
    if transfer.resumable:
        accepting = accepting.filter(desired_state=DesiredState.RUN).exclude(phase=Phase.FAILED)
    staying = accepting.filter(gives_way=False)
    if staying.update(received_at=timezone.now(), **changes) if sender_is_active else accepting.exists():
        return
    desired_state, phase, gives_way = rows.values_list("desired_state", "phase", "gives_way").get()
    if gives_way and accepting.exists():
        raise GaveWay(Problem(Code.GAVE_WAY, rate_bytes=settings.STAGING_LEAST_RATE))
    raise stopped(desired_state, phase)


def stopped(desired_state: str, phase: str) -> ReceivingStopped:
    """The reason for which a transfer in this state accepts no bytes."""
    if desired_state == DesiredState.CANCEL or phase == Phase.CANCELLED:
        return ReceivingStopped(Problem(Code.TRANSFER_CANCELLED))
    if phase == Phase.FAILED:
        return ReceivingStopped(Problem(Code.TRANSFER_FAILED))
    if phase == Phase.DONE:
        return ReceivingStopped(Problem(Code.TRANSFER_DONE))
    return ReceivingStopped(Problem(Code.TRANSFER_PAUSED))
