"""Whether the digests that a store reports are those of the bytes that were sent. Pure.

A CRC-64 decides where both sides know one; no MD5 is needed then. An ETag that equals the MD5 of the bytes is proof on
every store. An ETag that differs is a mismatch only if it can be an MD5: it has 32 hex digits, the bytes are not
encrypted with a key of their own, and the ETags of this store are not known to be something else. Every other ETag
proves nothing.
"""

from __future__ import annotations

import re
from enum import Enum

from uploads.objectstore.checksums import ReportedCrc64
from uploads.objectstore.payload import Payload
from uploads.objectstore.providers import Provider

_MD5 = re.compile("[0-9a-fA-F]{32}")


class Comparison(Enum):
    """`UNKNOWN`: the store reports nothing that can be compared."""

    SAME = "same"
    OTHER_CRC64 = "other-crc64"
    OTHER_ETAG = "other-etag"
    UNKNOWN = "unknown"


def compare(
    provider: Provider, payload: Payload, *, etag: str, crc64: ReportedCrc64 | None, is_encrypted: bool
) -> Comparison:
    """Compare what a store reports of a part, or of an object sent by PutObject, with the bytes of `payload`."""
    if crc64 is not None and crc64.algorithm == provider.crc64:
        return Comparison.SAME if crc64.value == payload.crc64 else Comparison.OTHER_CRC64
    if etag.lower() == payload.md5.hex():
        return Comparison.SAME
    may_be_md5 = provider.etag_is_md5 and not is_encrypted and looks_like_md5(etag)
    return Comparison.OTHER_ETAG if may_be_md5 else Comparison.UNKNOWN


def looks_like_md5(etag: str) -> bool:
    return bool(_MD5.fullmatch(etag))
