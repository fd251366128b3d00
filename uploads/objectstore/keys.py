"""Which names can be sent to a store exactly, and how they are written on the wire. Pure.

S3 does not normalise paths: `a/../b` is a key of its own. A key is therefore percent-encoded once (RFC 3986, as SigV4
asks: everything but letters, digits, `-._~` and `/`) and never changed again. Dots stay as they are, because `%2E` is
the same octet to a signer as `.`: what protects them is that nothing here parses the path again, and that the signature
covers it, so a proxy that normalises it gets a refusal and cannot reach another key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from uploads.objectstore.errors import NotSent, Reason
from uploads.objectstore.types import Marker

MAX_KEY_BYTES = 1024
"""The longest key of S3 and OSS, in bytes of UTF-8."""

LAST_CHARACTER = "\U0010ffff"
"""No character comes behind it, and none that means it: a prefix with it is behind every key that has the prefix."""

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_DNS_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_METADATA_NAME = re.compile(r"[A-Za-z0-9!#$&'*.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")
_UNLISTABLE = re.compile("[\x01-\x08\x0a-\x0c\x0e-\x1f\ufffe\uffff]")
_BARE = re.compile("=(?=&|$)")
_SURROGATE = re.compile("[\ud800-\udfff]")


def check_key(key: str) -> None:
    """Refuse a key that no store can be sent exactly; NotSent with BAD_KEY says what is wrong and what is allowed."""
    if not key:
        raise _bad_key("The key is empty: a key has 1 to 1,024 bytes.")
    if "\0" in key:
        raise _bad_key("The key holds a NUL character, which stores cannot keep. Every other character is allowed.")
    if _SURROGATE.search(key):
        raise _bad_key("The key is not valid Unicode (a lone surrogate): a key is 1 to 1,024 bytes of UTF-8.")
    size = len(key.encode())
    if size > MAX_KEY_BYTES:
        raise _bad_key(f"The key has {size:,} bytes of UTF-8: at most {MAX_KEY_BYTES:,} are allowed.")


def check_listable_key(key: str) -> None:
    """Refuse a key with line feeds or characters unknown to XML, for a store whose listings fail on them; BAD_KEY."""
    if found := _UNLISTABLE.search(key):
        raise _bad_key(
            f"The key holds the character U+{ord(found[0]):04X}, on which this store's listings fail: an upload begun "
            "there could not be found again. Every character but control characters is allowed."
        )


def check_key_of_store(key: str, *, max_bytes: int, leading_slash: bool) -> None:
    """Refuse a key that this store would refuse only when its bytes are there; NotSent with BAD_KEY."""
    if (size := len(key.encode())) > max_bytes:
        raise _bad_key(f"The key has {size:,} bytes of UTF-8: at most {max_bytes:,} are allowed in this store.")
    if not leading_slash and key[0] in "/\\":
        raise _bad_key(f"The key begins with {key[0]!r}, which this store does not allow. Inside a key it does.")


def check_path_key(key: str) -> None:
    """Refuse a key that a store of file paths would take for another one; NotSent with BAD_KEY."""
    if any(piece in ("", ".", "..") for piece in key.removesuffix("/").split("/")):
        raise _bad_key(
            "This store keeps keys as file paths: the key has an empty, `.` or `..` segment, and would reach another "
            "key's object. Choose a key without `//`, a leading slash and dot segments."
        )


def just_below(key: str) -> str:
    """A text that comes before the key in UTF-8, and after every other key that does so, but for such with U+10FFFF."""
    code = ord(key[-1]) - 1
    if code <= 0:
        return key[:-1]
    return key[:-1] + chr(0xD7FF if 0xD800 <= code <= 0xDFFF else code) + LAST_CHARACTER


def key_before(after: Marker, prefix: str = "", delimiter: str = "") -> Marker:
    """Both markers as a store takes them that looks for the upload id on the key which follows the key marker.

    A key marker that is a common prefix goes on behind everything that has it.
    """
    key, upload_id = after
    if delimiter and key.removeprefix(prefix).endswith(delimiter):
        return key + LAST_CHARACTER, ""
    return just_below(key), upload_id


def check_bucket(bucket: str) -> None:
    """Refuse a bucket name that would change the request's path; NotSent with BAD_ARGUMENT."""
    if not _BUCKET.fullmatch(bucket):
        raise bad_argument(
            f"{bucket!r} is not a bucket name: letters, digits, '.', '-' and '_' are allowed, beginning with a letter "
            "or digit, 2 to 255 characters."
        )


def check_dns_bucket(bucket: str) -> None:
    """Refuse a bucket name that cannot be part of a host name, as virtual-hosted addressing needs it."""
    if not _DNS_BUCKET.fullmatch(bucket) or ".." in bucket:
        raise bad_argument(
            f"The bucket {bucket!r} cannot be reached by virtual-hosted addressing: that takes 3 to 63 lower-case "
            "letters, digits, '.' and '-'. Use path addressing."
        )


def check_upload_id(upload_id: str) -> None:
    """Refuse an empty or unsendable upload id: without one, an abort would delete the object and a part replace it."""
    if not upload_id:
        raise bad_argument("The upload id is empty.")
    check_text("upload id", upload_id)


def check_text(name: str, text: str) -> None:
    """Refuse a query value that cannot be sent exactly; NotSent with BAD_ARGUMENT."""
    if "\0" in text or _SURROGATE.search(text):
        raise bad_argument(f"The {name} holds a NUL character or is not valid Unicode.")


def check_range(name: str, number: int, lowest: int, highest: int) -> None:
    """Refuse a number out of range; NotSent with BAD_ARGUMENT."""
    if not lowest <= number <= highest:
        raise bad_argument(f"{name} is {number}: {lowest} to {highest} is allowed.")


def check_header(name: str, value: str) -> None:
    """Refuse a header value that would not arrive as it is; NotSent with BAD_ARGUMENT."""
    if not _HEADER_VALUE.fullmatch(value) or value != value.strip():
        raise bad_argument(f"{name}: only printable ASCII is allowed, without space at either end.")


def metadata_headers(metadata: Mapping[str, str] | None, prefix: str = "x-amz-meta-") -> dict[str, str]:
    """The headers of an object's metadata, each checked. OSS has the prefix x-oss-meta-."""
    headers = {}
    for name, value in (metadata or {}).items():
        if not _METADATA_NAME.fullmatch(name):
            raise bad_argument(f"{name!r} is not a metadata name: ASCII letters, digits and '-' are allowed.")
        check_header(f"metadata {name}", value)
        headers[prefix + name.lower()] = value
    return headers


def quote_key(key: str) -> str:
    """A checked key as it stands in the request's path and in the canonical request."""
    return quote(key, safe="/~")


def quote_query(query: Mapping[str, str], *, bare_flags: bool = False) -> str:
    """The query in canonical order and encoding, so that what is signed is what is sent (a space is %20, never +).

    `bare_flags`: a parameter without a value goes without `=`, as OSS's own clients send it.
    """
    quoted = urlencode(sorted(query.items()), quote_via=quote, safe="~")
    return _BARE.sub("", quoted) if bare_flags else quoted


def bad_argument(message: str) -> NotSent:
    return NotSent(message, reason=Reason.BAD_ARGUMENT)


def _bad_key(message: str) -> NotSent:
    return NotSent(message, reason=Reason.BAD_KEY)
