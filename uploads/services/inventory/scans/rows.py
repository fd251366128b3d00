"""Writing the rows of the inventory in bulk: what a page lists, what was read, and what has ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from uploads.domain.states import EndedHow
from uploads.models import InventoryBucket, InventoryUpload, Store
from uploads.models.endings import Ended, ended_here
from uploads.models.inventory import upload_identity
from uploads.objectstore.types import MultipartUpload
from uploads.services.inventory.judging import JUDGED, judge_rows
from uploads.services.inventory.reading import set_active
from uploads.services.inventory.sums import mark_changed

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


def write_listed(
    store: Store, bucket: InventoryBucket, uploads: Sequence[MultipartUpload], seen_at: datetime, *, ended_stay: bool
) -> None:
    """Note uploads that a page lists. Those that ended are in progress again, unless the store lists ended ones.

    The number of statements for each chunk does not depend on what is known of the uploads.
    """
    # Of a whole page, the rows and the statement that saves them would take 10 MiB in each thread.
    for start in range(0, len(uploads), CHUNK):
        _write_chunk(store, bucket, uploads[start : start + CHUNK], seen_at, ended_stay=ended_stay)


def _write_chunk(
    store: Store, bucket: InventoryBucket, uploads: Sequence[MultipartUpload], seen_at: datetime, *, ended_stay: bool
) -> None:
    listed = {upload_identity(bucket.pk, each.key, each.upload_id): each for each in uploads}
    known = {row.identity: row for row in InventoryUpload.objects.filter(identity__in=list(listed))}
    new = [_new(store, bucket, name, each, seen_at) for name, each in listed.items() if name not in known]
    if new:
        # Before the thresholds are read: `judging.apply_thresholds` waits for this, or it comes first.
        mark_changed(bucket)
        judge_rows(store, new, seen_at)
    changed = [row for name, row in known.items() if _changes(row, listed[name])]
    _save(new, LISTED)
    _save(changed, LISTED)
    ids = [row.pk for row in known.values()]
    InventoryUpload.objects.filter(pk__in=ids, last_seen_at__lt=seen_at).update(last_seen_at=seen_at)
    returned = [row.pk for row in known.values() if row.ended_at is not None and not ended_stay]
    InventoryUpload.objects.filter(pk__in=returned).update(check_due_at=None, **NOT_ENDED)
    if not new and (changed or returned):
        mark_changed(bucket)


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


def write_ended(store: Store, bucket: InventoryBucket, rows: Sequence[InventoryUpload], now: datetime) -> None:
    """Note that uploads are gone, and who ended them as far as Partway knows: two queries, and few updates."""
    if not rows:
        return
    ended = ended_here(store, bucket.name, [row.upload_id for row in rows])
    ours = [row for row in rows if (row.key, row.upload_id) in ended]
    for row in ours:
        _end(row, ended[row.key, row.upload_id], now)
    InventoryUpload.objects.bulk_update(ours, ["ended_at", "ended_how", "ended_operation", "ended_transfer"], CHUNK)
    others = [row for row in rows if (row.key, row.upload_id) not in ended]
    by_rule = [row.pk for row in others if row.abort_at is not None and row.abort_at <= now]
    _end_as(EndedHow.RULE, by_rule, now)
    _end_as(EndedHow.ELSEWHERE, {row.pk for row in others} - set(by_rule), now)
    mark_changed(bucket)


def _end(row: InventoryUpload, ended: Ended, now: datetime) -> None:
    row.ended_at = ended.at or now
    row.ended_how = EndedHow.COMPLETED if ended.completed else EndedHow.ABORTED
    if ended.found_none:
        row.ended_how = EndedHow.ELSEWHERE
    row.ended_operation, row.ended_transfer = ended.operation_id, ended.transfer_id


def _end_as(how: EndedHow, ids: Iterable[int], now: datetime) -> None:
    rows = InventoryUpload.objects.filter(pk__in=list(ids), ended_at__isnull=True)
    rows.update(ended_at=now, ended_how=how.value)
