"""The addresses of a list that differ from the current one in a filter, the order or the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.urls import reverse

from dashboard.shared.lists.query import ListQuery
from dashboard.shared.lists.spec import ListSpec
from dashboard.shared.parameters import query_string


@dataclass(frozen=True, slots=True)
class ListAddress:
    """Whatever is changed, the list begins at its first page again."""

    spec: ListSpec
    query: ListQuery

    @property
    def path(self) -> str:
        return reverse(self.spec.name)

    @property
    def parameters(self) -> dict[str, str]:
        """The filter and the order, without the page."""
        return {**self.query.given, **({"sort": self.query.sort} if self.query.sort else {})}

    @property
    def first(self) -> str:
        return self.where()

    @property
    def unfiltered(self) -> str:
        return self.path + query_string({"sort": self.query.sort})

    def where(self, changes: Mapping[str, str | None] | None = None) -> str:
        return self.path + self.string(changes)

    def string(self, changes: Mapping[str, str | None] | None = None) -> str:
        """The query string with changes; None and '' remove a parameter."""
        return query_string({**self.parameters, **(changes or {})})
