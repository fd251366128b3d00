"""The last step of a transfer: completing its upload and proving the object."""

from __future__ import annotations

from functools import partial

from uploads import crash
from uploads.domain.states import STORE_UPLOAD_STATES, PartState, Phase, StoreUploadState
from uploads.models import StoreUpload, Transfer
from uploads.models.transfer import steps_queue
from uploads.objectstore.checksums import ReportedCrc64, as_kept, combine
from uploads.objectstore.types import CompletedPart, SentBytes
from uploads.problems import Code, Problem
from uploads.services.browse.browsing import forbids_overwrite, provider_of
from uploads.services.multipart.complete import (
    CompletionOutcome,
    Expectation,
    UploadToComplete,
    complete_upload,
    prove_object,
)
from uploads.services.transfers.ending import finish_transfer
from uploads.services.transfers.identity import TRANSFER_ID_METADATA
from uploads.services.transfers.kinds import TRANSFERS
from uploads.services.work.failures import NO_ERROR, problem_fields
from uploads.services.work.leases import Lease
from uploads.services.work.tasks import task
from uploads.services.work.transitions import change


@task(TRANSFERS, lambda: Transfer.objects.filter(phase=Phase.COMPLETING), queue=steps_queue)
def complete_transfer(lease: Lease[Transfer]) -> None:
    """Complete the upload, prove the object by HEAD, and only then record the transfer as done."""
    transfer = lease.row
    crc64 = whole_crc64(transfer)
    outcome = _complete(transfer, crc64)
    if outcome.problem is not None:
        # Another attempt would not change the object.
        TRANSFERS.give_up(lease, problem_fields(outcome.problem))
        return
    if outcome.head_error is not None:
        raise outcome.head_error
    facts = {"etag": outcome.etag, "verified": outcome.verified, "crc64": as_kept(crc64)}
    finish_transfer(lease, Phase.DONE, **facts, **NO_ERROR)


def whole_crc64(transfer: Transfer) -> ReportedCrc64:
    """The CRC-64 of the whole file, combined from those of its parts without reading their bytes again."""
    algorithm = provider_of(transfer.store).crc64
    parts = transfer.parts.order_by("number").values_list("crc64", "size")
    return ReportedCrc64(algorithm, combine(algorithm, ((int(value or "0", 16), size) for value, size in parts)))


def _complete(transfer: Transfer, crc64: ReportedCrc64) -> CompletionOutcome:
    """Complete the open upload; without one, the object exists already and is only proved."""
    expected = Expectation(transfer.size, crc64=crc64, metadata={TRANSFER_ID_METADATA: str(transfer.pk)})
    store_upload = transfer.store_uploads.filter(state=StoreUploadState.OPEN).first()
    if transfer.by_put_object or store_upload is None:
        return prove_object(transfer.store, transfer.bucket, transfer.key, _put_response(transfer), expected)
    parts = _sent_parts(transfer, store_upload)
    if len(parts) != transfer.part_count:
        # Never complete some of the parts as if they were the whole file.
        return CompletionOutcome(
            problem=Problem(Code.PARTS_NOT_IN_UPLOAD, count=transfer.part_count, present=len(parts))
        )
    upload = UploadToComplete(
        transfer.store, transfer.bucket, transfer.key, store_upload.upload_id, forbids_overwrite(transfer)
    )
    return complete_upload(upload, parts, expected, partial(_record_completed, store_upload))


def _put_response(transfer: Transfer) -> SentBytes:
    """What PutObject reported; its ETag is empty if the transfer has an upload."""
    return SentBytes(transfer.parts.values_list("etag", flat=True).get() if transfer.by_put_object else "")


def _sent_parts(transfer: Transfer, store_upload: StoreUpload) -> list[CompletedPart]:
    sent = transfer.parts.filter(state=PartState.SENT, store_upload=store_upload).order_by("number")
    return [CompletedPart(number, etag) for number, etag in sent.values_list("number", "etag")]


def _record_completed(store_upload: StoreUpload) -> None:
    change(STORE_UPLOAD_STATES, StoreUpload.objects.filter(pk=store_upload.pk), StoreUploadState.COMPLETED)
    crash.point("complete.recorded")
