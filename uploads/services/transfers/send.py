"""The store leg: opening the upload in the store and sending its parts."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from uploads import audit, crash, logs, metrics
from uploads.domain.states import DesiredState, PartState, Phase, StoreUploadState
from uploads.models import Part, StoreUpload, Transfer
from uploads.objectstore.checksums import as_hex
from uploads.objectstore.errors import NotSent, ObjectStoreError, OutcomeUnknown, Reason, Refused
from uploads.objectstore.types import FileSlice, SentBytes
from uploads.problems import Code, Problem
from uploads.services.browse.browsing import forbids_overwrite, head_object
from uploads.services.browse.ownership import was_aborted_on_purpose
from uploads.services.multipart.abort import abort_until_gone
from uploads.services.staging import quota
from uploads.services.stores.clients import ONCE, client_for
from uploads.services.transfers.dispatch import dispatch
from uploads.services.transfers.ending import fail_transfer
from uploads.services.transfers.lost_responses import MAY_BE_OURS, TRANSFER_ID_METADATA, find_sent, own_object
from uploads.services.transfers.orphans import settle_unknown_create
from uploads.services.work import leases
from uploads.services.work.failures import NO_ERROR, error_fields
from uploads.services.work.queue import enqueue_on_commit

log = logging.getLogger(__name__)

SHA256_METADATA = "partway-sha256"
"""Object metadata with the SHA-256 of the whole file, where the operator gave it before the first byte."""

HEARTBEAT_SECONDS = 1.0
"""How often a part on its way writes down how far it is, which also renews its lease."""


class Cut(Exception):
    """The part on its way is no longer wanted, no longer ours, or our process has to stop."""


_on_its_way = False


@contextmanager
def _interruptible() -> Iterator[None]:
    """Here, and only here, `hand_back` may cut in: a part that was cut is simply sent again."""
    global _on_its_way  # noqa: PLW0603 - one process sends one part at a time, and a signal has no other way to know
    _on_its_way = True
    try:
        yield
    finally:
        _on_its_way = False


def hand_back() -> None:
    """Called from a signal handler when the process has to stop: give up the part on its way, if there is one."""
    if _on_its_way:
        raise Cut


class Heartbeat:
    """Counts the bytes of a part as they move; renews the lease while they do, and only then."""

    def __init__(self, part: Part, token: uuid.UUID) -> None:
        wanted = Transfer.objects.filter(pk=part.transfer_id, desired_state=DesiredState.RUN)
        self._rows = Part.objects.filter(pk=part.pk, lease_token=token, state=PartState.SENDING, transfer__in=wanted)
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
    ours = {TRANSFER_ID_METADATA: str(transfer.pk), SHA256_METADATA: transfer.expected_sha256}
    return {**transfer.metadata, **{name: value for name, value in ours.items() if value}}


def open_store_upload(transfer_id: uuid.UUID) -> None:
    """CreateMultipartUpload, and its id into the database the moment it is known."""
    rows = Transfer.objects.filter(
        leases.free(), pk=transfer_id, phase=Phase.SENDING, desired_state=DesiredState.RUN, part_count__gt=1
    )
    token = leases.take(rows.exclude(store_uploads__state=StoreUploadState.OPEN))
    if token is None:
        return
    transfer = Transfer.objects.select_related("store").get(pk=transfer_id)
    try:
        upload_id = _create(transfer, token)
    except ObjectStoreError as error:
        step_failed(transfer, token, error)
        return
    except Cut:
        return
    _opened(transfer, token, upload_id)
    crash.point("create.written")
    dispatch(transfer_id)


def _opened(transfer: Transfer, token: uuid.UUID, upload_id: str) -> None:
    """Write the upload down, whether or not the lease still is ours: one that nobody remembers is an orphan."""
    with transaction.atomic():
        rows = Transfer.objects.filter(pk=transfer.pk, lease_token=token)
        is_ours = rows.update(create_sent_at=None, **leases.RELEASED, **leases.SUCCEEDED, **NO_ERROR)
        state = StoreUploadState.OPEN if is_ours else StoreUploadState.SUSPECT
        # Whoever took over may have found it already, as the twin of a lost answer.
        row, is_new = StoreUpload.objects.get_or_create(
            transfer=transfer, upload_id=upload_id, defaults={"state": state}
        )
    if not is_ours and is_new:
        drop_late_upload(row.pk)


def drop_late_upload(store_upload_id: int) -> None:
    """An upload that came when another holder, or the transfer's end, had gone past us. No part was ever sent to it."""
    row = StoreUpload.objects.select_related("transfer__store").get(pk=store_upload_id)
    transfer = row.transfer
    try:
        abort_until_gone(client_for(transfer.store), transfer.bucket, transfer.key, row.upload_id)
    except ObjectStoreError as error:
        log.warning("transfer %s: an upload that came too late could not be aborted: %s", transfer.pk, error)
        return
    StoreUpload.objects.filter(pk=row.pk).exclude(state=StoreUploadState.COMPLETED).update(state=StoreUploadState.GONE)


