"""The form of the inventory's page: its filters, the order of the table, and the addresses that change them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from dashboard.inventory.address import FILTERS, Address
from dashboard.inventory.query import DEFAULT_SORT
from dashboard.inventory.words import DURATIONS, FILTERED_VERDICTS, GROUPS, NAMES, SIZES, WITHOUT
from dashboard.shared.formatting import bytes_text, key_mark_text
from dashboard.shared.numbers import Count
from uploads import access

ALWAYS_SHOWN = frozenset({"q", "store", "bucket", "verdict", "without", "id"})
"""Filters that do not open the folded fields."""

SELECTED = "id"
UNSHOWN = ("without", SELECTED)
"""Filters without a field of their own. The form keeps them, and each has a chip."""

COLUMNS = (
    ("key", ""),
    ("", "verdict"),
    ("bytes", "size text-num"),
    ("", "cost text-num"),
    ("parts", "parts text-num"),
    ("age", "time"),
    ("idle", "time"),
)
"""The order that each column has, and its classes."""


def form_context(request: HttpRequest, address: Address) -> dict[str, Any]:
    given = {name: address.first(name) for name in FILTERS}
    checked = set(address.all("verdict"))
    return {
        "query": address.query,
        "given": {name.replace("-", "_"): value for name, value in given.items()},
        "inventory_url": reverse("inventory"),
        "reset_url": address.unfiltered().url,
        "other_fields": [*address.others, *((name, each) for name in UNSHOWN for each in address.all(name))],
        "store_names": list(access.visible_stores(request.user).order_by("name").values_list("name", flat=True)),
        "verdict_boxes": [(name, text, name in checked) for name, text in FILTERED_VERDICTS.items()],
        "selects": list(_selects(given)),
        "has_more_filters": any(value and name not in ALWAYS_SHOWN for name, value in given.items()),
        "chips": list(_chips(address)),
        "group_links": [
            {"text": text, "url": address.where([("group", name), ("depth", "")]).url, "is_current": name == current}
            for current in [address.first("group")]
            for name, text in GROUPS.items()
        ],
        "heads": list(_heads(address)),
        "exports": [(address.where([("format", form)]).url, text) for form, text in exports()],
    }


def exports() -> Sequence[tuple[str, str]]:
    return (("csv", _("CSV")), ("jsonl", _("JSON Lines")))


def _chips(address: Address) -> Iterator[dict[str, str]]:
    """Each filter in use, and the address without it. A selection is one filter, however many uploads it has."""
    for name, value in address.filters:
        if name != SELECTED:
            yield {"name": str(NAMES[name]), "value": shown_value(name, value), "url": address.without(name, value).url}
    count = len(address.all(SELECTED))
    if count:
        text = ngettext("%(count)s upload", "%(count)s uploads", count) % {"count": Count(count)}
        yield {"name": str(NAMES[SELECTED]), "value": text, "url": address.without(SELECTED).url}


def _selects(given: dict[str, str]) -> Iterator[dict[str, Any]]:
    """A value that the form does not offer is one more choice: the address takes any."""
    sizes = {str(size): bytes_text(size) for size in SIZES}
    for name in ("older-than", "younger-than", "idle-for", "min-bytes", "max-bytes"):
        offered = sizes if name.endswith("bytes") else {key: str(text) for key, text in DURATIONS.items()}
        value = given[name]
        choices = offered if not value or value in offered else {**offered, value: shown_value(name, value)}
        label = NAMES[name] if not name.endswith("bytes") else _size_label(name)
        yield {"name": name, "label": label, "value": value, "choices": list(choices.items())}


def _size_label(name: str) -> str:
    return _("Size, at least") if name == "min-bytes" else _("Size, at most")


def shown_value(name: str, value: str) -> str:
    """The value of a filter in words."""
    if name == "verdict":
        return str(FILTERED_VERDICTS.get(value, value))
    if name == "without":
        return str(WITHOUT.get(value, value))
    if name in ("older-than", "younger-than", "idle-for"):
        return str(DURATIONS.get(value, value))
    if name.endswith("-bytes"):
        return bytes_text(int(value))
    return key_mark_text(value)


def _heads(address: Address) -> Iterator[dict[str, Any]]:
    """The headings. One that sorts leads to the other direction if the page is sorted by it already."""
    texts = (_("Key"), _("Verdict"), _("Size"), _("Cost per month"), _("Parts"), _("Started"), _("Last part"))
    current = address.first("sort") or DEFAULT_SORT
    for text, (sort, classes) in zip(texts, COLUMNS, strict=True):
        first = sort if sort == "key" else f"-{sort}"
        other = f"-{sort}" if current == sort else sort
        is_current = bool(sort) and current.removeprefix("-") == sort
        yield {
            "text": text,
            "classes": classes,
            "is_cost": classes.startswith("cost"),
            "url": address.where([("sort", other if is_current else first)]).url if sort else "",
            "order": ("descending" if current.startswith("-") else "ascending") if is_current else "",
        }
