"""Trying a store in the background: whether it answers, and accepts the credentials."""

from __future__ import annotations

from contextlib import suppress

from uploads.models import Store
from uploads.objectstore.budget import Budget, limited_to
from uploads.objectstore.errors import ObjectStoreError
from uploads.services.stores.clients import ONCE, client_for

TRY_SECONDS = 10.0
"""How long a try waits for a response. It occupies a thread of the worker meanwhile."""


def try_store(store_id: int) -> None:
    """Send ListBuckets once. The watch of the client records the outcome."""
    store = Store.objects.filter(pk=store_id, enabled=True).first()
    if store is None:
        return
    with limited_to(Budget(TRY_SECONDS, insists=True)), suppress(ObjectStoreError):
        next(iter(client_for(store, ONCE).list_buckets()), None)
