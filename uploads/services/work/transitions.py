"""The one place that writes states."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models import QuerySet

from uploads.domain.states import State, Transitions


def change(
    table: Transitions[State], rows: QuerySet[Any], to: State, since: Collection[State] = (), /, **fields: Any
) -> int:
    """Change the state of `rows` to `to`, with further fields, and return the number of rows changed.

    Only rows in a state from which the table allows it are changed, and only those in a state of `since` if given.
    Raises NoSuchTransition.
    """
    sources = table.sources(to, since)
    return rows.filter(**{f"{table.field}__in": sources}).update(**{table.field: to.value}, **fields)
