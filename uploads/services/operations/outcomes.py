"""How an item ends that is given up: failed, done but not verified, or with an outcome that nobody knows.

And how the upload of an item that is done has ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from uploads.domain.states import EndedHow, ItemState, OperationKind
from uploads.models import OperationItem
from uploads.problems import Code
from uploads.services.work.failures import NO_ERROR

REQUESTED_AT = "ordered_at"
"""In an item's outcome while a CompleteMultipartUpload that was sent may have had an effect."""

COMPLETED_AT = "completed_at"
"""In an item's outcome once the store has confirmed the completion."""

BEFORE = "before"
"""In an item's outcome: the object that HEAD showed before the completion was requested."""

UNANSWERED_AT = "unanswered_at"
"""In the outcome of an abort: when a request was sent that got no usable response."""


SENT_AT = "sent_at"
"""In the outcome of an abort of a sweep: when it was about to be sent first. It may have had an effect since then."""


def may_have_begun(item: OperationItem) -> bool:
    """Whether a request of this item may have had an effect."""
    noted = item.outcome.keys() & {REQUESTED_AT, COMPLETED_AT, UNANSWERED_AT, SENT_AT}
    return bool(noted) or item.error_reason == Code.WORKER_LOST


def end_of(item: OperationItem, error: dict[str, Any]) -> tuple[ItemState, dict[str, Any]]:
    """The final state of an item that is given up after `error` (its columns), and the columns of that end.

    A request that may have had an effect never counts as failed.
    """
    outcome = {**item.outcome, **error.get("outcome", {})}
    if COMPLETED_AT in outcome:
        reason = {name: value for name, value in error.items() if name in NO_ERROR}
        unverified = {**outcome, "verified": False, "proofs": outcome.get("proofs", []), "not_verified": reason}
        return ItemState.DONE, {"outcome": unverified, **NO_ERROR}
    is_open = bool(outcome.keys() & {REQUESTED_AT, UNANSWERED_AT, SENT_AT}) or error["error_reason"] == Code.WORKER_LOST
    return ItemState.UNKNOWN if is_open else ItemState.FAILED, error


def ended_how(kind: OperationKind, outcome: Mapping[str, Any]) -> EndedHow | None:
    """How the upload of an item that is done has ended; None if the store has not confirmed that it is gone."""
    if kind is OperationKind.COMPLETE:
        return EndedHow.COMPLETED
    if outcome.get("not_verified"):
        return None
    is_elsewhere = outcome.get("already_gone") or outcome.get("no_bucket")
    return EndedHow.ELSEWHERE if is_elsewhere else EndedHow.ABORTED
