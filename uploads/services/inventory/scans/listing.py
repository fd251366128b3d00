"""Listing the uploads of a bucket: a few pages of ListMultipartUploads in each task, each written with its markers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from hashlib import blake2b
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from uploads import crash
from uploads.domain.states import ItemState, StoreUploadState
from uploads.grants import starts_with
from uploads.models import BucketScan, InventoryBucket, InventoryUpload, StoreUpload
from uploads.models.inventory import IN_PROGRESS, keys_below, upload_identity
from uploads.objectstore.errors import unreadable
from uploads.objectstore.types import MAX_PAGE, MultipartUpload, UploadsPage, UploadsQuery
from uploads.problems import Code, Problem
from uploads.services.browse.browsing import list_uploads, provider_of
from uploads.services.ended.noting import write_ended
from uploads.services.inventory.scans import steps
from uploads.services.inventory.scans.kinds import BUCKET_SCANS, giving_up, refusal_of
from uploads.services.inventory.scans.rows import Seen, is_storable, write_listed
from uploads.services.stores import pace
from uploads.services.stores.clients import ONCE
from uploads.services.work.failures import NO_ERROR, problem_fields
from uploads.services.work.leases import SUCCEEDED, Lease, LeaseLost
from uploads.services.work.tasks import scanners, task

PAGES = 5
"""Pages that one task requests. A larger bucket has several tasks, between which others have turns."""

CHUNK = 500


def _claimed() -> QuerySet[BucketScan]:
    return BucketScan.objects.filter(active_key__isnull=False)


@task(BUCKET_SCANS, _claimed, queue=scanners, refusal=refusal_of, store="scan__store")
def list_bucket(lease: Lease[BucketScan]) -> None:
    """List pages of uploads after the markers. After the last page, note which known uploads were not listed."""
    if not provider_of(lease.row.scan.store).lists_uploads:
        lease.kind.give_up(lease, problem_fields(Problem(Code.UPLOADS_NOT_LISTABLE)))
        return
    with giving_up(lease):
        if _list_pages(lease):
            _conclude(lease)
        else:
            lease.release()
    steps.advance(lease.row.scan_id)


def _list_pages(lease: Lease[BucketScan]) -> bool:
    """Whether all pages are listed."""
    row = lease.row
    if row.started_at is None:
        row.started_at = timezone.now()
        lease.renew(started_at=row.started_at)
    for _ in range(PAGES):
        if row.listed_at is not None:
            break
        _write_page(lease, *_read_page(row))
    return row.listed_at is not None


def _read_page(row: BucketScan) -> tuple[UploadsPage, datetime]:
    """The next page, and when it was requested."""
    store = row.scan.store
    query = UploadsQuery(row.prefix, "", MAX_PAGE, row.key_marker, row.upload_id_marker)
    with pace.request(store, pace.SHORT_WAIT_SECONDS):
        asked_at = timezone.now()
        page = list_uploads(store, row.bucket.name, query, ONCE)
    crash.point("scan.page-listed")
    return page, asked_at


@transaction.atomic
def _write_page(lease: Lease[BucketScan], page: UploadsPage, asked_at: datetime) -> None:
    """Write the uploads of a page with the markers of the next one. Raises LeaseLost, or UnreadableResponse."""
    row, now = lease.row, timezone.now()
    uploads = [each for each in page.uploads if is_storable(each)]
    changes: dict[str, Any] = _onward(row, page) if page.is_truncated else {"listed_at": now}
    if page.notes or page.unshown or len(uploads) < len(page.uploads):
        changes["is_complete"] = False
    counts = {"pages": F("pages") + 1, "requests": F("requests") + 1, "listed": F("listed") + len(uploads)}
    lease.renew(**changes, **counts, **SUCCEEDED, **NO_ERROR)
    seen = Seen(asked_at, _seen_at(row, now), ended_stay=provider_of(row.scan.store).keeps_ended)
    write_listed(row.scan.store, row.bucket, uploads, seen)
    for name, value in changes.items():
        setattr(row, name, value)
    row.pages, row.tries, row.failing_since = row.pages + 1, 0, None


def _seen_at(row: BucketScan, now: datetime) -> datetime:
    """Never before the start of the listing, which a worker with another clock may have noted."""
    return max(now, row.started_at or now)


def _onward(row: BucketScan, page: UploadsPage) -> dict[str, Any]:
    """The markers of the next page. UnreadableResponse if they were used before.

    One earlier marker is remembered, that of the last page whose number is a power of two: a listing that repeats
    itself meets it.
    """
    markers = page.onward
    digest = blake2b("\0".join(markers).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    if not any(markers) or markers == (row.key_marker, row.upload_id_marker) or digest == row.marker_seen:
        error = unreadable(Code.LISTING_WITHOUT_END, marker=repr(markers))
        error.operation = "ListMultipartUploads"
        raise error
    number = row.pages + 1
    changes: dict[str, Any] = {"key_marker": markers[0], "upload_id_marker": markers[1]}
    return changes | {"marker_seen": digest} if number & (number - 1) == 0 else changes


def _conclude(lease: Lease[BucketScan]) -> None:
    """Note what was not listed, and which uploads are checked next."""
    row = lease.row
    provider = provider_of(row.scan.store)
    proves = row.is_complete and not provider.forgets and not provider.loses_pages
    if provider.forgets:
        _add_own(lease)
    for unlisted in _unlisted(row):
        with transaction.atomic():
            lease.renew()
            if proves:
                write_ended(row.scan.store, row.bucket, unlisted, timezone.now())
            else:
                # Only ListParts can tell whether they are gone.
                InventoryUpload.objects.filter(pk__in=[each.pk for each in unlisted]).update(check_due_at=None)
    _end(lease)


def _unlisted(row: BucketScan) -> Iterator[list[InventoryUpload]]:
    """The known uploads in progress that were not seen since the listing began."""
    rows = InventoryUpload.objects.filter(IN_PROGRESS, bucket=row.bucket_id, last_seen_at__lt=row.started_at)
    if row.prefix:
        rows = rows.filter(keys_below(row.prefix))
    rows = rows.order_by("key", "pk")
    chunk = list(rows[:CHUNK])
    while chunk:
        yield chunk
        last = chunk[-1]
        # Two ranges of the index: a condition for both would begin with the first key again.
        chunk = list(rows.filter(key=last.key, pk__gt=last.pk)[:CHUNK])
        chunk += rows.filter(key__gt=last.key)[: CHUNK - len(chunk)]


def _add_own(lease: Lease[BucketScan]) -> None:
    """Uploads of transfers that a forgetful store does not list. ListParts tells whether they still exist."""
    row, store, after = lease.row, lease.row.scan.store, 0
    rows = StoreUpload.objects.filter(
        state__in=(StoreUploadState.OPEN, StoreUploadState.SUSPECT),
        created_at__lt=row.started_at,
        transfer__store=store,
        transfer__bucket=row.bucket.name,
    ).select_related("transfer")
    if row.prefix:
        rows = rows.filter(starts_with("transfer__key", row.prefix))
    while chunk := list(rows.filter(pk__gt=after).order_by("pk")[:CHUNK]):
        after = chunk[-1].pk
        named = {upload_identity(row.bucket_id, each.transfer.key, each.upload_id): each for each in chunk}
        known = InventoryUpload.objects.filter(identity__in=list(named)).values_list("identity", flat=True)
        missing = [each for name, each in named.items() if name not in set(known)]
        uploads = [MultipartUpload(each.transfer.key, each.upload_id, each.created_at) for each in missing]
        with transaction.atomic():
            lease.renew()
            now = timezone.now()
            write_listed(store, row.bucket, uploads, Seen(now, _seen_at(row, now), ended_stay=True))


@transaction.atomic
def _end(lease: Lease[BucketScan]) -> None:
    """Raises LeaseLost."""
    row = lease.row
    due = steps.to_check(row.scan, row)
    checks = BucketScan.NEW if due.filter(check_due_at__isnull=True).exists() else BucketScan.KNOWN
    count = due.count()
    if not lease.end(ItemState.DONE, to_check=count, checks=checks if count else BucketScan.NONE):
        raise LeaseLost
    bucket: dict[str, Any] = {"gone_at": None}
    if row.is_complete:
        bucket |= NO_ERROR if row.prefix else {**NO_ERROR, "listed_at": row.started_at}
    else:
        bucket |= problem_fields(Problem(Code.UPLOADS_UNREADABLE))
    InventoryBucket.objects.filter(pk=row.bucket_id).update(**bucket)
