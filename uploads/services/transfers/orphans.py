"""Possible orphans: uploads that a CreateMultipartUpload without a response may have left in the store.

A listing does not tell who created an upload. A candidate has the transfer's key, was initiated while the request was
in flight (by the store's clock), has no parts and is not recorded for any transfer. A sole candidate is taken for the
transfer's own upload and aborted. Several are kept as possible orphans, for an operator to decide.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import islice

from django.db import transaction
from django.utils import timezone

from uploads import audit, crash
from uploads.domain.states import StoreUploadState
from uploads.models import StoreUpload, Transfer
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.objectstore.types import MultipartUpload
from uploads.problems import Code, Problem
from uploads.services.browse.browsing import is_gone
from uploads.services.multipart.abort import abort_until_gone
from uploads.services.stores.clients import client_for

log = logging.getLogger(__name__)

MAX_REQUEST_TIME = timedelta(minutes=5)
"""A CreateMultipartUpload that was sent reaches the store within this time; a later upload is not its result."""

CLOCK_TOLERANCE = timedelta(seconds=5)
"""Between the clock of the store's Date header, which has whole seconds, and the clock that stamps its uploads."""

MAX_PAGES = 10

LISTING_REFUSED = frozenset({Reason.PERMISSION, Reason.REFUSED})


def settle_unknown_create(transfer: Transfer) -> None:
    """Find what an earlier CreateMultipartUpload may have left, and abort a sole candidate. Raises ObjectStoreError."""
    if transfer.create_sent_at is None:
        return
    client = client_for(transfer.store)
    try:
        candidates = _candidates(client, transfer, transfer.create_sent_at)
    except ObjectStoreError as error:
        if error.reason not in LISTING_REFUSED:
            raise
        log.warning("transfer %s: the uploads cannot be listed to find a lost one: %s", transfer.pk, error)
        audit.record_transfer(None, "possible-orphan", transfer, reason=Problem(Code.UPLOADS_NOT_LISTABLE))
        candidates = []
    if len(candidates) == 1:
        upload_id = candidates[0].upload_id
        abort_until_gone(client, transfer.bucket, transfer.key, upload_id)
        crash.point("orphan.aborted")
        _record(transfer, [upload_id], StoreUploadState.GONE, "twin-aborted")
    else:
        upload_ids = [each.upload_id for each in candidates]
        _record(transfer, upload_ids, StoreUploadState.SUSPECT, "possible-orphan")


def _candidates(client: ObjectStoreClient, transfer: Transfer, sent_at: datetime) -> list[MultipartUpload]:
    """Uploads that the lost request may have created."""
    pages = islice(client.iter_multipart_uploads(transfer.bucket, prefix=transfer.key), MAX_PAGES)
    listed = [upload for page in pages for upload in page.uploads if upload.key == transfer.key]
    # The client knows the store's clock only after the listing.
    first = sent_at + client.clock_offset - CLOCK_TOLERANCE
    last = min(timezone.now(), sent_at + MAX_REQUEST_TIME) + client.clock_offset + CLOCK_TOLERANCE
    return [
        each
        for each in _unrecorded(listed)
        if each.initiated is not None and first <= each.initiated <= last and _is_empty(client, transfer, each)
    ]


def _unrecorded(uploads: Iterable[MultipartUpload]) -> list[MultipartUpload]:
    """Uploads that are not recorded for any transfer."""
    uploads = list(uploads)
    ids = [upload.upload_id for upload in uploads]
    recorded = set(StoreUpload.objects.filter(upload_id__in=ids).values_list("upload_id", flat=True))
    return [upload for upload in uploads if upload.upload_id not in recorded]


def _is_empty(client: ObjectStoreClient, transfer: Transfer, upload: MultipartUpload) -> bool:
    try:
        return not client.list_parts(transfer.bucket, transfer.key, upload.upload_id, max_parts=1).parts
    except ObjectStoreError as error:
        if is_gone(error):
            return False
        raise


@transaction.atomic
def _record(transfer: Transfer, upload_ids: Iterable[str], state: StoreUploadState, action: str) -> None:
    """Record the uploads, and that the request's outcome is settled."""
    for upload_id in upload_ids:
        StoreUpload.objects.create(transfer=transfer, upload_id=upload_id, state=state)
        audit.record_transfer(None, action, transfer, upload_id=upload_id)
    Transfer.objects.filter(pk=transfer.pk).update(create_sent_at=None)
    transfer.create_sent_at = None
