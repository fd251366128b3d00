"""Costs: by store and storage class, each currency for itself, and never 0 for what has no price."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.utils.translation import override

from dashboard.shared.formatting import costs_text, money_text
from uploads.domain.cost import GIB, Costs, Money, Price, class_of, default_prices, sum_costs


def test_cost_of_bytes_is_exact() -> None:
    price = Price(Decimal("0.023"), "USD")
    assert price.cost(8 * 1024 * GIB) == Money(Decimal("188.416"), "USD")
    assert price.cost(0) == Money(Decimal(0), "USD")


def test_currencies_stay_separate_and_unpriced_bytes_are_counted() -> None:
    usd, cny = Money(Decimal("1.5"), "USD"), Money(Decimal(2), "CNY")
    assert sum_costs([(usd, 10), (cny, 20), (usd, 5), (None, 7)]) == Costs(
        (Money(Decimal(2), "CNY"), Money(Decimal("3.0"), "USD")), 7
    )


@pytest.mark.parametrize(("provider", "region"), [("aws", "eu-north-9"), ("ceph", ""), ("generic", "us-east-1")])
def test_no_default_is_guessed(provider: str, region: str) -> None:
    assert default_prices(provider, region) == {}


@pytest.mark.parametrize(("provider", "region"), [("aws", "us-east-1"), ("gcs", "us-central1"), ("r2", "auto")])
def test_defaults_have_source_and_date(provider: str, region: str) -> None:
    prices = default_prices(provider, region)
    assert "STANDARD" in prices
    assert all(each.source.startswith("https://") and each.as_of and each.is_default for each in prices.values())


def test_price_per_terabyte_is_a_price_per_gib() -> None:
    assert default_prices("wasabi", "eu-central-1")["STANDARD"].cost(1024 * GIB).amount == Decimal("7.99")


def test_class_without_name_is_standard() -> None:
    assert class_of("") == class_of("Standard") == "STANDARD"


def test_texts() -> None:
    with override("en"):
        assert money_text(Money(Decimal("1234.5"), "USD")) == "1,234.50 USD"
        assert money_text(Money(Decimal("0.0001"), "USD")) == "less than 0.01 USD"
        assert money_text(Money(Decimal(0), "USD")) == "0.00 USD"
        assert money_text(None) == "price not set"
        assert costs_text(Costs((Money(Decimal(1), "CNY"),), GIB)) == "1.00 CNY + price not set for 1.00 GiB"
        assert costs_text(Costs()) == "no cost"
