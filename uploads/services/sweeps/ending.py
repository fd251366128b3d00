"""Ending the aborts of a run that are not attempted any more."""

from __future__ import annotations

from django.db.models import Q

from uploads.domain.states import SWEEP_ITEM_STATES, ItemState, SweepItemState
from uploads.models import OperationItem, Sweep, SweepItem
from uploads.problems import Code, Problem
from uploads.services.operations.kinds import ITEMS
from uploads.services.work import leases
from uploads.services.work.failures import NO_ERROR, problem_fields
from uploads.services.work.transitions import change


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
        state = SweepItemState(item.operation_item.state)
        if state in (SweepItemState.FAILED, SweepItemState.UNKNOWN):
            columns = {name: getattr(item.operation_item, name) for name in NO_ERROR}
            rows = SweepItem.objects.filter(pk=item.pk)
            change(SWEEP_ITEM_STATES, rows, state, {SweepItemState.PLANNED}, **columns)
