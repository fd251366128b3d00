"""What users do with a running operation: pause it, resume it, and stop it.

What has begun goes on to its outcome: an abort that was sent cannot be withdrawn.
"""

from __future__ import annotations

from typing import Literal

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from uploads import audit
from uploads.domain.states import (
    ACTIVE_ITEM_STATES,
    DESIRED_STATES,
    ITEM_STATES,
    DesiredState,
    ItemState,
)
from uploads.models import Operation, OperationItem
from uploads.problems import Code, Problem, ProblemError
from uploads.services.operations.order import dispatch_operation
from uploads.services.operations.outcomes import may_have_begun
from uploads.services.work.leases import RELEASED
from uploads.services.work.transitions import change


class StepRefused(ProblemError):
    """Nothing was changed: the operation has ended, is being stopped, or is run by a sweep."""


STEPPED_FROM = {
    "pause": (DesiredState.RUN,),
    "resume": (DesiredState.PAUSE,),
    "stop": (DesiredState.RUN, DesiredState.PAUSE),
}
"""What is wanted of an operation before each step."""


def can_be_requested(step: Literal["pause", "resume", "stop"]) -> Q:
    """The operations for which a step is possible."""
    return can_be_steered() & Q(desired_state__in=STEPPED_FROM[step])


def can_be_steered() -> Q:
    """The operations for which any step is possible: they run or are paused, and no sweep runs them."""
    active = OperationItem.objects.filter(operation=OuterRef("pk"), state__in=sorted(ACTIVE_ITEM_STATES))
    return Q(Exists(active), sweep=None) & ~Q(desired_state=DesiredState.CANCEL)


def pause_operation(actor: User, operation: Operation) -> None:
    """No further upload is begun. A second request changes nothing. Raises StepRefused."""
    with transaction.atomic():
        if _desire(actor, operation, DesiredState.PAUSE, "paused"):
            # A message that is in the queue already finds an operation that is paused (`run`).
            _waiting(operation).update(queued_at=None)


def resume_operation(actor: User, operation: Operation) -> None:
    """Continue. A second request changes nothing. Raises StepRefused."""
    with transaction.atomic():
        _desire(actor, operation, DesiredState.RUN, "resumed")
    dispatch_operation(operation.pk)


def stop_operation(actor: User, operation: Operation) -> None:
    """Leave the uploads that are not begun. A second request changes nothing. Raises StepRefused."""
    with transaction.atomic():
        if _desire(actor, operation, DesiredState.CANCEL, "stopped"):
            leave_waiting(actor, operation, _waiting(operation))
    # Those whose request may have had an effect are followed to their outcome, also if the operation was paused.
    dispatch_operation(operation.pk)


def _desire(actor: User, operation: Operation, wanted: DesiredState, word: str) -> bool:
    """Change what is wanted. False if it was wanted before. The row is locked until the end of the transaction."""
    locked = Operation.objects.select_for_update().get(pk=operation.pk)
    if locked.desired_state == wanted:
        return False
    is_active = locked.items.filter(state__in=ACTIVE_ITEM_STATES).exists()
    rows = Operation.objects.filter(pk=operation.pk, sweep=None)
    is_possible = is_active and locked.desired_state != DesiredState.CANCEL
    if not is_possible or not change(DESIRED_STATES, rows, wanted, desired_at=timezone.now()):
        raise StepRefused(Problem(Code.OPERATION_NOT_NOW))
    audit.record(
        actor,
        f"operation.{word}",
        store=operation.store.name,
        bucket=operation.bucket,
        operation_id=operation.pk,
    )
    return True


def leave_waiting(actor: User | None, operation: Operation, items: QuerySet[OperationItem]) -> None:
    """End those of the items that wait and whose request was not sent. Call it in a transaction."""
    for item in items.filter(state=ItemState.ORDERED).select_for_update():
        if may_have_begun(item):
            continue
        rows = OperationItem.objects.filter(pk=item.pk)
        ended = {**RELEASED, "active_key": None, "finished_at": timezone.now(), "not_before": None}
        if change(ITEM_STATES, rows, ItemState.LEFT, {ItemState.ORDERED}, **ended):
            audit.record_item(actor, ItemState.LEFT.value, operation, item)


def _waiting(operation: Operation) -> QuerySet[OperationItem]:
    return OperationItem.objects.filter(operation=operation, state=ItemState.ORDERED)
