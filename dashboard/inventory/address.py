"""The address of a page of the inventory, and the addresses of pages with another filter, order or grouping."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpRequest, QueryDict
from django.urls import reverse

FILTERS = (
    *("store", "bucket", "prefix", "initiator", "without", "class", "verdict", "older-than", "younger-than"),
    *("idle-for", "min-bytes", "max-bytes", "min-parts", "max-parts", "q", "id"),
)
"""The parameters that filter, in the order of the form. `verdict`, `without` and `id` may be repeated."""

OF_A_PAGE = ("cursor", "groups-from", "format")
"""What concerns one page only: another filter or order starts at the first page."""


@dataclass(frozen=True, slots=True)
class Address:
    """The parameters of a page that are not empty, in their order."""

    pairs: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, request: HttpRequest) -> Address:
        return cls.parse(request.GET)

    @classmethod
    def parse(cls, query: QueryDict) -> Address:
        pairs = [(name, value) for name, values in query.lists() for value in values if value]
        return cls(tuple(pair for pair in pairs if pair[0] not in OF_A_PAGE))

    def first(self, name: str) -> str:
        return next((value for given, value in self.pairs if given == name), "")

    def all(self, name: str) -> list[str]:
        return [value for given, value in self.pairs if given == name]

    @property
    def filters(self) -> tuple[tuple[str, str], ...]:
        """What filters, in the order of the form."""
        return tuple((name, value) for name in FILTERS for given, value in self.pairs if given == name)

    @property
    def others(self) -> tuple[tuple[str, str], ...]:
        """What does not filter: the order, the grouping, the size of pages."""
        return tuple(pair for pair in self.pairs if pair[0] not in FILTERS)

    @property
    def query(self) -> str:
        return urlencode(self.pairs)

    @property
    def url(self) -> str:
        return reverse("inventory") + (f"?{self.query}" if self.pairs else "")

    def without(self, name: str, value: str | None = None) -> Address:
        """Without a parameter, or without one value of it."""
        return Address(tuple(pair for pair in self.pairs if pair[0] != name or value not in (None, pair[1])))

    def where(self, values: Sequence[tuple[str, str]]) -> Address:
        """With these values in place of those that the parameters have; '' removes a parameter."""
        names = {name for name, _ in values}
        kept = tuple(pair for pair in self.pairs if pair[0] not in names)
        return Address((*kept, *(pair for pair in values if pair[1])))

    def unfiltered(self) -> Address:
        return Address(self.others)


def chips(address: Address) -> Iterator[tuple[str, str, str]]:
    """Name, value and the address without it, for each filter."""
    for name, value in address.filters:
        yield name, value, address.without(name, value).url
