"""Possible orphans: uploads that a CreateMultipartUpload without a usable response may have left in the store.

A listing does not tell who created an upload. A candidate has the transfer's key, was initiated while the request was
in flight (by the store's clock), has no parts and is not recorded for any transfer. A sole candidate is taken for the
transfer's own upload and aborted. Several, and those that cannot be judged, are kept as possible orphans, for an
operator to decide. If the uploads cannot all be listed, the transfer itself records that there may be one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils import timezone

from uploads import audit, crash
from uploads.domain.states import StoreUploadState
from uploads.models import StoreUpload, Transfer
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.objectstore.types import MultipartUpload, UploadRef
from uploads.problems import Code, Problem
from uploads.services.browse.browsing import is_gone, provider_of
from uploads.services.ended.noting import End, note_ended
from uploads.services.multipart.abort import abort_until_gone
from uploads.services.multipart.appearance import CLOCK_TOLERANCE
from uploads.services.stores.clients import client_for

log = logging.getLogger(__name__)

MAX_REQUEST_TIME = timedelta(minutes=5)
"""A CreateMultipartUpload that was sent reaches the store within this time; a later upload is not its result."""

LARGEST_SKEW = timedelta(minutes=15)
"""Stores refuse requests if the clocks differ by more."""

MAX_PAGES = 10

LISTING_REFUSED = frozenset({Reason.PERMISSION, Reason.FORBIDDEN, Reason.REFUSED})


@dataclass(frozen=True, slots=True)
class Search:
    """The uploads that a lost request may have created.

    `likely` have the right key and date and no parts. `unclear` may be among them, but the store does not say when
    they were initiated, what time it has, or whether they have parts. `gap`: why there may be others; None if the
    store has listed all.
    """

    likely: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()
    gap: ObjectStoreError | Problem | None = None

    @property
    def sole(self) -> str | None:
        """The upload that is certainly the lost one."""
        is_certain = len(self.likely) == 1 and not self.unclear and self.gap is None
        return self.likely[0] if is_certain else None


def settle_unknown_create(transfer: Transfer) -> None:
    """Find what an earlier CreateMultipartUpload may have left, and abort a sole candidate. Raises ObjectStoreError."""
    if transfer.create_sent_at is None:
        return
    client = client_for(transfer.store)
    search = _search(client, transfer, transfer.create_sent_at, transfer.create_sent_at)
    if search.sole is not None:
        done = abort_until_gone(client, transfer.bucket, transfer.key, search.sole)
        crash.point("orphan.aborted")
        with transaction.atomic():
            _record(transfer, [search.sole], StoreUploadState.GONE, "twin-aborted")
            if done.ended_how is not None:
                ended = End(done.ended_how, transfer_id=transfer.pk)
                note_ended(transfer.store, transfer.bucket, [UploadRef(transfer.key, search.sole)], ended)
    else:
        _record(transfer, [*search.likely, *search.unclear], StoreUploadState.SUSPECT, "possible-orphan", search.gap)


def settle_lost_creates(transfer: Transfer) -> None:
    """Look again for uploads that could not be listed when their response was lost. Raises ObjectStoreError.

    What is found is kept as possible orphans. Raises ObjectStoreError as well while they still cannot all be listed.
    """
    if transfer.lost_create_at is None or transfer.lost_create_until is None:
        return
    search = _search(client_for(transfer.store), transfer, transfer.lost_create_at, transfer.lost_create_until)
    if isinstance(search.gap, Problem):
        raise ObjectStoreError(search.gap, reason=Reason.REFUSED, operation="ListMultipartUploads")
    if search.gap is not None:
        raise search.gap
    with transaction.atomic():
        _record_uploads(transfer, [*search.likely, *search.unclear], StoreUploadState.SUSPECT, "possible-orphan")
        forget_lost_creates(transfer)


def forget_lost_creates(transfer: Transfer) -> int:
    """Record that no upload without an id is left. 0 if nothing was recorded."""
    rows = Transfer.objects.filter(pk=transfer.pk, lost_creates__gt=0)
    return rows.update(lost_creates=0, lost_create_at=None, lost_create_until=None, lost_create_reason="")


def _search(client: ObjectStoreClient, transfer: Transfer, first: datetime, last: datetime) -> Search:
    """Search for what requests that were sent between `first` and `last` (by our clock) may have created."""
    listed, gap = _listed(client, transfer)
    likely, unclear = [], []
    for upload in _unrecorded(listed):
        is_dated = _is_dated(client, upload, first, last)
        is_empty = None if is_dated is False else _is_empty(client, transfer, upload)
        if is_dated and is_empty:
            likely.append(upload.upload_id)
        elif is_dated is not False and is_empty is not False:
            unclear.append(upload.upload_id)
    return Search(tuple(likely), tuple(unclear), gap)


def _listed(
    client: ObjectStoreClient, transfer: Transfer
) -> tuple[list[MultipartUpload], ObjectStoreError | Problem | None]:
    """The uploads with the transfer's key, and why there may be more."""
    if not provider_of(transfer.store).lists_uploads:
        return [], Problem(Code.UPLOADS_NOT_LISTABLE)
    found: list[MultipartUpload] = []
    try:
        for number, page in enumerate(client.iter_multipart_uploads(transfer.bucket, prefix=transfer.key), start=1):
            found += (upload for upload in page.uploads if upload.key == transfer.key)
            if number == MAX_PAGES and page.is_truncated:
                return found, Problem(Code.UPLOADS_TOO_MANY)
    except ObjectStoreError as error:
        is_endless = error.problem is not None and error.problem.code == Code.LISTING_WITHOUT_END
        if error.reason not in LISTING_REFUSED and not is_endless:
            raise
        log.warning("transfer %s: the uploads cannot be listed to find a lost one: %s", transfer.pk, error)
        return found, error
    return found, None


