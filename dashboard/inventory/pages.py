"""The inventory: all uploads in progress of all stores, as JSON, or exported as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from dashboard.inventory.explore import page_context
from dashboard.inventory.query import (
    filter_in,
    query_in,
    read_depth,
    read_group,
    read_groups_from,
    read_page_size,
    read_sort,
)
from dashboard.inventory.scan_state import scan_state_context
from dashboard.inventory.serializers import COLUMNS, coverage_text, inventory_json, uploads_json
from dashboard.shared.errors import refuse
from dashboard.shared.exports import attachment, csv_lines, json_lines
from dashboard.shared.jsonapi import wants_json
from dashboard.shared.parameters import BadParameter, Query
from dashboard.shared.responses import is_fragment, same_address
from uploads.models import InventoryUpload
from uploads.selectors.inventory import BadCursor, find_page, groups, iter_uploads, plan_of, totals
from uploads.selectors.inventory.uncounted import uncounted_buckets

FORMATS: Mapping[str, Callable[[Iterable[InventoryUpload]], Iterator[str]]] = {
    "csv": lambda rows: csv_lines(COLUMNS, uploads_json(rows)),
    "jsonl": lambda rows: json_lines(uploads_json(rows)),
}


@require_safe
def inventory(request: HttpRequest) -> HttpResponseBase:
    """One page of uploads with a filter, its totals and groups; or all of them with `format`."""
    try:
        query = query_in(request)
        form = query.text("format")
        if form not in ("", *FORMATS):
            raise BadParameter(_("“format” must be one of %(values)s.") % {"values": ", ".join(FORMATS)})
        if form:
            return export(request, query, form)
        if wants_json(request):
            return same_address(JsonResponse(facts(request, query)))
        if is_fragment(request):
            state = scan_state_context(request, query.text("store"))
            return same_address(render(request, "inventory/_scan_state.html", state | {"scan_url": reverse("scans")}))
        return same_address(render(request, "inventory/explore.html", page_context(request)))
    except BadParameter as error:
        return refused(request, str(error))
    except BadCursor:
        return refused(request, _("“cursor” must be one that a page with the same “sort” returned."))


def facts(request: HttpRequest, query: Query) -> dict[str, object]:
    """Raises BadParameter, BadCursor and NotAllowed."""
    wanted, (sort, largest_first), by = filter_in(query), read_sort(query), read_group(query)
    depth, size, cursor = read_depth(query), read_page_size(query), (query.all("cursor") or [""])[0]
    user, plan = request.user, plan_of(request.user, wanted)
    page = find_page(user, wanted, sort=sort, largest_first=largest_first, cursor=cursor, limit=size, plan=plan)
    found = groups(user, wanted, by, depth=depth, plan=plan, start=read_groups_from(query)) if by else None
    uncounted = uncounted_buckets(user, wanted)
    return inventory_json(page, totals(user, wanted, plan=plan), found, uncounted)


def export(request: HttpRequest, query: Query, form: str) -> HttpResponseBase:
    """All uploads with this filter that the user sees, in the order of the page. A header states their coverage."""
    wanted, (sort, largest_first) = filter_in(query), read_sort(query)
    user, plan = request.user, plan_of(request.user, wanted)
    rows = iter_uploads(user, wanted, sort=sort, largest_first=largest_first, plan=plan)
    response = attachment("inventory", form, FORMATS[form](rows))
    response["Partway-Coverage"] = coverage_text(totals(user, wanted, plan=plan)).encode("ascii", "replace").decode()
    return response


def refused(request: HttpRequest, text: str) -> HttpResponse:
    return refuse(
        request, 400, _("No such page of the inventory"), text, code="InvalidArgument", back=reverse("inventory")
    )
