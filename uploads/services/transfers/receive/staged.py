"""Whole parts: synced to the disk first, then recorded, then enqueued for the store."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from uploads import crash
from uploads.database.prepared import Given
from uploads.domain.states import PART_STATES, PartState
from uploads.models import Part
from uploads.services.transfers.dispatch import dispatch
from uploads.services.transfers.receive.parts import ArrivingPart
from uploads.services.work.transitions import prepared_change
from uploads.staging.disk import PartialFile

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

    def sync(self, part: ArrivingPart, sha256_state: bytes | None) -> None:
        """Sync the last part, after which nothing arrives: a thread would only be waited for. Raises OSError."""
        part.file.finish()
        done: Future[None] = Future()
        done.set_result(None)
        self._syncing = _Syncing(done, WholePart(part.row, sha256_state))

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


def sync_soon(file: PartialFile) -> Future[None]:
    """Sync a whole part in another thread."""
    return _pool.submit(file.finish)


def mark_staged(part: Part, sha256_state: bytes | None) -> None:
    """Record that a part is on the disk, and enqueue what can be sent now."""
    with transaction.atomic():
        record_staged(WholePart(part, sha256_state))
        dispatch(part.transfer_id)
    crash.point("part.staged")


def record_staged(part: WholePart, queued_at: datetime | None = None) -> bool:
    """Record that a part is on the disk, and when it is enqueued. False if that was recorded before."""
    return bool(_STAGED(id=part.row.pk, received=part.row.size, sha256_state=part.sha256_state, queued_at=queued_at))


_STAGED = prepared_change(
    PART_STATES,
    lambda: Part.objects.filter(pk=Given(Part, "id")),
    PartState.STAGED,
    {PartState.WAITING},
    lambda: {name: Given(Part, name) for name in ("received", "sha256_state", "queued_at")},
)
