"""What needs attention: failures, transfers that wait for their files, and possible orphans."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Q
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


def attention(user: AnyUser, limit: int = 20) -> list[Attention]:
    """Failing stores, silent nodes, failed transfers, those that wait for their files, orphans, failed operations."""
    visible = access.visible_transfers(user)
    transfers = visible.filter(phase=Phase.FAILED).exclude(desired_state=DesiredState.CANCEL)[:limit]
    waiting = visible.filter(waiting_for_browser()).exclude(node__in=silent_nodes()).order_by("received_at")[:limit]
    since = timezone.now() - ATTENTION_WINDOW
    failed = Count("items", filter=Q(items__state=ItemState.FAILED, items__finished_at__gte=since))
    unknown = Count("items", filter=Q(items__state=ItemState.UNKNOWN, items__finished_at__gte=since))
    # Counted only for operations that are shown, and not for all that there are.
    recent = OperationItem.objects.filter(state__in=(ItemState.FAILED, ItemState.UNKNOWN), finished_at__gte=since)
    operations = access.visible_operations(user).filter(pk__in=recent.order_by().values("operation"))
    operations = operations.annotate(failed_items=failed, unknown_items=unknown)[:limit]
    return [
        *(Attention(store=store) for store in access.visible_stores(user) if store.is_failing),
        *_silent_nodes(user),
        *(Attention(transfer=transfer) for transfer in transfers),
        *(Attention(waiting_transfer=transfer) for transfer in waiting),
        *(Attention(possible_orphan=orphan) for orphan in possible_orphans(user)[:limit]),
        *(Attention(lost_create=transfer) for transfer in lost_creates(user)[:limit]),
        *(
            Attention(operation=each, failed_items=each.failed_items, unknown_items=each.unknown_items)
            for each in operations
        ),
    ]


def _silent_nodes(user: AnyUser) -> Iterator[Attention]:
    """The silent nodes for which transfers wait, the longest silent one first."""
    silent = silent_nodes()
    rows = access.visible_transfers(user).filter(node__in=silent, phase__in=NEEDS_NODE, desired_state=DesiredState.RUN)
    counts = dict(rows.order_by().values_list("node").annotate(count=Count("pk")))
    for node, since in sorted(silent.items(), key=lambda each: each[1]):
        if node in counts:
            yield Attention(silent_node=node, silent_since=since, waiting_transfers=counts[node])
