"""The boundary for everything that a store sends: each value is clean, or it is unknown (None or ''). Pure.

Databases and templates refuse NUL and lone surrogates, `int` refuses 5,000 digits, and a date of year 9999 has no
equivalent in UTC in some time zones. A store may send all of these, so no other module converts what a store sent.
Nothing here raises an exception, except that `document_text` raises UnreadableResponse.

Names that a request sends back (keys, upload ids, ETags, markers) are used only if they are known exactly: `is_exact`.
"""

from __future__ import annotations

import codecs
import re
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from uploads.objectstore.errors import unreadable
from uploads.problems import Code

MAX_TEXT = 4000
"""Characters of a text that are kept. Messages of stores have a few hundred."""

MAX_NUMBER = 2**63 - 1
"""The largest number that databases store."""

MAX_ETAG = 128
"""Characters of an ETag, and of the columns that keep it. Those of known stores have at most 64."""

EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""Object stores did not exist before. A time outside, such as a zero time, says nothing about the upload."""

LONGEST_WAIT_SECONDS = 86400.0
"""A longer Retry-After is shortened to this."""

_ANCIENT = re.compile(r"(?<=[A-Za-z] )0\d{3}(?= )")
"""The year of an HTTP date before 1000, which Python would take for one of this century: Go's zero time."""

_DIRTY = re.compile("[\0\ud800-\udfff]")
_DECLARED = re.compile(r"<\?xml\s[^>]{0,200}?\bencoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([A-Za-z0-9._-]{1,40})", re.IGNORECASE)
_CODECS = re.compile(r"iso8859-\d{1,2}|cp125\d|gbk|gb2312|gb18030")
"""Python's names of the encodings other than Unicode that are decoded if a response declares them."""


# Text


def clean_text(text: str, limit: int = MAX_TEXT) -> str:
    """The text with U+FFFD in place of NUL and of bytes that could not be decoded, cut to `limit` characters."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return text if text.isprintable() else _DIRTY.sub("\ufffd", text)


def is_exact(text: str) -> bool:
    """Whether a text can be sent back as it is: it has no NUL, and all of its bytes could be decoded."""
    return text.isprintable() or not _DIRTY.search(text)


def header_text(value: str) -> str:
    """A header's value, which http.client decodes as ISO-8859-1 although most stores send UTF-8."""
    if not value.isascii():
        with suppress(UnicodeError):
            value = value.encode("latin-1").decode("utf-8")
    return clean_text(value)


def etag_of(text: str) -> str:
    """An ETag without its quotes; '' if it is not known exactly or longer than any ETag."""
    etag = text.strip().removeprefix("W/").strip('"')
    return etag if len(etag) <= MAX_ETAG and is_exact(etag) else ""


def document_text(body: bytes) -> str:
    """An XML document, decoded as it declares. A byte that is not part of its encoding becomes a lone surrogate."""
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return body.decode("utf-16")
        except UnicodeDecodeError as error:
            raise unreadable(Code.RESPONSE_NOT_XML, detail=str(error)) from error
    declared = _DECLARED.match(body[:400].decode("latin-1").lstrip())
    return _decoded(body, declared[1] if declared else "").removeprefix("\ufeff")


def body_with_charset(body: bytes, content_type: str) -> bytes:
    """A body in UTF-8, if only its Content-Type declares another encoding."""
    charset = _CHARSET.search(content_type[:400])
    if charset is None or body.isascii() or _DECLARED.match(body[:400].decode("latin-1").lstrip()):
        return body
    return _decoded(body, charset[1]).encode("utf-8", "surrogateescape")


def _decoded(body: bytes, charset: str) -> str:
    with suppress(LookupError, UnicodeError):
        name = codecs.lookup(charset).name if charset else ""
        if _CODECS.fullmatch(name):
            return body.decode(name, "surrogateescape")
    return body.decode("utf-8", "surrogateescape")


# Times and numbers


def time_of(text: str) -> datetime | None:
    """An ISO 8601 time or an HTTP date as aware UTC; None if it is neither, or not a time of an object store."""
    text = text.strip()[:64]
    for read in (datetime.fromisoformat, _http_date):
        try:
            parsed = read(text)
            at = parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        except (ValueError, TypeError, OverflowError, LookupError):
            continue
        return at if EARLIEST <= at < LATEST else None
    return None


def _http_date(text: str) -> datetime:
    if _ANCIENT.search(text):
        raise ValueError
    return parsedate_to_datetime(text)


def number_of(text: str, lowest: int = 0, highest: int = MAX_NUMBER) -> int | None:
    """A decimal number; None if it is not one, or out of range."""
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 40):
        return None
    number = int(digits)
    return number if lowest <= number <= highest else None


def retry_after(text: str, now: datetime) -> float | None:
    """Seconds of a Retry-After header (a number or a date), at most LONGEST_WAIT_SECONDS; None if there is none."""
    digits = text.strip()
    if digits.isascii() and digits.isdigit():
        return min(float(digits[:20]), LONGEST_WAIT_SECONDS)
    date = time_of(text)
    return None if date is None else min(max(0.0, (date - now).total_seconds()), LONGEST_WAIT_SECONDS)
