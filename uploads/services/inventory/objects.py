"""Looking up the objects of silent uploads with HEAD: an object that is newer than the last part supersedes the upload.

One batch of a store is worked on at a time, at the pace of the store: first uploads that were never looked up, the
longest silent before others, then those that were looked up longest ago. A key is asked for once, however many uploads
have it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, Max, OuterRef, QuerySet
from django.utils import timezone

from uploads import crash
from uploads.domain.states import ITEM_STATES, ItemState
from uploads.models import InventoryBucket, InventoryUpload, ObjectsBatch, Store
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.problems import Code
from uploads.services.browse.browsing import ExistingObject, head_object
from uploads.services.ended.marks import mark_changed
from uploads.services.inventory.judging import JUDGED, judge_rows
from uploads.services.inventory.scans.kinds import giving_up
from uploads.services.inventory.scans.parts import OF_THE_UPLOAD, WRITE_SECONDS
from uploads.services.stores import pace
from uploads.services.stores.clients import ONCE, client_for
from uploads.services.work.failures import NO_ERROR, error_code
from uploads.services.work.kinds import register
from uploads.services.work.leases import SUCCEEDED, Kind, Lease, LeaseLost, due
from uploads.services.work.queue import enqueue_on_commit, enqueue_rows, enqueue_waiting
from uploads.services.work.tasks import SCAN_QUEUE, record_worker_lost, scanners, task

log = logging.getLogger(__name__)

BATCH = 100
"""Uploads of one task, and so the most requests."""

SHARED = timedelta(hours=1)
"""For how long what was found out about an object counts for other uploads with its key."""

FUTURE = timedelta(minutes=15)
"""An object that is newer than the store's own clock by more than that has no date that proves anything."""

WRITTEN = ("object_modified_at", "object_seen_at", "object_error", *JUDGED)

Place = tuple[int, str]
"""A bucket's id, and a key."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of an object: `modified_at` is None without one, and `error` is the code if it is not known."""

    at: datetime
    modified_at: datetime | None = None
    error: str = ""


def _give_up(lease: Lease[ObjectsBatch], error: dict[str, Any]) -> None:
    """The objects of this batch stay unknown for a while, so that the next one has others."""
    found = {pk: Found(timezone.now(), error=error["error_code"]) for pk in lease.row.uploads}
    with transaction.atomic():
        if lease.end(ItemState.FAILED, **error):
            _write(lease.row.store, found)


def dispatch_objects(limit: int) -> int:
    """Enqueue lookups of at most so many stores that have no batch, and batches whose message was lost."""
    enqueue_waiting("look_up_objects", limit)
    has_due = Exists(_due().filter(store=OuterRef("pk")))
    has_batch = Exists(ObjectsBatch.objects.filter(store=OuterRef("pk")).exclude(state=ItemState.FAILED))
    stores = list(Store.objects.filter(has_due, ~has_batch, enabled=True).order_by("pk")[:limit])
    for store in stores:
        begin(store)
    return len(stores)


def _due() -> QuerySet[InventoryUpload]:
    return InventoryUpload.objects.filter(
        ended_at__isnull=True, object_due_at__isnull=False, object_due_at__lte=timezone.now()
    )


@transaction.atomic
def begin(store: Store) -> None:
    """Create and enqueue the next batch of a store, if something is due and it has none."""
    ids = list(_due().filter(store=store).order_by("object_due_at").values_list("pk", flat=True)[:BATCH])
    if not ids:
        return
    ObjectsBatch.objects.filter(store=store, state=ItemState.FAILED).delete()
    ObjectsBatch.objects.bulk_create([ObjectsBatch(store=store, uploads=ids)], ignore_conflicts=True)
    batch = ObjectsBatch.objects.filter(due(), store=store, state=ItemState.ORDERED, queued_at__isnull=True).first()
    if batch is not None:
        enqueue_rows("look_up_objects", [batch.pk])


OBJECTS = register(
    Kind(
        name="objects-batch",
        model=ObjectsBatch,
        table=ITEM_STATES,
        waiting=ItemState.ORDERED,
        running=ItemState.RUNNING,
        related=("store",),
        facts=lambda batch: {"order": batch.pk},
        resume=lambda row, seconds: enqueue_on_commit("look_up_objects", [row.pk], queue=SCAN_QUEUE, countdown=seconds),
        give_up=_give_up,
        worker_lost=record_worker_lost,
        dispatch_due=dispatch_objects,
    )
)


@dataclass(slots=True)
class _Results:
    """What was found out and not written yet, by the id of the upload's row."""

    left: list[int]
    found: dict[int, Found] = field(default_factory=dict)
    written_at: float = field(default_factory=time.monotonic)


@task(OBJECTS, ObjectsBatch.objects.all, queue=scanners, store="store")
def look_up_objects(lease: Lease[ObjectsBatch]) -> None:
    """Look up the objects of a batch, and begin the next one."""
    if not lease.row.store.enabled:
        lease.end(ItemState.FAILED)
        return
    with giving_up(lease):
        _look_up(lease)
        begin(lease.row.store)


