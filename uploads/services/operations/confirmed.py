"""Whether an upload and the object at its key are still what the operator confirmed, immediately before Complete."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from uploads.domain.confirmation import Confirmation, SeenObject, missing_numbers, read_numbers
from uploads.domain.part_numbers import name_numbers
from uploads.models import Operation, Store
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.types import ListedPart, ObjectFacts
from uploads.problems import Code, Problem, ProblemError
from uploads.services.browse.browsing import ExistingObject, head_object, may_forbid_overwrite, provider_of

log = logging.getLogger(__name__)


class ItemRefused(ProblemError):
    """The item fails, and nothing is changed in the store. `details` add to the problem."""

    def __init__(self, problem: Problem, details: Sequence[Problem] = ()) -> None:
        super().__init__(problem)
        self.details = details


@dataclass(frozen=True, slots=True)
class Condition:
    """What the store is told about the object at the key, so that nothing is lost after the last look at it.

    With neither (the store supports none of them, or the object has no ETag) a window of a moment remains.
    """

    forbid_overwrite: bool = False
    if_match: str = ""


def confirmation_of(operation: Operation) -> Confirmation | None:
    """What the operator confirmed; None for an operation from before this was recorded."""
    return Confirmation.from_json(operation.confirmed) if operation.confirmed else None


def check_parts(confirmation: Confirmation, parts: Sequence[ListedPart]) -> None:
    """Raises ItemRefused if the parts are not those that were confirmed, or have gaps that were not."""
    if changes := confirmation.parts.changes(parts):
        raise ItemRefused(Problem(Code.CHANGED_SINCE_CONFIRMED), changes)
    missing = missing_numbers(parts)
    if missing and missing != read_numbers(confirmation.gaps, "gaps"):
        detail = Problem(Code.PARTS_MISSING, count=len(missing), parts=name_numbers(missing))
        raise ItemRefused(Problem(Code.GAP_NOT_ALLOWED), [detail])


def object_condition(confirmation: Confirmation, store: Store, now: ExistingObject) -> Condition:
    """The condition for Complete. Raises ItemRefused if an object would be lost that was not confirmed.

    An object that has disappeared since is no reason to refuse: nothing is lost. The store is told then that there is
    none, as it is if there was none from the start.
    """
    if now.refusal is not None:
        return _unseen_condition(confirmation, store)
    if now.facts is None:
        return Condition(forbid_overwrite=may_forbid_overwrite(store))
    if problem := object_change(confirmation, now.facts):
        is_known = confirmation.may_replace
        raise ItemRefused(Problem(Code.CHANGED_SINCE_CONFIRMED if is_known else Code.OBJECT_NOT_TO_REPLACE), [problem])
    return Condition(if_match=_matchable(now.facts.etag, store))


def object_change(confirmation: Confirmation, facts: ObjectFacts) -> Problem | None:
    """How the object at the key differs from the one that may be replaced; None if it is that one."""
    now = SeenObject.of(facts).describe()
    seen = confirmation.replaces
    if seen is None:
        return Problem(Code.OBJECT_WOULD_BE_LOST, **now)
    if seen.is_same(facts):
        return None
    before = {f"seen_{name}": value for name, value in seen.describe().items()}
    return Problem(Code.OBJECT_REPLACED_MEANWHILE, **before, **now)


def explain_conflict(operation: Operation, key: str, error: ObjectStoreError) -> None:
    """Add to the store's refusal to replace an object what is there now. Does nothing if that cannot be found out."""
    confirmation = confirmation_of(operation)
    if confirmation is None:
        return
    try:
        facts = head_object(operation.store, operation.bucket, key).facts
    except ObjectStoreError as failed:
        log.info("operation %s: the object in the way is not known: %s", operation.pk, failed)
        return
    if facts is not None and (problem := object_change(confirmation, facts)):
        error.details.append(problem)


def _unseen_condition(confirmation: Confirmation, store: Store) -> Condition:
    """HEAD is not allowed: only the store can compare. Raises ItemRefused if it cannot."""
    if confirmation.replaces_unseen:
        return Condition()
    if confirmation.replaces is None and may_forbid_overwrite(store):
        return Condition(forbid_overwrite=True)
    if confirmation.replaces is not None and (etag := _matchable(confirmation.replaces.etag, store)):
        return Condition(if_match=etag)
    raise ItemRefused(Problem(Code.OBJECT_NOT_COMPARABLE))


def _matchable(etag: str, store: Store) -> str:
    """The ETag for If-Match; empty if the store does not support it. Quotes in an ETag would end the header's value."""
    return etag if provider_of(store).if_match and '"' not in etag and etag.isascii() and etag.isprintable() else ""
