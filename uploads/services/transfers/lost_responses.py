"""After a lost response: finding out by ListParts or HEAD whether the store has the part or the object."""

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
"""Added to a refusal to replace an object that nobody here may look at."""


def _is_lost(error: ObjectStoreError) -> bool:
    """Whether the store may have taken what was sent, and only its answer is missing."""
    return isinstance(error, OutcomeUnknown) and error.reason is not Reason.DIGEST_MISMATCH


def find_after_failure(part: Part, store_upload: StoreUpload | None, error: ObjectStoreError) -> SentBytes | None:
    """After a lost answer: what the store has of the part, where it surely is these bytes. None: send it again.

    An object that may not be replaced can be our own: of a try whose end we did not live to write down.
    """
    exists = error.reason is Reason.EXISTS
    if not exists and not _is_lost(error):
        return None
    try:
        return _own_object_in_the_way(part, error) if exists else find_sent(part, store_upload)
    except ObjectStoreError as failed:
        log.info("transfer %s part %s: not found out: %s", part.transfer_id, part.number, failed)
        return None


def _own_object_in_the_way(part: Part, error: ObjectStoreError) -> SentBytes | None:
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


def find_sent(part: Part, store_upload: StoreUpload | None) -> SentBytes | None:
    """What the store took of a part, where it can be told to be these very bytes. Raises ObjectStoreError."""
    if not provider_of(part.transfer.store).etag_is_md5 or not part.size:
        return None
    payload = _digests(part)
    etag = _etag_in_store(part, store_upload)
    return SentBytes(etag, crc64=payload.crc64) if etag.lower() == payload.md5.hex() else None


def own_object(part: Part, facts: ObjectFacts | None) -> SentBytes | None:
    """The object that an earlier PutObject of this transfer made; the store took its bytes with their Content-MD5."""
    if facts is None or not is_ours(part.transfer, facts):
        return None
    return SentBytes(facts.etag, crc64=_digests(part).crc64)


def _digests(part: Part) -> Payload:
    """The MD5 and CRC-64 of a part's staged bytes."""
    body = FileSlice(part.staged_path, 0, part.size) if part.size else b""
    return Payload(body, sha256=False, crc64=provider_of(part.transfer.store).crc64)


def _etag_in_store(part: Part, store_upload: StoreUpload | None) -> str:
    """'' where the store has nothing of it, or something of another size."""
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
