"""Steps an operator takes with a transfer: pause, resume, cancel, retry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q

from uploads import audit
from uploads.domain.states import (
    DESIRED_STATES,
    FINAL_PHASES,
    PHASES,
    DesiredState,
    PartState,
    Phase,
    StoreUploadState,
)
from uploads.models import Store, Transfer
from uploads.origin import current
from uploads.problems import Code, Problem, ProblemError
from uploads.services.staging import expected_sha256
from uploads.services.transfers.dispatch import dispatch
from uploads.services.transfers.in_the_way import find_in_the_way
from uploads.services.transfers.lost_bytes import has_lost_bytes, needs_sent_bytes_again, stage_again_for_retry
from uploads.services.work import leases
from uploads.services.work.failures import NO_ERROR
from uploads.services.work.transitions import change


class StepRefused(ProblemError):
    """The requested step is not possible in the transfer's state."""


def set_expected_sha256(transfer: Transfer, digest: str) -> None:
    """Set a SHA-256 that was announced for later. Raises StepRefused if none was, or if another one is set."""
    if not transfer.verify_sha256:
        raise StepRefused(Problem(Code.SHA256_NOT_REQUESTED))
    rows = Transfer.objects.filter(pk=transfer.pk, all_received=False, expected_sha256__in=("", digest))
    if not rows.update(expected_sha256=digest):
        raise StepRefused(Problem(Code.SHA256_CONFLICT))
    transfer.expected_sha256 = digest


@dataclass(frozen=True, slots=True)
class _Step:
    """A change of the desired state: from which states, in which phases, its audit action and its refusal."""

    to: DesiredState
    after: frozenset[DesiredState]
    phases: frozenset[Phase]
    action: str
    refusal: Code


PAUSE = _Step(
    DesiredState.PAUSE,
    frozenset({DesiredState.RUN}),
    frozenset({Phase.RECEIVING, Phase.SENDING}),
    "paused",
    Code.CANNOT_PAUSE,
)
RESUME = _Step(
    DesiredState.RUN,
    frozenset({DesiredState.PAUSE}),
    frozenset({Phase.RECEIVING, Phase.SENDING}),
    "resumed",
    Code.CANNOT_RESUME,
)
CANCEL = _Step(
    DesiredState.CANCEL,
    frozenset({DesiredState.RUN, DesiredState.PAUSE}),
    frozenset({Phase.RECEIVING, Phase.SENDING, Phase.FAILED}),
    "cancel-ordered",
    Code.CANNOT_CANCEL,
)


def can_be_requested(step: Literal["pause", "cancel", "retry"]) -> Q:
    """Transfers for which a step may be possible. A retry also needs its bytes, which `can_retry` looks for."""
    if step == "retry":
        return Q(phase=Phase.FAILED) & ~Q(desired_state=DesiredState.CANCEL)
    found = PAUSE if step == "pause" else CANCEL
    return Q(phase__in=sorted(found.phases), desired_state__in=sorted(found.after))


def request_pause(actor: User, transfer: Transfer) -> None:
    """Start no further part; a part that is being sent is interrupted. Raises StepRefused."""
    _take(PAUSE, actor, transfer)


def request_resume(actor: User, transfer: Transfer) -> None:
    """Raises StepRefused."""
    _take(RESUME, actor, transfer)
    dispatch(transfer.pk)


def request_cancel(actor: User | None, transfer: Transfer, reason: Problem | None = None) -> None:
    """Remove the staged bytes and the upload in the store. Raises StepRefused once the object is being completed."""
    _take(CANCEL, actor, transfer, **({"reason": reason} if reason else {}))
    dispatch(transfer.pk)


def request_discard(actor: User, transfer: Transfer) -> bool:
    """Cancel a transfer for another file with its key. False if it has ended by itself: its object may exist now.

    Raises StepRefused while its object is being completed. Can be repeated.
    """
    try:
        request_cancel(actor, transfer, reason=Problem(Code.DISCARDED_FOR_OTHER_FILE))
    except StepRefused:
        transfer.refresh_from_db(fields=["phase", "desired_state"])
        if transfer.phase in FINAL_PHASES:
            return transfer.phase == Phase.CANCELLED
        if transfer.desired_state != DesiredState.CANCEL:
            raise
    else:
        transfer.refresh_from_db(fields=["desired_state"])
    return True


