"""The overrides of a store's profile: fields that a check found to be different."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib.auth.models import User
from django.db import transaction

from uploads import audit
from uploads.models import Store, StoreCheck
from uploads.objectstore.probing.digests import verifies_crc64
from uploads.objectstore.probing.results import CheckResult, overrides_of
from uploads.objectstore.providers import get_provider


@transaction.atomic
def reset_overrides(actor: User | None, store: Store) -> dict[str, object]:
    """Use the provider's profile again. Returns the overrides that were removed."""
    locked = Store.objects.select_for_update().get(pk=store.pk)
    overrides: dict[str, object] = locked.overrides
    if overrides:
        _write(locked, {})
        audit.record(actor, "check.reset", store=store.name, detail={"forgot": sorted(overrides)})
    return overrides


def override(check: StoreCheck, results: Sequence[CheckResult]) -> dict[str, object]:
    """Override the profile of the checked store by results, unless the store was changed during the check.

    Also record whether the store verifies the CRC-64 of bodies, without which no other checksum than MD5 is used.

    Returns the overrides of the store. Call inside the transaction that ends the check.
    """
    store = Store.objects.select_for_update().get(pk=check.store_id)
    before: dict[str, object] = store.overrides
    if not results or _identity(store) != _identity(check.store):
        return before
    overrides = overrides_of(results, get_provider(store.provider), before)
    _write(store, overrides)
    verifies = verifies_crc64(results)
    if verifies is not None:
        Store.objects.filter(pk=store.pk).update(verifies_crc64=verifies)
    return overrides


def _write(store: Store, overrides: dict[str, object]) -> None:
    """Not by `save`: overrides are no edit of the store, so `updated_at` and the other columns stay."""
    Store.objects.filter(pk=store.pk).update(overrides=overrides)


def _identity(store: Store) -> tuple[str, ...]:
    return store.endpoint_url, store.region, store.provider, store.signature, store.addressing
