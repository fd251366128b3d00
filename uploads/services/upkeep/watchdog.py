"""Finding what has run out and enqueuing it again. Two at once do no harm: every step is a filtered UPDATE."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from uploads import metrics
from uploads.domain.states import FINAL_PHASES, DesiredState, PartState, Phase, StoreUploadState
from uploads.models import Part, StoreUpload, Transfer
from uploads.problems import Code, Problem
from uploads.services.staging import quota
from uploads.services.transfers.receive import abandon
from uploads.services.upkeep.cleanup import expire
from uploads.services.work import broker
from uploads.services.work.kinds import KINDS
from uploads.services.work.leases import give_back
from uploads.services.work.queue import enqueue_on_commit

log = logging.getLogger(__name__)

MAX_LATE = 20
"""Late uploads that one round enqueues; the next round has the others."""

SILENT_BROWSER = timedelta(minutes=15)
"""A form upload of which no byte has come for so long has lost its browser or its web server."""


def watch() -> None:
    """One round. A step that fails is logged, and does not keep the others from running."""
    for step in STEPS:
        try:
            step()
        except Exception:
            log.exception("the watchdog's step %s failed", step.__name__)


def _return_expired_leases() -> None:
    for kind in KINDS.values():
        with _unlocked(kind.expired_rows()) as rows:
            metrics.leases_taken_over(kind.name, give_back(kind, rows))


def _forget_lost_messages() -> None:
    # If Redis lost messages, it lost all of them at once.
    old = timezone.now() - (timedelta(0) if broker.was_emptied() else _lost_message())
    for kind in KINDS.values():
        with _unlocked(kind.waiting_rows().filter(queued_at__lt=old)) as rows:
            rows.update(queued_at=None)


@contextmanager
def _unlocked(rows: QuerySet[Any]) -> Iterator[QuerySet[Any]]:
    """Those rows that no other process is changing now; the next round takes the others.

    Waiting for the locks of rows of many transfers while holding some could become a deadlock, in which PostgreSQL
    would end one of the two transactions.
    """
    with transaction.atomic():
        free = rows.order_by().select_for_update(skip_locked=True)
        yield rows.model._default_manager.filter(pk__in=free)


def _lost_message() -> timedelta:
    """A message of this age may be lost. Its work is enqueued again, and a duplicate does no harm."""
    return timedelta(seconds=settings.LOST_MESSAGE_SECONDS)


def _abandon_silent_forms() -> None:
    old = timezone.now() - SILENT_BROWSER
    for transfer in _arriving().filter(resumable=False, received_at__lt=old):
        abandon(transfer, Problem(Code.SENDER_SILENT, silent_seconds=SILENT_BROWSER.total_seconds()))


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
    for kind in KINDS.values():
        kind.dispatch_all()


STEPS = (
    _return_expired_leases,
    _forget_lost_messages,
    _abandon_silent_forms,
    _expire_silent_transfers,
    _release_sent_parts,
    _release_ended_transfers,
    _drop_late_uploads,
    _dispatch_all,
)
