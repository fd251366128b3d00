"""Reading the rules of all buckets of the inventory in the background, once a day: one GET for each.

The watchdog orders readings of a few buckets each, one at a time for a store. Changes without a known outcome are
settled in the same way.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from uploads.domain.states import ITEM_STATES, ItemState
from uploads.models import InventoryBucket, LifecycleReading, LifecycleState, Store
from uploads.objectstore.budget import Budget, limited_to
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.services.lifecycle.reading import EVERY, NotSupported, read_rules
from uploads.services.stores import pace
from uploads.services.work.failures import NO_ERROR
from uploads.services.work.kinds import register
from uploads.services.work.leases import SUCCEEDED, Kind, Lease, in_seconds
from uploads.services.work.queue import enqueue_on_commit, enqueue_rows, enqueue_waiting
from uploads.services.work.tasks import SCAN_QUEUE, record_worker_lost, scanners, task

log = logging.getLogger(__name__)

BATCH = 25
"""Buckets that one task reads."""

MAX_STORES = 10
"""Stores for which one round orders readings."""

MAX_NEW = 500
"""Buckets that one round notices for the first time."""

MAX_TRIES = 3
"""Attempts to read the rules of one bucket, after errors that may pass."""

READ_SECONDS = 20.0
"""How long a reading waits for a store. It occupies a thread of the scanner meanwhile."""

TURN_SECONDS = 2.0
"""The pause after a store had no turn for the reading."""


def order_readings() -> bool:
    """Order the readings that are due now. Returns whether there may be more."""
    now = timezone.now()
    new = _notice_buckets(now)
    readable = [store.pk for store in Store.objects.filter(enabled=True) if _keeps_rules(store)]
    is_due = Exists(LifecycleState.objects.filter(store=OuterRef("pk"), due_at__lte=now))
    active = LifecycleReading.objects.filter(store=OuterRef("pk"), state__in=(ItemState.ORDERED, ItemState.RUNNING))
    stores = list(Store.objects.filter(is_due, ~Exists(active), pk__in=readable).order_by("pk")[:MAX_STORES])
    for store in stores:
        _order(store, now)
    return new >= MAX_NEW or len(stores) >= MAX_STORES


def _keeps_rules(store: Store) -> bool:
    try:
        return store.profile.lifecycle != "none"
    except ObjectStoreError:
        return False  # A provider that this version does not know.


def _notice_buckets(now: datetime) -> int:
    """Buckets of the inventory of which nothing is known yet. They are read at once."""
    known = LifecycleState.objects.filter(store=OuterRef("store"), bucket=OuterRef("name"))
    found = InventoryBucket.objects.filter(~Exists(known), store__enabled=True, gone_at__isnull=True).order_by("pk")
    rows = [
        LifecycleState(store_id=store_id, bucket=name, due_at=now)
        for store_id, name in found.values_list("store", "name")[:MAX_NEW]
    ]
    if rows:
        LifecycleState.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


@transaction.atomic
def _order(store: Store, now: datetime) -> None:
    """One reading of the buckets of a store that are due. They are not due again before tomorrow, whatever happens."""
    Store.objects.select_for_update().get(pk=store.pk)
    LifecycleReading.objects.filter(store=store, state__in=ITEM_STATES.final).delete()
    if LifecycleReading.objects.filter(store=store).exists():
        return
    due_states = LifecycleState.objects.filter(store=store, due_at__lte=now).order_by("due_at", "pk")
    found = dict(due_states.values_list("pk", "bucket")[:BATCH])
    if found:
        LifecycleState.objects.filter(pk__in=list(found)).update(due_at=now + EVERY)
        reading = LifecycleReading.objects.create(store=store, buckets=list(found.values()))
        enqueue_rows("read_lifecycle", [reading.pk])


def _give_up(lease: Lease[LifecycleReading], error: dict[str, Any]) -> None:
    """The buckets that are left are due tomorrow. Until then, the list says when they were read last."""
    log.warning("reading the lifecycle rules of %s: given up: %s", lease.row.store_id, error["error_code"])
    lease.end(ItemState.FAILED, **error)


def _dispatch(limit: int) -> int:
    return enqueue_waiting("read_lifecycle", limit, "pk")


READINGS = register(
    Kind(
        name="lifecycle-reading",
        model=LifecycleReading,
        table=ITEM_STATES,
        waiting=ItemState.ORDERED,
        running=ItemState.RUNNING,
        related=("store",),
        facts=lambda row: {"order": row.pk},
        resume=lambda row, seconds: enqueue_on_commit("read_lifecycle", [row.pk], queue=SCAN_QUEUE, countdown=seconds),
        give_up=_give_up,
        worker_lost=record_worker_lost,
        dispatch_due=_dispatch,
    )
)


@task(READINGS, LifecycleReading.objects.all, queue=scanners)
def read_lifecycle(lease: Lease[LifecycleReading]) -> None:
    """Read the rules of each bucket. What cannot be read is noted with its error, and the others follow."""
    row = lease.row
    left = list(row.buckets)
    while left and row.store.enabled:
        try:
            _read(row.store, left[0])
        except ObjectStoreError as error:
            if error.reason is Reason.STORE_BUSY:
                if lease.release(not_before=in_seconds(TURN_SECONDS), buckets=left):
                    lease.kind.resume(row, TURN_SECONDS)
                return
            if error.retryable and row.tries + 1 < MAX_TRIES:
                raise
        left = left[1:]
        lease.renew(buckets=left, **SUCCEEDED, **NO_ERROR)
        row.tries, row.buckets = 0, left
    if lease.end(ItemState.DONE):
        LifecycleReading.objects.filter(pk=row.pk).delete()


def _read(store: Store, bucket: str) -> None:
    """One GET. Raises ObjectStoreError; that the store has no rules is noted, and no error of the reading."""
    with pace.request(store, pace.SHORT_WAIT_SECONDS), limited_to(Budget(READ_SECONDS)):
        try:
            read_rules(store, bucket)
        except NotSupported:
            log.info("the store %s has no lifecycle rules", store.name)
