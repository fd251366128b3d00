"""What needs attention: failures, transfers that wait for their files, and possible orphans."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from django.db.models import Count, Model, Q, QuerySet
from django.utils import timezone

from uploads import access
from uploads.access import AnyUser
from uploads.domain.states import (
    NEEDS_NODE,
    DesiredState,
    ItemState,
    Phase,
)
from uploads.models import Operation, OperationItem, Store, StoreUpload, Transfer
from uploads.models.node import silent_nodes
from uploads.models.transfer import waiting_for_browser
from uploads.selectors.transfers import lost_creates, possible_orphans

ATTENTION_WINDOW = timedelta(days=7)
"""How long a failed operation needs attention. A failed transfer does until it is retried or discarded."""

MAX_SHOWN = 10
"""Rows of each kind, so that many of one kind do not hide another."""

MAX_COUNTED = 1000
"""How many of the other rows are counted."""

M = TypeVar("M", bound=Model)


class Kind(StrEnum):
    """What there can be many of. Stores and nodes are few, and all of them are shown."""

    FAILED = "failed"
    WAITING = "waiting"
    ORPHAN = "orphan"
    LOST_CREATE = "lost-create"
    OPERATION = "operation"


@dataclass(frozen=True, slots=True)
class More:
    """The number of things of a kind that are not shown, at most MAX_COUNTED."""

    kind: Kind
    count: int
    is_least: bool = False
    """Whether there are even more."""


@dataclass(frozen=True, slots=True)
class Attention:
    """Something that waits for an operator: a failure, a file, or an upload that Partway may have started."""

    store: Store | None = None
    transfer: Transfer | None = None
    waiting_transfer: Transfer | None = None
    operation: Operation | None = None
    failed_items: int = 0
    unknown_items: int = 0
    silent_node: str = ""
    silent_since: datetime | None = None
    waiting_transfers: int = 0
    possible_orphan: StoreUpload | None = None
    lost_create: Transfer | None = None
    more: More | None = None


def attention(user: AnyUser) -> list[Attention]:
    """Failing stores, silent nodes, failed transfers, those that wait for their files, orphans, failed operations.

    The last row of a kind of which not all are shown has the number of the others.
    """
    visible = access.visible_transfers(user)
    failed = visible.filter(phase=Phase.FAILED).exclude(desired_state=DesiredState.CANCEL)
    waiting = visible.filter(waiting_for_browser()).exclude(node__in=silent_nodes()).order_by("received_at")
    return [
        *(Attention(store=store) for store in access.visible_stores(user) if store.is_failing),
        *_silent_nodes(user),
        *_some(Kind.FAILED, failed, lambda transfer: Attention(transfer=transfer)),
        *_some(Kind.WAITING, waiting, lambda transfer: Attention(waiting_transfer=transfer)),
        *_some(Kind.ORPHAN, possible_orphans(user), lambda orphan: Attention(possible_orphan=orphan)),
        *_some(Kind.LOST_CREATE, lost_creates(user), lambda transfer: Attention(lost_create=transfer)),
        *_failed_operations(user),
    ]


def _some(
    kind: Kind, rows: QuerySet[M], row_of: Callable[[M], Attention], all_rows: QuerySet[M] | None = None
) -> Iterator[Attention]:
    """The first rows, and the number of the others. A site with very many does not count all of them.

    `all_rows` are the same rows without what counting them does not need.
    """
    found = list(rows[: MAX_SHOWN + 1])
    yield from (row_of(each) for each in found[:MAX_SHOWN])
    if len(found) > MAX_SHOWN:
        counted = (rows if all_rows is None else all_rows).order_by()[: MAX_SHOWN + MAX_COUNTED + 1]
        count = max(1, counted.count() - MAX_SHOWN)
        yield Attention(more=More(kind, min(count, MAX_COUNTED), is_least=count > MAX_COUNTED))


def _failed_operations(user: AnyUser) -> Iterator[Attention]:
    since = timezone.now() - ATTENTION_WINDOW
    failed = Count("items", filter=Q(items__state=ItemState.FAILED, items__finished_at__gte=since))
    unknown = Count("items", filter=Q(items__state=ItemState.UNKNOWN, items__finished_at__gte=since))
    recent = OperationItem.objects.filter(state__in=(ItemState.FAILED, ItemState.UNKNOWN), finished_at__gte=since)
    operations = access.visible_operations(user).filter(pk__in=recent.order_by().values("operation"))
    # Items are counted only for operations that are shown, and not for all that there are.
    counts = operations.annotate(failed_items=failed, unknown_items=unknown)
    return _some(Kind.OPERATION, counts, _operation_row, operations)


def _operation_row(operation: Any) -> Attention:
    """The row of an operation with its counts of items."""
    return Attention(operation=operation, failed_items=operation.failed_items, unknown_items=operation.unknown_items)


def _silent_nodes(user: AnyUser) -> Iterator[Attention]:
    """The silent nodes for which transfers wait, the longest silent one first."""
    silent = silent_nodes()
    rows = access.visible_transfers(user).filter(node__in=silent, phase__in=NEEDS_NODE, desired_state=DesiredState.RUN)
    counts = dict(rows.order_by().values_list("node").annotate(count=Count("pk")))
    for node, since in sorted(silent.items(), key=lambda each: each[1]):
        if node in counts:
            yield Attention(silent_node=node, silent_since=since, waiting_transfers=counts[node])
