"""Reading what is known about stores: names in use, and the newest check of each."""

from __future__ import annotations

from django.db.models import OuterRef, QuerySet, Subquery

from uploads.models import Store, StoreCheck


def is_name_taken(name: str) -> bool:
    """Whether any store has this name, the disabled ones included."""
    return Store.objects.filter(name=name).exists()


def newest_checks(stores: QuerySet[Store]) -> dict[int, StoreCheck]:
    """The newest check of each store that was ever checked, by the store's primary key."""
    newest = StoreCheck.objects.filter(store=OuterRef("store")).values("pk")[:1]
    checks = StoreCheck.objects.filter(store__in=stores, pk=Subquery(newest)).select_related("store", "actor")
    return {check.store_id: check for check in checks}
