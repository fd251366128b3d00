"""The fields with which a request names the object that it may replace: `replace-etag`, `-size` and `-modified`."""

from __future__ import annotations

from datetime import UTC, datetime

from dashboard.shared.parameters import check_text
from uploads.domain.confirmation import InvalidConfirmation
from uploads.domain.replacement import ANYTHING, Replacement, SeenObject

ANY_OBJECT = "*"
"""`replace-etag` of an object that nobody could look at, because HEAD is not allowed."""


def read_replacement(etag: str, size: str = "", modified: str = "") -> Replacement:
    """The object that may be replaced. Scripts may repeat the ETag as HTTP writes it.

    Raises InvalidConfirmation with the field, and BadParameter for text that no store has sent.
    """
    if etag == ANY_OBJECT:
        return ANYTHING
    etag = check_text("replace-etag", etag)
    if len(etag) > 1 and etag.startswith('"') and etag.endswith('"'):
        etag = etag[1:-1]
    return Replacement(SeenObject(etag, _size(size), _time(modified)))


def _size(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise InvalidConfirmation("replace-size")
    return int(text)


def _time(text: str) -> datetime | None:
    """A time as JSON and the page write it: ISO 8601 with a time zone."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise InvalidConfirmation("replace-modified")
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidConfirmation("replace-modified") from None
