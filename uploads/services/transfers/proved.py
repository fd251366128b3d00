"""Recording several files at once that PutObject has created and HEAD has shown.

`object_sent` (`send.py`) records one file, in more steps, and whatever it shows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from uploads import audit, crash
from uploads.database.by_row import ByRow
from uploads.domain.states import PART_STATES, PHASES, DesiredState, PartState, Phase
from uploads.models import Part, Transfer
from uploads.objectstore.checksums import as_hex
from uploads.objectstore.types import SentBytes
from uploads.services.multipart.complete import CompletionOutcome
from uploads.services.staging import quota
from uploads.services.transfers.complete import outcome_fields
from uploads.services.transfers.send import note_sent
from uploads.services.work import leases
from uploads.services.work.failures import NO_ERROR
from uploads.services.work.leases import Lease, due, free
from uploads.services.work.transitions import change


@dataclass(frozen=True, slots=True)
class ProvedFile:
    """A file that was sent under the lease of its part, and verified."""

    lease: Lease[Part]
    response: SentBytes
    outcome: CompletionOutcome

    @property
    def transfer(self) -> Transfer:
        return self.lease.row.transfer

    @property
    def facts(self) -> dict[str, Any]:
        return outcome_fields(self.transfer, self.outcome)


def record_proved(files: Sequence[ProvedFile]) -> bool:
    """Record that the files are done, and remove what is staged of them.

    False if nothing was recorded, because one of the transfers may not go on: it was paused or cancelled, or the lease
    of its part was lost.
    """
    with transaction.atomic():
        is_recorded = _record(files, timezone.now())
        if not is_recorded:
            transaction.set_rollback(True)
    if is_recorded:
        crash.point("files.recorded")
        for file in files:
            note_sent(file.lease.row, file.response)
        quota.release_many([file.transfer for file in files])
    return is_recorded


def _record(files: Sequence[ProvedFile], now: datetime) -> bool:
    """Whoever changes both locks the transfers before their parts. The steps are those of `take_to_prove`."""
    rows = Transfer.objects.filter(pk__in=[file.transfer.pk for file in files])
    running = rows.filter(free(), due(), desired_state=DesiredState.RUN, all_received=True, queued_at__isnull=True)
    if change(PHASES, running, Phase.COMPLETING, {Phase.SENDING}, tries=0, completed_at=now) != len(files):
        return False
    if _end_parts(files, now) != len(files):
        return False
    for alike in _alike(files):
        _finish(alike, now)
    audit.record_ends(Phase.DONE.value, {file.transfer: file.facts for file in files})
    return True


def _end_parts(files: Sequence[ProvedFile], now: datetime) -> int:
    parts = Part.objects.filter(pk__in=[file.lease.row.pk for file in files], lease_token=files[0].lease.token)
    return change(
        PART_STATES,
        parts,
        PartState.SENT,
        {PartState.SENDING},
        etag=_by_part(files, "etag", lambda file: file.response.etag),
        crc64=_by_part(files, "crc64", lambda file: as_hex(file.response.crc64)),
        sent_at=now,
        moved=F("size"),
        moved_at=now,
        **leases.RELEASED,
        **leases.SUCCEEDED,
        **NO_ERROR,
    )


def _by_part(files: Sequence[ProvedFile], column: str, value: Callable[[ProvedFile], str]) -> ByRow:
    return ByRow({file.lease.row.pk: value(file) for file in files}, Part, column)


def _alike(files: Sequence[ProvedFile]) -> list[list[ProvedFile]]:
    """Files of which the same was proved; one group, unless they are of different stores."""
    groups: dict[object, list[ProvedFile]] = defaultdict(list)
    for file in files:
        groups[file.outcome.proofs].append(file)
    return list(groups.values())


def _finish(files: Sequence[ProvedFile], now: datetime) -> None:
    columns = files[0].facts
    for name in ("etag", "crc64"):
        by_transfer = {file.transfer.pk: file.facts[name] for file in files}
        columns[name] = ByRow(by_transfer, Transfer, name)
    change(
        PHASES,
        Transfer.objects.filter(pk__in=[file.transfer.pk for file in files]),
        Phase.DONE,
        {Phase.COMPLETING},
        finished_at=now,
        release_at=now,
        **{**leases.RELEASED, **columns},
    )
