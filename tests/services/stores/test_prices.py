"""Prices of stores: entered ones take the place of published ones, and one query reads those of all stores."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from uploads.domain.cost import GIB, Money
from uploads.models import AuditEntry, Store
from uploads.selectors.prices import prices_of
from uploads.services.stores.prices import PriceValues, set_prices

pytestmark = pytest.mark.django_db


def make_store(name: str, provider: str = "aws", region: str = "us-east-1") -> Store:
    return Store.objects.create(
        name=name, endpoint_url="https://s3.example", provider=provider, region=region, access_key="k", secret_key="s"
    )


def test_entered_prices_replace_published_ones() -> None:
    store, other = make_store("a"), make_store("b", "ceph", "default")
    set_prices(None, store, [PriceValues("STANDARD", Decimal("0.5"), "EUR")])
    with CaptureQueriesContext(connection) as queries:
        prices = prices_of([store, other])
    assert len(queries) == 1
    assert prices.cost(store.pk, "", 2 * GIB) == Money(Decimal(1), "EUR")
    assert prices.cost(store.pk, "glacier", GIB) == Money(Decimal("0.023"), "USD")
    assert prices.cost(store.pk, "OTHER", GIB) is None
    assert prices.cost(other.pk, "", GIB) is None
    assert prices.cost(store.pk, "", None) is None
    total = prices.total([(store.pk, "", GIB), (other.pk, "", 5)])
    assert (total.amounts, total.unpriced_bytes) == ((Money(Decimal("0.5"), "EUR"),), 5)


def test_changes_are_audited_with_before_and_after() -> None:
    store = make_store("a")
    assert set_prices(None, store, [PriceValues("STANDARD", Decimal("0.5"), "EUR")])
    assert not set_prices(None, store, [PriceValues("STANDARD", Decimal("0.50"), "EUR")])
    assert set_prices(None, store, [])
    entries = AuditEntry.objects.filter(action="store.prices-changed").order_by("id")
    assert [(each.before, each.after) for each in entries] == [
        ({"prices": {}}, {"prices": {"STANDARD": "0.5 EUR"}}),
        ({"prices": {"STANDARD": "0.5 EUR"}}, {"prices": {}}),
    ]
