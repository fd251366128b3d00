"""The one place that writes states."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from django.db.models import QuerySet

from uploads.database.prepared import Update
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


def prepared_change(
    table: Transitions[State],
    rows: Callable[[], QuerySet[Any]],
    to: State,
    since: Collection[State],
    fields: Callable[[], Mapping[str, Any]],
) -> Update:
    """The same as a statement that is built once."""
    sources = table.sources(to, since)
    return Update(lambda: rows().filter(**{f"{table.field}__in": sources}), lambda: {table.field: to.value, **fields()})
