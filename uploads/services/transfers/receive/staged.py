"""Whole parts: synced to the disk first, then recorded, then enqueued for the store."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from django.db import transaction

from uploads import crash
from uploads.domain.states import PART_STATES, PartState
from uploads.models import Part
from uploads.services.transfers.dispatch import dispatch
from uploads.services.transfers.receive.parts import ArrivingPart
from uploads.services.work.transitions import change

_pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="sync")


@dataclass(frozen=True, slots=True)
class _Syncing:
    future: Future[None]
    part: Part
    sha256_state: bytes | None


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
        self._syncing = _Syncing(_pool.submit(part.file.finish), part.row, sha256_state)

    def wait(self) -> None:
        """Wait until the part is on the disk, and mark it as staged. Raises OSError."""
        if self._syncing is not None:
            syncing, self._syncing = self._syncing, None
            syncing.future.result()
            crash.point("part.synced")
            mark_staged(syncing.part, syncing.sha256_state)


def mark_staged(part: Part, sha256_state: bytes | None) -> None:
    """Record that a part is on the disk, and enqueue what can be sent now."""
    with transaction.atomic():
        rows = Part.objects.filter(pk=part.pk)
        staged = {"received": part.size, "sha256_state": sha256_state}
        change(PART_STATES, rows, PartState.STAGED, {PartState.WAITING}, **staged)
        dispatch(part.transfer_id)
    crash.point("part.staged")
