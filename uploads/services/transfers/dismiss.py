"""Dismissing the possible orphans of a transfer whose upload ids are not known."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction

from uploads import audit
from uploads.models import Transfer
from uploads.problems import Code, Problem
from uploads.services.transfers.orphans import forget_lost_creates
from uploads.services.transfers.steps import StepRefused


def request_dismissal(actor: User, transfer: Transfer) -> None:
    """An operator has checked that the store has no upload of this transfer left. Raises StepRefused."""
    with transaction.atomic():
        if not forget_lost_creates(transfer):
            raise StepRefused(Problem(Code.NO_LOST_CREATE))
        audit.record_transfer(actor, "orphan-dismissed", transfer)
