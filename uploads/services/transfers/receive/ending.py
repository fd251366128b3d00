"""The end of receiving: the whole file has arrived, or it never will."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from uploads import crash
from uploads.database.prepared import Given
from uploads.domain.states import PART_STATES, PHASES, DesiredState, PartState, Phase
from uploads.models import Part, StagingNode, Transfer
from uploads.models.node import silent_before
from uploads.problems import Code, Problem, ProblemError
from uploads.services.staging import expected_sha256
from uploads.services.transfers.dispatch import dispatch
from uploads.services.transfers.ending import fail_transfer
from uploads.services.transfers.file_queue import enqueue_file, enqueue_small_files
from uploads.services.transfers.receive.progress import stopped
from uploads.services.transfers.receive.staged import WholePart, record_staged
from uploads.services.transfers.steps import StepRefused, request_cancel
from uploads.services.work.failures import problem_fields
from uploads.services.work.transitions import change, prepared_change

INCOMPLETE_BODY = "IncompleteBody"
"""The error code of every transfer that is abandoned. The reason says more."""


def finish_receiving(transfer: Transfer, sha256: str, last: WholePart | None = None) -> None:
    """Record that the whole file has arrived, and compare its SHA-256 with the expected one.

    `last` is its last part, if that is on the disk and not recorded yet. All of it is one transaction, as its time is
    most of what a small file costs here. Raises ReceivingStopped if the transfer was cancelled.
    """
    crash.point("file.complete")
    received = _received(timezone.now(), sha256)
    with transaction.atomic():
        if last is None or not _hand_over(transfer, last, received):
            _record(transfer, last, received)
            dispatch(transfer.pk)
    crash.point("file.recorded")


def finish_together(parts: Sequence[Part]) -> bool:
    """Record that the files of these parts have arrived, and enqueue them. They are small, and on the disk.

    False if nothing was recorded, because one of the transfers is to pause or to end, or its part was recorded before:
    `finish_receiving` decides about each.
    """
    crash.point("together.synced")
    with transaction.atomic():
        is_recorded = _hand_over_together(parts, timezone.now())
        if not is_recorded:
            transaction.set_rollback(True)
    crash.point("together.recorded")
    return is_recorded


def _hand_over_together(parts: Sequence[Part], now: datetime) -> bool:
    """Enqueue the only parts of files, as `_hand_over` does for one."""
    [node] = {part.transfer.node for part in parts}
    silent = StagingNode.objects.filter(sender_heard_at__lt=silent_before()).values("name")
    transfers = Transfer.objects.filter(pk__in=[part.transfer_id for part in parts], desired_state=DesiredState.RUN)
    columns = _received(now, "") | {"sending_at": now}
    if change(PHASES, transfers.exclude(node__in=silent), Phase.SENDING, {Phase.RECEIVING}, **columns) != len(parts):
        return False
    ids = [part.pk for part in parts]
    rows = Part.objects.filter(pk__in=ids, reserved_bytes__gt=0)
    staged = {"received": F("size"), "sha256_state": None, "queued_at": now}
    if change(PART_STATES, rows, PartState.STAGED, {PartState.WAITING}, **staged) != len(parts):
        return False
    enqueue_small_files(node, ids)
    return True


def _received(now: datetime, sha256: str) -> dict[str, Any]:
    return {"all_received": True, "received_at": now, "quota_refused_at": None, "sha256": sha256}


def _hand_over(transfer: Transfer, last: WholePart, received: dict[str, Any]) -> bool:
    """Enqueue the only part of a file, which is what `dispatch` would find out. False if that may have to decide."""
    if transfer.part_count > 1 or transfer.verify_sha256:
        return False
    now = timezone.now()
    if not _HAND_OVER(id=transfer.pk, silent_before=silent_before(), sending_at=now, **received):
        return False
    if not record_staged(last, queued_at=now):
        dispatch(transfer.pk)
        return True
    enqueue_file(transfer, last.row.pk)
    return True


def _receiving_here() -> QuerySet[Transfer]:
    """A transfer that is not to pause or to end, on a node that is heard."""
    silent = StagingNode.objects.filter(sender_heard_at__lt=Given(StagingNode, "sender_heard_at", "silent_before"))
    rows = Transfer.objects.filter(pk=Given(Transfer, "id"), desired_state=DesiredState.RUN)
    return rows.exclude(node__in=silent.values("name"))


_HAND_OVER = prepared_change(
    PHASES,
    _receiving_here,
    Phase.SENDING,
    {Phase.RECEIVING},
    lambda: {
        name: Given(Transfer, name)
        for name in ("all_received", "received_at", "quota_refused_at", "sha256", "sending_at")
    },
)


def _record(transfer: Transfer, last: WholePart | None, received: dict[str, Any]) -> None:
    rows = Transfer.objects.filter(pk=transfer.pk)
    if not rows.exclude(desired_state=DesiredState.CANCEL).update(**received):
        desired_state, phase = rows.values_list("desired_state", "phase").get()
        raise stopped(desired_state, phase)
    if last is not None:
        record_staged(last)
    # From now on the expected digest cannot change.
    expected = rows.values_list("expected_sha256", flat=True).get()
    mismatch = expected_sha256.mismatch(transfer, expected, received["sha256"])
    if mismatch:
        fail_transfer(transfer.pk, problem_fields(mismatch))


def abandon(transfer: Transfer, reason: Problem) -> None:
    """Cancel a transfer whose file did not arrive completely and cannot be resumed."""
    error = problem_fields(reason) | {"error_code": INCOMPLETE_BODY}
    Transfer.objects.filter(pk=transfer.pk).update(**error)
    try:
        request_cancel(None, transfer, reason=reason)
    except StepRefused:
        return  # The transfer is already being cancelled.


def reason_of(error: BaseException | None) -> Problem:
    """Why a file did not arrive completely."""
    if isinstance(error, ProblemError):
        return error.problem
    if isinstance(error, OSError):
        return Problem(Code.STAGING_FAILED, detail=error.strerror or str(error))
    return Problem(Code.SENDER_LEFT)
