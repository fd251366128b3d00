"""Recording several files at once that PutObject has created and HEAD has shown.

`object_sent` (`send.py`) records one file, in more steps, and whatever it shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from uploads import audit, crash
from uploads.database.prepared import Given
from uploads.domain.states import PART_STATES, PHASES, DesiredState, PartState, Phase
from uploads.models import Part, Transfer
from uploads.objectstore.checksums import as_hex
from uploads.objectstore.types import SentBytes
from uploads.services.multipart.complete import CompletionOutcome
from uploads.services.staging import quota
from uploads.services.transfers.complete import OUTCOME_COLUMNS, outcome_fields
from uploads.services.transfers.send import note_sent
from uploads.services.work import leases
from uploads.services.work.failures import NO_ERROR
from uploads.services.work.leases import Lease, due, free
from uploads.services.work.transitions import prepared_change


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
    if _COMPLETING.for_each({"id": file.transfer.pk, "now": now, "completed_at": now} for file in files) != len(files):
        return False
    if _SENT.for_each(_sent(file, now) for file in files) != len(files):
        return False
    _DONE.for_each(_done(file, now) for file in files)
    audit.record_ends(Phase.DONE.value, {file.transfer: file.facts for file in files})
    return True


def _completing() -> QuerySet[Transfer]:
    """A transfer that may go on, and that nobody works on."""
    free_and_due = free(Given(Transfer, "lease_until", "now")), due(Given(Transfer, "not_before", "now"))
    return Transfer.objects.filter(
        *free_and_due,
        pk=Given(Transfer, "id"),
        desired_state=DesiredState.RUN,
        all_received=True,
        queued_at__isnull=True,
    )


_COMPLETING = prepared_change(
    PHASES,
    _completing,
    Phase.COMPLETING,
    {Phase.SENDING},
    lambda: {"tries": 0, "completed_at": Given(Transfer, "completed_at")},
)


def _sent(file: ProvedFile, now: datetime) -> dict[str, Any]:
    response = file.response
    facts = {"etag": response.etag, "crc64": as_hex(response.crc64), "sent_at": now, "moved_at": now}
    return {"id": file.lease.row.pk, "lease_token": file.lease.token, **facts}


_SENT = prepared_change(
    PART_STATES,
    lambda: Part.objects.filter(pk=Given(Part, "id"), lease_token=Given(Part, "lease_token")),
    PartState.SENT,
    {PartState.SENDING},
    lambda: {
        **{name: Given(Part, name) for name in ("etag", "crc64", "sent_at", "moved_at")},
        "moved": F("size"),
        **leases.RELEASED,
        **leases.SUCCEEDED,
        **NO_ERROR,
    },
)


def _done(file: ProvedFile, now: datetime) -> dict[str, Any]:
    return {"id": file.transfer.pk, "finished_at": now, "release_at": now, **file.facts}


_DONE = prepared_change(
    PHASES,
    lambda: Transfer.objects.filter(pk=Given(Transfer, "id")),
    Phase.DONE,
    {Phase.COMPLETING},
    lambda: {
        **{name: Given(Transfer, name) for name in ("finished_at", "release_at", *OUTCOME_COLUMNS)},
        **leases.RELEASED,
    },
)