def _is_dated(client: ObjectStoreClient, upload: MultipartUpload, first: datetime, last: datetime) -> bool | None:
    """Whether an upload was initiated while the requests were in flight, by the store's clock; None if unknown."""
    if upload.initiated is None:
        return None
    latest = min(timezone.now(), last + MAX_REQUEST_TIME)
    if not client.knows_clock:
        within = first - LARGEST_SKEW <= upload.initiated <= latest + LARGEST_SKEW
        return None if within else False
    # The client knows the store's clock only after the listing.
    offset = client.clock_offset
    return first + offset - CLOCK_TOLERANCE <= upload.initiated <= latest + offset + CLOCK_TOLERANCE


def _unrecorded(uploads: Iterable[MultipartUpload]) -> list[MultipartUpload]:
    """Uploads that are not recorded for any transfer."""
    uploads = list(uploads)
    ids = [upload.upload_id for upload in uploads]
    recorded = set(StoreUpload.objects.filter(upload_id__in=ids).values_list("upload_id", flat=True))
    return [upload for upload in uploads if upload.upload_id not in recorded]


def _is_empty(client: ObjectStoreClient, transfer: Transfer, upload: MultipartUpload) -> bool | None:
    """Whether an upload exists and has no parts; None if its parts cannot be listed."""
    try:
        return not client.list_parts(transfer.bucket, transfer.key, upload.upload_id, max_parts=1).parts
    except ObjectStoreError as error:
        if is_gone(error):
            return False
        if error.reason in LISTING_REFUSED:
            return None
        raise


@transaction.atomic
def _record(
    transfer: Transfer,
    upload_ids: Iterable[str],
    state: StoreUploadState,
    action: str,
    gap: ObjectStoreError | Problem | None = None,
) -> None:
    """Record the uploads, and that the request's outcome is settled as far as it can be."""
    _record_uploads(transfer, upload_ids, state, action)
    if gap is not None:
        _record_lost_create(transfer, gap)
    Transfer.objects.filter(pk=transfer.pk).update(create_sent_at=None)
    transfer.create_sent_at = None


def _record_uploads(transfer: Transfer, upload_ids: Iterable[str], state: StoreUploadState, action: str) -> None:
    for upload_id in upload_ids:
        StoreUpload.objects.create(transfer=transfer, upload_id=upload_id, state=state)
        audit.record_transfer(None, action, transfer, upload_id=upload_id)


def _record_lost_create(transfer: Transfer, gap: ObjectStoreError | Problem) -> None:
    """The store may have an upload of this transfer whose id is not known."""
    problem = gap if isinstance(gap, Problem) else Problem(Code.UPLOADS_NOT_LISTABLE)
    audit.record_transfer(None, "possible-orphan", transfer, reason=problem)
    Transfer.objects.filter(pk=transfer.pk).update(
        lost_creates=F("lost_creates") + 1,
        lost_create_at=Coalesce("lost_create_at", "create_sent_at"),
        lost_create_until=F("create_sent_at"),
        lost_create_reason=problem.code,
    )
