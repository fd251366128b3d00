"""What hidden bytes cost, as the pages of the inventory show it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from django.http import HttpRequest
from django.urls import reverse

from dashboard.shared.formatting import costs_text
from uploads import access
from uploads.domain.cost import Costs
from uploads.models import Store
from uploads.selectors.inventory.totals import Totals
from uploads.selectors.prices import Prices

MOST_STORES = 3
"""Stores whose prices are not set that a page names."""


class ShownCosts(NamedTuple):
    """`amounts` is '' without a price. `unpriced_bytes` have none."""

    amounts: str
    unpriced_bytes: int


def cost_of(prices: Prices, found: Totals) -> Costs:
    return prices.total((each.store_id, each.storage_class, each.bytes) for each in found.by_class)


def costs_of(prices: Prices, found: Totals) -> ShownCosts:
    return shown(cost_of(prices, found))


def shown(costs: Costs) -> ShownCosts:
    return ShownCosts(costs_text(Costs(costs.amounts)) if costs.amounts else "", costs.unpriced_bytes)


class StoreWithoutPrice(NamedTuple):
    """`url` leads to the form of its prices; '' for a user who may not change them."""

    name: str
    url: str


def stores_without_price(
    request: HttpRequest, stores: Iterable[Store], prices: Prices, sizes: Iterable[tuple[int, str, int]]
) -> list[StoreWithoutPrice]:
    """The first stores that have bytes of a storage class without a price."""
    wanting = {store_id for store_id, name, size in sizes if size and prices.price(store_id, name) is None}
    found = sorted((store for store in stores if store.pk in wanting), key=lambda store: store.name)
    return list(_named(request, found[:MOST_STORES]))


def _named(request: HttpRequest, stores: Iterable[Store]) -> Iterator[StoreWithoutPrice]:
    for store in stores:
        may_change = access.may_change_inventory(request.user, store)
        yield StoreWithoutPrice(store.name, reverse("store-prices", args=[store.name]) if may_change else "")
