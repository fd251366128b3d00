"""Cancelling a transfer: its staged bytes and its upload in the store are removed."""

from __future__ import annotations

from uploads import crash
from uploads.domain.states import FINAL_PHASES, DesiredState, PartState, Phase, StoreUploadState
from uploads.models import StoreUpload, Transfer
from uploads.problems import Code
from uploads.services.ended.noting import end_store_uploads
from uploads.services.multipart.abort import abort_until_gone
from uploads.services.stores.clients import client_for
from uploads.services.transfers.ending import finish_transfer
from uploads.services.transfers.kinds import TRANSFERS
from uploads.services.transfers.orphans import settle_unknown_create
from uploads.services.work import leases
from uploads.services.work.attempts import Retry
from uploads.services.work.failures import error_fields
from uploads.services.work.leases import Lease, free
from uploads.services.work.tasks import task
from uploads.staging.disk import WriterBusy

INTERRUPTION_SECONDS = 1.5
"""How long it takes until a part that is being sent has been interrupted."""


@task(
    TRANSFERS,
    lambda: Transfer.objects.filter(desired_state=DesiredState.CANCEL).exclude(phase__in=FINAL_PHASES),
    retry=Retry.FOREVER,
)
def cancel_transfer(lease: Lease[Transfer]) -> None:
    """Abort every upload of this transfer until the store has none of it, then remove the staged bytes.

    Any node does it, as the node with the bytes may be lost.
    """
    transfer = lease.row
    request_id = _abort_all(lease)
    # A part in flight could still reach the store or be read from staging.
    if _in_flight(transfer):
        _wait_for_interruption(lease)
        return
    if not transfer.is_staged_here:
        # Its node removes the staged bytes, now or when it comes back: the cancellation does not wait for it.
        finish_transfer(lease, Phase.CANCELLED, request_id=request_id)
        return
    try:
        # A process that still receives bytes notices the cancellation within a second and releases the lock.
        with transfer.folder.writer():
            finish_transfer(lease, Phase.CANCELLED, request_id=request_id)
    except WriterBusy:
        _wait_for_interruption(lease)


def _wait_for_interruption(lease: Lease[Transfer]) -> None:
    if lease.release(not_before=leases.in_seconds(INTERRUPTION_SECONDS)):
        TRANSFERS.resume(lease.row, INTERRUPTION_SECONDS)


def _in_flight(transfer: Transfer) -> bool:
    """Whether a worker that is alive is sending a part."""
    return transfer.parts.filter(state=PartState.SENDING).exclude(free()).exists()


def _abort_all(lease: Lease[Transfer]) -> str:
    """Returns the store's request id of the last abort that it accepted."""
    transfer, request_id = lease.row, ""
    settle_unknown_create(transfer)
    for store_upload in transfer.store_uploads.filter(state=StoreUploadState.OPEN):
        done = abort_until_gone(client_for(transfer.store), transfer.bucket, transfer.key, store_upload.upload_id)
        crash.point("cancel.aborted")
        request_id = done.request_id or request_id
        # Kept by the cancelled transfer, whose page shows it.
        if done.not_verified is not None:
            lease.renew(**error_fields(done.not_verified, reason=Code.ABORT_NOT_VERIFIED))
        elif done.no_bucket is not None:
            lease.renew(**error_fields(done.no_bucket, reason=Code.BUCKET_GONE))
        if not _in_flight(transfer):
            end_store_uploads(transfer, StoreUpload.objects.filter(pk=store_upload.pk), done.ended_how)
    return request_id
