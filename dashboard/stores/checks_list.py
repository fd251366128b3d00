"""The list of store checks, of all stores."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from dashboard.shared import jsonapi
from dashboard.shared.lists import Column, Filter, Kind, ListQuery, ListSpec, common_filters, list_page, read_list
from dashboard.shared.lists.choices import store_names
from dashboard.shared.responses import explains_failures
from dashboard.stores.check_report import card_of
from dashboard.stores.serializers import checks_list_json
from dashboard.templatetags.components import state_text
from uploads.domain.states import ItemState
from uploads.models import StoreCheck
from uploads.selectors.lists.checks import CheckFilter, search_checks
from uploads.selectors.lists.keyset import Search


def _states(_request: HttpRequest) -> list[tuple[str, Any]]:
    never = {ItemState.UNKNOWN, ItemState.SPARED, ItemState.LEFT}
    return [(each.value, state_text(each.value)) for each in ItemState if each not in never]


CHECKS = ListSpec(
    name="checks",
    model=StoreCheck,
    columns=(
        Column("state", _("State"), classes="list-state"),
        Column("what", _("Store and bucket"), is_fixed=True),
        Column("results", _("Results"), classes="list-results"),
        Column("actor", _("Requested by"), classes="list-owner"),
        Column("requested", _("Requested"), sort="created_at", classes="list-time", largest_first=True),
    ),
    filters=(
        Filter("state", _("State"), Kind.CHOICE, _states, is_closed=True),
        Filter("store", _("Store"), Kind.CHOICE, store_names),
        Filter("bucket", _("Bucket")),
        Filter("owner", _("Requested by")),
        Filter("from", _("From"), Kind.DAY),
        Filter("to", _("Until"), Kind.DAY),
    ),
    default_sort="-requested",
)


@require_safe
@explains_failures
def checks_of_all_stores(request: HttpRequest) -> HttpResponse:
    query = read_list(request, CHECKS)
    page = list_page(request, CHECKS, query, _search(request, query))
    if jsonapi.wants_json(request):
        return JsonResponse({**checks_list_json(page.rows), "next": page.next, "previous": page.previous})
    cards = [card_of(each) for each in page.rows]
    return render(request, "stores/checks_list.html", {"list": page.context, "cards": cards})


def _search(request: HttpRequest, query: ListQuery) -> Search[StoreCheck]:
    state = query.text("state")
    wanted = CheckFilter(
        state=ItemState(state) if state else None,
        **common_filters(query),
    )
    return search_checks(request.user, wanted)
