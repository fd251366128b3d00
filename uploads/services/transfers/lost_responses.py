"""Finding out whether the store has a part or an object whose request did not succeed: by ListParts or HEAD."""

from __future__ import annotations

import logging

from uploads.models import Part, StoreUpload
from uploads.objectstore.digests import Comparison, compare
from uploads.objectstore.errors import ObjectStoreError, OutcomeUnknown, Reason
from uploads.objectstore.payload import Payload
from uploads.objectstore.types import FileSlice, ListedPart, ObjectFacts, SentBytes
from uploads.problems import Code, Problem
from uploads.services.browse.browsing import head_object, provider_of
from uploads.services.stores.clients import client_for
from uploads.services.stores.etags import note_repeated_mismatch
from uploads.services.transfers.identity import is_ours
from uploads.services.transfers.replacing import NotComparable

log = logging.getLogger(__name__)

MAY_BE_OURS = Problem(Code.OBJECT_MAY_BE_OURS)
"""Added to a refusal to replace an object for which the credentials do not allow HEAD."""


def _is_lost(error: ObjectStoreError) -> bool:
    """Whether the store may have the bytes, and only its response is missing."""
    return isinstance(error, OutcomeUnknown) and error.reason is not Reason.DIGEST_MISMATCH


def find_after_failure(part: Part, store_upload: StoreUpload | None, error: ObjectStoreError) -> SentBytes | None:
    """What the store has of a part whose request failed, if it certainly has these bytes. None: send it again.

    An object that must not be replaced can be this transfer's own, from an attempt whose process died. Raises
    NotComparable if that cannot be found out now.
    """
    exists = error.reason is Reason.EXISTS
    if not exists and not _is_lost(error):
        return find_behind_etag(part, error)
    try:
        return _existing_object(part, error) if exists else find_sent(part, store_upload)
    except ObjectStoreError as failed:
        log.info("transfer %s part %s: unknown whether the store has it: %s", part.transfer_id, part.number, failed)
        if exists:
            raise NotComparable(failed) from failed
        return None


def _existing_object(part: Part, error: ObjectStoreError) -> SentBytes | None:
    """The object that must not be replaced, if it is this transfer's own. Raises ObjectStoreError and NotComparable.

    If HEAD is not allowed, the error gets a detail, and the bytes stay staged: they would be lost if the object were
    another program's. If HEAD shows no object, it was removed meanwhile, or something in between has responded.
    """
    transfer = part.transfer
    existing = head_object(transfer.store, transfer.bucket, transfer.key)
    if existing.refusal is not None:
        error.details.append(MAY_BE_OURS)
        return None
    if existing.facts is None:
        raise NotComparable(error)
    return own_object(part, existing.facts)


def find_sent(part: Part, store_upload: StoreUpload | None) -> SentBytes | None:
    """What the store has of a part, if that certainly is these bytes. Raises ObjectStoreError.

    A part is proved by its digest. An object also by its size and the id of its transfer, unless a digest differs.
    """
    transfer = part.transfer
    if transfer.by_put_object:
        return own_object(part, head_object(transfer.store, transfer.bucket, transfer.key).facts)
    listed = _listed_part(part, store_upload)
    if listed is None:
        return None
    payload = _digests(part)
    provider = provider_of(transfer.store)
    found = compare(provider, payload, etag=listed.etag, crc64=listed.crc64, is_encrypted=False)
    return SentBytes(listed.etag, crc64=payload.crc64) if found is Comparison.SAME else None


def own_object(part: Part, facts: ObjectFacts | None) -> SentBytes | None:
    """The object that an earlier PutObject of this transfer created, if the store does not report other bytes."""
    if facts is None or not is_ours(part.transfer, facts):
        return None
    payload = _digests(part)
    provider = provider_of(part.transfer.store)
    found = compare(provider, payload, etag=facts.etag, crc64=facts.crc64, is_encrypted=facts.is_encrypted)
    is_possible = found in (Comparison.SAME, Comparison.UNKNOWN)
    return SentBytes(facts.etag, crc64=payload.crc64) if is_possible else None


def find_behind_etag(part: Part, error: ObjectStoreError) -> SentBytes | None:
    """The part whose ETag was not the MD5 of its bytes, if it turns out that the ETags of this store are no MD5s.

    It does when the same bytes get the same ETag again (uploads.services.stores.etags).
    """
    mismatch = error.problem
    if mismatch is None or mismatch.code != Code.ETAG_DIFFERS:
        return None
    earlier = part.error.details if part.error else ()
    if mismatch not in earlier or not note_repeated_mismatch(part.transfer.store):
        return None
    log.warning("transfer %s part %s: the ETags of the store are no MD5s", part.transfer_id, part.number)
    return SentBytes(str(mismatch.params["reported"]), error.request_id, crc64=_digests(part).crc64)


def _digests(part: Part) -> Payload:
    """The CRC-64 of a part's staged bytes, and their MD5 if it is needed."""
    body = FileSlice(part.staged_path, 0, part.size) if part.size else b""
    transfer = part.transfer
    return Payload(body, sha256=False, crc64=provider_of(transfer.store).crc64, checksum=transfer.body_checksum)


def _listed_part(part: Part, store_upload: StoreUpload | None) -> ListedPart | None:
    """The part in the store, as ListParts reports it; None if it is not there or has another size."""
    if store_upload is None:
        return None
    transfer = part.transfer
    page = client_for(transfer.store).list_parts(
        transfer.bucket, transfer.key, store_upload.upload_id, max_parts=1, part_number_marker=part.number - 1
    )
    return next((each for each in page.parts if (each.number, each.size) == (part.number, part.size)), None)
