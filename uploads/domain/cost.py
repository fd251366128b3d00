"""What hidden bytes cost in a month, by the price of their store and storage class. Pure.

A price is per GiB and month. Without a price there is no cost: it is never taken for 0. Sums of several currencies stay
separate, because nothing here knows an exchange rate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

GIB = 1024**3

STANDARD = "STANDARD"
"""The storage class of an upload for which the store names none."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in a currency, by its code of ISO 4217."""

    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Price:
    """Per GiB and month. A default has its source, the day for which that is confirmed, and the region it is for.

    An empty region: the provider has the same price in all regions. A price that somebody entered has no source.
    """

    per_gib_month: Decimal
    currency: str
    source: str = ""
    as_of: date | None = None
    region: str = ""

    @property
    def is_default(self) -> bool:
        return bool(self.source)

    def cost(self, size: int) -> Money:
        """Of so many bytes in a month."""
        return Money(self.per_gib_month * size / GIB, self.currency)


@dataclass(frozen=True, slots=True)
class Costs:
    """A sum: an amount for each currency, by its code, and the bytes that have no price."""

    amounts: tuple[Money, ...] = ()
    unpriced_bytes: int = 0

    def scaled(self, size: int, whole: int) -> Costs:
        """Those of `size` bytes with the prices of these `whole` bytes; less than zero for a negative size."""
        amounts = tuple(Money(each.amount * size / whole, each.currency) for each in self.amounts)
        return Costs(amounts, round(Fraction(self.unpriced_bytes * size, whole)))


def class_of(storage_class: str) -> str:
    """The storage class as prices name it: upper case, and STANDARD where the store names none."""
    return (storage_class or STANDARD).upper()


def add_costs(costs: Iterable[Costs]) -> Costs:
    """The sum of sums."""
    all_of = list(costs)
    whole = sum_costs((money, 0) for each in all_of for money in each.amounts)
    return Costs(whole.amounts, sum(each.unpriced_bytes for each in all_of))


def sum_costs(costs: Iterable[tuple[Money | None, int]]) -> Costs:
    """The sum of costs, each with its bytes. Those without a price are counted as bytes."""
    amounts: dict[str, Decimal] = {}
    unpriced = 0
    for money, size in costs:
        if money is None:
            unpriced += size
        else:
            amounts[money.currency] = amounts.get(money.currency, Decimal(0)) + money.amount
    return Costs(tuple(Money(amount, currency) for currency, amount in sorted(amounts.items())), unpriced)


# --- Default prices ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Published:
    """The prices of a provider in one region ('': all), by storage class. `unit`: the bytes that a price is for."""

    provider: str
    region: str
    currency: str
    source: str
    as_of: date
    by_class: Mapping[str, str]
    unit: int = GIB


_AWS = "https://aws.amazon.com/s3/pricing/"
_GCS = "https://cloud.google.com/storage/pricing"

_PUBLISHED: tuple[_Published, ...] = (
    _Published(
        "aws",
        "us-east-1",
        "USD",
        _AWS,
        date(2023, 3, 24),
        # Parts of unfinished uploads to the archives are kept, and billed, as STANDARD.
        {"STANDARD": "0.023", "GLACIER": "0.023", "DEEP_ARCHIVE": "0.023"},
    ),
    _Published(
        "gcs",
        "us-central1",
        "USD",
        _GCS,
        date(2026, 9, 20),
        {"STANDARD": "0.020", "NEARLINE": "0.010", "COLDLINE": "0.004", "ARCHIVE": "0.0012"},
    ),
    _Published(
        "r2",
        "",
        "USD",
        "https://developers.cloudflare.com/r2/pricing/",
        date(2026, 6, 13),
        {"STANDARD": "0.015", "STANDARD_IA": "0.01"},
    ),
    _Published(
        "wasabi", "", "USD", "https://wasabi.com/pricing", date(2026, 7, 1), {"STANDARD": "7.99"}, unit=1024 * GIB
    ),
)
"""List prices for the first bytes, without discounts, minimum durations and free allowances."""


def default_prices(provider: str, region: str) -> dict[str, Price]:
    """The published prices of a provider in exactly this region, by storage class; empty where none is confirmed."""
    return {
        name: Price(Decimal(text) * GIB / each.unit, each.currency, each.source, each.as_of, each.region)
        for each in _PUBLISHED
        if each.provider == provider and each.region in ("", region)
        for name, text in each.by_class.items()
    }
