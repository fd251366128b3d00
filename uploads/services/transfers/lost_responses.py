"""Finding out by ListParts or HEAD whether the store has a part or an object whose response was lost."""

from __future__ import annotations

import logging

from uploads.models import Part, StoreUpload
from uploads.objectstore.errors import ObjectStoreError, OutcomeUnknown, Reason
from uploads.objectstore.payload import Payload
from uploads.objectstore.types import FileSlice, ObjectFacts, SentBytes
from uploads.problems import Code, Problem
from uploads.services.browse.browsing import head_object, provider_of
from uploads.services.stores.clients import client_for
from uploads.services.transfers.identity import is_ours

log = logging.getLogger(__name__)

MAY_BE_OURS = Problem(Code.OBJECT_MAY_BE_OURS)
"""Added to a refusal to replace an object for which the credentials do not allow HEAD."""


def _is_lost(error: ObjectStoreError) -> bool:
    """Whether the store may have the bytes, and only its response is missing."""
    return isinstance(error, OutcomeUnknown) and error.reason is not Reason.DIGEST_MISMATCH


def find_after_failure(part: Part, store_upload: StoreUpload | None, error: ObjectStoreError) -> SentBytes | None:
    """What the store has of a part whose request failed, if it certainly has these bytes. None: send it again.

    An object that must not be replaced can be this transfer's own, from an attempt whose process died.
    """
    exists = error.reason is Reason.EXISTS
    if not exists and not _is_lost(error):
        return None
    try:
        return _existing_object(part, error) if exists else find_sent(part, store_upload)
    except ObjectStoreError as failed:
        log.info("transfer %s part %s: unknown whether the store has it: %s", part.transfer_id, part.number, failed)
        return None


def _existing_object(part: Part, error: ObjectStoreError) -> SentBytes | None:
    """The object that must not be replaced, if it is this transfer's own. Raises ObjectStoreError.

    If HEAD is not allowed, the error gets a detail, and the bytes stay staged: they would be lost if the object were
    another program's.
    """
    transfer = part.transfer
    existing = head_object(transfer.store, transfer.bucket, transfer.key)
    if existing.refusal is None:
        return own_object(part, existing.facts)
    error.details.append(MAY_BE_OURS)
    return None


def find_sent(part: Part, store_upload: StoreUpload | None) -> SentBytes | None:
    """What the store has of a part, if its ETag proves that it has these bytes. Raises ObjectStoreError."""
    if not provider_of(part.transfer.store).etag_is_md5 or not part.size:
        return None
    payload = _digests(part)
    etag = _etag_in_store(part, store_upload)
    return SentBytes(etag, crc64=payload.crc64) if etag.lower() == payload.md5.hex() else None


def own_object(part: Part, facts: ObjectFacts | None) -> SentBytes | None:
    """The object that an earlier PutObject of this transfer created; the store has checked its Content-MD5."""
    if facts is None or not is_ours(part.transfer, facts):
        return None
    return SentBytes(facts.etag, crc64=_digests(part).crc64)


def _digests(part: Part) -> Payload:
    """The MD5 and CRC-64 of a part's staged bytes."""
    body = FileSlice(part.staged_path, 0, part.size) if part.size else b""
    return Payload(body, sha256=False, crc64=provider_of(part.transfer.store).crc64)


def _etag_in_store(part: Part, store_upload: StoreUpload | None) -> str:
    """The ETag of a part in the store; empty if it is not there or has another size."""
    transfer = part.transfer
    if transfer.by_put_object:
        facts = head_object(transfer.store, transfer.bucket, transfer.key).facts
        return facts.etag if facts is not None and is_ours(transfer, facts) else ""
    if store_upload is None:
        return ""
    page = client_for(transfer.store).list_parts(
        transfer.bucket, transfer.key, store_upload.upload_id, max_parts=1, part_number_marker=part.number - 1
    )
    return next((each.etag for each in page.parts if (each.number, each.size) == (part.number, part.size)), "")
