"""Steps an operator takes with a transfer: pause, resume, cancel, retry."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction

from uploads import audit
from uploads.domain.states import DESIRED_STATES, PHASES, DesiredState, PartState, Phase, StoreUploadState
from uploads.models import Transfer
from uploads.services.staging import expected_sha256
from uploads.services.transfers.dispatch import dispatch
from uploads.services.work import leases
from uploads.services.work.failures import NO_ERROR
from uploads.services.work.transitions import change


class StepRefused(ValueError):
    """What was asked of a transfer is not possible in its state."""


def set_expected_sha256(transfer: Transfer, digest: str) -> None:
    """A SHA-256 that was promised for later. Raises StepRefused where none was, or where another came before."""
    if not transfer.verify_sha256:
        raise StepRefused("No SHA-256 was promised when this transfer was begun.")
    rows = Transfer.objects.filter(pk=transfer.pk, all_received=False, expected_sha256__in=("", digest))
    if not rows.update(expected_sha256=digest):
        raise StepRefused("Another SHA-256 was promised for this transfer before.")
    transfer.expected_sha256 = digest


def request_pause(actor: User, transfer: Transfer) -> None:
    """No further part is begun; a part on its way is cut. Raises StepRefused."""
    _change_want(actor, transfer, DesiredState.PAUSE, {DesiredState.RUN}, {Phase.RECEIVING, Phase.SENDING}, "paused")


def request_resume(actor: User, transfer: Transfer) -> None:
    """Raises StepRefused."""
    _change_want(actor, transfer, DesiredState.RUN, {DesiredState.PAUSE}, {Phase.RECEIVING, Phase.SENDING}, "resumed")
    dispatch(transfer.pk)


def request_cancel(actor: User | None, transfer: Transfer, reason: str = "") -> None:
    """Leave nothing: no staged bytes, no upload in the store. Raises StepRefused once the object is being completed."""
    phases = {Phase.RECEIVING, Phase.SENDING, Phase.FAILED}
    _change_want(
        actor,
        transfer,
        DesiredState.CANCEL,
        {DesiredState.RUN, DesiredState.PAUSE},
        phases,
        "cancel-ordered",
        reason=reason,
    )
    dispatch(transfer.pk)


def _change_want(
    actor: User | None,
    transfer: Transfer,
    want: DesiredState,
    wants: set[DesiredState],
    phases: set[Phase],
    action: str,
    **detail: str,
) -> None:
    with transaction.atomic():
        rows = Transfer.objects.filter(pk=transfer.pk, phase__in=phases)
        # What is enqueued now was enqueued for the earlier want and will find nothing to do.
        if not change(DESIRED_STATES, rows, want, wants, queued_at=None, not_before=None, tries=0):
            transfer.refresh_from_db()
            raise StepRefused(f"This transfer is {transfer.state.value}: {want.value} is not possible now.")
        transfer.parts.filter(state=PartState.STAGED).update(queued_at=None)
        audit.record_transfer(actor, action, transfer, **detail)


def request_retry(actor: User, transfer: Transfer) -> None:
    """Go on from where a failed transfer stands; what the store has is not sent again. Raises StepRefused."""
    with transaction.atomic():
        if not can_retry(transfer):
            raise StepRefused("Bytes of this transfer are neither in the store nor staged here: send the file again.")
        rows = Transfer.objects.filter(pk=transfer.pk).exclude(desired_state=DesiredState.CANCEL)
        forgotten = {**leases.SUCCEEDED, **leases.RELEASED, **NO_ERROR}
        if not change(PHASES, rows, Phase.SENDING, {Phase.FAILED}, finished_at=None, **forgotten):
            raise StepRefused("Only a failed transfer can be retried.")
        change(DESIRED_STATES, rows, DesiredState.RUN)
        transfer.parts.filter(state=PartState.STAGED).update(queued_at=None, **leases.SUCCEEDED, **NO_ERROR)
        audit.record_transfer(actor, "retried", transfer)
    dispatch(transfer.pk)


def can_retry(transfer: Transfer) -> bool:
    """Whether every byte is in the store's upload, staged here, or can still come from the browser."""
    if transfer.all_received and expected_sha256.mismatch(transfer, transfer.expected_sha256, transfer.sha256):
        return False
    if not transfer.all_received and not transfer.resumable:
        return False
    if transfer.by_put_object or transfer.store_uploads.filter(state=StoreUploadState.OPEN).exists():
        return True
    return not transfer.parts.filter(state=PartState.SENT).exists()
