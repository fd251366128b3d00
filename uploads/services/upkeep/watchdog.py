"""The watchdog: enqueues work again whose worker died or whose message was lost, and cleans up.

Two watchdogs at once do no harm: every step is a filtered UPDATE.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from uploads import metrics
from uploads.domain.states import FINAL_PHASES, DesiredState, PartState, Phase, StoreUploadState
from uploads.models import Part, StoreUpload, Transfer
from uploads.problems import Code, Problem
from uploads.services.staging import quota
from uploads.services.stores import silence
from uploads.services.transfers.receive import abandon
from uploads.services.upkeep.cleanup import expire
from uploads.services.work import broker, leases
from uploads.services.work.kinds import KINDS
from uploads.services.work.leases import Kind
from uploads.services.work.queue import enqueue_on_commit

log = logging.getLogger(__name__)

Thing = TypeVar("Thing")

MAX_LATE = 20
"""Late uploads that one round enqueues; the next round has the others."""

SILENT_BROWSER = timedelta(minutes=15)
"""A form upload of which nothing has arrived for this time has lost its browser or its web server."""


def watch() -> None:
    """One round."""
    _each(STEPS, lambda step: step())


def _each(things: Iterable[Thing], act: Callable[[Thing], object]) -> None:
    """Call `act` with each. An exception is logged, and the others follow."""
    for thing in things:
        try:
            act(thing)
        except Exception:
            log.exception("watchdog: internal error at %s", thing)


def _return_expired_leases() -> None:
    _each(KINDS.values(), _return_expired)


def _return_expired(kind: Kind[Any]) -> None:
    _each(list(kind.expired_rows().values_list("pk", flat=True)), partial(_take_over, kind))


def _take_over(kind: Kind[Any], pk: object) -> None:
    lease = leases.take_over(kind, pk)
    if lease is not None:
        metrics.leases_taken_over(kind.name, 1)
        kind.worker_lost(lease)


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
    reason = Problem(Code.SENDER_SILENT, silent_seconds=int(SILENT_BROWSER.total_seconds()))
    _each(_arriving().filter(resumable=False, received_at__lt=old), lambda transfer: abandon(transfer, reason))


def _expire_silent_transfers() -> None:
    """Only transfers whose file has not arrived completely: a complete file does not expire while it is sent."""
    old = timezone.now() - timedelta(seconds=settings.STAGING_EXPIRY)
    _each(_arriving(Phase.FAILED).filter(resumable=True, received_at__lt=old), expire)


def _arriving(*more: Phase) -> QuerySet[Transfer]:
    """Transfers whose file has not arrived completely."""
    phases = (Phase.RECEIVING, Phase.SENDING, *more)
    arriving = Transfer.objects.filter(all_received=False, phase__in=phases).exclude(desired_state=DesiredState.CANCEL)
    return arriving.select_related("store")


def _release_sent_parts() -> None:
    """Sent parts of this node whose staged bytes remain, because the worker died before it removed them."""
    old = timezone.now() - _lost_message()
    left = Part.objects.filter(
        state=PartState.SENT,
        reserved_bytes__gt=0,
        sent_at__lt=old,
        transfer__node=settings.NODE_NAME,
        transfer__part_count__gt=1,  # The bytes of PutObject stay until the transfer ends.
    )
    _each(left.select_related("transfer"), quota.release)


def _release_ended_transfers() -> None:
    """Ended transfers of this node whose staged bytes remain, because the worker died before it removed them."""
    ended = Transfer.objects.filter(node=settings.NODE_NAME, phase__in=FINAL_PHASES, parts__reserved_bytes__gt=0)
    _each(ended.distinct(), quota.release_all)


def _drop_late_uploads() -> None:
    """Uploads that an ended transfer still has in the store, because they could not be aborted."""
    old = timezone.now() - _lost_message()
    late = StoreUpload.objects.filter(state=StoreUploadState.OPEN, transfer__phase__in=FINAL_PHASES, created_at__lt=old)
    with transaction.atomic():
        enqueue_on_commit("drop_late_upload", list(late.values_list("pk", flat=True)[:MAX_LATE]))


def _try_silent_stores() -> None:
    with transaction.atomic():
        enqueue_on_commit("try_store", silence.claim_tries())


def _dispatch_all() -> None:
    _each(KINDS.values(), lambda kind: kind.dispatch_all())


STEPS = (
    _return_expired_leases,
    _forget_lost_messages,
    _abandon_silent_forms,
    _expire_silent_transfers,
    _release_sent_parts,
    _release_ended_transfers,
    _drop_late_uploads,
    _try_silent_stores,
    _dispatch_all,
)
