"""The prices of stores: those that were entered, and the published ones of their providers elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from django.db.models import Sum

from uploads.domain.cost import Costs, Money, Price, class_of, default_prices, sum_costs
from uploads.models import InventorySum, Store, StorePrice


@dataclass(frozen=True, slots=True)
class Prices:
    """By store and storage class. What is not in it has no price."""

    by_store: Mapping[int, Mapping[str, Price]] = field(default_factory=dict)

    def price(self, store_id: int, storage_class: str) -> Price | None:
        return self.by_store.get(store_id, {}).get(class_of(storage_class))

    def cost(self, store_id: int, storage_class: str, size: int | None) -> Money | None:
        """Of so many bytes in a month; None if the price is not set, or the size not known."""
        price = self.price(store_id, storage_class)
        return None if price is None or size is None else price.cost(size)

    def total(self, sizes: Iterable[tuple[int, str, int | None]]) -> Costs:
        """The costs of bytes in a month, each with its store and storage class. Unknown sizes count for nothing."""
        return sum_costs((self.cost(store, name, size), size or 0) for store, name, size in sizes)


def hidden_by_class(store: Store) -> Mapping[str, int]:
    """The known bytes of uploads in progress of a store, by storage class as prices name it."""
    found: dict[str, int] = {}
    rows = InventorySum.objects.filter(bucket__store=store, bucket__gone_at__isnull=True).order_by()
    for name, size in rows.values_list("storage_class").annotate(size=Sum("bytes")):
        found[class_of(name)] = found.get(class_of(name), 0) + size
    return found


def prices_of(stores: Iterable[Store]) -> Prices:
    """With one query, however many stores there are."""
    found = {store.pk: dict(default_prices(store.provider, store.region)) for store in stores}
    for row in StorePrice.objects.filter(store__in=list(found)):
        found[row.store_id][class_of(row.storage_class)] = Price(row.per_gib_month, row.currency)
    return Prices(found)
