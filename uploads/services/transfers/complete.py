"""The last step of a transfer: completing its upload and proving the object."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from uploads import crash
from uploads.domain.part_summary import multipart_etag
from uploads.domain.states import DesiredState, EndedHow, PartState, Phase, StoreUploadState
from uploads.models import Part, StoreUpload, Transfer
from uploads.objectstore.checksums import Algorithm, ReportedCrc64, as_hex, as_kept, combine, from_kept
from uploads.objectstore.errors import ObjectStoreError, certainly_not_done
from uploads.objectstore.providers import Provider
from uploads.objectstore.retry import DEFAULT_RETRIES
from uploads.objectstore.types import CompletedPart, SentBytes
from uploads.problems import Code, Problem
from uploads.services.browse.browsing import is_gone, provider_of
from uploads.services.browse.ownership import TRANSFER_ID_METADATA
from uploads.services.ended.noting import end_store_uploads
from uploads.services.multipart.complete import (
    CompletionOutcome,
    CompletionUnknown,
    NotShown,
    UploadToComplete,
    complete_upload,
    prove_object,
)
from uploads.services.multipart.expectation import Expectation
from uploads.services.multipart.replacing import Condition
from uploads.services.staging import expected_sha256
from uploads.services.stores.clients import ONCE
from uploads.services.transfers.ending import finish_transfer
from uploads.services.transfers.kinds import TRANSFERS, refusal_of
from uploads.services.transfers.replaced_parts import are_replaced, settle_replaced_parts
from uploads.services.transfers.replacing import NotComparable, ObjectInTheWay, condition_of, explain_conflict
from uploads.services.work import leases
from uploads.services.work.attempts import Retry
from uploads.services.work.failures import NO_ERROR, error_fields, problem_fields
from uploads.services.work.leases import Lease
from uploads.services.work.tasks import record_failure, task


@task(TRANSFERS, lambda: Transfer.objects.filter(phase=Phase.COMPLETING), refusal=refusal_of)
def complete_transfer(lease: Lease[Transfer]) -> None:
    """Complete the upload, prove the object by HEAD, and only then record the transfer as done.

    From the moment the store has confirmed the completion, attempts only verify. A transfer that cannot be verified
    is done, unverified.
    """
    try:
        outcome = _complete(lease)
    except CompletionUnknown as unknown:
        if settle_replaced_parts(lease, unknown.error):
            return
        if are_replaced(unknown.error):
            raise unknown.error from unknown
        unknown.error.details.append(Problem(Code.COMPLETION_UNKNOWN))
        record_failure(lease, unknown.error, Retry.PATIENT)
        return
    except NotComparable as failed:
        # Nothing was requested: an unusual response to HEAD is no reason to end the transfer.
        record_failure(lease, failed.error, Retry.PATIENT)
        return
    except ObjectStoreError as error:
        if settle_replaced_parts(lease, error):
            return
        _note_vanished_upload(lease.row, error)
        explain_conflict(lease.row, error)
        raise
    if outcome.trouble is not None:
        record_failure(lease, outcome.trouble, Retry.PATIENT, reason_fields(lease.row, outcome))
    elif outcome.problem is not None:
        # Another attempt would not change the object.
        TRANSFERS.give_up(lease, reason_fields(lease.row, outcome))
    else:
        finish_transfer(lease, Phase.DONE, **outcome_fields(lease.row, outcome))


def take_to_prove(transfer: Transfer) -> Lease[Transfer] | None:
    """The lease to prove the object that PutObject has just created; None if the transfer may not go on now.

    Call it in the transaction that records the part as sent, before its row is changed: whoever changes both locks the
    transfer first. `dispatch` decides the same for the other transfers.
    """
    if expected_sha256.mismatch(transfer, transfer.expected_sha256, transfer.sha256):
        return None
    running = Transfer.objects.filter(desired_state=DesiredState.RUN, all_received=True)
    facts = {"tries": 0, "completed_at": timezone.now()}
    return leases.take_in_state(TRANSFERS, running, transfer, Phase.COMPLETING, Phase.SENDING, **facts)


def outcome_fields(transfer: Transfer, outcome: CompletionOutcome) -> dict[str, Any]:
    """The columns of a transfer that is done: what was proved, and the reason if the object is not verified."""
    return {
        "etag": outcome.etag or transfer.etag,
        "verified": outcome.verified,
        "proofs": list(outcome.proofs),
        "crc64": transfer.crc64,
        **(error_fields(outcome.head_error) if outcome.head_error else NO_ERROR),
    }


OUTCOME_COLUMNS = ("etag", "verified", "proofs", "crc64", *NO_ERROR)
"""Those of `outcome_fields`."""


def reason_fields(transfer: Transfer, outcome: CompletionOutcome) -> dict[str, Any]:
    """The columns of a transfer whose object is not verified: the reason, and what is proved nevertheless."""
    is_wrong = outcome.problem is not None and outcome.problem.code == Code.CRC64_MISMATCH
    crc64 = "" if is_wrong else transfer.crc64
    return _reason(transfer, outcome) | {"proofs": list(outcome.proofs), "crc64": crc64}


def _reason(transfer: Transfer, outcome: CompletionOutcome) -> dict[str, Any]:
    trouble, problem = outcome.trouble or outcome.head_error, outcome.problem
    # The store itself has reported another checksum: that HEAD fails as well says less.
    is_wrong = problem is not None and problem.code == Code.CRC64_MISMATCH
    if problem is None or (trouble is not None and not isinstance(trouble, NotShown) and not is_wrong):
        return error_fields(trouble) if trouble is not None else NO_ERROR
    request_id = trouble.request_id if isinstance(trouble, NotShown) else ""
    if problem.code == Code.OBJECT_MISSING and transfer.complete_request_id:
        problem = Problem(Code.COMPLETED_OBJECT_MISSING, request_id=transfer.complete_request_id)
    return problem_fields(problem) | {"error_request_id": request_id[:200]}


_Digests = list[tuple[str, str, int]]
"""The ETag, CRC-64 and size of each part."""


def _sent_digests(transfer: Transfer) -> _Digests:
    return list(transfer.parts.order_by("number").values_list("etag", "crc64", "size"))


def expectation_of(transfer: Transfer, parts: _Digests) -> Expectation:
    """The object that this transfer creates, by its parts, whose bytes are not read again."""
    provider = provider_of(transfer.store)
    by_crc64 = transfer.body_checksum == "crc64nvme"
    algorithm: Algorithm = "nvme" if by_crc64 else provider.crc64
    crc64 = combine(algorithm, ((int(value or "0", 16), size) for _, value, size in parts))
    # The ETags of parts that the store verified by their CRC-64 were not compared with MD5s.
    etag = "" if by_crc64 else _expected_etag(provider, transfer.by_put_object, [etag for etag, _, _ in parts])
    return Expectation(
        transfer.size,
        etag,
        ReportedCrc64(algorithm, crc64),
        metadata={TRANSFER_ID_METADATA: str(transfer.pk)},
        requires_crc64=by_crc64,
    )


def _expected_etag(provider: Provider, by_put_object: bool, etags: list[str]) -> str:
    """The ETag by the MD5s of the parts; empty if the ETags of this store are no MD5s."""
    joined = multipart_etag(etags)
    if not joined or not provider.etag_is_md5:
        return ""
    if by_put_object:
        return etags[0].lower()
    return joined if provider.joined_etag else ""


def look_again(transfer: Transfer) -> CompletionOutcome:
    """What one HEAD shows now of an object that the store has confirmed. Raises nothing."""
    return _prove_by(transfer, _sent_digests(transfer))


def prove_sent(part: Part, response: SentBytes) -> CompletionOutcome:
    """What HEAD shows of the object that PutObject has just created, before that is recorded. Changes no row."""
    return _prove_by(part.transfer, [(response.etag, as_hex(response.crc64), part.size)])


def _prove_by(transfer: Transfer, digests: _Digests) -> CompletionOutcome:
    expected = expectation_of(transfer, digests)
    transfer.crc64 = as_kept(expected.crc64) if expected.crc64 else ""
    return _prove(transfer, expected, digests)


def _has_completed(transfer: Transfer) -> bool:
    return transfer.store_uploads.filter(state=StoreUploadState.COMPLETED).exists()


def _prove(transfer: Transfer, expected: Expectation, digests: _Digests) -> CompletionOutcome:
    confirmed = _confirmation(transfer, digests)
    # A sender proves the object of PutObject. It does not wait for this store: another task looks again later.
    retries = ONCE if transfer.by_put_object else DEFAULT_RETRIES
    return prove_object(transfer.store, transfer.bucket, transfer.key, confirmed, expected, retries)


def _complete(lease: Lease[Transfer]) -> CompletionOutcome:
    """Complete the open upload; without one, the object exists already and is only proved."""
    transfer = lease.row
    digests = _sent_digests(transfer)
    expected = expectation_of(transfer, digests)
    transfer.crc64 = as_kept(expected.crc64) if expected.crc64 else ""
    uploads = transfer.store_uploads.filter(state=StoreUploadState.OPEN)
    store_upload = None if transfer.by_put_object else uploads.first()
    if transfer.completed_at is None and (
        transfer.by_put_object or (store_upload is None and _has_completed(transfer))
    ):
        # A row of an earlier version.
        transfer.completed_at = timezone.now()
        lease.renew(completed_at=transfer.completed_at)
    if transfer.completed_at is not None or store_upload is None:
        return _prove(transfer, expected, digests)
    parts = _sent_parts(transfer, store_upload)
    if len(parts) != transfer.part_count:
        # Never complete some of the parts as if they were the whole file.
        return CompletionOutcome(
            problem=Problem(Code.PARTS_NOT_IN_UPLOAD, count=transfer.part_count, present=len(parts))
        )
    return _request_completion(lease, store_upload, parts, expected)


def _request_completion(
    lease: Lease[Transfer], store_upload: StoreUpload, parts: list[CompletedPart], expected: Expectation
) -> CompletionOutcome:
    transfer = lease.row
    was_requested = transfer.complete_sent_at is not None
    condition = _condition(transfer, expected, was_requested)
    upload = UploadToComplete(
        transfer.store,
        transfer.bucket,
        transfer.key,
        store_upload.upload_id,
        condition.forbid_overwrite,
        was_requested=was_requested,
        if_match=condition.if_match,
    )
    if not was_requested:
        lease.renew(complete_sent_at=timezone.now())

    def on_completed(response: SentBytes) -> None:
        _record_completed(transfer, store_upload, response)
        crash.point("complete.recorded")

    try:
        return complete_upload(upload, parts, expected, on_completed)
    except ObjectStoreError as error:
        if certainly_not_done(error) and not was_requested:
            lease.rows().update(complete_sent_at=None)
        raise


def _condition(transfer: Transfer, expected: Expectation, was_requested: bool) -> Condition:
    """What the store is told about the object at the key. Raises ObjectInTheWay and NotComparable.

    After a request whose outcome is not known, they are CompletionUnknown: that request may have completed the upload.
    """
    try:
        return condition_of(transfer, expected.identifies)
    except (ObjectInTheWay, NotComparable) as failed:
        if not was_requested:
            raise
        error = failed.error if isinstance(failed, NotComparable) else failed
        raise CompletionUnknown(error, None) from failed


def _confirmation(transfer: Transfer, digests: _Digests) -> SentBytes:
    """What the store returned when it confirmed the object."""
    if transfer.by_put_object:
        ((etag, _, _),) = digests
        return SentBytes(etag)
    return SentBytes(transfer.etag, transfer.complete_request_id, reported_crc64=from_kept(transfer.complete_crc64))


def _sent_parts(transfer: Transfer, store_upload: StoreUpload) -> list[CompletedPart]:
    sent = transfer.parts.filter(state=PartState.SENT, store_upload=store_upload).order_by("number")
    by_crc64 = transfer.body_checksum == "crc64nvme"
    return [
        CompletedPart(number, etag, int(crc64, 16) if by_crc64 and crc64 else None)
        for number, etag, crc64 in sent.values_list("number", "etag", "crc64")
    ]


@transaction.atomic
def _record_completed(transfer: Transfer, store_upload: StoreUpload, response: SentBytes) -> None:
    """From here on, attempts only verify the object, and earlier failures no longer count.

    Recorded even if the lease was lost: a completion cannot be repeated.
    """
    end_store_uploads(transfer, StoreUpload.objects.filter(pk=store_upload.pk), EndedHow.COMPLETED)
    facts: dict[str, Any] = {
        "completed_at": timezone.now(),
        "complete_request_id": response.request_id[:200],
        "complete_crc64": as_kept(response.reported_crc64) if response.reported_crc64 else "",
        "etag": response.etag,
        "crc64": transfer.crc64,
        **leases.SUCCEEDED,
        **NO_ERROR,
    }
    Transfer.objects.filter(pk=transfer.pk, completed_at=None).update(**facts)
    for name, value in facts.items():
        setattr(transfer, name, value)


def _note_vanished_upload(transfer: Transfer, error: ObjectStoreError) -> None:
    """Someone else has ended the upload, and HEAD does not show its object: the parts are lost."""
    if is_gone(error):
        open_uploads = transfer.store_uploads.filter(state=StoreUploadState.OPEN)
        end_store_uploads(transfer, open_uploads, EndedHow.ELSEWHERE)
        error.details.append(Problem(Code.UPLOAD_ENDED_BY_OTHERS))
