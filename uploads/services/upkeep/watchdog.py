"""Finding what has run out and enqueuing it again. Two at once do no harm: every step is a filtered UPDATE."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from uploads import metrics
from uploads.domain.states import FINAL_PHASES, DesiredState, ItemState, PartState, Phase, StoreUploadState
from uploads.models import Operation, OperationItem, Part, StoreUpload, Transfer
from uploads.services.operations.order import dispatch_operation
from uploads.services.staging import quota
from uploads.services.stores import checks
from uploads.services.transfers.dispatch import dispatch
from uploads.services.transfers.receive import abandon
from uploads.services.upkeep.cleanup import expire
from uploads.services.work import broker, leases
from uploads.services.work.queue import enqueue_on_commit

MAX_LATE = 20
"""Late uploads that one round enqueues; the next round has the others."""

SILENT_BROWSER = timedelta(minutes=15)
"""A form upload of which no byte has come for so long has lost its browser or its web server."""


def watch() -> None:
    """One round."""
    _return_expired_leases()
    _forget_lost_messages()
    _abandon_silent_forms()
    _expire_silent_transfers()
    _release_sent_parts()
    _release_ended_transfers()
    _drop_late_uploads()
    _dispatch_all()
    checks.take_up_again(lost_before=timezone.now() - _lost_message())


def _return_expired_leases() -> None:
    now = timezone.now()
    parts = Part.objects.filter(state=PartState.SENDING, lease_until__lt=now)
    metrics.leases_taken_over("part", _update(parts, state=PartState.STAGED, moved=0, **leases.RELEASED))
    items = OperationItem.objects.filter(state=ItemState.RUNNING, lease_until__lt=now)
    metrics.leases_taken_over("item", _update(items, state=ItemState.ORDERED, **leases.RELEASED))
    transfers = Transfer.objects.filter(lease_until__lt=now).exclude(phase__in=FINAL_PHASES)
    metrics.leases_taken_over("transfer", _update(transfers, **leases.RELEASED))


def _update(rows: QuerySet[Any], **changes: Any) -> int:
    """Change those that nobody is changing now, and the others next time.

    Whoever waits for rows of many transfers, holding some, may wait in a circle: PostgreSQL would end one of the two.
    """
    with transaction.atomic():
        free = rows.order_by().select_for_update(skip_locked=True)
        updated: int = rows.model._default_manager.filter(pk__in=free).update(**changes)
    return updated


def _lost_message() -> timedelta:
    """A message this old may be lost; what it asked for is enqueued again, and a duplicate does no harm."""
    return timedelta(seconds=settings.LOST_MESSAGE_SECONDS)


def _forget_lost_messages() -> None:
    # What Redis has lost, it has lost all at once: none of it is waited for.
    old = timezone.now() - (timedelta(0) if broker.was_emptied() else _lost_message())
    _update(Part.objects.filter(state=PartState.STAGED, queued_at__lt=old), queued_at=None)
    _update(OperationItem.objects.filter(state=ItemState.ORDERED, queued_at__lt=old), queued_at=None)
    transfers = Transfer.objects.filter(leases.free(), queued_at__lt=old).exclude(phase__in=FINAL_PHASES)
    _update(transfers, queued_at=None)


def _abandon_silent_forms() -> None:
    old = timezone.now() - SILENT_BROWSER
    for transfer in _arriving().filter(resumable=False, received_at__lt=old):
        abandon(transfer, "No byte has come from the browser for 15 minutes.")


def _expire_silent_transfers() -> None:
    """The browser's leg only: what is all here does not expire while it is being sent."""
    old = timezone.now() - timedelta(seconds=settings.STAGING_EXPIRY)
    for transfer in _arriving(Phase.FAILED).filter(resumable=True, received_at__lt=old):
        expire(transfer)


def _arriving(*more: Phase) -> QuerySet[Transfer]:
    """Transfers whose file has not come whole."""
    phases = (Phase.RECEIVING, Phase.SENDING, *more)
    arriving = Transfer.objects.filter(all_received=False, phase__in=phases).exclude(desired_state=DesiredState.CANCEL)
    return arriving.select_related("store")


def _release_sent_parts() -> None:
    """Parts of this node whose sender died between writing down that they are sent and dropping their bytes."""
    old = timezone.now() - _lost_message()
    left = Part.objects.filter(
        state=PartState.SENT, reserved_bytes__gt=0, sent_at__lt=old, transfer__node=settings.NODE_NAME
    )
    for part in left.select_related("transfer"):
        quota.release(part)


def _release_ended_transfers() -> None:
    """Transfers of this node whose end was written down by somebody who died before dropping their bytes."""
    ended = Transfer.objects.filter(node=settings.NODE_NAME, phase__in=FINAL_PHASES, parts__reserved_bytes__gt=0)
    for transfer in ended.distinct():
        quota.release_all(transfer)


def _drop_late_uploads() -> None:
    """Uploads that an ended transfer still has in the store, because whoever was to abort them could not."""
    old = timezone.now() - _lost_message()
    late = StoreUpload.objects.filter(state=StoreUploadState.OPEN, transfer__phase__in=FINAL_PHASES, created_at__lt=old)
    with transaction.atomic():
        enqueue_on_commit("drop_late_upload", list(late.values_list("pk", flat=True)[:MAX_LATE]))


def _dispatch_all() -> None:
    resting = Transfer.objects.filter(phase=Phase.FAILED).exclude(desired_state=DesiredState.CANCEL)
    live = (
        Transfer.objects.exclude(phase__in=FINAL_PHASES)
        .exclude(desired_state=DesiredState.PAUSE)
        .exclude(pk__in=resting)
    )
    for transfer_id in live.values_list("pk", flat=True):
        dispatch(transfer_id)
    waiting = Operation.objects.filter(items__state=ItemState.ORDERED).distinct()
    for operation_id in waiting.values_list("pk", flat=True):
        with transaction.atomic():
            dispatch_operation(operation_id)
