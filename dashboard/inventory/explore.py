"""What the page of the inventory shows: filters, totals, groups, charts and one page of uploads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from dashboard.inventory.address import FILTERS, Address
from dashboard.inventory.query import (
    DEFAULT_SORT,
    duration_text,
    filter_in,
    query_in,
    read_depth,
    read_group,
    read_page_size,
    read_sort,
)
from dashboard.inventory.rows import rows_of
from dashboard.inventory.words import DURATIONS, FILTERED_VERDICTS, GROUPS, NAMES, SIZES, VERDICTS
from dashboard.shared.charts import BYTES, BarChart, Series, Tile, Treemap
from dashboard.shared.formatting import bytes_text, key_mark_text
from dashboard.shared.numbers import Count
from uploads import access
from uploads.domain.cost import Costs
from uploads.domain.inventory_filter import Grouping, InventoryFilter
from uploads.domain.roles import Action
from uploads.selectors.hidden import unlisted_buckets
from uploads.selectors.inventory.groups import Group, Groups, groups
from uploads.selectors.inventory.page import find_page
from uploads.selectors.inventory.totals import Totals, totals
from uploads.selectors.inventory.verdicts import bytes_by_age, bytes_by_place
from uploads.selectors.prices import Prices, prices_of
from uploads.selectors.saved_views import find_views

ALWAYS_SHOWN = frozenset({"q", "store", "bucket", "verdict"})
"""The fields of the form that are not folded."""

NEXT_GROUPING = {Grouping.STORE: "bucket", Grouping.BUCKET: "prefix", Grouping.PREFIX: "prefix"}
"""What the uploads of a group are grouped by next. Others lead to the uploads themselves."""

MAX_UNLISTED = 10
"""Buckets that the page names because they could not be listed."""

COLUMNS = (
    ("key", ""),
    ("", ""),
    ("bytes", "text-num"),
    ("", "text-num"),
    ("parts", "text-num"),
    ("age", ""),
    ("idle", ""),
    ("", ""),
)
"""The order that each column has, and its classes."""


class GroupRow(NamedTuple):
    """A group. `url` leads into it, `uploads_url` to its uploads."""

    name: str
    url: str
    uploads_url: str
    uploads: int
    bytes: int
    known: int
    cost: Costs


def page_context(request: HttpRequest) -> dict[str, Any]:
    """Raises BadParameter, BadCursor and NotAllowed."""
    query = query_in(request)
    wanted, address = filter_in(query), Address.of(request)
    sort, largest_first = read_sort(query)
    grouping, cursor = read_group(query), query.text("cursor")
    page = find_page(
        request.user,
        wanted,
        sort=sort,
        largest_first=largest_first,
        cursor=cursor,
        limit=read_page_size(query),
    )
    prices = prices_of(access.visible_stores(request.user))
    whole = totals(request.user, wanted)
    unlisted = list(unlisted_buckets(request.user)[: MAX_UNLISTED + 1])
    found = groups(request.user, wanted, grouping, depth=read_depth(query)) if grouping else Groups()
    return {
        **_filters(request, address),
        **_grouped(address, prices, wanted, grouping, found),
        "was_scanned": bool(page.uploads) or access.visible_inventory_buckets(request.user).exists(),
        "totals": whole,
        "total_cost": cost_of(prices, whole),
        "unlisted": unlisted[:MAX_UNLISTED],
        "has_more_unlisted": len(unlisted) > MAX_UNLISTED,
        "scan_url": reverse("scans"),
        "grouping": grouping,
        "age_chart": age_chart(request, wanted) if grouping is Grouping.AGE else None,
        "place_chart": None if grouping or cursor else place_chart(request, wanted),
        "rows": list(rows_of(page.uploads, prices)),
        "heads": list(_heads(address)),
        "ended_early": page.ended_early,
        "is_first_page": not cursor,
        "first_url": address.url,
        "next_url": address.where([("cursor", page.next)]).url if page.next else "",
        "views": find_views(access.views_to_see(request.user)),
        "may_share": access.may_share_views(request.user),
        "may_change_shared": access.may(request.user, Action.MANAGE_USERS),
    }


# --- The form ---------------------------------------------------------------------------------------------------------


def _filters(request: HttpRequest, address: Address) -> dict[str, Any]:
    given = {name: address.first(name) for name in FILTERS}
    checked = set(address.all("verdict"))
    return {
        "query": address.query,
        "given": {name.replace("-", "_"): value for name, value in given.items()},
        "inventory_url": reverse("inventory"),
        "reset_url": address.unfiltered().url,
        "other_fields": address.others,
        "store_names": list(access.visible_stores(request.user).order_by("name").values_list("name", flat=True)),
        "verdict_boxes": [(name, text, name in checked) for name, text in FILTERED_VERDICTS.items()],
        "selects": list(_selects(given)),
        "has_more_filters": any(value and name not in ALWAYS_SHOWN for name, value in given.items()),
        "chips": [
            {"name": NAMES[name], "value": shown_value(name, value), "url": address.without(name, value).url}
            for name, value in address.filters
        ],
        "group_links": [
            {"text": text, "url": address.where([("group", name), ("depth", "")]).url, "is_current": name == current}
            for current in [address.first("group")]
            for name, text in GROUPS.items()
        ],
        "exports": [(address.where([("format", form)]).url, text) for form, text in exports()],
    }


def exports() -> Sequence[tuple[str, str]]:
    return (("csv", _("CSV")), ("jsonl", _("JSON Lines")))


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
    if name in ("older-than", "younger-than", "idle-for"):
        return str(DURATIONS.get(value, value))
    if name.endswith("-bytes"):
        return bytes_text(int(value))
    return key_mark_text(value)


def _heads(address: Address) -> Iterator[dict[str, str]]:
    """The headings. One that sorts leads to the other direction if the page is sorted by it already."""
    texts = (
        _("Key"),
        _("Verdict"),
        _("Size"),
        _("Cost per month"),
        _("Parts"),
        _("Started"),
        _("Last part"),
        _("Initiator"),
    )
    current = address.first("sort") or DEFAULT_SORT
    for text, (sort, classes) in zip(texts, COLUMNS, strict=True):
        first = sort if sort == "key" else f"-{sort}"
        other = f"-{sort}" if current == sort else sort
        is_current = bool(sort) and current.removeprefix("-") == sort
        yield {
            "text": text,
            "classes": classes,
            "url": address.where([("sort", other if is_current else first)]).url if sort else "",
            "order": ("descending" if current.startswith("-") else "ascending") if is_current else "",
        }


def cost_of(prices: Prices, found: Totals) -> Costs:
    return prices.total((each.store_id, each.storage_class, each.bytes) for each in found.by_class)


# --- Groups and charts ------------------------------------------------------------------------------------------------


def _grouped(
    address: Address, prices: Prices, wanted: InventoryFilter, grouping: Grouping | None, found: Groups
) -> dict[str, Any]:
    if grouping is None:
        return {"groups": []}
    rows = [_group_row(address, prices, grouping, wanted, each) for each in found.groups]
    title = str(GROUPS[grouping.value])
    tiles = [Tile(row.name, row.bytes, link=row.url or row.uploads_url) for row in rows]
    has_treemap = grouping in (Grouping.STORE, Grouping.BUCKET, Grouping.PREFIX) and any(row.bytes for row in rows)
    heading = _("Bytes by %(group)s") % {"group": title.lower()}
    return {
        "groups": rows,
        "groups_title": heading,
        "group_name": title,
        "has_more_groups": found.has_more,
        "groups_are_least": found.is_least,
        "treemap": Treemap(heading, title, tiles, BYTES) if has_treemap else None,
    }


def _group_row(address: Address, prices: Prices, grouping: Grouping, wanted: InventoryFilter, group: Group) -> GroupRow:
    url = uploads_url = ""
    if _has_filter(grouping, group, wanted):
        inside = address.where([*_where(grouping, group), ("depth", "")])
        uploads_url = inside.where([("group", "")]).url
        following = NEXT_GROUPING.get(grouping)
        url = inside.where([("group", following)]).url if following else ""
    return GroupRow(
        group_name(grouping, group),
        url,
        uploads_url,
        group.totals.uploads,
        group.totals.bytes,
        group.totals.known,
        cost_of(prices, group.totals),
    )


def _has_filter(grouping: Grouping, group: Group, wanted: InventoryFilter) -> bool:
    """Whether a filter leaves exactly the uploads of the group."""
    if grouping is Grouping.AGE:
        return True
    return bool(group.value) and not (grouping is Grouping.PREFIX and group.value == wanted.prefix)


def _where(grouping: Grouping, group: Group) -> list[tuple[str, str]]:
    """The filters that leave the uploads of a group."""
    match grouping:
        case Grouping.STORE:
            return [("store", group.value)]
        case Grouping.BUCKET:
            return [("store", group.store), ("bucket", group.bucket)]
        case Grouping.AGE:
            return [
                ("older-than", duration_text(group.older_than)),
                ("younger-than", duration_text(group.younger_than)),
            ]
    return [(grouping.value, group.value)]


def group_name(grouping: Grouping, group: Group) -> str:
    if grouping is Grouping.AGE:
        return age_name(group.older_than, group.younger_than)
    if grouping is Grouping.BUCKET:
        return f"{group.store} / {group.bucket}"
    return key_mark_text(group.value) if group.value else _("none")


def age_name(older: timedelta | None, younger: timedelta | None) -> str:
    if older is None and younger is not None:
        return ngettext("up to %(days)s day", "up to %(days)s days", younger.days) % {"days": Count(younger.days)}
    if younger is None and older is not None:
        return _("more than %(days)s days") % {"days": Count(older.days)}
    low, high = (each.days if each else 0 for each in (older, younger))
    return _("%(low)s to %(high)s days") % {"low": Count(low), "high": Count(high)}


def age_chart(request: HttpRequest, wanted: InventoryFilter) -> BarChart | None:
    found = bytes_by_age(request.user, wanted)
    names = [age_name(older, younger) for older, younger, _sizes in found]
    return _chart(_("Bytes by age and verdict"), _("Age"), names, [sizes for _older, _younger, sizes in found])


def place_chart(request: HttpRequest, wanted: InventoryFilter) -> BarChart | None:
    """By store, or by bucket of the store that the filter has, from the stored sums only."""
    found = bytes_by_place(request.user, wanted)
    heading = _("Bucket") if wanted.store else _("Store")
    title = _("Bytes by bucket and verdict") if wanted.store else _("Bytes by store and verdict")
    return _chart(title, heading, [name for name, _sizes in found], [sizes for _name, sizes in found])


def _chart(title: str, heading: str, names: Sequence[str], sizes: Sequence[dict[str, int]]) -> BarChart | None:
    if not any(any(each.values()) for each in sizes):
        return None
    series = [
        Series(str(text), verdict, [each.get(verdict, 0) for each in sizes])
        for verdict, text in VERDICTS.items()
        if any(each.get(verdict) for each in sizes)
    ]
    return BarChart(title, heading, names, series, BYTES)
