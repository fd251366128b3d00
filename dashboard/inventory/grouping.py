"""Groups and charts of the inventory's page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from dashboard.inventory.address import Address
from dashboard.inventory.query import MAX_DEPTH, filter_pairs
from dashboard.inventory.words import GROUPS, VERDICTS
from dashboard.shared.charts import BYTES, BarChart, Series, Tile, Treemap
from dashboard.shared.costs import ShownCosts, costs_of
from dashboard.shared.formatting import key_mark_text
from dashboard.shared.numbers import Count
from uploads.domain.inventory_filter import FOLDER, Grouping, InventoryFilter
from uploads.selectors.inventory import Plan
from uploads.selectors.inventory.groups import Group, Groups, groups
from uploads.selectors.inventory.verdicts import bytes_by_age, bytes_by_place
from uploads.selectors.prices import Prices

NEXT_GROUPING = {Grouping.STORE: "bucket", Grouping.BUCKET: "prefix", Grouping.PREFIX: "prefix"}
"""What the uploads of a group are grouped by next. Others lead to the uploads themselves."""

LEAST_TILES = 2
"""One tile alone shows nothing that the table does not."""


class GroupRow(NamedTuple):
    """A group. `url` leads into it, `uploads_url` to its uploads."""

    name: str
    url: str
    uploads_url: str
    uploads: int
    bytes: int
    known: int
    costs: ShownCosts


def groups_context(
    request: HttpRequest,
    address: Address,
    prices: Prices,
    wanted: InventoryFilter,
    grouping: Grouping | None,
    depth: int,
    start: int,
    plan: Plan,
) -> dict[str, Any]:
    """Raises NotAllowed."""
    if grouping is None:
        return {"groups": []}
    found = groups(request.user, wanted, grouping, depth=depth, plan=plan, start=start)
    rows = [_group_row(address, prices, grouping, wanted, each) for each in found.groups]
    title = str(GROUPS[grouping.value])
    heading = _("Uploads by %(group)s") % {"group": title.lower()}
    return {
        "groups": rows,
        "groups_title": heading,
        "group_name": title,
        "groups_have_costs": any(row.costs.amounts for row in rows),
        "depth_links": _depth_links(address, depth) if grouping is Grouping.PREFIX else [],
        "treemap": _treemap(heading, title, grouping, rows),
        "age_chart": age_chart(request, wanted, plan) if grouping is Grouping.AGE else None,
        **_limits(address, found, start),
    }


def _limits(address: Address, found: Groups, start: int) -> dict[str, Any]:
    """What is not on the page: the groups that follow, with their sums, and those before."""

    def at(number: int | None) -> str:
        return "" if number is None else address.where([("groups-from", str(number) if number else "")]).url

    return {
        "groups_are_least": found.is_least,
        "following_groups": found.following if found.has_more else None,
        "further_groups": found.further,
        "next_groups_url": at(found.next),
        "first_groups_url": at(0) if start else "",
    }


def _depth_links(address: Address, depth: int) -> list[dict[str, Any]]:
    """How many folders a prefix has."""
    return [
        {"text": Count(each), "url": address.where([("depth", str(each))]).url, "is_current": each == depth}
        for each in range(1, MAX_DEPTH + 1)
    ]


def _treemap(heading: str, title: str, grouping: Grouping, rows: Sequence[GroupRow]) -> Treemap | None:
    tiles = [Tile(row.name, row.bytes, link=row.url or row.uploads_url) for row in rows]
    if grouping is Grouping.AGE or sum(tile.value > 0 for tile in tiles) < LEAST_TILES:
        return None
    return Treemap(heading, title, tiles, BYTES)


def _group_row(address: Address, prices: Prices, grouping: Grouping, wanted: InventoryFilter, group: Group) -> GroupRow:
    inside = Address((*((name, str(value)) for name, value in filter_pairs(group.inside)), *address.others))
    inside = inside.without("depth")
    following = "" if FOLDER in group.inside.without else NEXT_GROUPING.get(grouping, "")
    return GroupRow(
        group_name(grouping, group, wanted.prefix),
        inside.where([("group", following)]).url,
        inside.without("group").url,
        group.totals.uploads,
        group.totals.bytes,
        group.totals.known,
        costs_of(prices, group.totals),
    )


def group_name(grouping: Grouping, group: Group, prefix: str = "") -> str:
    """`prefix` is that of the filter."""
    if grouping is Grouping.AGE:
        return age_name(group.older_than, group.younger_than)
    if grouping is Grouping.BUCKET:
        return f"{group.store} / {group.bucket}"
    if grouping is Grouping.PREFIX and group.value == prefix:
        return _("in no other folder")
    return key_mark_text(group.value) if group.value else _("not named by the store")


def age_name(older: timedelta | None, younger: timedelta | None) -> str:
    if older is None and younger is not None:
        return ngettext("up to %(days)s day", "up to %(days)s days", younger.days) % {"days": Count(younger.days)}
    if younger is None and older is not None:
        return _("more than %(days)s days") % {"days": Count(older.days)}
    low, high = (each.days if each else 0 for each in (older, younger))
    return _("%(low)s to %(high)s days") % {"low": Count(low), "high": Count(high)}


# --- Charts -----------------------------------------------------------------------------------------------------------


def age_chart(request: HttpRequest, wanted: InventoryFilter, plan: Plan) -> BarChart | None:
    found = bytes_by_age(request.user, wanted, plan=plan)
    names = [age_name(older, younger) for older, younger, _sizes in found]
    return _chart(_("Bytes by age and verdict"), _("Age"), names, [sizes for _older, _younger, sizes in found])


def place_chart(request: HttpRequest, wanted: InventoryFilter) -> BarChart | None:
    """By store, or by bucket of the store that the filter has, from the stored sums only."""
    found = bytes_by_place(request.user, wanted)
    heading = _("Bucket") if wanted.store else _("Store")
    title = _("Bytes by bucket and verdict") if wanted.store else _("Bytes by store and verdict")
    names = [name or _("all others") for name, _sizes in found]
    return _chart(title, heading, names, [sizes for _name, sizes in found])


def _chart(title: str, heading: str, names: Sequence[str], sizes: Sequence[dict[str, int]]) -> BarChart | None:
    if not any(any(each.values()) for each in sizes):
        return None
    series = [
        Series(str(text), verdict, [each.get(verdict, 0) for each in sizes])
        for verdict, text in VERDICTS.items()
        if any(each.get(verdict) for each in sizes)
    ]
    # One series has no legend.
    shown = title if len(series) > 1 else _("%(title)s: %(verdict)s") % {"title": title, "verdict": series[0].name}
    return BarChart(shown, heading, names, series, BYTES)
