"""The end of receiving: the whole file has arrived, or it never will."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from uploads import crash
from uploads.domain.states import DesiredState
from uploads.models import Transfer
from uploads.problems import Code, Problem, ProblemError
from uploads.services.staging import expected_sha256
from uploads.services.transfers.dispatch import dispatch
from uploads.services.transfers.ending import fail_transfer
from uploads.services.transfers.receive.progress import stopped
from uploads.services.transfers.steps import StepRefused, request_cancel
from uploads.services.work.failures import problem_fields

INCOMPLETE_BODY = "IncompleteBody"
"""The error code of every transfer that is abandoned. The reason says more."""


def finish_receiving(transfer: Transfer, sha256: str) -> None:
    """Record that the whole file has arrived, and compare its SHA-256 with the expected one.

    Raises ReceivingStopped if the transfer was cancelled.
    """
    rows = Transfer.objects.filter(pk=transfer.pk)
    desired_state, phase = rows.values_list("desired_state", "phase").get()
    if desired_state == DesiredState.CANCEL:
        raise stopped(desired_state, phase)
    crash.point("file.complete")
    with transaction.atomic():
        rows.update(all_received=True, received_at=timezone.now(), quota_refused_at=None, sha256=sha256)
        # From now on the expected digest cannot change.
        expected = rows.values_list("expected_sha256", flat=True).get()
        mismatch = expected_sha256.mismatch(transfer, expected, sha256)
        if mismatch:
            fail_transfer(transfer.pk, problem_fields(mismatch))
    crash.point("file.recorded")
    dispatch(transfer.pk)


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
