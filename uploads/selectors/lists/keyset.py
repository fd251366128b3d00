"""One page of a list: a bounded number of rows is read, whatever the filter and the page.

An index gives candidates in the order of the page, and the conditions are tested on them. If few match, the page ends
early, and the next page continues there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import and_
from typing import Any, Generic, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Case, F, Model, Q, QuerySet, Value, When

from uploads.selectors.lists.order import Order, Place

CANDIDATES = 20_000
"""Rows that are tested for one page."""

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of a filter. Rows that meet one of `leads` include all that meet it.

    Each of them is an equality with which an index begins, followed by the columns of an order. A condition that is a
    range of the column `range_of` limits the candidates of an order by that column.
    """

    q: Q
    leads: tuple[Q, ...] = ()
    range_of: str = ""


@dataclass(frozen=True, slots=True)
class Search(Generic[M]):
    """`rows` are all rows that a user may see, with the relations that the page reads; `visible` says which these are.

    `by_leads`: the columns of orders for which the indexes of `Condition.leads` exist.
    """

    rows: QuerySet[M]
    conditions: Sequence[Condition]
    by_leads: frozenset[str] = field(default_factory=lambda: frozenset({"created_at"}))

    def leads(self, order: Order) -> tuple[Q, ...]:
        """Where candidates are looked for: in one range of an index, or in several that are merged."""
        if order.column not in self.by_leads:
            return (Q(),)
        return next((each.leads for each in self.conditions if each.leads), (Q(),))

    def range(self, order: Order) -> Q:
        return reduce(and_, (each.q for each in self.conditions if each.range_of == order.column), Q())

    def test(self, order: Order) -> Q:
        return reduce(and_, (each.q for each in self.conditions if each.range_of != order.column), Q())


@dataclass(frozen=True, slots=True)
class Page(Generic[M]):
    """Rows in the order of the page. `next` and `previous` are cursors; None: there is nothing."""

    rows: Sequence[M]
    next: str | None = None
    previous: str | None = None
    ended_early: bool = False


@dataclass(frozen=True, slots=True)
class _Found(Generic[M]):
    rows: list[M]
    further: Place | None
    ended_early: bool = False


def find_page(search: Search[M], order: Order, place: Place | None, limit: int) -> Page[M]:
    found = _find(search, order, place, limit)
    further = order.write(found.further) if found.further else None
    backwards = place is not None and place.is_before
    rows = found.rows[::-1] if backwards else found.rows
    back: str | None = None
    if place is not None:
        end = order.place_of(found.rows[0], is_before=not backwards) if rows else _turned(place)
        back = order.write(end)
    return Page(rows, back if backwards else further, further if backwards else back, found.ended_early)


def first_ids(search: Search[M], order: Order, limit: int) -> tuple[list[Any], bool]:
    """The primary keys of the first rows that match, and whether there may be more."""
    found = _find(search, order, None, limit)
    return [row.pk for row in found.rows], found.further is not None


def _turned(place: Place) -> Place:
    return Place(place.value, place.pk, not place.is_before)


def _find(search: Search[M], order: Order, place: Place | None, limit: int) -> _Found[M]:
    backwards = place is not None and place.is_before
    keys, stops = list[tuple[Any, Any]](), list[tuple[Any, Any]]()
    for lead in search.leads(order):
        found, stop = _walk(search, order, place, lead, limit + 1)
        keys += found
        if stop is not None:
            stops.append(stop)
    stop = stops[0] if stops else None
    if len(search.leads(order)) > 1:
        keys, stop = _merged(keys, stops, descends=order.descends ^ backwards)
    rows = _loaded(search, keys[:limit])
    if len(keys) > limit:
        return _Found(rows, Place(*keys[limit - 1], is_before=backwards))
    return _Found(rows, Place(*stop, is_before=backwards) if stop else None, ended_early=stop is not None)


def _merged(
    keys: list[tuple[Any, Any]], stops: list[tuple[Any, Any]], *, descends: bool
) -> tuple[list[tuple[Any, Any]], tuple[Any, Any] | None]:
    """The keys of several searches in one order. Beyond the first place where one stopped, rows may be missing."""
    keys = sorted(keys, reverse=descends)
    if not stops:
        return keys, None
    stop = max(stops) if descends else min(stops)
    return [each for each in keys if (each >= stop if descends else each <= stop)], stop


def _loaded(search: Search[M], keys: Sequence[tuple[Any, Any]]) -> list[M]:
    if not keys:
        return []
    rows = {row.pk: row for row in search.rows.filter(pk__in=[pk for _, pk in keys]).order_by()}
    return [rows[pk] for _, pk in keys if pk in rows]


def _walk(
    search: Search[M], order: Order, place: Place | None, lead: Q, limit: int
) -> tuple[list[tuple[Any, Any]], tuple[Any, Any] | None]:
    """The values and keys of the first candidates that match, and the last candidate if there are more than tested."""
    found = list[tuple[Any, Any]]()
    columns = order.columns(backwards=place is not None and place.is_before)
    test, inside = search.test(order), lead & search.range(order)
    for segment in order.segments(place):
        candidates = order.model._default_manager.filter(inside, segment).order_by(*columns)
        found += _passing(candidates, order, test, limit - len(found))
        if len(found) >= limit:
            return found, None
        if test:
            stop = next(iter(candidates.values_list(order.column, "pk")[CANDIDATES - 1 : CANDIDATES]), None)
            if stop is not None:
                return found, stop
    return found, None


PASSING = "SELECT v0, v1 FROM {} WHERE passes > 0 LIMIT %s"


def _passing(candidates: QuerySet[Any], order: Order, test: Q, limit: int) -> list[tuple[Any, Any]]:
    """The database reads candidates in their order until enough have passed, and never sorts them."""
    if not test:
        return list(candidates.values_list(order.column, "pk")[:limit])
    # Compared with `> 0`: PostgreSQL takes `= 1` for rare.
    passes = Case(When(test, then=Value(1)), default=Value(0))
    named = candidates.annotate(v0=F(order.column), v1=F("pk"), passes=passes)
    tested = named.values_list("v0", "v1", "passes")[:CANDIDATES]
    try:
        sql, params = tested.query.sql_with_params()
    except EmptyResultSet:
        return []
    meta = order.model._meta
    with connection.cursor() as cursor:
        cursor.execute(PASSING.format(f"({sql}) AS candidates"), [*params, limit])
        rows = cursor.fetchall()
    value_field, pk_field = meta.get_field(order.column), meta.pk
    return [(_python(value_field, found), _python(pk_field, key)) for found, key in rows]


def _python(of: Any, value: Any) -> Any:
    """A value as the model has it, from one as the database has it."""
    for convert in (
        *connection.ops.get_db_converters(of.get_col(of.model._meta.db_table)),
        *of.get_db_converters(connection),
    ):
        value = convert(value, None, connection)
    return value
