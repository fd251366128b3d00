"""Which names can be sent to a store exactly, and how they are encoded in requests. Pure.

S3 does not normalise paths: `a/../b` is a valid key. A key is therefore percent-encoded once (RFC 3986, as SigV4
requires: everything except letters, digits, `-._~` and `/`) and not changed afterwards. Dots are not encoded, because
`%2E` and `.` are the same to a signer. Two things protect them: no code here parses the path again, and the signature
covers the path, so a request that a proxy normalises is refused and cannot reach another key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from uploads.objectstore.errors import NotSent, Reason
from uploads.objectstore.types import Marker
from uploads.problems import Code, Param, Problem

MAX_KEY_BYTES = 1024
"""The longest key of S3 and OSS, in bytes of UTF-8."""

LAST_CHARACTER = "\U0010ffff"
"""The last character of Unicode, and not assigned: a prefix followed by it sorts after every key with the prefix."""

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_DNS_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_METADATA_NAME = re.compile(r"[A-Za-z0-9!#$&'*.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")
_UNLISTABLE = re.compile("[\x01-\x08\x0a-\x0c\x0e-\x1f\ufffe\uffff]")
_BARE = re.compile("=(?=&|$)")
_SURROGATE = re.compile("[\ud800-\udfff]")


def check_key(key: str) -> None:
    """Refuse a key that cannot be sent exactly to any store; NotSent with BAD_KEY."""
    if not key:
        raise _bad_key(Code.KEY_EMPTY, limit=MAX_KEY_BYTES)
    if "\0" in key:
        raise _bad_key(Code.KEY_HAS_NUL)
    if _SURROGATE.search(key):
        raise _bad_key(Code.KEY_NOT_UNICODE)
    check_key_size(key, MAX_KEY_BYTES)


def check_listable_key(key: str) -> None:
    """Refuse a key with line feeds or characters that XML lacks, for stores whose listings fail on them; BAD_KEY."""
    if found := _UNLISTABLE.search(key):
        raise _bad_key(Code.KEY_NOT_LISTABLE, character=f"U+{ord(found[0]):04X}")


def check_key_size(key: str, limit: int) -> None:
    """Refuse a key with more bytes of UTF-8; NotSent with BAD_KEY."""
    if (size := len(key.encode())) > limit:
        raise _bad_key(Code.KEY_TOO_LONG, size=size, limit=limit)


def check_leading(key: str) -> None:
    """Refuse a key that starts with a slash or backslash; NotSent with BAD_KEY."""
    if key[0] in "/\\":
        raise _bad_key(Code.KEY_STARTS_WITH_SLASH, character=key[0])


def check_segments(key: str, limit: int) -> None:
    """Refuse a key with a longer segment than the store's file names; NotSent with BAD_KEY. 0: any length."""
    longest = max(len(piece.encode()) for piece in key.split("/"))
    if limit and longest > limit:
        raise _bad_key(Code.KEY_SEGMENT_TOO_LONG, size=longest, limit=limit)


def check_trailing_slash(key: str) -> None:
    """Refuse a key that ends with a slash, for stores that lose the bytes of its object; NotSent with BAD_KEY."""
    if key.endswith("/"):
        raise _bad_key(Code.KEY_ENDS_WITH_SLASH)


def check_path_key(key: str) -> None:
    """Refuse a key that a store which keeps keys as file paths confuses with another key; NotSent with BAD_KEY."""
    if any(piece in ("", ".", "..") for piece in key.removesuffix("/").split("/")):
        raise _bad_key(Code.KEY_IS_NOT_A_PATH)


def just_below(key: str) -> str:
    """A text that sorts before the key in UTF-8, but after all other keys before it, except those with U+10FFFF."""
    code = ord(key[-1]) - 1
    if code <= 0:
        return key[:-1]
    return key[:-1] + chr(0xD7FF if 0xD800 <= code <= 0xDFFF else code) + LAST_CHARACTER


