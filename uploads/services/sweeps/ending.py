"""Ending the aborts of a run that are not attempted any more."""

from __future__ import annotations

from typing import Any

from django.db.models import Q

from uploads.domain.states import SWEEP_ITEM_STATES, ItemState, SweepItemState
from uploads.models import OperationItem, Sweep, SweepItem
from uploads.problems import Code, Problem
from uploads.services.operations.kinds import ITEMS
from uploads.services.work import leases
from uploads.services.work.failures import NO_ERROR, problem_fields
from uploads.services.work.transitions import change

ENDS = {
    ItemState.DONE: SweepItemState.DONE,
    ItemState.FAILED: SweepItemState.FAILED,
    ItemState.UNKNOWN: SweepItemState.UNKNOWN,
}


def end_of(ordered: OperationItem) -> tuple[SweepItemState, dict[str, Any]] | None:
    """How the upload of an item of an operation ends, with the error columns; None while it has not ended."""
    state = ENDS.get(ItemState(ordered.state))
    if state is None:
        return None
    if state is SweepItemState.DONE and ordered.outcome.get("already_gone"):
        # Somebody else has ended it since it was read.
        return SweepItemState.SPARED, problem_fields(Problem(Code.SPARED_GONE))
    return state, {name: getattr(ordered, name) for name in NO_ERROR}


def end_operation_item(ordered: OperationItem) -> None:
    """End an item that is not attempted again, as unknown if its request may have had an effect."""
    OperationItem.objects.filter(pk=ordered.pk, state=ItemState.ORDERED).update(not_before=None)
    lease = leases.take(ITEMS, OperationItem.objects.all(), ordered.pk)
    if lease is not None:
        columns = {name: getattr(lease.row, name) for name in NO_ERROR}
        error = columns if columns["error_reason"] else problem_fields(Problem(Code.SWEEP_ENDED))
        ITEMS.give_up(lease.load(), error)


def end_left_items(sweep: Sweep) -> None:
    """A run that has ended leaves no abort that waits: nothing would ever continue it, and nobody could request it."""
    left = SweepItem.objects.filter(Q(operation_item__state=ItemState.ORDERED), sweep=sweep)
    for item in left.exclude(state__in=(SweepItemState.ORDERED, SweepItemState.RUNNING)).select_related(
        "operation_item"
    ):
        if item.operation_item is None:
            continue
        end_operation_item(item.operation_item)
        item.operation_item.refresh_from_db()
        found = end_of(item.operation_item)
        if found is not None and found[0] in (SweepItemState.FAILED, SweepItemState.UNKNOWN):
            rows = SweepItem.objects.filter(pk=item.pk)
            change(SWEEP_ITEM_STATES, rows, found[0], {SweepItemState.PLANNED}, **found[1])
