"""Reading saved views of the inventory."""

from __future__ import annotations

from django.db.models import QuerySet

from uploads.models import InventoryView

MAX_SHOWN = 200


def find_views(views: QuerySet[InventoryView]) -> list[InventoryView]:
    """The views with their users, by name; at most MAX_SHOWN."""
    return list(views.select_related("user").order_by("name", "id")[:MAX_SHOWN])
