"""The store leg: opening the upload in the store and sending its parts."""

from __future__ import annotations

import logging
import time
import uuid

from django.db import transaction
from django.utils import timezone

from uploads.models import Part, StoreUpload, Transfer
from uploads.objectstore.checksums import as_hex
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.objectstore.types import FileSlice, SentBytes
from uploads.services import leases, room
from uploads.services.clients import client_for
from uploads.services.dispatch import dispatch
from uploads.services.failures import NO_ERROR, error_fields
from uploads.services.queue import enqueue_on_commit
from uploads.services.transfers import fail_transfer
from uploads.states import PartState, Phase, StoreUploadState, Want

log = logging.getLogger(__name__)

TRANSFER_ID_METADATA = "partway-transfer"
"""Object metadata that says whose an object is: the transfer's id."""

SHA256_METADATA = "partway-sha256"
"""Object metadata with the SHA-256 of the whole file, where the operator gave it before the first byte."""

HEARTBEAT_SECONDS = 1.0
"""How often a part on its way writes down how far it is, which also renews its lease."""


class Cut(Exception):
    """The part on its way is no longer wanted, or is no longer ours."""


class Heartbeat:
    """Counts the bytes of a part as they move; renews the lease while they do, and only then."""

    def __init__(self, part: Part, token: uuid.UUID) -> None:
        self._rows = Part.objects.filter(
            pk=part.pk, lease_token=token, state=PartState.SENDING, transfer__wanted=Want.RUN
        )
        self._moved = 0
        self._next = time.monotonic() + HEARTBEAT_SECONDS

    def __call__(self, count: int) -> None:
        self._moved += count
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + HEARTBEAT_SECONDS
        if not self._rows.update(moved=self._moved, lease_until=leases.deadline()):
            raise Cut


def object_metadata(transfer: Transfer) -> dict[str, str]:
    """What the operator wants, whose object it is, and the digest that was promised, where it is known in time."""
    ours = {TRANSFER_ID_METADATA: str(transfer.pk), SHA256_METADATA: transfer.promised_sha256}
    return {**transfer.metadata, **{name: value for name, value in ours.items() if value}}


def open_store_upload(transfer_id: uuid.UUID) -> None:
    """CreateMultipartUpload, and its id into the database the moment it is known."""
    rows = Transfer.objects.filter(
        leases.free(), pk=transfer_id, phase=Phase.SENDING, wanted=Want.RUN, part_count__gt=1
    )
    token = leases.take(rows.exclude(store_uploads__state=StoreUploadState.OPEN))
    if token is None:
        return
    transfer = Transfer.objects.select_related("store").get(pk=transfer_id)
    try:
        upload_id = client_for(transfer.store).create_multipart_upload(
            transfer.bucket,
            transfer.key,
            content_type=transfer.content_type,
            metadata=object_metadata(transfer),
            storage_class=transfer.storage_class,
        )
    except ObjectStoreError as error:
        step_failed(transfer, token, error)
        return
    with transaction.atomic():
        # Written down whether or not the lease still is ours: an upload nobody remembers is an orphan.
        StoreUpload.objects.create(transfer=transfer, upload_id=upload_id)
        Transfer.objects.filter(pk=transfer_id, lease_token=token).update(tries=0, **leases.RELEASED)
    dispatch(transfer_id)


def step_failed(transfer: Transfer, token: uuid.UUID, error: ObjectStoreError) -> None:
    """A step of the transfer as a whole failed: try again later, or fail the transfer."""
    log.warning("transfer %s: %s", transfer.pk, error)
    tries = transfer.tries + 1
    if not error.retryable or tries >= leases.MAX_TRIES:
        fail_transfer(transfer.pk, error_fields(error))
        return
    wait = leases.backoff_seconds(tries)
    Transfer.objects.filter(pk=transfer.pk, lease_token=token).update(
        tries=tries, **{**leases.RELEASED, "not_before": leases.in_seconds(wait)}, **error_fields(error)
    )
    enqueue_on_commit("dispatch_transfer", [transfer.pk], queue=transfer.steps_queue, countdown=wait)


