"""While bytes arrive: is the transfer still to be received, and how far has the current part come?"""

from __future__ import annotations

import time
from typing import Any

from django.utils import timezone

from uploads.domain.pace import add_mark
from uploads.domain.states import FINAL_PHASES, DesiredState, PartState, Phase
from uploads.models import Part, Transfer
from uploads.problems import Code, Problem
from uploads.services.transfers.receive.errors import ReceivingStopped

CHECK_SECONDS = 0.5
"""How often the progress of an arriving part is recorded, and the desired state is checked."""


class Progress:
    """Checks a transfer, and records its progress, at most every CHECK_SECONDS."""

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer
        self._marks = transfer.received_marks
        self._next_check = 0.0

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self._next_check

    def check(self, received: int) -> None:
        """Record that the sender is active, and has sent so many bytes. Raises ReceivingStopped."""
        self._next_check = time.monotonic() + CHECK_SECONDS
        self._marks = add_mark(self._marks, timezone.now().timestamp(), received)
        check_accepting(self._transfer, received_marks=self._marks)

    def record(self, part: Part | None) -> None:
        """Record how many bytes of an arriving part are on the disk."""
        if part is not None:
            rows = Part.objects.filter(pk=part.pk, state=PartState.WAITING)
            rows.update(received=self._transfer.folder.arrived(part.number))


def check_accepting(transfer: Transfer, *, sender_is_active: bool = True, **changes: Any) -> None:
    """Raise ReceivingStopped unless the transfer accepts bytes. An active sender's time is recorded, with `changes`."""
    rows = Transfer.objects.filter(pk=transfer.pk)
    accepting = rows.exclude(phase__in=FINAL_PHASES).exclude(desired_state=DesiredState.CANCEL)
    if transfer.resumable:
        accepting = accepting.filter(desired_state=DesiredState.RUN).exclude(phase=Phase.FAILED)
    if accepting.update(received_at=timezone.now(), **changes) if sender_is_active else accepting.exists():
        return
    desired_state, phase = rows.values_list("desired_state", "phase").get()
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
