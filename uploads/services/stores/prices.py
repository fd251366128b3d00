"""Changing the prices of a store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import transaction

from uploads import audit
from uploads.models import Store, StorePrice


@dataclass(frozen=True, slots=True)
class PriceValues:
    """One price: a storage class in upper case, an amount per GiB and month, and the code of a currency."""

    storage_class: str
    per_gib_month: Decimal
    currency: str


@transaction.atomic
def set_prices(actor: User | None, store: Store, prices: Sequence[PriceValues]) -> bool:
    """Replace the entered prices of a store, with at most one for each class. False if they are the same already."""
    Store.objects.select_for_update().get(pk=store.pk)
    before = {row.storage_class: _text(row.per_gib_month, row.currency) for row in store.prices.all()}
    after = {each.storage_class: _text(each.per_gib_month, each.currency) for each in prices}
    if before == after:
        return False
    store.prices.all().delete()
    StorePrice.objects.bulk_create(
        StorePrice(
            store=store,
            storage_class=each.storage_class,
            per_gib_month=each.per_gib_month,
            currency=each.currency,
        )
        for each in prices
    )
    audit.record_store(actor, "prices-changed", store, before={"prices": before}, after={"prices": after})
    return True


def _text(amount: Decimal, currency: str) -> str:
    return f"{amount.normalize():f} {currency}"
