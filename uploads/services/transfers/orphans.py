"""After a lost answer to CreateMultipartUpload: the store may hold an upload of ours whose id nobody knows.

Nothing in a listing says whose an upload is. One is taken for our twin, and aborted, only as the sole candidate: of
that exact key, initiated within the time in which we asked by the store's own clock, without parts, and known to no
other transfer. Anything else is left for an operator to judge, and shown as a possible orphan.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from itertools import islice

from django.db import transaction
from django.utils import timezone

from uploads import audit, crash
from uploads.domain.states import StoreUploadState
from uploads.models import StoreUpload, Transfer
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.objectstore.types import MultipartUpload
from uploads.services.browse.browsing import is_gone
from uploads.services.multipart.abort import abort_until_gone
from uploads.services.stores.clients import client_for

log = logging.getLogger(__name__)

REQUEST_LASTS = timedelta(minutes=5)
"""A Create that was sent has reached the store by then, or never will: what was initiated later is another's."""

SLACK = timedelta(seconds=5)
"""Between the store's clock as it tells it, to the second, and the one it stamps uploads with."""

MAX_PAGES = 10

CANNOT_LOOK = frozenset({Reason.PERMISSION, Reason.REFUSED})


def settle_unknown_create(transfer: Transfer) -> None:
    """Find what an earlier Create may have left, and abort it where it is surely ours. Raises ObjectStoreError."""
    if transfer.create_sent_at is None:
        return
    client = client_for(transfer.store)
    try:
        candidates = _candidates(client, transfer)
    except ObjectStoreError as error:
        if error.reason not in CANNOT_LOOK:
            raise
        log.warning("transfer %s: a lost Create cannot be looked for: %s", transfer.pk, error)
        audit.record_transfer(None, "possible-orphan", transfer, not_looked=error.message)
        candidates = []
    if len(candidates) == 1:
        upload_id = candidates[0].upload_id
        abort_until_gone(client, transfer.bucket, transfer.key, upload_id)
        crash.point("twin.aborted")
        _write_down(transfer, {upload_id: StoreUploadState.GONE}, "twin-aborted")
    else:
        _write_down(transfer, {each.upload_id: StoreUploadState.SUSPECT for each in candidates}, "possible-orphan")


def _candidates(client: ObjectStoreClient, transfer: Transfer) -> list[MultipartUpload]:
    """Uploads that may be ours: nobody else's as far as we know, of that key and that time, and without parts."""
    assert transfer.create_sent_at is not None
    pages = islice(client.iter_multipart_uploads(transfer.bucket, prefix=transfer.key), MAX_PAGES)
    listed = [upload for page in pages for upload in page.uploads if upload.key == transfer.key]
    # Only now has the store told its time.
    first = transfer.create_sent_at + client.clock_offset - SLACK
    last = min(timezone.now(), transfer.create_sent_at + REQUEST_LASTS) + client.clock_offset + SLACK
    known = set(
        StoreUpload.objects.filter(upload_id__in=[upload.upload_id for upload in listed]).values_list(
            "upload_id", flat=True
        )
    )
    fitting = [each for each in listed if each.upload_id not in known and each.initiated is not None]
    return [
        each
        for each in fitting
        if each.initiated is not None and first <= each.initiated <= last and _is_empty(client, transfer, each)
    ]


def _is_empty(client: ObjectStoreClient, transfer: Transfer, upload: MultipartUpload) -> bool:
    try:
        return not client.list_parts(transfer.bucket, transfer.key, upload.upload_id, max_parts=1).parts
    except ObjectStoreError as error:
        if is_gone(error):
            return False
        raise


@transaction.atomic
def _write_down(transfer: Transfer, found: dict[str, StoreUploadState], action: str) -> None:
    for upload_id, state in found.items():
        StoreUpload.objects.create(transfer=transfer, upload_id=upload_id, state=state)
        audit.record_transfer(None, action, transfer, upload_id=upload_id)
    Transfer.objects.filter(pk=transfer.pk).update(create_sent_at=None)
    transfer.create_sent_at = None
