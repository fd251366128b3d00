"""Sending the parts of a transfer to the store."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from uploads import audit, crash, logs, metrics
from uploads.database.prepared import First, Given
from uploads.domain.states import PART_STATES, DesiredState, EndedHow, PartState, Phase, StoreUploadState
from uploads.models import Part, StoreUpload, Transfer
from uploads.models.transfer import parts_queue
from uploads.objectstore.checksums import as_hex
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.objectstore.payload import OnBytes
from uploads.objectstore.types import FileSlice, SentBytes
from uploads.problems import Code, Problem
from uploads.services.browse.ownership import was_aborted_by_operator
from uploads.services.ended.noting import end_store_uploads
from uploads.services.staging import nodes, quota
from uploads.services.staging.nodes import NodeConflict
from uploads.services.stores.clients import ONCE, client_for
from uploads.services.stores.etags import note_md5
from uploads.services.transfers.complete import complete_transfer, take_to_prove
from uploads.services.transfers.dispatch import dispatch
from uploads.services.transfers.ending import fail_transfer
from uploads.services.transfers.identity import object_metadata
from uploads.services.transfers.interruption import Interrupted, LeaseRenewal, interruptible
from uploads.services.transfers.kinds import PARTS, refusal_of
from uploads.services.transfers.lost_responses import find_after_failure, own_object
from uploads.services.transfers.missing_files import has_file, settle_missing_files
from uploads.services.transfers.replacing import NotComparable, condition_of, explain_conflict
from uploads.services.work import leases
from uploads.services.work.attempts import Retry
from uploads.services.work.failures import NO_ERROR, error_fields, problem_fields
from uploads.services.work.leases import Lease, Take
from uploads.services.work.tasks import record_failure, task
from uploads.services.work.transitions import prepared_change
from uploads.staging.disk import WriterBusy

log = logging.getLogger(__name__)

MISSING_SECONDS = 5.0
"""When to look again for a part whose file is missing while the rest of the file is still arriving."""


def _ready() -> QuerySet[Part]:
    return _ready_on(settings.NODE_NAME)


def _ready_on(node: str | Given) -> QuerySet[Part]:
    # PutObject creates the object: not before the checksum of the whole file was checked.
    ready = Q(part_count__gt=1) | Q(all_received=True)
    transfers = Transfer.objects.filter(ready, desired_state=DesiredState.RUN, phase=Phase.SENDING, node=node)
    return Part.objects.filter(transfer__in=transfers)


_TAKE = Take(PARTS, lambda: _ready_on(Given(Transfer, "node")), lambda: {"node": settings.NODE_NAME})


@task(PARTS, _ready, queue=parts_queue, refusal=lambda part: refusal_of(part.transfer), take=_TAKE)
def send_part(lease: Lease[Part]) -> None:
    """UploadPart, or PutObject for a file of one part."""
    crash.point("part.taken")
    part = lease.row
    store_upload = _open_upload(part.transfer)
    logs.note(upload_id=store_upload.upload_id if store_upload else "")
    renewal = LeaseRenewal(lease)

    def request() -> SentBytes:
        with interruptible():
            return send_bytes(part, store_upload, renewal)

    settle(lease, store_upload, request, renewal, object_sent)


def settle(
    lease: Lease[Part],
    store_upload: StoreUpload | None,
    request: Callable[[], SentBytes],
    renewal: LeaseRenewal,
    on_object: Callable[[Lease[Part], SentBytes, LeaseRenewal], None],
) -> None:
    """Record the outcome of a request that sends a part. `on_object` does so after a success of PutObject."""
    part = lease.row
    try:
        response = request()
    except Interrupted:
        lease.release()
    except NotComparable as failed:
        _not_comparable(lease, failed)
    except ObjectStoreError as error:
        if not has_file(part):
            _file_is_missing(lease)
            return
        try:
            found = find_after_failure(part, store_upload, error)
        except NotComparable as failed:
            _not_comparable(lease, failed)
        else:
            if found is None:
                _not_sent(lease, store_upload, error)
            else:
                _part_sent(lease, store_upload, found, renewal)
    else:
        if part.transfer.by_put_object:
            on_object(lease, response, renewal)
            return
        _part_sent(lease, store_upload, response, renewal)
    dispatch(part.transfer_id)


def _not_comparable(lease: Lease[Part], failed: NotComparable) -> None:
    """Whether an object is in the way is not known: an unusual response to HEAD is no reason to end the transfer."""
    record_failure(lease, failed.error, Retry.PATIENT)


def _not_sent(lease: Lease[Part], store_upload: StoreUpload | None, error: ObjectStoreError) -> None:
    """The request has certainly failed, or is to be repeated. Raises `error`, unless the upload has vanished."""
    if store_upload is not None and error.reason in (Reason.NO_SUCH_UPLOAD, Reason.NO_SUCH_KEY):
        _store_upload_vanished(lease, store_upload, error)
        return
    explain_conflict(lease.row.transfer, error)
    raise error


def _open_upload(transfer: Transfer) -> StoreUpload | None:
    return None if transfer.by_put_object else _OPEN_UPLOAD(transfer=transfer.pk)


_OPEN_UPLOAD = First(
    StoreUpload,
    lambda: StoreUpload.objects.filter(transfer=Given(StoreUpload, "transfer"), state=StoreUploadState.OPEN).order_by(
        "pk"
    ),
)


def object_sent(lease: Lease[Part], response: SentBytes, renewal: LeaseRenewal) -> None:
    """Record that PutObject has created the object, and go on with its proof in this task.

    If this process dies, the watchdog finds the transfer as one that waits for its proof.
    """
    part = lease.row
    with transaction.atomic():
        completion = take_to_prove(part.transfer)
        is_recorded = _end(lease, None, response, renewal)
        if not is_recorded:
            transaction.set_rollback(True)
    if is_recorded and completion is not None:
        complete_transfer.proceed(completion, partial(note_sent, part, response))
        return
    if is_recorded:
        note_sent(part, response)
    dispatch(part.transfer_id)


def _file_is_missing(lease: Lease[Part]) -> None:
    """The disk does not have the part any more. While the disk cannot be compared, the part waits."""
    error: dict[str, Any] = {}
    try:
        nodes.check_disk()
    except NodeConflict as conflict:
        log.error("transfer %s part %s: %s", lease.row.transfer_id, lease.row.number, conflict.problem)
        error = problem_fields(conflict.problem)
    if not lease.release(not_before=leases.in_seconds(MISSING_SECONDS), **error):
        return
    try:
        settle_missing_files(lease.row.transfer)
    except (WriterBusy, NodeConflict):
        PARTS.resume(lease.row, MISSING_SECONDS)


def send_bytes(part: Part, store_upload: StoreUpload | None, on_bytes: OnBytes) -> SentBytes:
    """One request to the store, before which HEAD may look at the object that is replaced. Changes no row."""
    transfer = part.transfer
    client = client_for(transfer.store, ONCE)
    body = FileSlice(part.staged_path, 0, part.size)
    if transfer.by_put_object:
        condition = condition_of(transfer, lambda facts: own_object(part, facts) is not None)
        response = client.put_object(
            transfer.bucket,
            transfer.key,
            body if part.size else None,
            content_type=transfer.content_type,
            metadata=object_metadata(transfer),
            storage_class=transfer.storage_class,
            forbid_overwrite=condition.forbid_overwrite,
            if_match=condition.if_match,
            checksum=transfer.body_checksum,
            on_bytes=on_bytes,
        )
    elif store_upload is None:
        raise Interrupted
    else:
        response = client.upload_part(
            transfer.bucket,
            transfer.key,
            store_upload.upload_id,
            part.number,
            body,
            checksum=transfer.body_checksum,
            on_bytes=on_bytes,
        )
    crash.point("part.responded")
    return response


def _part_sent(
    lease: Lease[Part], store_upload: StoreUpload | None, response: SentBytes, renewal: LeaseRenewal
) -> None:
    """Only the holder of the lease marks the part sent; then its staged bytes are removed.

    Those of PutObject stay until the object is proved by HEAD: no part in the store could be listed instead.
    """
    part = lease.row
    with transaction.atomic():
        if not _is_open(store_upload):
            # The upload vanished in the meantime, and the part with it: another upload needs these bytes.
            lease.release()
            return
        sent = _end(lease, store_upload, response, renewal)
    if sent:
        note_sent(part, response)
        if not part.transfer.by_put_object:
            quota.release(part)


def _end(lease: Lease[Part], store_upload: StoreUpload | None, response: SentBytes, renewal: LeaseRenewal) -> bool:
    sent = {
        "etag": response.etag,
        "crc64": as_hex(response.crc64),
        "store_upload": store_upload and store_upload.pk,
        "sent_at": timezone.now(),
        **renewal.progress(lease.row.size),
    }
    return bool(_SENT(id=lease.row.pk, lease_token=lease.token, **sent))


_SENT = prepared_change(
    PART_STATES,
    lambda: Part.objects.filter(pk=Given(Part, "id"), lease_token=Given(Part, "lease_token")),
    PartState.SENT,
    {PartState.SENDING},
    lambda: {
        **{name: Given(Part, name) for name in ("etag", "crc64", "store_upload", "sent_at")},
        **{name: Given(Part, name) for name in ("moved", "moved_at", "mark_moved", "mark_at")},
        **leases.RELEASED,
        **leases.SUCCEEDED,
        **NO_ERROR,
    },
)
"""Only the holder of the lease writes the result."""


def note_sent(part: Part, response: SentBytes) -> None:
    """After the part was recorded as sent."""
    metrics.part_sent(part.size)
    log.info("transfer %s part %s: sent", part.transfer_id, part.number, extra={"request_id": response.request_id})
    crash.point("part.recorded")
    if response.etag_is_md5:
        note_md5(part.transfer.store)


def _is_open(store_upload: StoreUpload | None) -> bool:
    """Whether parts still count for this upload (None: PutObject). Locks its row against a concurrent end."""
    if store_upload is None:
        return True
    return _LOCKED_IF_OPEN(id=store_upload.pk) is not None


_LOCKED_IF_OPEN = First(
    StoreUpload,
    lambda: (
        StoreUpload.objects.select_for_update()
        .filter(pk=Given(StoreUpload, "id"), state=StoreUploadState.OPEN)
        .order_by()
    ),
)


def _store_upload_vanished(lease: Lease[Part], store_upload: StoreUpload, error: ObjectStoreError) -> None:
    """Someone else aborted or completed the upload. If every byte is still staged, another upload is created.

    If not, or if an operator requested to abort the upload, the transfer fails.
    """
    transfer = lease.row.transfer
    log.warning("transfer %s part %s: %s", transfer.pk, lease.row.number, error)
    if not lease.release(**error_fields(error)):
        return
    with transaction.atomic():
        Transfer.objects.select_for_update().get(pk=transfer.pk)
        rows = StoreUpload.objects.filter(pk=store_upload.pk)
        end_store_uploads(transfer, rows, EndedHow.ELSEWHERE, {StoreUploadState.OPEN})
        lost = transfer.parts.filter(store_upload=store_upload, state=PartState.SENT).exists()
        if not lost and not was_aborted_by_operator(transfer, store_upload):
            audit.record_transfer(None, "begun-anew", transfer, upload_id=store_upload.upload_id)
            transfer.parts.filter(state=PartState.STAGED).update(not_before=None, queued_at=None)
            return
        error.details.append(Problem(Code.UPLOAD_ENDED_BY_OTHERS))
        fail_transfer(transfer.pk, error_fields(error))
