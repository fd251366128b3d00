"""The changes of the lifecycle rules of a bucket."""

from __future__ import annotations

import uuid

from django.db.models import QuerySet

from uploads.models import LifecycleChange, Store


def changes_of(store: Store, bucket: str) -> QuerySet[LifecycleChange]:
    """Newest first."""
    return LifecycleChange.objects.filter(store=store, bucket=bucket).select_related("actor", "store")


def change_of(store: Store, bucket: str, change_id: uuid.UUID) -> LifecycleChange | None:
    return changes_of(store, bucket).filter(pk=change_id).first()
