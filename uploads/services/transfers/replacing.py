"""Whether a transfer would replace an object that its operator did not allow it to replace."""

from __future__ import annotations

from collections.abc import Callable

from uploads.models import Transfer
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.objectstore.types import ObjectFacts
from uploads.problems import Problem
from uploads.services.browse.browsing import head_object, may_forbid_overwrite
from uploads.services.multipart.replacing import Condition, OtherObject, object_condition, unseen_condition


class ObjectInTheWay(ObjectStoreError):
    """HEAD shows an object that the transfer may not replace. The detail names it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__("", reason=Reason.EXISTS, operation="HeadObject")
        self.details.append(problem)


class NotComparable(Exception):
    """HEAD failed, so that nobody knows which object would be replaced. `error` is its failure."""

    def __init__(self, error: ObjectStoreError) -> None:
        super().__init__(str(error))
        self.error = error


def store_forbids(transfer: Transfer) -> bool:
    """Whether the store itself keeps an object with this key, because none may be replaced."""
    return transfer.replacement.forbidden and may_forbid_overwrite(transfer.store)


def condition_of(transfer: Transfer, is_own: Callable[[ObjectFacts], bool]) -> Condition:
    """What the store is told about the object at the key, immediately before PutObject or Complete.

    At most one HEAD: none if the store itself keeps every object, or if any may be replaced. `is_own` recognizes the
    object of an earlier request of this transfer. Where HEAD is not allowed and the store cannot compare, the transfer
    goes on. Raises ObjectInTheWay and NotComparable.
    """
    replacement, store = transfer.replacement, transfer.store
    if replacement.any_object or store_forbids(transfer):
        return unseen_condition(replacement, store) or Condition()
    try:
        existing = head_object(store, transfer.bucket, transfer.key)
    except ObjectStoreError as error:
        raise NotComparable(error) from error
    if existing.refusal is not None:
        return unseen_condition(replacement, store) or Condition()
    if existing.facts is not None and is_own(existing.facts):
        return Condition()
    try:
        return object_condition(replacement, store, existing)
    except OtherObject as other:
        raise ObjectInTheWay(other.problem) from other


def explain_conflict(transfer: Transfer, error: ObjectStoreError) -> None:
    """Add to the store's refusal to replace an object what is there now. Does nothing if that cannot be found out."""
    if error.reason is not Reason.EXISTS or isinstance(error, ObjectInTheWay):
        return
    try:
        facts = head_object(transfer.store, transfer.bucket, transfer.key).facts
    except ObjectStoreError:
        return
    if facts is not None and (problem := transfer.replacement.change(facts)):
        error.details.append(problem)
