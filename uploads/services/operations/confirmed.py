"""Whether an upload and the object at its key are still what the operator confirmed, immediately before Complete."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from uploads.domain.confirmation import Confirmation, missing_numbers, read_numbers
from uploads.domain.part_numbers import name_numbers
from uploads.domain.replacement import NOTHING
from uploads.models import Operation, Store
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.types import ListedPart
from uploads.problems import Code, Problem, ProblemError
from uploads.services.browse.browsing import ExistingObject, head_object
from uploads.services.multipart.replacing import Condition, OtherObject, object_condition, unseen_condition

log = logging.getLogger(__name__)


class ItemRefused(ProblemError):
    """The item fails, and nothing is changed in the store. `details` add to the problem."""

    def __init__(self, problem: Problem, details: Sequence[Problem] = ()) -> None:
        super().__init__(problem)
        self.details = details


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


def condition_of(confirmation: Confirmation, store: Store, now: ExistingObject) -> Condition:
    """The condition for Complete. Raises ItemRefused if an object would be lost that was not confirmed."""
    replacement = confirmation.replacement
    if now.refusal is not None:
        # HEAD is not allowed: only the store can compare.
        unseen = unseen_condition(replacement, store)
        if unseen is None:
            raise ItemRefused(Problem(Code.OBJECT_NOT_COMPARABLE))
        return unseen
    try:
        # Where an object can be looked at, consent to replace one that nobody has seen does not count.
        return object_condition(NOTHING if replacement.any_object else replacement, store, now)
    except OtherObject as other:
        code = Code.OBJECT_NOT_TO_REPLACE if replacement.forbidden else Code.CHANGED_SINCE_CONFIRMED
        raise ItemRefused(Problem(code), [other.problem]) from other


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
    if facts is not None and (problem := confirmation.replacement.change(facts)):
        error.details.append(problem)