def _look_up(lease: Lease[ObjectsBatch]) -> None:
    batch = lease.row
    rows = InventoryUpload.objects.filter(pk__in=batch.uploads, ended_at__isnull=True).in_bulk()
    buckets = InventoryBucket.objects.in_bulk({row.bucket_id for row in rows.values()})
    known = _known(rows.values())
    results = _Results(list(batch.uploads))
    for pk in batch.uploads:
        if pk in rows:
            place = rows[pk].bucket_id, rows[pk].key
            try:
                known[place] = known.get(place) or find(batch.store, buckets[place[0]], place[1])
            except ObjectStoreError:
                # The others come before it at the next attempt.
                results.left.append(results.left.pop(results.left.index(pk)))
                _save(lease, results)
                raise
            results.found[pk] = known[place]
        results.left.remove(pk)
        if time.monotonic() - results.written_at > WRITE_SECONDS:
            _save(lease, results)
            results = _Results(results.left)
    crash.point("objects.found")
    _save(lease, results, last=True)


def _known(rows: Iterable[InventoryUpload]) -> dict[Place, Found]:
    """What was found out lately for other uploads with the same keys: one query."""
    places = {(row.bucket_id, row.key) for row in rows}
    siblings = InventoryUpload.objects.filter(
        bucket__in={bucket for bucket, _ in places},
        key__in={key for _, key in places},
        ended_at__isnull=True,
        object_seen_at__gt=timezone.now() - SHARED,
        object_error="",
    )
    lately = (
        siblings.order_by().values_list("bucket_id", "key").annotate(Max("object_seen_at"), Max("object_modified_at"))
    )
    return {(bucket, key): Found(at, modified_at) for bucket, key, at, modified_at in lately}


def find(store: Store, bucket: InventoryBucket, key: str) -> Found:
    """HEAD of a key. Raises ObjectStoreError for an error that is not only of this key."""
    now = timezone.now()
    if bucket.gone_at is not None:
        # Its uploads are gone as well, which the next scan finds out. There is nobody to ask.
        return Found(now, error=Code.BUCKET_GONE.value)
    try:
        with pace.request(store, pace.SHORT_WAIT_SECONDS):
            existing = head_object(store, bucket.name, key, ONCE)
    except ObjectStoreError as error:
        if error.reason not in OF_THE_UPLOAD and error.reason is not Reason.NO_SUCH_BUCKET:
            raise
        return Found(now, error=error_code(error))
    return _found_in(store, existing, now)


def _found_in(store: Store, existing: ExistingObject, now: datetime) -> Found:
    if existing.refusal is not None:
        return Found(now, error=error_code(existing.refusal))
    if existing.facts is None:
        return Found(now)
    modified_at = existing.facts.last_modified
    client = client_for(store, ONCE)
    store_now = now + max(client.clock_offset, timedelta(0))
    if modified_at is None or modified_at > store_now + FUTURE:
        return Found(now, error=Code.OBJECT_UNDATED.value)
    return Found(now, modified_at)


def note_object(uploads: Collection[int], found: Found) -> None:
    """Note what was found out about the object of uploads. What was known of it stays known if `found` has an error."""
    known = {} if found.error else {"object_modified_at": found.modified_at}
    rows = InventoryUpload.objects.filter(pk__in=uploads)
    rows.update(object_seen_at=found.at, object_error=found.error[:100], **known)


def _save(lease: Lease[ObjectsBatch], results: _Results, *, last: bool = False) -> None:
    """Write the results, and what is left of the batch. Raises LeaseLost."""
    with transaction.atomic():
        if not last:
            lease.renew(uploads=results.left, **(SUCCEEDED | NO_ERROR if results.found else {}))
        elif not lease.end(ItemState.DONE, uploads=[]):
            raise LeaseLost
        _write(lease.row.store, results.found)
        if last:
            ObjectsBatch.objects.filter(pk=lease.row.pk).delete()
    lease.row.uploads = results.left
    lease.row.tries = 0 if results.found else lease.row.tries


def _write(store: Store, found: dict[int, Found]) -> None:
    """Note what was found out, and judge the uploads again. Their buckets are locked first, as scans do."""
    now = timezone.now()
    ids = list(
        InventoryUpload.objects.filter(pk__in=list(found)).order_by().values_list("bucket_id", flat=True).distinct()
    )
    buckets = list(InventoryBucket.objects.filter(pk__in=ids).order_by("pk").select_for_update())
    rows = list(InventoryUpload.objects.filter(pk__in=list(found), ended_at__isnull=True).order_by("pk"))
    before = {row.pk: row.verdict for row in rows}
    for row in rows:
        _note(row, found[row.pk])
    judge_rows(store, rows, now)
    InventoryUpload.objects.bulk_update(rows, WRITTEN, BATCH)
    changed = {row.bucket_id for row in rows if row.verdict != before[row.pk]}
    for bucket in buckets:
        if bucket.pk in changed:
            mark_changed(bucket)


def _note(row: InventoryUpload, found: Found) -> None:
    """What was known of an object stays known if it cannot be looked up now."""
    row.object_seen_at, row.object_error = found.at, found.error[:100]
    if not found.error:
        row.object_modified_at = found.modified_at
