"""Whole parts: synced to the disk first, then recorded, then enqueued for the store."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from uploads import crash
from uploads.domain.states import PART_STATES, PartState
from uploads.models import Part
from uploads.services.transfers.dispatch import dispatch
from uploads.services.transfers.receive.parts import ArrivingPart
from uploads.services.work.transitions import change

_pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="sync")


@dataclass(frozen=True, slots=True)
class WholePart:
    """A part that is full, and the state of the SHA-256 of the file at its end."""

    row: Part
    sha256_state: bytes | None


@dataclass(frozen=True, slots=True)
class _Syncing:
    future: Future[None]
    part: WholePart


class Syncer:
    """Syncs one whole part to the disk while the bytes of the next one arrive."""

    def __init__(self) -> None:
        self._syncing: _Syncing | None = None

    @property
    def is_busy(self) -> bool:
        return self._syncing is not None

    @property
    def is_done(self) -> bool:
        return self._syncing is not None and self._syncing.future.done()

    def start(self, part: ArrivingPart, sha256_state: bytes | None) -> None:
        self._syncing = _Syncing(_pool.submit(part.file.finish), WholePart(part.row, sha256_state))

    def wait(self) -> None:
        """Wait until the part is on the disk, and mark it as staged. Raises OSError."""
        part = self.synced()
        if part is not None:
            mark_staged(part.row, part.sha256_state)

    def synced(self) -> WholePart | None:
        """Wait until the part is on the disk. The caller marks it as staged. Raises OSError."""
        if self._syncing is None:
            return None
        syncing, self._syncing = self._syncing, None
        syncing.future.result()
        crash.point("part.synced")
        return syncing.part


def mark_staged(part: Part, sha256_state: bytes | None) -> None:
    """Record that a part is on the disk, and enqueue what can be sent now."""
    with transaction.atomic():
        record_staged(WholePart(part, sha256_state))
        dispatch(part.transfer_id)
    crash.point("part.staged")


def record_staged(part: WholePart, **fields: Any) -> bool:
    """Record that a part is on the disk, with further fields. False if that was recorded before."""
    rows = Part.objects.filter(pk=part.row.pk)
    staged = {"received": part.row.size, "sha256_state": part.sha256_state}
    return bool(change(PART_STATES, rows, PartState.STAGED, {PartState.WAITING}, **staged, **fields))
