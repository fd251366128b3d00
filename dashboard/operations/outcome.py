"""What the outcome of an operation's item means, as text."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from dashboard.shared.formatting import Count
from uploads.domain.states import ItemState, OperationKind
from uploads.models import OperationItem


def outcome_text(item: OperationItem) -> str:
    """Empty unless the item is done: a failure has its error instead."""
    if item.state != ItemState.DONE:
        return ""
    if item.operation.kind == OperationKind.ABORT:
        return _abort_text(item)
    if item.outcome.get("verified"):
        return _("Completed. HEAD confirmed the object.")
    return _("Done, unverified: the store refused HEAD, or the object is not as expected.")


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
