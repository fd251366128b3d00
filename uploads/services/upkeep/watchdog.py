"""The watchdog: finds, every few seconds, all work that nobody does because a process died or a message was lost.

One round runs at a time in the whole installation. Its number of statements does not depend on the number of transfers:
what is due is found through indexes, changed in sets, and limited per round. Whatever touches a disk is left to the
node that has it (`cleanup.py`). Every step can be repeated: a process that dies in a round leaves nothing undone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from redis import RedisError

from uploads import database, metrics
from uploads.domain.states import DesiredState, Phase
from uploads.models import Transfer
from uploads.models.transfer import FORM_EXPIRY, steps_queue
from uploads.problems import Code, Problem
from uploads.services.alerts.evaluating import evaluate_alerts
from uploads.services.inventory import days, refresh
from uploads.services.inventory.scans.schedule import request_due_scans
from uploads.services.lifecycle.readings import order_readings
from uploads.services.stores import silence
from uploads.services.transfers.create import claim_late_uploads
from uploads.services.transfers.receive import abandon
from uploads.services.upkeep.cleanup import expire, nodes_with_left_bytes
from uploads.services.work import broker, leases, queue
from uploads.services.work.kinds import KINDS
from uploads.services.work.leases import Kind, LeaseLost
from uploads.services.work.queue import enqueue_on_commit
from uploads.services.work.rounds import Held, only_one
from uploads.services.work.tasks import SCAN_QUEUE

log = logging.getLogger(__name__)

Thing = TypeVar("Thing")

MAX_DISPATCHED = 500
"""Rows of a kind that one round dispatches, and rows of which it takes the messages for lost."""

MAX_LOST = 50
"""Expired leases of a kind that one round takes over, and silent transfers that it cancels. Each takes statements."""

SILENT_BROWSER = FORM_EXPIRY


WRITABLE_SECONDS = 2.0
"""The time between the end of a failure of the database and the first round: workers record first what they did."""


class _Database:
    has_failed = False


def watch() -> bool:
    """One round, unless one is running already. Returns whether more was due than one round handles."""
    has_more = False
    with _noting_failures(), only_one("watchdog") as held:
        if held is not None:
            if _Database.has_failed:
                _Database.has_failed = False
                time.sleep(WRITABLE_SECONDS)
            has_more = run_steps(held)
    return has_more


@contextmanager
def _noting_failures() -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        _Database.has_failed |= database.is_unavailable(error)
        raise


def run_steps(held: Held) -> bool:
    """Whether more is due than one round handles. Raises LeaseLost."""
    has_more = False
    for step in STEPS:
        held.renew()
        has_more |= _stopped_at_its_limit(step)
    return has_more and not queue.is_paused()


def _stopped_at_its_limit(step: Callable[[], bool | None]) -> bool:
    """Run a step. An exception is logged, and the other steps follow."""
    try:
        return bool(step())
    except LeaseLost:
        raise
    except Exception as error:
        _Database.has_failed |= database.is_unavailable(error)
        log.exception("watchdog: internal error at %s", step)
        return False


def _each(things: Iterable[Thing], act: Callable[[Thing], object]) -> None:
    """Call `act` with each. An exception is logged, and the others follow."""
    for thing in things:
        try:
            act(thing)
        except Exception:
            log.exception("watchdog: internal error at %s", thing)


def _each_of_a_few(rows: QuerySet[Any, Thing], act: Callable[[Thing], object]) -> bool:
    """Call `act` with each of the first rows. Returns whether there may be more, which the next round handles."""
    few = list(rows[:MAX_LOST])
    _each(few, act)
    return len(few) >= MAX_LOST


def _return_expired_leases() -> bool:
    has_more: list[bool] = []
    _each(KINDS.values(), lambda kind: has_more.append(_return_expired(kind)))
    return any(has_more)


def _return_expired(kind: Kind[Any]) -> bool:
    expired = kind.expired_rows().order_by("lease_until").values_list("pk", flat=True)
    return _each_of_a_few(expired, partial(_take_over, kind))


def _take_over(kind: Kind[Any], pk: object) -> None:
    lease = leases.take_over(kind, pk)
    if lease is not None:
        metrics.leases_taken_over(kind.name, 1)
        kind.worker_lost(lease)


def _forget_lost_messages() -> bool:
    old = timezone.now() - _lost_message()
    # If Redis lost messages, it lost all that were enqueued before.
    emptied = broker.emptied_at()
    lost_before = max(old, emptied) if emptied else old
    counts = []
    for kind in KINDS.values():
        lost = kind.waiting_rows().filter(queued_at__lt=lost_before).order_by("queued_at")
        ids = list(lost.values_list("pk", flat=True)[:MAX_DISPATCHED])
        counts.append(len(ids))
        if ids:
            with _unlocked(kind.waiting_rows().filter(pk__in=ids, queued_at__lt=lost_before)) as rows:
                rows.update(queued_at=None)
    return max(counts, default=0) >= MAX_DISPATCHED


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


def _abandon_silent_forms() -> bool:
    old = timezone.now() - SILENT_BROWSER
    reason = Problem(Code.SENDER_SILENT, silent_seconds=int(SILENT_BROWSER.total_seconds()))
    silent = _arriving().filter(resumable=False, received_at__lt=old)
    return _each_of_a_few(silent, lambda transfer: abandon(transfer, reason))


def _expire_silent_transfers() -> bool:
    """Only transfers whose file has not arrived completely: a complete file does not expire while it is sent."""
    old = timezone.now() - timedelta(seconds=settings.STAGING_EXPIRY)
    return _each_of_a_few(_arriving(Phase.FAILED).filter(resumable=True, received_at__lt=old), expire)


def _arriving(*more: Phase) -> QuerySet[Transfer]:
    """Transfers whose file has not arrived completely, the longest silent first."""
    phases = (Phase.RECEIVING, Phase.SENDING, *more)
    arriving = Transfer.objects.filter(all_received=False, phase__in=phases).exclude(desired_state=DesiredState.CANCEL)
    return arriving.select_related("store").order_by("received_at")


def _release_left_bytes() -> None:
    """Have each node whose worker runs remove what is left on its disk."""
    with transaction.atomic():
        for node in nodes_with_left_bytes():
            if _is_served(steps_queue(node)):
                enqueue_on_commit("release_left_bytes", [node], queue=steps_queue(node))


def _is_served(name: str) -> bool:
    try:
        return broker.is_served(name)
    except RedisError:
        return False


def _drop_late_uploads() -> None:
    """Uploads that an ended transfer still has in the store, because they could not be aborted."""
    with transaction.atomic():
        enqueue_on_commit("drop_late_upload", claim_late_uploads())


def _try_silent_stores() -> None:
    with transaction.atomic():
        enqueue_on_commit("try_store", silence.claim_tries())


def _refresh_inventory() -> None:
    """Adding up a bucket may read a million rows, which no other step should wait for."""
    if refresh.is_due() and _is_served(SCAN_QUEUE):
        refresh.request()


def _write_days() -> None:
    days.write_today()


def _dispatch_due() -> bool:
    counts: list[int] = []
    _each(KINDS.values(), lambda kind: counts.append(kind.dispatch_due(MAX_DISPATCHED)))
    return max(counts, default=0) >= MAX_DISPATCHED


STEPS: tuple[Callable[[], bool | None], ...] = (
    _return_expired_leases,
    _forget_lost_messages,
    _abandon_silent_forms,
    _expire_silent_transfers,
    _release_left_bytes,
    _drop_late_uploads,
    _try_silent_stores,
    request_due_scans,
    order_readings,
    _dispatch_due,
    _refresh_inventory,
    _write_days,
    evaluate_alerts,
)