def key_before(after: Marker, prefix: str = "", delimiter: str = "") -> Marker:
    """Both markers for a store that applies the upload id marker to the first key after the key marker.

    A key marker that is a common prefix continues after everything with that prefix.
    """
    key, upload_id = after
    if delimiter and key.removeprefix(prefix).endswith(delimiter):
        return key + LAST_CHARACTER, ""
    return just_below(key), upload_id


def check_bucket(bucket: str) -> None:
    """Refuse a bucket name that would change the request's path; NotSent with BAD_ARGUMENT."""
    if not _BUCKET.fullmatch(bucket):
        raise bad_argument(Code.BUCKET_NAME_INVALID, bucket=bucket)


def check_dns_bucket(bucket: str) -> None:
    """Refuse a bucket name that cannot be part of a host name, which virtual-hosted addressing requires."""
    if not _DNS_BUCKET.fullmatch(bucket) or ".." in bucket:
        raise bad_argument(Code.BUCKET_NAME_NOT_DNS, bucket=bucket)


def check_upload_id(upload_id: str) -> None:
    """Refuse an empty or unsendable upload id: without one, Abort deletes the object and UploadPart replaces it."""
    if not upload_id:
        raise bad_argument(Code.UPLOAD_ID_EMPTY)
    check_text("uploadId", upload_id)


def check_object(bucket: str, key: str) -> None:
    """Refuse a bucket or key that cannot be sent exactly."""
    check_bucket(bucket)
    check_key(key)


def check_upload(bucket: str, key: str, upload_id: str) -> None:
    """Refuse a bucket, key or upload id that cannot be sent exactly."""
    check_object(bucket, key)
    check_upload_id(upload_id)


def check_text(parameter: str, text: str) -> None:
    """Refuse a query value that cannot be sent exactly; NotSent with BAD_ARGUMENT."""
    if "\0" in text or _SURROGATE.search(text):
        raise bad_argument(Code.PARAMETER_NOT_TEXT, parameter=parameter)


def check_range(parameter: str, number: int, lowest: int, highest: int) -> None:
    """Refuse a number out of range; NotSent with BAD_ARGUMENT."""
    if not lowest <= number <= highest:
        raise bad_argument(
            Code.PARAMETER_OUT_OF_RANGE, parameter=parameter, value=number, lowest=lowest, highest=highest
        )


def check_header(value: str, code: Code, **params: Param) -> None:
    """Refuse a header value that would not arrive unchanged; NotSent with BAD_ARGUMENT and the given problem."""
    if not _HEADER_VALUE.fullmatch(value) or value != value.strip():
        raise bad_argument(code, **params)


def metadata_headers(metadata: Mapping[str, str] | None, prefix: str = "x-amz-meta-") -> dict[str, str]:
    """The checked headers of an object's metadata. OSS uses the prefix x-oss-meta-."""
    headers = {}
    for name, value in (metadata or {}).items():
        if not _METADATA_NAME.fullmatch(name):
            raise bad_argument(Code.METADATA_NAME_INVALID, name=name)
        check_header(value, Code.METADATA_VALUE_NOT_ASCII, name=name)
        headers[prefix + name.lower()] = value
    return headers


def quote_key(key: str) -> str:
    """A checked key as it is written in the request's path and in the canonical request."""
    return quote(key, safe="/~")


def quote_query(query: Mapping[str, str], *, bare_flags: bool = False) -> str:
    """The query in canonical order and encoding, so that the signed query equals the sent one (a space is %20, not +).

    `bare_flags`: parameters without a value have no `=`, as OSS's own clients send them.
    """
    quoted = urlencode(sorted(query.items()), quote_via=quote, safe="~")
    return _BARE.sub("", quoted) if bare_flags else quoted


def bad_argument(code: Code, **params: Param) -> NotSent:
    return NotSent(Problem(code, **params), reason=Reason.BAD_ARGUMENT)


def _bad_key(code: Code, **params: Param) -> NotSent:
    return NotSent(Problem(code, **params), reason=Reason.BAD_KEY)
