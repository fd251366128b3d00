"""What a request to complete an upload repeats of what its sender saw."""

from __future__ import annotations

from django.http import QueryDict

from dashboard.shared.replacing import read_replacement
from uploads.domain.confirmation import Confirmation, InvalidConfirmation, SeenParts, read_numbers
from uploads.domain.part_numbers import write_numbers
from uploads.problems import Code, Problem, ProblemError

TICKED = frozenset({"1", "on", "true", "yes"})


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
        fields = (_once(posted, f"replace-{name}") for name in ("etag", "size", "modified"))
        return Confirmation(parts, gaps, read_replacement(*fields))
    except InvalidConfirmation as invalid:
        raise ProblemError(Problem(Code.CONFIRMATION_INVALID, name=str(invalid))) from None


def _once(posted: QueryDict, name: str) -> str:
    """The value of a field; '' if it is missing. Raises ProblemError if it is given more than once."""
    values = posted.getlist(name)
    if len(values) > 1:
        raise ProblemError(Problem(Code.CONFIRMATION_INVALID, name=name))
    return str(values[0]) if values else ""
