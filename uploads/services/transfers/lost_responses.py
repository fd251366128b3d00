"""Looking what a store has of a transfer: whether an object is ours, whether a part arrived whose answer was lost."""

from __future__ import annotations

from uploads.models import Part, StoreUpload, Transfer
from uploads.objectstore.payload import Payload
from uploads.objectstore.types import FileSlice, ObjectFacts, SentBytes
from uploads.problems import Code, Problem
from uploads.services.browse.browsing import head_object, provider_of
from uploads.services.stores.clients import client_for

TRANSFER_ID_METADATA = "partway-transfer"
"""Object metadata that says whose an object is: the transfer's id."""

MAY_BE_OURS = Problem(Code.OBJECT_MAY_BE_OURS)
"""Added to a refusal to replace an object that nobody here may look at."""


def is_ours(transfer: Transfer, facts: ObjectFacts | None) -> bool:
    """Whether an object is the one this transfer made: of its size, with its id."""
    return (
        facts is not None
        and facts.size == transfer.size
        and facts.metadata.get(TRANSFER_ID_METADATA) == str(transfer.pk)
    )


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
