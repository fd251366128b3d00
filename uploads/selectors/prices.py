"""The prices of stores: those that were entered, and the published ones of their providers elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from uploads.domain.cost import Costs, Money, Price, class_of, default_prices, sum_costs
from uploads.models import Store, StorePrice


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


def prices_of(stores: Iterable[Store]) -> Prices:
    """With one query, however many stores there are."""
    found = {store.pk: dict(default_prices(store.provider, store.region)) for store in stores}
    for row in StorePrice.objects.filter(store__in=list(found)):
        found[row.store_id][class_of(row.storage_class)] = Price(row.per_gib_month, row.currency)
    return Prices(found)