def _create(transfer: Transfer, token: uuid.UUID) -> str:
    """Ask for an upload, once what an earlier try may have left is settled. Raises ObjectStoreError, or Cut."""
    settle_unknown_create(transfer)
    # Before the act: should its answer be lost, or we die, the next try knows when to look from.
    rows = Transfer.objects.filter(pk=transfer.pk, lease_token=token)
    if not rows.update(create_sent_at=timezone.now(), lease_until=leases.deadline()):
        raise Cut
    crash.point("create.asked")
    try:
        upload_id = client_for(transfer.store).create_multipart_upload(
            transfer.bucket,
            transfer.key,
            content_type=transfer.content_type,
            metadata=object_metadata(transfer),
            storage_class=transfer.storage_class,
            forbid_overwrite=forbids_overwrite(transfer),
        )
    except ObjectStoreError as error:
        if isinstance(error, NotSent) or (isinstance(error, Refused) and error.status < 500):
            Transfer.objects.filter(pk=transfer.pk, lease_token=token).update(create_sent_at=None)
        raise
    crash.point("create.answered")
    return upload_id


def step_failed(transfer: Transfer, token: uuid.UUID, error: ObjectStoreError) -> None:
    """A step of the transfer as a whole failed: try again later, or fail the transfer."""
    log.warning("transfer %s: %s", transfer.pk, error)
    held = leases.tried_again(transfer, error)
    if held is None:
        fail_transfer(transfer.pk, error_fields(error), token)
        return
    Transfer.objects.filter(pk=transfer.pk, lease_token=token).update(**held, **error_fields(error))
    _dispatch_when_due(transfer, held["not_before"])


def _dispatch_when_due(transfer: Transfer, not_before: datetime) -> None:
    wait = (not_before - timezone.now()).total_seconds()
    enqueue_on_commit("dispatch_transfer", [transfer.pk], queue=transfer.steps_queue, countdown=max(0.0, wait))


def send_part(part_id: int) -> None:
    """UploadPart, or PutObject for a file of one part, under a lease."""
    # One PutObject makes the object: not before what was promised of the file has been seen to.
    ready = Q(part_count__gt=1) | Q(all_received=True)
    transfers = Transfer.objects.filter(ready, desired_state=DesiredState.RUN, phase=Phase.SENDING)
    rows = Part.objects.filter(leases.due(), pk=part_id, state=PartState.STAGED, transfer__in=transfers)
    token = leases.take(rows, state=PartState.SENDING, moved=0)
    if token is None:
        return
    crash.point("part.taken")
    part = Part.objects.select_related("transfer__store").get(pk=part_id)
    store_upload = part.transfer.store_uploads.filter(state=StoreUploadState.OPEN).first()
    upload_id = store_upload.upload_id if store_upload else ""
    logs.note(transfer=part.transfer_id, part=part.number, upload_id=upload_id)
    try:
        with _interruptible():
            answer = _send(part, store_upload, Heartbeat(part, token))
    except Cut:
        _release(part, token)
    except ObjectStoreError as error:
        found = _look(part, store_upload, error)
        if found is None:
            _part_failed(part, store_upload, token, error)
        else:
            _part_sent(part, store_upload, token, found)
    else:
        _part_sent(part, store_upload, token, answer)
    dispatch(part.transfer_id)


def _is_lost(error: ObjectStoreError) -> bool:
    """Whether the store may have taken what was sent, and only its answer is missing."""
    return isinstance(error, OutcomeUnknown) and error.reason is not Reason.DIGEST_MISMATCH


def _look(part: Part, store_upload: StoreUpload | None, error: ObjectStoreError) -> SentBytes | None:
    """After a lost answer: what the store has of the part, where it surely is these bytes. None: send it again.

    An object that may not be replaced can be our own: of a try whose end we did not live to write down.
    """
    exists = error.reason is Reason.EXISTS
    if not exists and not _is_lost(error):
        return None
    try:
        return _look_at_object(part, error) if exists else find_sent(part, store_upload)
    except ObjectStoreError as failed:
        log.info("transfer %s part %s: not found out: %s", part.transfer_id, part.number, failed)
        return None


