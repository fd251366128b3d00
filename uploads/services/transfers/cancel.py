"""Cancelling a transfer: nothing of it stays, neither here nor in the store."""

from __future__ import annotations

import logging
import uuid

from uploads import crash
from uploads.domain.states import FINAL_PHASES, STORE_UPLOAD_STATES, DesiredState, PartState, Phase, StoreUploadState
from uploads.models import StoreUpload, Transfer
from uploads.objectstore.errors import ObjectStoreError
from uploads.services.multipart.abort import abort_until_gone
from uploads.services.stores.clients import client_for
from uploads.services.transfers.ending import finish_transfer
from uploads.services.transfers.orphans import settle_unknown_create
from uploads.services.work import leases
from uploads.services.work.failures import error_fields
from uploads.services.work.queue import enqueue_on_commit
from uploads.services.work.transitions import change
from uploads.staging.disk import WriterBusy

log = logging.getLogger(__name__)

CUT_SECONDS = 1.5
"""Until a part in flight has noticed that it is no longer wanted."""


def cancel_transfer(transfer_id: uuid.UUID) -> None:
    """Abort every upload this transfer owns until the store has none of it, then drop the staged bytes."""
    rows = Transfer.objects.filter(leases.free(), leases.due(), pk=transfer_id, desired_state=DesiredState.CANCEL)
    token = leases.take(rows.exclude(phase__in=FINAL_PHASES))
    if token is None:
        return
    transfer = Transfer.objects.select_related("store").get(pk=transfer_id)
    try:
        _abort_all(transfer)
    except ObjectStoreError as error:
        log.warning("transfer %s: cancelling: %s", transfer.pk, error)
        _again_later(transfer, token, leases.backoff_seconds(transfer.tries + 1), error_fields(error))
        return
    # A part in flight could still land in the store or be read here: wait until none is.
    if _in_flight(transfer):
        _again_later(transfer, token, CUT_SECONDS, {})
        return
    try:
        # Who still writes has noticed within a second; then nobody makes a file behind our back.
        with transfer.folder.writer():
            finish_transfer(transfer, token, Phase.CANCELLED)
    except WriterBusy:
        _again_later(transfer, token, CUT_SECONDS, {})


def _in_flight(transfer: Transfer) -> bool:
    """Whether a part is being sent by somebody who lives."""
    return transfer.parts.filter(state=PartState.SENDING).exclude(leases.free()).exists()


def _abort_all(transfer: Transfer) -> None:
    settle_unknown_create(transfer)
    for store_upload in transfer.store_uploads.filter(state=StoreUploadState.OPEN):
        abort_until_gone(client_for(transfer.store), transfer.bucket, transfer.key, store_upload.upload_id)
        crash.point("cancel.aborted")
        if not _in_flight(transfer):
            change(STORE_UPLOAD_STATES, StoreUpload.objects.filter(pk=store_upload.pk), StoreUploadState.GONE)


def _again_later(transfer: Transfer, token: uuid.UUID, wait: float, error: dict[str, str]) -> None:
    """A cancellation is never given up: it ends when the store has confirmed it."""
    tries = transfer.tries + (1 if error else 0)
    Transfer.objects.filter(pk=transfer.pk, lease_token=token).update(
        **{**leases.RELEASED, "not_before": leases.in_seconds(wait)}, tries=min(tries, leases.MAX_TRIES), **error
    )
    enqueue_on_commit("dispatch_transfer", [transfer.pk], queue=transfer.steps_queue, countdown=wait)
