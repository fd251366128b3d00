"""The end of the store leg: CompleteMultipartUpload, and HEAD to prove the object."""

from __future__ import annotations

import uuid

from uploads.models import StoreUpload, Transfer
from uploads.objectstore.errors import ObjectStoreError, OutcomeUnknown, Reason, Refused
from uploads.objectstore.types import CompletedPart, ObjectFacts
from uploads.services import leases
from uploads.services.browsing import ExistingObject, head_object
from uploads.services.clients import client_for
from uploads.services.sending import TRANSFER_ID_METADATA, step_failed
from uploads.services.transfers import finish_transfer
from uploads.states import PartState, Phase, StoreUploadState


class NotOurs(ObjectStoreError):
    """HEAD shows another object than the one this transfer made."""


def complete_transfer(transfer_id: uuid.UUID) -> None:
    """Complete, look, and only then call it done. Repeatable: a Complete whose answer was lost is found by HEAD."""
    rows = Transfer.objects.filter(leases.free(), pk=transfer_id, phase=Phase.COMPLETING)
    token = leases.take(rows)
    if token is None:
        return
    transfer = Transfer.objects.select_related("store").get(pk=transfer_id)
    try:
        etag = _complete(transfer)
        proof = _prove(transfer)
    except ObjectStoreError as error:
        step_failed(transfer, token, error)
        return
    facts = proof.facts
    finish_transfer(transfer, token, Phase.DONE, etag=facts.etag if facts else etag, verified=facts is not None)


def _complete(transfer: Transfer) -> str:
    """The object's ETag as the store said it; empty where it said none."""
    if transfer.by_put_object:
        return transfer.parts.values_list("etag", flat=True).get()
    store_upload = transfer.store_uploads.filter(state=StoreUploadState.OPEN).first()
    if store_upload is None:
        return ""
    sent = transfer.parts.filter(state=PartState.SENT, store_upload=store_upload).order_by("number")
    parts = [CompletedPart(number, etag) for number, etag in sent.values_list("number", "etag")]
    try:
        answer = client_for(transfer.store).complete_multipart_upload(
            transfer.bucket, transfer.key, store_upload.upload_id, parts
        )
        etag = answer.etag
    except ObjectStoreError as error:
        if not (
            may_have_been_done(error)
            and _is_ours(transfer, head_object(transfer.store, transfer.bucket, transfer.key).facts)
        ):
            raise
        etag = ""
    StoreUpload.objects.filter(pk=store_upload.pk).update(state=StoreUploadState.COMPLETED)
    return etag


def may_have_been_done(error: ObjectStoreError) -> bool:
    """Whether a failed Complete can mean that an earlier one succeeded: its answer was lost, or the store is at it."""
    if isinstance(error, OutcomeUnknown):
        return True
    return isinstance(error, Refused) and (
        error.reason in {Reason.NO_SUCH_UPLOAD, Reason.NO_SUCH_KEY, Reason.STORE_FAULT} or error.status >= 500
    )


def _is_ours(transfer: Transfer, facts: ObjectFacts | None) -> bool:
    return (
        facts is not None
        and facts.size == transfer.size
        and facts.metadata.get(TRANSFER_ID_METADATA) == str(transfer.pk)
    )


def _prove(transfer: Transfer) -> ExistingObject:
    """HEAD: the object is there, of our size and with our id. Where HEAD is not allowed it stays unproven."""
    existing = head_object(transfer.store, transfer.bucket, transfer.key)
    if existing.refusal is None and not _is_ours(transfer, existing.facts):
        found = f"one of {existing.facts.size} bytes" if existing.facts else "none"
        raise NotOurs(
            f"After completion the store should hold this transfer's object of {transfer.size} bytes and holds {found}:"
            " somebody may have replaced or deleted it at the same moment.",
            reason=Reason.NO_SUCH_KEY,
            operation="HeadObject",
        )
    return existing
