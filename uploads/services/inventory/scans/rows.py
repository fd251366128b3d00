"""Writing the rows of the inventory in bulk: what a page lists, and what was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from uploads.models import InventoryBucket, InventoryUpload, Store
from uploads.models.endings import ended_here
from uploads.models.inventory import upload_identity
from uploads.objectstore.types import MultipartUpload
from uploads.services.ended.marks import mark_changed
from uploads.services.ended.noting import set_ended
from uploads.services.inventory.judging import JUDGED, judge_rows
from uploads.services.inventory.reading import set_active

CHUNK = 200
"""Rows of one statement."""

LISTED = ("initiated", "initiator", "owner", "storage_class", "started_at", "active_at", "last_seen_at")
READ = (
    *("parts", "bytes", "first_part_at", "last_part_at", "highest_part", "gaps", "smallest_inner_bytes", "abort_at"),
    *("abort_rule", "initiator", "owner", "storage_class", "active_at", "checked_at", "check_due_at", "check_error"),
    *("behind_seconds", "changed_after", *JUDGED),
)
NOT_ENDED = {"ended_at": None, "ended_how": "", "ended_operation": None, "ended_transfer": None}


def is_storable(upload: MultipartUpload) -> bool:
    """Whether the columns can hold the names of the upload exactly."""
    return all(_fits(text) for text in (upload.key, upload.upload_id))


def _fits(text: str) -> bool:
    return 0 < len(text) <= 1024 and "\0" not in text and not any("\ud800" <= each <= "\udfff" for each in text)


@dataclass(frozen=True, slots=True)
class Seen:
    """When a page was requested, and as of when its uploads count as seen.

    `ended_stay`: the store lists uploads that have ended.
    """

    asked_at: datetime
    at: datetime
    ended_stay: bool


def write_listed(store: Store, bucket: InventoryBucket, uploads: Sequence[MultipartUpload], seen: Seen) -> None:
    """Note uploads that a page lists. Those that ended are in progress again, unless the store lists ended ones.

    What Partway has ended since the page was requested stays ended. The number of statements for each chunk does not
    depend on what is known of the uploads.
    """
    # In the order of everybody who changes uploads: first their bucket.
    InventoryBucket.objects.select_for_update().filter(pk=bucket.pk).values_list("pk").first()
    # Of a whole page, the rows and the statement that saves them would take 10 MiB in each thread.
    for start in range(0, len(uploads), CHUNK):
        _write_chunk(store, bucket, uploads[start : start + CHUNK], seen)


def _write_chunk(store: Store, bucket: InventoryBucket, uploads: Sequence[MultipartUpload], seen: Seen) -> None:
    listed = {upload_identity(bucket.pk, each.key, each.upload_id): each for each in uploads}
    known = {row.identity: row for row in InventoryUpload.objects.filter(identity__in=list(listed))}
    new = [_new(store, bucket, name, each, seen.at) for name, each in listed.items() if name not in known]
    if new:
        # Before the thresholds are read: `judging.apply_thresholds` waits for this, or it comes first.
        mark_changed(bucket)
        _take_over_ends(store, bucket, new, seen.asked_at)
        judge_rows(store, new, seen.at)
    changed = [row for name, row in known.items() if _changes(row, listed[name])]
    _save(new, LISTED)
    _save(changed, LISTED)
    ids = [row.pk for row in known.values()]
    InventoryUpload.objects.filter(pk__in=ids, last_seen_at__lt=seen.at).update(last_seen_at=seen.at)
    returned = [row.pk for row in known.values() if row.ended_at is not None and not seen.ended_stay]
    ended_before = InventoryUpload.objects.filter(pk__in=returned, ended_at__lt=seen.asked_at)
    count = ended_before.update(check_due_at=None, **NOT_ENDED)
    if not new and (changed or count):
        mark_changed(bucket)


def _take_over_ends(store: Store, bucket: InventoryBucket, new: Sequence[InventoryUpload], asked_at: datetime) -> None:
    """What Partway has ended since the page was requested, when the inventory had no row to say so.

    The bucket is locked, as it is where an end is noted: one of the two sees the other.
    """
    ended = ended_here(store, bucket.name, [row.upload_id for row in new])
    for row in new:
        end = ended.get((row.key, row.upload_id))
        if end is not None and end.at is not None and end.at >= asked_at:
            set_ended(row, end, end.at)


def _new(
    store: Store, bucket: InventoryBucket, identity: str, upload: MultipartUpload, seen_at: datetime
) -> InventoryUpload:
    row = InventoryUpload(store=store, bucket=bucket, identity=identity, key=upload.key, upload_id=upload.upload_id)
    row.first_seen_at = row.last_seen_at = seen_at
    row.started_at = row.active_at = upload.initiated or seen_at
    _changes(row, upload)
    return row


def _changes(row: InventoryUpload, upload: MultipartUpload) -> bool:
    """Take over what the page says of an upload; whether that is new. ListParts may know what the listing does not."""
    before = (row.initiated, row.initiator, row.owner, row.storage_class)
    row.initiated = upload.initiated or row.initiated
    row.initiator = upload.initiator[:1024] or row.initiator
    row.owner = upload.owner[:1024] or row.owner
    row.storage_class = upload.storage_class[:255] or row.storage_class
    if row.initiated is not None and row.initiated != row.started_at:
        row.started_at = row.initiated
        set_active(row)
    return before != (row.initiated, row.initiator, row.owner, row.storage_class)


def judge_read(store: Store, bucket: InventoryBucket, rows: Sequence[InventoryUpload], now: datetime) -> None:
    """Judge uploads whose parts were read. Call it in the transaction that writes them.

    The bucket is locked first, so that nobody else judges the same uploads by other facts meanwhile.
    """
    if rows:
        mark_changed(bucket)
        _take_over_objects(rows)
        judge_rows(store, rows, now)


def write_read(rows: Sequence[InventoryUpload]) -> None:
    """Note what was read of uploads in progress. An upload that somebody ended in the meantime stays ended."""
    _save(rows, READ)


def _take_over_objects(rows: Sequence[InventoryUpload]) -> None:
    """What was found out about the objects since the rows were loaded."""
    columns = ("object_modified_at", "object_seen_at", "object_error")
    found = InventoryUpload.objects.filter(pk__in=[row.pk for row in rows]).values_list("pk", *columns)
    by_id = {pk: values for pk, *values in found}
    for row in rows:
        for name, value in zip(columns, by_id.get(row.pk, ()), strict=False):
            setattr(row, name, value)


def _save(rows: Sequence[InventoryUpload], fields: Sequence[str]) -> None:
    """Insert or update by the identity, in one statement for each chunk."""
    inserted = [row if row.pk is None else _without_id(row) for row in rows]
    InventoryUpload.objects.bulk_create(
        inserted, CHUNK, update_conflicts=True, unique_fields=["identity"], update_fields=list(fields)
    )


def _without_id(row: InventoryUpload) -> InventoryUpload:
    values = {field.attname: getattr(row, field.attname) for field in InventoryUpload._meta.concrete_fields}
    del values["id"]
    return InventoryUpload(**values)
