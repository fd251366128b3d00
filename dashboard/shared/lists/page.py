"""What the page of a list needs besides its rows: the form, the chips, the headings, the pages, the actions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from dashboard.shared.formatting import key_mark_text
from dashboard.shared.lists.address import ListAddress
from dashboard.shared.lists.query import ListQuery
from dashboard.shared.lists.spec import Column, Filter, Kind, ListSpec
from uploads.models import ListChoice
from uploads.models.list_choice import Density
from uploads.selectors.lists.choices import choice_of
from uploads.selectors.lists.keyset import CANDIDATES, Page, Search, find_page

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class ListPage(Generic[M]):
    """`context` is the variable `list` of the templates in components/lists/. `next` and `previous` are cursors."""

    rows: Sequence[M]
    context: dict[str, Any]
    next: str | None = None
    previous: str | None = None


def list_page(
    request: HttpRequest, spec: ListSpec, query: ListQuery, search: Search[M], *, may_act: bool = False
) -> ListPage[M]:
    """One page. It needs a bounded number of statements, whatever the filter, the order and the page."""
    page = find_page(search, query.order, query.place, spec.page_size)
    address = ListAddress(spec, query)
    context = {
        **list_context(request, spec, query, {"cursor": query.cursor}),
        "actions": spec.actions if may_act else (),
        "action_url": _action_url(spec, address),
        "tested": CANDIDATES,
        **_pages(address, page),
    }
    return ListPage(page.rows, context, page.next, page.previous)


def list_context(
    request: HttpRequest, spec: ListSpec, query: ListQuery, place: Mapping[str, str | None]
) -> dict[str, Any]:
    """What the templates need of a list apart from its pages and actions. `place` are the parameters of the page."""
    address = ListAddress(spec, query)
    shown, choice = choice_context(request, spec.name, spec.columns)
    fields = list(_fields(request, spec, query))

    def sorted_by(sort: str) -> str:
        return address.where({"sort": "" if sort == spec.default_sort else sort})

    return {
        **choice,
        "url": address.path,
        "here": address.where(place),
        "fields": [each for each in fields if not each["is_folded"]],
        "folded": [each for each in fields if each["is_folded"]],
        "is_unfolded": any(each["is_folded"] and each["value"] for each in fields),
        "sort": query.sort,
        "is_filtered": bool(query.given),
        "reset_url": address.unfiltered,
        "chips": list(_chips(request, spec, address)),
        "days": list(_days(spec, address)),
        "heads": list(heads(shown, query.sort or spec.default_sort, sorted_by)),
    }


def choice_context(request: HttpRequest, name: str, columns: Sequence[Column]) -> tuple[list[Column], dict[str, Any]]:
    """The columns that the user wants to see, and what the templates need to show and to change that."""
    choice = choice_of(request.user, name)
    shown = _shown(columns, choice)
    return shown, {
        "name": name,
        "shown": {each.name: True for each in shown},
        "columns": [(each, each in shown) for each in columns if not each.is_fixed],
        "density": choice.density if choice else Density.COMFORTABLE.value,
        "has_choice": choice is not None,
    }


def _shown(columns: Sequence[Column], choice: ListChoice | None) -> list[Column]:
    if choice is None:
        return [each for each in columns if not each.is_extra]
    return [each for each in columns if each.is_fixed or each.name in choice.columns]


def _action_url(spec: ListSpec, address: ListAddress) -> str:
    """The filter and the page are in the address of the action, which leads back to them."""
    if not spec.url_of_actions:
        return ""
    return reverse(spec.url_of_actions) + address.string({"cursor": address.query.cursor})


def _pages(address: ListAddress, page: Page[Any]) -> dict[str, Any]:
    def at(cursor: str | None) -> str:
        return address.where({"cursor": cursor}) if cursor else ""

    return {
        "is_first_page": not address.query.cursor,
        "first_url": address.first,
        "next_url": at(page.next),
        "previous_url": at(page.previous),
        "ended_early": page.ended_early,
        "is_whole": not address.query.cursor and page.next is None,
    }


def _fields(request: HttpRequest, spec: ListSpec, query: ListQuery) -> Iterator[dict[str, Any]]:
    for each in spec.filters:
        value = query.text(each.name)
        choices = list(each.choices(request)) if each.choices else []
        if value and each.kind is Kind.CHOICE and value not in [name for name, _text in choices]:
            choices.append((value, value))
        yield {
            "name": each.name,
            "label": each.label,
            "value": value,
            "kind": each.kind.name.lower(),
            "choices": choices,
            "is_folded": each.is_folded,
        }


def _chips(request: HttpRequest, spec: ListSpec, address: ListAddress) -> Iterator[dict[str, Any]]:
    """Each filter in use, and the address without it."""
    for each in spec.filters:
        value = address.query.text(each.name)
        if value:
            yield {
                "label": each.label,
                "value": _shown_value(request, each, value),
                "url": address.where({each.name: ""}),
            }


def _shown_value(request: HttpRequest, of: Filter, value: str) -> str:
    texts = {name: str(text) for name, text in of.choices(request)} if of.choices else {}
    return texts.get(value) or key_mark_text(value)


def _days(spec: ListSpec, address: ListAddress) -> Iterator[dict[str, Any]]:
    """Links to today, yesterday and the last seven days."""
    names, today = {each.name for each in spec.filters}, timezone.now().date()
    if not names >= spec.days(today, None).keys():
        return
    for text, first, last in (
        (_("Today"), today, None),
        (_("Yesterday"), today - timedelta(days=1), today - timedelta(days=1)),
        (_("7 days"), today - timedelta(days=6), None),
    ):
        values = spec.days(first, last)
        is_current = all(address.query.text(name) == value for name, value in values.items())
        yield {"text": text, "url": address.where(values), "is_current": is_current}


def heads(shown: Sequence[Column], current: str, sorted_by: Callable[[str], str]) -> Iterator[dict[str, Any]]:
    """The headings. One that sorts leads to the other direction if the page is sorted by it already.

    `current` is a value of `sort`, and `sorted_by` returns the address of the list in another order.
    """
    for each in shown:
        is_current = bool(each.sort) and current.removeprefix("-") == each.name
        first = f"-{each.name}" if each.largest_first else each.name
        other = each.name if current.startswith("-") else f"-{each.name}"
        yield {
            "name": each.name,
            "text": each.label,
            "classes": each.classes,
            "url": sorted_by(other if is_current else first) if each.sort else "",
            "order": ("descending" if current.startswith("-") else "ascending") if is_current else "",
        }
