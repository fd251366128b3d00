"""What the inventory says of an upload that has ended: when, how, and by which operation or transfer of Partway.

Each function is called in the transaction that writes the outcome, or that follows the store's response. It takes a few
statements, however many uploads it is about, and none but one if no scan has seen the bucket.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from uploads.domain.states import STORE_UPLOAD_STATES, EndedHow, StoreUploadState
from uploads.models import InventoryBucket, InventoryUpload, Store, StoreUpload, Transfer
from uploads.models import upload_ids as known_ids
from uploads.models.endings import Ended, ended_here
from uploads.models.inventory import upload_identity
from uploads.objectstore.types import UploadRef
from uploads.services.ended.marks import mark, mark_changed
from uploads.services.work.transitions import change

CHUNK = 200
"""Rows of one statement."""


@dataclass(frozen=True, slots=True)
class End:
    """How uploads ended, by which operation or transfer, and when, if that is not now."""

    how: EndedHow
    operation_id: uuid.UUID | None = None
    transfer_id: uuid.UUID | None = None
    at: datetime | None = None


@transaction.atomic
def note_ended(store: Store, bucket: str, uploads: Collection[UploadRef], end: End) -> int:
    """Note that uploads of one bucket have ended. Returns how many rows of the inventory say so now.

    What is noted already stays, except that somebody else ended the upload: a process may have seen that it was gone
    before the one that ended it has written so.
    """
    # Locked even if it has no such upload: a scan that is about to write it sees this end, or this sees its row.
    place = InventoryBucket.objects.select_for_update().filter(store=store, name=bucket).only("pk").first()
    if place is None:
        return 0
    names = [upload_identity(place.pk, each.key, each.upload_id) for each in uploads]
    rows = _changed_by(InventoryUpload.objects.filter(identity__in=names), end)
    ids = list(rows.values_list("pk", flat=True))
    if ids:
        mark([place.pk], timezone.now())
        _end(ids, end)
    return len(ids)


def note_rows_ended(ids: Sequence[int], end: End) -> None:
    """As `note_ended`, of rows of any buckets, which the caller has marked as changed."""
    for start in range(0, len(ids), CHUNK):
        _end(ids[start : start + CHUNK], end)


def _changed_by(rows: QuerySet[InventoryUpload], end: End) -> QuerySet[InventoryUpload]:
    is_vague = Q(ended_at__isnull=True)
    if end.how in (EndedHow.ABORTED, EndedHow.COMPLETED):
        is_vague |= Q(ended_how=EndedHow.ELSEWHERE)
    return rows.filter(is_vague)


def _end(ids: Sequence[int], end: End) -> None:
    _changed_by(InventoryUpload.objects.filter(pk__in=ids), end).update(
        ended_at=end.at or timezone.now(),
        ended_how=end.how.value,
        ended_operation=end.operation_id,
        ended_transfer=end.transfer_id,
    )


@transaction.atomic
def note_found_gone(store: Store, bucket: str, upload: UploadRef) -> None:
    """Note that the store has no such upload, as it has just said, and who ended it as far as that is known."""
    settle_possible_orphans(store, bucket, [upload])
    place = InventoryBucket.objects.filter(store=store, name=bucket).first()
    if place is not None:
        identity = upload_identity(place.pk, upload.key, upload.upload_id)
        write_ended(store, place, list(InventoryUpload.objects.filter(identity=identity, ended_at__isnull=True)))


def settle_possible_orphans(store: Store, bucket: str, uploads: Collection[UploadRef]) -> None:
    """Uploads are no longer in the store: no operator has to decide any more whose they were."""
    known = known_ids.of_transfers([each.upload_id for each in uploads])
    if not known:
        return
    suspects = StoreUpload.objects.filter(
        state=StoreUploadState.SUSPECT,
        upload_id__in=known,
        transfer__store=store,
        transfer__bucket=bucket,
    )
    gone = {(each.key, each.upload_id) for each in uploads}
    found = suspects.values_list("pk", "transfer__key", "upload_id")
    if ids := [pk for pk, key, upload_id in found if (key, upload_id) in gone]:
        rows = StoreUpload.objects.filter(pk__in=ids)
        change(STORE_UPLOAD_STATES, rows, StoreUploadState.GONE, {StoreUploadState.SUSPECT})


@transaction.atomic
def end_store_uploads(
    transfer: Transfer,
    rows: QuerySet[StoreUpload],
    how: EndedHow | None,
    since: Collection[StoreUploadState] = (),
    **fields: object,
) -> int:
    """Record that uploads of a transfer have ended, for the transfer and for the inventory. Returns how many have.

    `how` is None if the store has not confirmed it: the next scan finds out.
    """
    refs = [UploadRef(transfer.key, upload_id) for upload_id in rows.values_list("upload_id", flat=True)]
    state = StoreUploadState.COMPLETED if how is EndedHow.COMPLETED else StoreUploadState.GONE
    changed = change(STORE_UPLOAD_STATES, rows, state, since, **fields)
    if changed and how is not None:
        is_ours = how in (EndedHow.COMPLETED, EndedHow.ABORTED)
        note_ended(transfer.store, transfer.bucket, refs, End(how, transfer_id=transfer.pk if is_ours else None))
    return changed


# --- Ends that a scan finds out ---------------------------------------------------------------------------------------


def write_ended(
    store: Store, bucket: InventoryBucket, rows: Sequence[InventoryUpload], now: datetime | None = None
) -> None:
    """Note that uploads are gone, and who ended them as far as Partway knows: two queries, and few updates.

    Call it in a transaction. The bucket is locked first, as by everybody who changes its uploads.
    """
    if not rows:
        return
    now = now or timezone.now()
    mark_changed(bucket)
    ended = ended_here(store, bucket.name, [row.upload_id for row in rows])
    ours = [row for row in rows if (row.key, row.upload_id) in ended]
    for row in ours:
        set_ended(row, ended[row.key, row.upload_id], now)
    InventoryUpload.objects.bulk_update(ours, ENDED, CHUNK)
    others = [row for row in rows if (row.key, row.upload_id) not in ended]
    by_rule = [row.pk for row in others if row.abort_at is not None and row.abort_at <= now]
    note_rows_ended(by_rule, End(EndedHow.RULE, at=now))
    note_rows_ended(sorted({row.pk for row in others} - set(by_rule)), End(EndedHow.ELSEWHERE, at=now))


ENDED = ("ended_at", "ended_how", "ended_operation", "ended_transfer")
"""The columns that say how an upload ended."""


def set_ended(row: InventoryUpload, ended: Ended, now: datetime) -> None:
    """Note in the row what Partway did. Does not save it."""
    row.ended_at = ended.at or now
    row.ended_how = EndedHow.COMPLETED if ended.completed else EndedHow.ABORTED
    if ended.found_none:
        row.ended_how = EndedHow.ELSEWHERE
    row.ended_operation, row.ended_transfer = ended.operation_id, ended.transfer_id
