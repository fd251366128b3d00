"""The query of a list: its filter, its order, and the place where the page begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypedDict

from django.http import HttpRequest
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _

from dashboard.shared.lists.spec import Kind, ListSpec
from dashboard.shared.parameters import BadParameter, Query
from uploads.selectors.lists.order import BadCursor, Order, Place

FIRST_YEAR, LAST_YEAR = 1970, 9000


@dataclass(frozen=True, slots=True)
class ListQuery:
    """`given` are the filters that are given, as text. `sort` is '' for the default order."""

    given: Mapping[str, str]
    sort: str
    cursor: str
    order: Order
    place: Place | None

    def text(self, name: str) -> str:
        return self.given.get(name, "")


class CommonFilters(TypedDict):
    """The fields of `uploads.selectors.lists.common.ListFilter`."""

    store: str
    bucket: str
    owner: str
    since: datetime | None
    until: datetime | None


def common_filters(query: ListQuery) -> CommonFilters:
    """What every list can be filtered by. The day of `to` is included. Raises BadParameter."""
    return CommonFilters(
        store=query.text("store"),
        bucket=query.text("bucket"),
        owner=query.text("owner"),
        since=day_of("from", query.text("from")),
        until=day_after("to", query.text("to")),
    )


def read_list(request: HttpRequest, spec: ListSpec) -> ListQuery:
    """Raises BadParameter, which says what is allowed."""
    query = Query(request, repeatable=frozenset({"id"}))
    given = {}
    for each in spec.filters:
        value = query.text(each.name).strip()
        if value:
            given[each.name] = value
            if each.is_closed and each.choices:
                _one_of(each.name, value, [name for name, _text in each.choices(request)])
            if each.kind is Kind.DAY:
                day_of(each.name, value)
    sort, cursor = query.text("sort"), query.text("cursor")
    if sort:
        _one_of("sort", sort, spec.sorts)
    wanted = sort or spec.default_sort
    order = Order(spec.model, spec.column(wanted.removeprefix("-")).sort, wanted.startswith("-"))
    return ListQuery(given, sort, cursor, order, _place(order, cursor))


def _place(order: Order, cursor: str) -> Place | None:
    try:
        return order.read(cursor) if cursor else None
    except BadCursor:
        raise BadParameter(_("“cursor” is not a place in this list. Omit it to start at the first page.")) from None


def _one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise BadParameter(_("“%(name)s” must be one of %(values)s.") % {"name": name, "values": ", ".join(allowed)})


def day_of(name: str, value: str) -> datetime | None:
    """The beginning of a day in UTC; None if none is given. Raises BadParameter."""
    if not value:
        return None
    try:
        day = parse_date(value)
    except ValueError:
        day = None
    if day is None or not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise BadParameter(_("“%(name)s” must be a day in UTC, such as 2026-01-31.") % {"name": name})
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def day_after(name: str, value: str) -> datetime | None:
    """The end of a day in UTC; None if none is given. Raises BadParameter."""
    day = day_of(name, value)
    return None if day is None else day + timedelta(days=1)
