"""What needs attention: failures, transfers that wait for their files, and possible orphans."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, Q
from django.utils import timezone

from uploads import access
from uploads.access import AnyUser
from uploads.domain.states import (
    DesiredState,
    ItemState,
    Phase,
)
from uploads.models import Operation, OperationItem, Store, StoreUpload, Transfer
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
    possible_orphan: StoreUpload | None = None
    lost_create: Transfer | None = None


def attention(user: AnyUser, limit: int = 20) -> list[Attention]:
    """Failing stores, failed transfers, those that wait for their files, possible orphans, failed operations."""
    visible = access.visible_transfers(user)
    transfers = visible.filter(phase=Phase.FAILED).exclude(desired_state=DesiredState.CANCEL)[:limit]
    waiting = visible.filter(waiting_for_browser()).order_by("received_at")[:limit]
    since = timezone.now() - ATTENTION_WINDOW
    failed = Count("items", filter=Q(items__state=ItemState.FAILED, items__finished_at__gte=since))
    unknown = Count("items", filter=Q(items__state=ItemState.UNKNOWN, items__finished_at__gte=since))
    # Counted only for operations that are shown, and not for all that there are.
    recent = OperationItem.objects.filter(state__in=(ItemState.FAILED, ItemState.UNKNOWN), finished_at__gte=since)
    operations = access.visible_operations(user).filter(pk__in=recent.order_by().values("operation"))
    operations = operations.annotate(failed_items=failed, unknown_items=unknown)[:limit]
    return [
        *(Attention(store=store) for store in access.visible_stores(user) if store.is_failing),
        *(Attention(transfer=transfer) for transfer in transfers),
        *(Attention(waiting_transfer=transfer) for transfer in waiting),
        *(Attention(possible_orphan=orphan) for orphan in possible_orphans(user)[:limit]),
        *(Attention(lost_create=transfer) for transfer in lost_creates(user)[:limit]),
        *(
            Attention(operation=each, failed_items=each.failed_items, unknown_items=each.unknown_items)
            for each in operations
        ),
    ]
