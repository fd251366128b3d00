"""CreateMultipartUpload for a transfer, and the record of the upload it created."""

from __future__ import annotations

import logging

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from uploads import crash
from uploads.domain.states import STORE_UPLOAD_STATES, DesiredState, Phase, StoreUploadState
from uploads.models import StoreUpload, Transfer
from uploads.objectstore.errors import ObjectStoreError, certainly_not_done
from uploads.objectstore.successes import upload_of_other_key
from uploads.services.ended.noting import end_store_uploads
from uploads.services.multipart.abort import abort_until_gone
from uploads.services.stores.clients import client_for
from uploads.services.transfers.dispatch import dispatch
from uploads.services.transfers.identity import object_metadata
from uploads.services.transfers.kinds import TRANSFERS, refusal_of
from uploads.services.transfers.orphans import settle_unknown_create
from uploads.services.transfers.replacing import explain_conflict, store_forbids
from uploads.services.work import leases
from uploads.services.work.attempts import Retry
from uploads.services.work.failures import NO_ERROR
from uploads.services.work.leases import Lease
from uploads.services.work.tasks import record_failure, task

log = logging.getLogger(__name__)


def _ready() -> QuerySet[Transfer]:
    rows = Transfer.objects.filter(phase=Phase.SENDING, desired_state=DesiredState.RUN, part_count__gt=1)
    return rows.exclude(store_uploads__state=StoreUploadState.OPEN)


@task(TRANSFERS, _ready, refusal=refusal_of)
def open_store_upload(lease: Lease[Transfer]) -> None:
    """Create the upload in the store and record its id immediately."""
    try:
        upload_id = _create(lease)
    except ObjectStoreError as error:
        # If the store may have acted, the next attempt settles that first, whatever the response was.
        may_have_acted = error.operation == "CreateMultipartUpload" and not certainly_not_done(error)
        explain_conflict(lease.row, error)
        record_failure(lease, error, Retry.PATIENT if may_have_acted else Retry.LIMITED)
        return
    _record_upload(lease, upload_id)
    crash.point("create.recorded")
    dispatch(lease.row.pk)


def _record_upload(lease: Lease[Transfer], upload_id: str) -> None:
    """Record the upload even if the lease was lost: an upload without a record would be an orphan."""
    with transaction.atomic():
        is_ours = lease.release(create_sent_at=None, **leases.SUCCEEDED, **NO_ERROR)
        state = StoreUploadState.OPEN if is_ours else StoreUploadState.SUSPECT
        # A worker that took the transfer over may have found and recorded it already, as a possible orphan.
        row, is_new = StoreUpload.objects.get_or_create(
            transfer=lease.row, upload_id=upload_id, defaults={"state": state}
        )
    if not is_ours and is_new:
        drop_late_upload(row.pk)


MAX_LATE = 20
"""Late uploads that one round of the watchdog has aborted."""

DROP_AGAIN_SECONDS = 300.0
"""After how long another attempt is made to abort a late upload."""


def claim_late_uploads() -> list[int]:
    """Some uploads of ended transfers to abort now, the longest waiting first. Each is claimed for a while."""
    late = StoreUpload.objects.filter(drop_at__lte=timezone.now())
    ids = list(late.order_by("drop_at").values_list("pk", flat=True)[:MAX_LATE])
    if ids:
        late.filter(pk__in=ids).update(drop_at=leases.in_seconds(DROP_AGAIN_SECONDS))
    return ids


def drop_late_upload(store_upload_id: int) -> None:
    """Abort an upload that its transfer does not need any more. Does nothing if it has ended meanwhile."""
    row = StoreUpload.objects.select_related("transfer__store").filter(pk=store_upload_id).first()
    if row is None or row.state in STORE_UPLOAD_STATES.final:
        StoreUpload.objects.filter(pk=store_upload_id).update(drop_at=None)
        return
    transfer = row.transfer
    try:
        done = abort_until_gone(client_for(transfer.store), transfer.bucket, transfer.key, row.upload_id)
    except ObjectStoreError as error:
        log.warning("transfer %s: an upload that was created too late could not be aborted: %s", transfer.pk, error)
        return
    end_store_uploads(transfer, StoreUpload.objects.filter(pk=row.pk), done.ended_how, drop_at=None)


def _create(lease: Lease[Transfer]) -> str:
    """Create an upload, once it is settled what an earlier attempt left. Raises ObjectStoreError, or LeaseLost."""
    transfer = lease.row
    settle_unknown_create(transfer)
    # Recorded before the request: if its response is lost, the next attempt looks for uploads from this time on.
    lease.renew(create_sent_at=timezone.now())
    crash.point("create.requested")
    try:
        upload_id = client_for(transfer.store).create_multipart_upload(
            transfer.bucket,
            transfer.key,
            content_type=transfer.content_type,
            metadata=object_metadata(transfer),
            storage_class=transfer.storage_class,
            forbid_overwrite=store_forbids(transfer),
            checksum=transfer.body_checksum,
        )
    except ObjectStoreError as error:
        if certainly_not_done(error):
            lease.rows().update(create_sent_at=None)
        if (other := upload_of_other_key(error)) is not None:
            _drop_other_upload(lease, other.upload_id)
        raise
    crash.point("create.responded")
    return upload_id


def _drop_other_upload(lease: Lease[Transfer], upload_id: str) -> None:
    """Abort the upload that the store has created for another key than the transfer's.

    By the transfer's own key, which such a store changes in the same way: nobody else's upload is aborted.
    """
    transfer = lease.row
    try:
        outcome = abort_until_gone(client_for(transfer.store), transfer.bucket, transfer.key, upload_id)
    except ObjectStoreError as error:
        log.warning("transfer %s: the upload of another key could not be aborted: %s", transfer.pk, error)
        return
    is_unsure = outcome.already_gone or outcome.response_lost or outcome.no_bucket or outcome.not_verified
    if not is_unsure:
        lease.rows().update(create_sent_at=None)
