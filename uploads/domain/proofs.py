"""What is known to be true of an object after its completion. Pages and JSON claim nothing beyond these proofs."""

from __future__ import annotations

from enum import StrEnum


class Proof(StrEnum):
    """A fact about an object in the store that is as expected. The values are stored and part of the JSON.

    ETAG: the ETag is the one that is computed from the MD5s of the parts, or is the MD5 of the object.
    CRC64: the store computed the same CRC-64 of the whole object.
    TRANSFER_ID: the object's metadata has the id of the transfer.
    DATE: the object appeared after the completion was requested.
    """

    SIZE = "size"
    ETAG = "etag"
    CRC64 = "crc64"
    TRANSFER_ID = "transfer-id"
    DATE = "date"