def _look_at_object(part: Part, error: ObjectStoreError) -> SentBytes | None:
    """The object in our way, where it is ours. Raises ObjectStoreError.

    Where we may not look, the error says that it may be, and the bytes stay here: another's object taken for ours
    would cost them.
    """
    transfer = part.transfer
    existing = head_object(transfer.store, transfer.bucket, transfer.key)
    if existing.refusal is None:
        return own_object(part, existing.facts)
    error.details.append(MAY_BE_OURS)
    return None


def _send(part: Part, store_upload: StoreUpload | None, heartbeat: Heartbeat) -> SentBytes:
    transfer = part.transfer
    client = client_for(transfer.store, ONCE)
    body = FileSlice(part.staged_path, 0, part.size)
    if transfer.by_put_object:
        answer = client.put_object(
            transfer.bucket,
            transfer.key,
            body if part.size else None,
            content_type=transfer.content_type,
            metadata=object_metadata(transfer),
            storage_class=transfer.storage_class,
            forbid_overwrite=forbids_overwrite(transfer),
            on_bytes=heartbeat,
        )
    elif store_upload is None:
        raise Cut
    else:
        answer = client.upload_part(
            transfer.bucket, transfer.key, store_upload.upload_id, part.number, body, on_bytes=heartbeat
        )
    crash.point("part.answered")
    return answer


def _part_sent(part: Part, store_upload: StoreUpload | None, token: uuid.UUID, answer: SentBytes) -> None:
    """Only the holder of the lease marks the part sent; its staged bytes go once that is written down."""
    with transaction.atomic():
        if not _is_open(store_upload):
            # It vanished meanwhile, and the part with it: another upload needs these bytes.
            _release(part, token)
            return
        sent = Part.objects.filter(pk=part.pk, lease_token=token, state=PartState.SENDING).update(
            state=PartState.SENT,
            etag=answer.etag,
            crc64=as_hex(answer.crc64),
            store_upload=store_upload,
            moved=part.size,
            sent_at=timezone.now(),
            **leases.RELEASED,
            **leases.SUCCEEDED,
            **NO_ERROR,
        )
    if sent:
        metrics.part_sent(part.size)
        log.info("transfer %s part %s: sent", part.transfer_id, part.number, extra={"request_id": answer.request_id})
        crash.point("part.written")
        quota.release(part)


def _is_open(store_upload: StoreUpload | None) -> bool:
    """Whether parts may still be counted to it; locked, so that it vanishes before or after. None: by PutObject."""
    if store_upload is None:
        return True
    rows = StoreUpload.objects.select_for_update().filter(pk=store_upload.pk, state=StoreUploadState.OPEN)
    return rows.first() is not None


def _release(part: Part, token: uuid.UUID) -> None:
    Part.objects.filter(pk=part.pk, lease_token=token, state=PartState.SENDING).update(
        state=PartState.STAGED, moved=0, **leases.RELEASED
    )


def _part_failed(part: Part, store_upload: StoreUpload | None, token: uuid.UUID, error: ObjectStoreError) -> None:
    """Try the part again later, begin a new upload where the store lost ours, or fail the transfer."""
    log.warning("transfer %s part %s: %s", part.transfer_id, part.number, error)
    held = leases.tried_again(part, error)
    rows = Part.objects.filter(pk=part.pk, lease_token=token, state=PartState.SENDING)
    fields = error_fields(error)
    if not rows.update(state=PartState.STAGED, moved=0, **(held or leases.RELEASED), **fields):
        return
    if store_upload is not None and error.reason in (Reason.NO_SUCH_UPLOAD, Reason.NO_SUCH_KEY):
        _store_upload_vanished(part.transfer, store_upload, error)
    elif held is None:
        fail_transfer(part.transfer_id, fields)
    else:
        _dispatch_when_due(part.transfer, held["not_before"])


def _store_upload_vanished(transfer: Transfer, store_upload: StoreUpload, error: ObjectStoreError) -> None:
    """Somebody aborted or completed our upload. With every byte still here another one is begun.

    With bytes gone that is the end; and what an operator aborted on purpose, by an operation, is not brought back.
    """
    with transaction.atomic():
        Transfer.objects.select_for_update().get(pk=transfer.pk)
        StoreUpload.objects.filter(pk=store_upload.pk, state=StoreUploadState.OPEN).update(state=StoreUploadState.GONE)
        lost = transfer.parts.filter(store_upload=store_upload, state=PartState.SENT).exists()
        if not lost and not was_aborted_on_purpose(transfer, store_upload):
            audit.record_transfer(None, "begun-anew", transfer, upload_id=store_upload.upload_id)
            transfer.parts.filter(state=PartState.STAGED).update(not_before=None, queued_at=None)
            return
        error.details.append(Problem(Code.UPLOAD_ENDED_BY_OTHERS))
        fail_transfer(transfer.pk, error_fields(error))
