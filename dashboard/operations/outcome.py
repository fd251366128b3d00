"""What the outcome of an operation's item means, as text."""

from __future__ import annotations

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from dashboard.shared.formatting import Count, duration_text, exact_bytes_text, time_text
from dashboard.shared.messages import text_of
from dashboard.shared.messages.proofs import verification_text
from uploads.domain.states import ItemState, OperationKind
from uploads.models import Operation, OperationItem
from uploads.selectors.operations import OperationProgress, seconds_left, why_operation_waits


def outcome_text(item: OperationItem) -> str:
    """What is known of the upload. A failure has its error instead."""
    is_abort = item.operation.kind == OperationKind.ABORT
    if item.state == ItemState.UNKNOWN:
        return _unknown_abort_text() if is_abort else _unknown_completion_text(item)
    if item.state != ItemState.DONE:
        return _("Completed in the store; not verified yet.") if "completed_at" in item.outcome else ""
    if is_abort:
        return _abort_text(item)
    return _completed_text(item)


def waiting_text(operation: Operation, progress: OperationProgress) -> str:
    """Why an operation waits; empty if it does not."""
    problem = why_operation_waits(operation, progress)
    return text_of(problem) if problem else ""


def pace_text(operation: Operation, progress: OperationProgress) -> str:
    """How fast it goes, and how long it will take; empty if that is not known."""
    pace = seconds_left(operation, progress)
    if pace is None:
        return ""
    per_minute = Count(max(1, round(pace[0] * 60)))
    return _("%(count)s per minute, about %(duration)s left") % {
        "count": per_minute,
        "duration": duration_text(pace[1]),
    }


def completion_text(item: OperationItem) -> str:
    """What was proved of the object of a completion that is done."""
    if item.state != ItemState.DONE or item.operation.kind == OperationKind.ABORT:
        return ""
    return verification_text(verified=bool(item.outcome.get("verified")), proofs=item.outcome.get("proofs", []))


def _completed_text(item: OperationItem) -> str:
    if item.outcome.get("verified"):
        return _("Completed. HEAD confirmed the object.")
    if "not_verified" in item.outcome:
        return _("Done, unverified. The store confirmed that the object is complete.")
    if "proofs" in item.outcome:
        return _(
            "Done, unverified. The store confirmed that the object is complete. HEAD shows an object with this key, "
            "but neither its size nor its ETag can be compared."
        )
    return _("Done, unverified: the store refused HEAD, or the object is not as expected.")


def _unknown_abort_text() -> str:
    return _(
        "Outcome unknown. The abort was requested, and no usable response arrived. Look whether the upload still "
        "exists, and abort it again if it does."
    )


def _unknown_completion_text(item: OperationItem) -> str:
    requested = _requested_text(item.outcome.get("expected_size"))
    found = item.outcome.get("head_showed")
    if found is None:
        return requested
    if not found:
        return f"{requested} {_('HEAD showed no object with this key.')}"
    modified = parse_datetime(str(found.get("last_modified", "")))
    shown = {
        "size": exact_bytes_text(found.get("size", 0)),
        "etag": found.get("etag", ""),
        "date": time_text(modified) if modified else _("unknown"),
    }
    return f"{requested} {_('HEAD showed an object of %(size)s, ETag %(etag)s, last modified %(date)s.') % shown}"


def _requested_text(expected_size: int | None) -> str:
    """What to do about a completion. The size is None if the store named no valid size for each part."""
    if expected_size is None:
        return _(
            "Outcome unknown. The completion was requested, and no usable response arrived. Look at the object with "
            "this key: if its content is right, the upload was completed. Its size is not known, because the store "
            "named no valid size for each part. If the upload still exists, complete it again."
        )
    return _(
        "Outcome unknown. The completion was requested, and no usable response arrived. Look at the object with this "
        "key: if it has %(size)s and its content is right, the upload was completed. If the upload still exists, "
        "complete it again."
    ) % {"size": exact_bytes_text(expected_size)}


def _abort_text(item: OperationItem) -> str:
    if item.outcome.get("no_bucket"):
        return _("The store says that the bucket does not exist, so nothing of this upload is left there.")
    if item.outcome.get("not_verified"):
        return _(
            "Aborted, not verified: the store accepted the abort, but Partway could not check that no parts are left."
        )
    if item.outcome.get("already_gone"):
        return _(
            "The store has no such upload: it was completed or aborted before, or the key or the upload id is wrong."
        )
    repeats = item.outcome.get("repeats", 1)
    if repeats <= 1:
        return _("Aborted. The store lists no more parts of it.")
    return ngettext(
        "Aborted. The store lists no more parts of it. It took %(count)s abort, because parts kept arriving.",
        "Aborted. The store lists no more parts of it. It took %(count)s aborts, because parts kept arriving.",
        repeats,
    ) % {"count": Count(repeats)}
