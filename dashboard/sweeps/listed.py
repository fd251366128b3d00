"""The list of sweeps: its columns and filters."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from dashboard.shared.jsonapi import wants_json
from dashboard.shared.lists import (
    Column,
    Filter,
    Kind,
    ListAddress,
    ListQuery,
    ListSpec,
    common_filters,
    list_context,
    read_list,
)
from dashboard.shared.lists.choices import store_names
from dashboard.shared.messages.sweeps import rule_words
from dashboard.shared.responses import explains_failures
from dashboard.sweeps.serializers import sweep_json
from dashboard.templatetags.components import state_text
from uploads.domain.states import SweepState
from uploads.models import Sweep
from uploads.selectors.lists.sweeps import SweepFilter, find_sweeps

PAGE_SIZE = 50


def _states(_request: HttpRequest) -> list[tuple[str, Any]]:
    return [(each.value, state_text(each.value)) for each in SweepState]


SWEEPS = ListSpec(
    name="sweeps",
    model=Sweep,
    columns=(
        Column("state", _("State")),
        Column("rule", _("Rule"), is_fixed=True),
        Column("uploads", _("Uploads"), classes="text-num"),
        Column("bytes", _("Bytes"), classes="text-num"),
        Column("freed", _("Freed"), classes="text-num"),
        Column("author", _("Author")),
        Column("created", _("Created"), sort="created_at", largest_first=True),
    ),
    filters=(
        Filter("state", _("State"), Kind.CHOICE, _states, is_closed=True),
        Filter("store", _("Store"), Kind.CHOICE, store_names),
        Filter("bucket", _("Bucket")),
        Filter("owner", _("Author")),
        Filter("from", _("From"), Kind.DAY),
        Filter("to", _("Until"), Kind.DAY),
    ),
    default_sort="-created",
)


@require_safe
@explains_failures
def sweeps(request: HttpRequest) -> HttpResponse:
    """The list, newest first. Its pages have numbers."""
    query = read_list(request, SWEEPS)
    wanted = SweepFilter(state=query.text("state"), **common_filters(query))
    found = find_sweeps(request.user, wanted, oldest_first=not query.order.descends)
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    if wants_json(request):
        following = page.next_page_number() if page.has_next() else None
        return JsonResponse({"sweeps": [sweep_json(each) for each in page], "next": following})
    rows = [(each, rule_words(each.rule)) for each in page]
    return render(request, "sweeps/list.html", {"list": _context(request, query, page), "rows": rows})


def _context(request: HttpRequest, query: ListQuery, page: Page[Sweep]) -> dict[str, Any]:
    address = ListAddress(SWEEPS, query)

    def at(number: int) -> str:
        return address.where({"page": str(number)})

    return {
        **list_context(request, SWEEPS, query, {"page": str(page.number) if page.has_previous() else None}),
        "is_first_page": not page.has_previous(),
        "first_url": address.first,
        "next_url": at(page.next_page_number()) if page.has_next() else "",
        "previous_url": at(page.previous_page_number()) if page.has_previous() else "",
    }
