"""The form of the inventory's page: its filters, the order of the table, and the addresses that change them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from dashboard.inventory.address import FILTERS, Address
from dashboard.inventory.query import DEFAULT_SORT
from dashboard.inventory.words import DURATIONS, FILTERED_VERDICTS, GROUPS, NAMES, SIZES, WITHOUT
from dashboard.shared.formatting import bytes_text, key_mark_text
from dashboard.shared.lists import Column, choice_context, heads
from dashboard.shared.numbers import Count
from uploads import access

ALWAYS_SHOWN = frozenset({"q", "store", "bucket", "verdict", "without", "id"})
"""Filters that do not open the folded fields."""

SELECTED = "id"
UNSHOWN = ("without", SELECTED)
"""Filters without a field of their own. The form keeps them, and each has a chip."""

COLUMNS = (
    Column("key", gettext_lazy("Key"), sort="key", is_fixed=True),
    Column("verdict", gettext_lazy("Verdict"), classes="verdict"),
    Column("bytes", gettext_lazy("Size"), sort="bytes", classes="size text-num", largest_first=True),
    Column("cost", gettext_lazy("Cost per month"), classes="cost text-num"),
    Column("parts", gettext_lazy("Parts"), sort="parts", classes="parts text-num", largest_first=True),
    Column("age", gettext_lazy("Started"), sort="age", classes="time", largest_first=True),
    Column("idle", gettext_lazy("Last part"), sort="idle", classes="time", largest_first=True),
)
"""Those that sort have the name of their order."""


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
        "group_links": [
            {"text": text, "url": address.where([("group", name), ("depth", "")]).url, "is_current": name == current}
            for current in [address.first("group")]
            for name, text in GROUPS.items()
        ],
        "exports": [(address.where([("format", form)]).url, text) for form, text in exports()],
    }


def list_context(request: HttpRequest, address: Address, *, has_costs: bool) -> dict[str, Any]:
    """What the templates of lists need apart from the pages. A column of costs needs prices."""
    shown, choice = choice_context(request, "inventory", COLUMNS)
    shown = [each for each in shown if has_costs or each.name != "cost"]
    current = address.first("sort") or DEFAULT_SORT
    return {
        **choice,
        "shown": {each.name: True for each in shown},
        "here": request.get_full_path(),
        "chips": list(_chips(address)),
        "heads": list(heads(shown, current, lambda sort: address.where([("sort", sort)]).url)),
    }


def exports() -> Sequence[tuple[str, str]]:
    return (("csv", _("CSV")), ("jsonl", _("JSON Lines")))


def _chips(address: Address) -> Iterator[dict[str, str]]:
    """Each filter in use, and the address without it. A selection is one filter, however many uploads it has."""
    for name, value in address.filters:
        if name != SELECTED:
            yield {
                "label": str(NAMES[name]),
                "value": shown_value(name, value),
                "url": address.without(name, value).url,
            }
    count = len(address.all(SELECTED))
    if count:
        text = ngettext("%(count)s upload", "%(count)s uploads", count) % {"count": Count(count)}
        yield {"label": str(NAMES[SELECTED]), "value": text, "url": address.without(SELECTED).url}


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
