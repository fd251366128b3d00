"""Reserving the bytes of parts before they arrive, and waiting while staging is full."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from uploads import crash
from uploads.domain.planning import PlannedPart
from uploads.models import Part, Transfer
from uploads.problems import Code, Problem
from uploads.services.staging import quota
from uploads.services.transfers.receive.errors import QuotaExceeded, ReceivingStopped
from uploads.services.transfers.receive.progress import check_accepting

RETRY_SECONDS = 0.25
"""The time between two attempts while staging is full."""


class Reservations:
    """The parts of one transfer whose bytes are reserved and have not started to arrive.

    `before_wait` is called after each failed attempt, `on_wait` whenever the sender is kept waiting.
    """

    def __init__(self, transfer: Transfer, *, before_wait: Callable[[], None], on_wait: Callable[[], None]) -> None:
        self._transfer = transfer
        self._before_wait = before_wait
        self._on_wait = on_wait
        self._rows: dict[int, Part] = {}
        self._refusal = Problem(Code.QUOTA_EXCEEDED)

    def keep(self, part: Part) -> None:
        """Have a part whose bytes are reserved already."""
        self._rows[part.number] = part

    def take(self, planned: PlannedPart, patience: float) -> Part:
        """The row of a part that is about to arrive. Raises QuotaExceeded, ReceivingStopped."""
        if planned.number not in self._rows:
            self.reserve(planned, patience)
        return self._rows.pop(planned.number)

    def reserve_all(self, parts: Sequence[PlannedPart], patience: float) -> None:
        """Reserve several parts, or none of them: two senders with half of theirs would wait for each other."""
        try:
            for part in parts:
                self.reserve(part, patience)
        except QuotaExceeded:
            unused = [part.number for part in parts if not self._transfer.folder.arrived(part.number)]
            quota.release_unused(self._transfer, unused)
            raise

    def reserve(self, planned: PlannedPart, patience: float) -> None:
        """Reserve a part's bytes within `patience` seconds. Raises QuotaExceeded, ReceivingStopped."""
        deadline = time.monotonic() + patience
        while not self._attempt(planned):
            # A part that is still being synced may be the one that frees space.
            self._before_wait()
            if time.monotonic() >= deadline:
                raise QuotaExceeded(self._refusal)
            self._on_wait()
            time.sleep(RETRY_SECONDS)
            check_accepting(self._transfer)

    def _attempt(self, planned: PlannedPart) -> bool:
        try:
            parts = quota.reserve(self._transfer, planned)
        except quota.TransferEnded as error:
            raise ReceivingStopped(Problem(Code.TRANSFER_CANCELLED)) from error
        except quota.UserLimit as error:
            self._refusal = Problem(Code.USER_RESERVED, limit_bytes=error.limit)
            return False
        self._refusal = Problem(Code.QUOTA_EXCEEDED)
        if parts:
            self._rows.update((part.number, part) for part in parts)
            crash.point("quota.reserved")
        return bool(parts)
