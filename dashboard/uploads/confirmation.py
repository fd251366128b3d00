"""What a request to complete an upload repeats of what its sender saw."""

from __future__ import annotations

from datetime import UTC, datetime

from django.http import QueryDict

from dashboard.shared.parameters import check_text
from uploads.domain.confirmation import (
    Confirmation,
    InvalidConfirmation,
    SeenObject,
    SeenParts,
    read_numbers,
)
from uploads.domain.part_numbers import write_numbers
from uploads.problems import Code, Problem, ProblemError

TICKED = frozenset({"1", "on", "true", "yes"})

UNSEEN = "*"
"""`replace-etag` of an object that nobody could look at, because HEAD is not allowed."""


def read_confirmation(posted: QueryDict) -> Confirmation:
    """Read `parts-seen`, `gaps`, and of an object to replace `replace`, `replace-etag`, `-size` and `-modified`.

    Without `replace`, no object is replaced. Raises ProblemError for fields that are missing or invalid, and
    BadParameter for text that no store has sent.
    """
    seen = _once(posted, "parts-seen")
    if not seen:
        raise ProblemError(Problem(Code.CONFIRMATION_MISSING))
    try:
        parts = SeenParts.from_text(seen)
        gaps = write_numbers(read_numbers(_once(posted, "gaps"), "gaps"))
        if _once(posted, "replace") not in TICKED:
            return Confirmation(parts, gaps)
        if "replace-etag" not in posted:
            raise ProblemError(Problem(Code.REPLACE_ETAG_MISSING))
        if _once(posted, "replace-etag") == UNSEEN:
            return Confirmation(parts, gaps, replaces_unseen=True)
        return Confirmation(parts, gaps, _seen_object(posted))
    except InvalidConfirmation as invalid:
        raise ProblemError(Problem(Code.CONFIRMATION_INVALID, name=str(invalid))) from None


def _once(posted: QueryDict, name: str) -> str:
    """The value of a field; '' if it is missing. Raises ProblemError if it is given more than once."""
    values = posted.getlist(name)
    if len(values) > 1:
        raise ProblemError(Problem(Code.CONFIRMATION_INVALID, name=name))
    return str(values[0]) if values else ""


def _seen_object(posted: QueryDict) -> SeenObject:
    etag = check_text("replace-etag", _once(posted, "replace-etag"))
    # Scripts may repeat the ETag as HTTP writes it.
    if len(etag) > 1 and etag.startswith('"') and etag.endswith('"'):
        etag = etag[1:-1]
    return SeenObject(etag, _size(_once(posted, "replace-size")), _time(_once(posted, "replace-modified")))


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
