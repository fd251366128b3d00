"""What the page of the inventory shows: filters, totals, groups, charts and one page of uploads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from dashboard.inventory.address import Address
from dashboard.inventory.form import form_context, list_context
from dashboard.inventory.grouping import groups_context, place_chart
from dashboard.inventory.query import (
    filter_in,
    filter_query,
    query_in,
    read_depth,
    read_group,
    read_groups_from,
    read_page_size,
    read_sort,
)
from dashboard.inventory.rows import rows_of
from dashboard.inventory.scan_state import scan_state_context
from dashboard.shared.costs import costs_of, stores_without_price
from uploads import access
from uploads.domain.inventory_filter import EMPTY, InventoryFilter
from uploads.domain.roles import Action
from uploads.domain.sweeps import SWEEPABLE
from uploads.models import Store
from uploads.selectors.inventory import InventoryPage, find_page, plan_of, totals
from uploads.selectors.inventory.page import CANDIDATES
from uploads.selectors.inventory.totals import Totals
from uploads.selectors.inventory.uncounted import uncounted_buckets
from uploads.selectors.prices import Prices, prices_of
from uploads.selectors.saved_views import find_views
from uploads.selectors.scans import not_checked

MAX_UNCHECKED = 20
"""Stores and buckets that the page names because they could not be checked."""


def page_context(request: HttpRequest) -> dict[str, Any]:
    """Raises BadParameter, BadCursor and NotAllowed."""
    query = query_in(request)
    wanted, address = filter_in(query), Address.of(request)
    sort, largest_first = read_sort(query)
    grouping, cursor = read_group(query), query.text("cursor")
    plan = plan_of(request.user, wanted)
    page = find_page(
        request.user,
        wanted,
        sort=sort,
        largest_first=largest_first,
        cursor=cursor,
        limit=read_page_size(query),
        plan=plan,
    )
    stores = list(access.visible_stores(request.user))
    prices = prices_of(stores)
    rows = list(rows_of(page.uploads, prices, address))
    return {
        **form_context(request, address),
        **groups_context(request, address, prices, wanted, grouping, read_depth(query), read_groups_from(query), plan),
        **_totals(request, address, stores, prices, totals(request.user, wanted, plan=plan), wanted),
        **scan_state_context(request, wanted.store),
        **_sweeps(request, wanted),
        **_views(request),
        "uncounted_buckets": uncounted_buckets(request.user, wanted),
        "was_scanned": bool(rows) or access.visible_inventory_buckets(request.user).exists(),
        "unchecked": not_checked(request.user, _of_filter(stores, wanted), limit=MAX_UNCHECKED),
        "scan_url": reverse("scans"),
        "place_chart": None if grouping or cursor else place_chart(request, wanted),
        "rows": rows,
        "list": {
            **list_context(request, address, has_costs=any(row.cost for row in rows)),
            **_pages(address, page, cursor),
            "actions": access.may(request.user, Action.PLAN_SWEEPS),
        },
    }


def _of_filter(stores: list[Store], wanted: InventoryFilter) -> list[Store] | None:
    return [store for store in stores if store.name == wanted.store] if wanted.store else None


def _totals(
    request: HttpRequest, address: Address, stores: list[Store], prices: Prices, found: Totals, wanted: InventoryFilter
) -> dict[str, Any]:
    costs = costs_of(prices, found)
    sizes = [(each.store_id, each.storage_class, each.bytes) for each in found.by_class]
    return {
        "totals": found,
        "costs": costs,
        "without_price": stores_without_price(request, stores, prices, sizes) if costs.unpriced_bytes else [],
        "empty_url": address.where([("verdict", EMPTY)]).url,
        "is_all_empty": wanted.verdicts == (EMPTY,),
    }


def _pages(address: Address, page: InventoryPage, cursor: str) -> dict[str, Any]:
    def at(place: str | None) -> str:
        return address.where([("cursor", place)]).url if place else ""

    return {
        "ended_early": page.ended_early,
        "tested": CANDIDATES,
        "is_first_page": not cursor,
        "first_url": address.url,
        "next_url": at(page.next),
        "previous_url": at(page.previous),
    }


def _sweeps(request: HttpRequest, wanted: InventoryFilter) -> dict[str, Any]:
    """Where a sweep of the filter is planned. The form of a sweep has the verdicts that a rule may name."""
    if not access.may(request.user, Action.PLAN_SWEEPS):
        return {"may_sweep": False}
    rule = replace(wanted, verdicts=tuple(each for each in wanted.verdicts if each in SWEEPABLE))
    if wanted.verdicts == (EMPTY,):
        rule = replace(rule, max_parts=0)
    return {"may_sweep": True, "sweep_url": f"{reverse('new-sweep')}?{filter_query(rule)}"}


def _views(request: HttpRequest) -> dict[str, Any]:
    return {
        "views": find_views(access.views_to_see(request.user)),
        "may_share": access.may_share_views(request.user),
        "may_change_shared": access.may(request.user, Action.MANAGE_USERS),
    }