def _take(step: _Step, actor: User | None, transfer: Transfer, **detail: Any) -> None:
    with transaction.atomic():
        rows = Transfer.objects.filter(pk=transfer.pk, phase__in=step.phases)
        # Tasks that are queued for the earlier desired state will find nothing to do.
        columns: dict[str, Any] = {"queued_at": None, "not_before": None, "tries": 0}
        if step is RESUME:
            # Whoever resumes it answers for it from now on. The token that began it may be revoked.
            columns["access_token"] = current().token_id
        if not change(DESIRED_STATES, rows, step.to, step.after, **columns):
            raise StepRefused(Problem(step.refusal))
        transfer.parts.filter(state=PartState.STAGED).update(queued_at=None)
        before, after = {"desired_state": transfer.desired_state}, {"desired_state": step.to.value}
        audit.record_transfer(actor, step.action, transfer, before=before, after=after, **detail)


def request_retry(actor: User, transfer: Transfer) -> None:
    """Resume a failed transfer; what the store has is not sent again. Raises StepRefused.

    If the store has confirmed the completion already, the object is verified again.
    """
    with transaction.atomic():
        if not can_retry(transfer):
            raise StepRefused(Problem(Code.BYTES_MISSING))
        rows = Transfer.objects.filter(pk=transfer.pk).exclude(desired_state=DesiredState.CANCEL)
        forgotten: dict[str, Any] = {**leases.SUCCEEDED, **leases.RELEASED, **NO_ERROR}
        phase = Phase.COMPLETING if retry_only_verifies(transfer) else Phase.SENDING
        if phase is Phase.SENDING:
            _check_key_is_free(transfer)
            forgotten["completed_at"] = None
        forgotten["access_token"] = current().token_id
        if not change(PHASES, rows, phase, {Phase.FAILED}, finished_at=None, **forgotten):
            raise StepRefused(Problem(Code.CANNOT_RETRY))
        change(DESIRED_STATES, rows, DesiredState.RUN)
        stage_again_for_retry(transfer)
        transfer.parts.filter(state=PartState.STAGED).update(queued_at=None, **leases.SUCCEEDED, **NO_ERROR)
        audit.record_transfer(
            actor, "retried", transfer, before={"phase": Phase.FAILED.value}, after={"phase": phase.value}
        )
    dispatch(transfer.pk)


def _check_key_is_free(transfer: Transfer) -> None:
    """A failed transfer does not overwrite the object of one that was started after it."""
    # As at the start of a transfer: the lock makes concurrent requests for one key wait for each other.
    Store.objects.select_for_update().get(pk=transfer.store_id)
    other = find_in_the_way(transfer.store, transfer.bucket, transfer.key)
    if other is not None and other.pk != transfer.pk:
        raise StepRefused(Problem(Code.KEY_BUSY))


def is_completed(transfer: Transfer) -> bool:
    """Whether the store has confirmed that the object is complete; only its verification remains."""
    has_completed = transfer.store_uploads.filter(state=StoreUploadState.COMPLETED).exists()
    return transfer.completed_at is not None or has_completed


def retry_only_verifies(transfer: Transfer) -> bool:
    """Whether a retry looks at the object again, and sends nothing."""
    return is_completed(transfer) and not needs_sent_bytes_again(transfer)


def can_retry(transfer: Transfer) -> bool:
    """Whether every byte is in the store's upload, staged here, or can still come from the browser."""
    if transfer.all_received and expected_sha256.mismatch(transfer, transfer.expected_sha256, transfer.sha256):
        return False
    if not transfer.all_received and not transfer.resumable:
        return False
    if has_lost_bytes(transfer):
        return False
    if transfer.error_reason == Code.CRC64_MISMATCH and not transfer.by_put_object:
        return False  # The object is in the store, and will stay wrong.
    ready = (StoreUploadState.OPEN, StoreUploadState.COMPLETED)
    if transfer.by_put_object or transfer.store_uploads.filter(state__in=ready).exists():
        return True
    return not transfer.parts.filter(state=PartState.SENT).exists()
