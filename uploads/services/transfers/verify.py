"""Verifying the object of a transfer that is done, unverified, when an operator requests it."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction

from uploads import audit
from uploads.domain.states import Phase
from uploads.models import Transfer
from uploads.problems import Code, Problem
from uploads.services.transfers.complete import look_again, outcome_fields, reason_fields
from uploads.services.transfers.steps import StepRefused


def request_verification(actor: User, transfer: Transfer) -> None:
    """Send one HEAD, and record what it proves. Raises StepRefused if the object is still not verified.

    The transfer stays done: nothing can be sent again. What HEAD does not confirm becomes the reason.
    """
    if not can_verify(transfer):
        raise StepRefused(Problem(Code.CANNOT_VERIFY))
    outcome = look_again(transfer)
    rows = Transfer.objects.filter(pk=transfer.pk, phase=Phase.DONE, verified=False)
    if not outcome.verified:
        rows.update(**reason_fields(transfer, outcome))
        raise StepRefused(Problem(Code.STILL_NOT_VERIFIED))
    with transaction.atomic():
        if rows.update(**outcome_fields(transfer, outcome)):
            audit.record_transfer(actor, "verified", transfer, etag=outcome.etag, proofs=list(outcome.proofs))


def can_verify(transfer: Transfer) -> bool:
    return transfer.phase == Phase.DONE and not transfer.verified