def send_part(part_id: int) -> None:
    """UploadPart, or PutObject for a file of one part, under a lease."""
    rows = Part.objects.filter(
        leases.due(),
        pk=part_id,
        state=PartState.STAGED,
        transfer__wanted=Want.RUN,
        transfer__phase=Phase.SENDING,
    )
    token = leases.take(rows, state=PartState.SENDING, moved=0)
    if token is None:
        return
    part = Part.objects.select_related("transfer__store").get(pk=part_id)
    store_upload = part.transfer.store_uploads.filter(state=StoreUploadState.OPEN).first()
    try:
        answer = _send(part, store_upload, Heartbeat(part, token))
    except Cut:
        _release(part, token)
    except ObjectStoreError as error:
        _part_failed(part, store_upload, token, error)
    else:
        _part_sent(part, store_upload, token, answer)
    dispatch(part.transfer_id)


def _send(part: Part, store_upload: StoreUpload | None, heartbeat: Heartbeat) -> SentBytes:
    transfer = part.transfer
    client = client_for(transfer.store)
    body = FileSlice(part.staged_path, 0, part.size)
    if transfer.by_put_object:
        return client.put_object(
            transfer.bucket,
            transfer.key,
            body if part.size else None,
            content_type=transfer.content_type,
            metadata=object_metadata(transfer),
            storage_class=transfer.storage_class,
            on_bytes=heartbeat,
        )
    if store_upload is None:
        raise Cut
    return client.upload_part(
        transfer.bucket, transfer.key, store_upload.upload_id, part.number, body, on_bytes=heartbeat
    )


def _part_sent(part: Part, store_upload: StoreUpload | None, token: uuid.UUID, answer: SentBytes) -> None:
    """Only the holder of the lease marks the part sent; its staged bytes go once that is written down."""
    sent = Part.objects.filter(pk=part.pk, lease_token=token, state=PartState.SENDING).update(
        state=PartState.SENT,
        etag=answer.etag,
        crc64=as_hex(answer.crc64),
        store_upload=store_upload,
        moved=part.size,
        sent_at=timezone.now(),
        **leases.RELEASED,
        **NO_ERROR,
    )
    if sent:
        room.release(part)


def _release(part: Part, token: uuid.UUID) -> None:
    Part.objects.filter(pk=part.pk, lease_token=token, state=PartState.SENDING).update(
        state=PartState.STAGED, moved=0, **leases.RELEASED
    )


def _part_failed(part: Part, store_upload: StoreUpload | None, token: uuid.UUID, error: ObjectStoreError) -> None:
    """Try the part again later, begin a new upload where the store lost ours, or fail the transfer."""
    log.warning("transfer %s part %s: %s", part.transfer_id, part.number, error)
    tries = part.tries + 1
    wait = leases.backoff_seconds(tries)
    rows = Part.objects.filter(pk=part.pk, lease_token=token, state=PartState.SENDING)
    held = {**leases.RELEASED, "not_before": leases.in_seconds(wait)}
    if not rows.update(state=PartState.STAGED, moved=0, tries=tries, **held, **error_fields(error)):
        return
    if store_upload is not None and error.reason in (Reason.NO_SUCH_UPLOAD, Reason.NO_SUCH_KEY):
        _store_upload_vanished(part.transfer, store_upload, error)
    elif not error.retryable or tries >= leases.MAX_TRIES:
        fail_transfer(part.transfer_id, error_fields(error))
    else:
        enqueue_on_commit("dispatch_transfer", [part.transfer_id], queue=part.transfer.steps_queue, countdown=wait)


def _store_upload_vanished(transfer: Transfer, store_upload: StoreUpload, error: ObjectStoreError) -> None:
    """Somebody aborted or completed our upload: with bytes gone that is the end, and nobody's abort is undone."""
    StoreUpload.objects.filter(pk=store_upload.pk).update(state=StoreUploadState.GONE)
    fields = error_fields(error)
    fields["error_message"] += " Somebody aborted or completed it behind this transfer's back."
    fail_transfer(transfer.pk, fields)
