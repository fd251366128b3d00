"""The end of the store leg: CompleteMultipartUpload, and HEAD to prove the object."""

from __future__ import annotations

from uploads import crash
from uploads.domain.states import STORE_UPLOAD_STATES, PartState, Phase, StoreUploadState
from uploads.models import StoreUpload, Transfer
from uploads.objectstore.checksums import ReportedCrc64, as_hex, as_kept, combine
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.objectstore.types import CompletedPart, SentBytes
from uploads.services.browse.browsing import ExistingObject, forbids_overwrite, head_object, provider_of
from uploads.services.multipart.complete import may_have_been_done
from uploads.services.stores.clients import client_for
from uploads.services.transfers.ending import finish_transfer
from uploads.services.transfers.identity import is_ours
from uploads.services.transfers.kinds import TRANSFERS, steps_queue
from uploads.services.transfers.lost_responses import MAY_BE_OURS
from uploads.services.work.failures import NO_ERROR, error_fields
from uploads.services.work.leases import Lease
from uploads.services.work.tasks import task
from uploads.services.work.transitions import change


class NotOurs(ObjectStoreError):
    """HEAD shows another object than the one this transfer made."""


@task(TRANSFERS, lambda: Transfer.objects.filter(phase=Phase.COMPLETING), queue=steps_queue)
def complete_transfer(lease: Lease[Transfer]) -> None:
    """Complete, look, and only then call it done. Repeatable: a Complete whose answer was lost is found by HEAD."""
    transfer = lease.row
    crc64 = whole_crc64(transfer)
    try:
        said = _complete(transfer)
        _compare(crc64, said.reported_crc64)  # At once: what Complete says is said once, and HEAD may not say it.
        facts = _prove(transfer).facts
        _compare(crc64, facts.crc64 if facts else None)
    except NotOurs as error:
        # The object is there, and looking again would not make it another.
        TRANSFERS.give_up(lease, error_fields(error))
        return
    etag = facts.etag if facts else said.etag
    finish_transfer(lease, Phase.DONE, etag=etag, verified=facts is not None, crc64=as_kept(crc64), **NO_ERROR)


def whole_crc64(transfer: Transfer) -> ReportedCrc64:
    """The CRC-64 of all bytes, combined from those of the parts: nothing is read again, whatever was restarted."""
    algorithm = provider_of(transfer.store).crc64
    parts = transfer.parts.order_by("number").values_list("crc64", "size")
    return ReportedCrc64(algorithm, combine(algorithm, ((int(value or "0", 16), size) for value, size in parts)))


def _compare(ours: ReportedCrc64, theirs: ReportedCrc64 | None) -> None:
    """Where the store names a CRC-64 of the same polynomial, it is ours."""
    if theirs is not None and theirs.algorithm == ours.algorithm and theirs != ours:
        raise NotOurs(
            f"The object in the store has the CRC-64 {as_hex(theirs.value)}; the bytes that were sent have "
            f"{as_hex(ours.value)}. The object is there and must not be trusted: send the file again.",
            reason=Reason.DIGEST_MISMATCH,
            operation="CompleteMultipartUpload",
        )


def _complete(transfer: Transfer) -> SentBytes:
    """What the store said of the object; its ETag is empty where it said none."""
    if transfer.by_put_object:
        return SentBytes(transfer.parts.values_list("etag", flat=True).get())
    store_upload = transfer.store_uploads.filter(state=StoreUploadState.OPEN).first()
    if store_upload is None:
        return SentBytes("")
    sent = transfer.parts.filter(state=PartState.SENT, store_upload=store_upload).order_by("number")
    parts = [CompletedPart(number, etag) for number, etag in sent.values_list("number", "etag")]
    _check_whole(transfer, parts)
    crash.point("complete.asked")
    try:
        answer = client_for(transfer.store).complete_multipart_upload(
            transfer.bucket,
            transfer.key,
            store_upload.upload_id,
            parts,
            forbid_overwrite=forbids_overwrite(transfer),
        )
    except ObjectStoreError as failure:
        error = _what_is_known(transfer, store_upload, failure)
        if not (may_have_been_done(error) and _is_done(transfer, error)):
            raise error from failure
        answer = SentBytes("")
    crash.point("complete.answered")
    change(STORE_UPLOAD_STATES, StoreUpload.objects.filter(pk=store_upload.pk), StoreUploadState.COMPLETED)
    crash.point("complete.written")
    return answer


def _is_done(transfer: Transfer, error: ObjectStoreError) -> bool:
    """Whether HEAD shows our object after all."""
    existing = head_object(transfer.store, transfer.bucket, transfer.key)
    if existing.refusal is not None and error.reason is Reason.EXISTS:
        error.details.append(MAY_BE_OURS)
    return is_ours(transfer, existing.facts)


def _what_is_known(transfer: Transfer, store_upload: StoreUpload, error: ObjectStoreError) -> ObjectStoreError:
    """Ceph fails, again and again, where there is no such upload to complete: ListParts says that it is gone."""
    if error.reason is not Reason.STORE_FAULT:
        return error
    try:
        client_for(transfer.store).list_parts(transfer.bucket, transfer.key, store_upload.upload_id, max_parts=1)
    except ObjectStoreError as found:
        return found if found.reason is Reason.NO_SUCH_UPLOAD else error
    return error


def _check_whole(transfer: Transfer, parts: list[CompletedPart]) -> None:
    """Never complete a part of the file as if it were the whole."""
    if len(parts) != transfer.part_count:
        raise ObjectStoreError(
            f"Of {transfer.part_count} parts {len(parts)} are in this upload: it is not completed. Discard this "
            "transfer and send the file again.",
            reason=Reason.REFUSED,
            operation="CompleteMultipartUpload",
        )


def _prove(transfer: Transfer) -> ExistingObject:
    """HEAD: the object is there, of our size and with our id. Where HEAD is not allowed it stays unproven."""
    existing = head_object(transfer.store, transfer.bucket, transfer.key)
    if existing.refusal is None and not is_ours(transfer, existing.facts):
        found = f"one of {existing.facts.size} bytes" if existing.facts else "none"
        raise NotOurs(
            f"After completion the store should hold this transfer's object of {transfer.size} bytes and holds {found}:"
            " somebody may have replaced or deleted it at the same moment.",
            reason=Reason.NO_SUCH_KEY,
            operation="HeadObject",
        )
    return existing
