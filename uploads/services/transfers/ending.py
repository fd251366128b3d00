"""The end of a transfer: failed, or done or cancelled for good."""

from __future__ import annotations

import logging
import uuid
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from uploads import audit, crash
from uploads.domain.states import PHASES, DesiredState, Phase
from uploads.models import Transfer
from uploads.objectstore.errors import ObjectStoreError
from uploads.services.staging import quota
from uploads.services.work import leases
from uploads.services.work.failures import error_fields
from uploads.services.work.queue import enqueue_on_commit
from uploads.services.work.transitions import change

log = logging.getLogger(__name__)


def fail_transfer(transfer_id: uuid.UUID, error: dict[str, str], token: uuid.UUID | None = None) -> None:
    """Rest, with the reason; staged bytes stay until the transfer is retried or discarded.

    With a `token` only its holder decides: who lost the lease of a step does not fail what another one is doing.
    """
    with transaction.atomic():
        # A transfer that is being cancelled does not fail: the store misses what our own abort removed.
        rows = Transfer.objects.filter(pk=transfer_id).exclude(desired_state=DesiredState.CANCEL)
        if token is not None:
            rows = rows.filter(lease_token=token)
        if change(PHASES, rows, Phase.FAILED, finished_at=timezone.now(), **leases.RELEASED, **error):
            transfer = Transfer.objects.select_related("store").get(pk=transfer_id)
            audit.record_transfer(None, "failed", transfer, **error)


def finish_transfer(transfer: Transfer, token: uuid.UUID, phase: Phase, **facts: object) -> bool:
    """The holder of the lease ends a transfer for good. False where the lease was lost."""
    with transaction.atomic():
        rows = Transfer.objects.filter(pk=transfer.pk, lease_token=token)
        if not change(PHASES, rows, phase, **{**leases.RELEASED, **facts, "finished_at": timezone.now()}):
            return False
        audit.record_transfer(None, phase.value, transfer, **facts)
    crash.point("transfer.ended")
    quota.release_all(transfer)
    return True


def step_failed(transfer: Transfer, token: uuid.UUID, error: ObjectStoreError) -> None:
    """A step of the transfer as a whole failed: try again later, or fail the transfer."""
    log.warning("transfer %s: %s", transfer.pk, error)
    held = leases.tried_again(transfer, error)
    if held is None:
        fail_transfer(transfer.pk, error_fields(error), token)
        return
    Transfer.objects.filter(pk=transfer.pk, lease_token=token).update(**held, **error_fields(error))
    dispatch_when_due(transfer, held["not_before"])


def dispatch_when_due(transfer: Transfer, not_before: datetime) -> None:
    wait = (not_before - timezone.now()).total_seconds()
    enqueue_on_commit("dispatch_transfer", [transfer.pk], queue=transfer.steps_queue, countdown=max(0.0, wait))
