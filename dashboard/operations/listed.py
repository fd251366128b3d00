"""The list of operations: aborts and completions, what was requested and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from dashboard.operations.outcome import waiting_text
from dashboard.operations.serializers import operation_summary_json
from dashboard.shared import jsonapi
from dashboard.shared.lists import Column, Filter, Kind, ListQuery, ListSpec, common_filters, list_page, read_list
from dashboard.shared.lists.choices import store_names
from dashboard.shared.responses import explains_failures
from dashboard.templatetags.components import state_text
from uploads.domain.states import OperationKind
from uploads.models import Operation, OperationItem
from uploads.selectors.lists.keyset import Search
from uploads.selectors.lists.operations import OPERATION_STATES, OperationFilter, search_operations
from uploads.selectors.operations import OperationProgress, first_items, operation_progress


def _states(_request: HttpRequest) -> list[tuple[str, Any]]:
    return [(each, state_text(each)) for each in OPERATION_STATES]


KINDS = {OperationKind.ABORT: _("Aborts"), OperationKind.COMPLETE: _("Completions")}


def _kinds(_request: HttpRequest) -> list[tuple[str, Any]]:
    return [(each.value, KINDS[each]) for each in OperationKind]


OPERATIONS = ListSpec(
    name="operations",
    model=Operation,
    columns=(
        Column("state", _("State"), classes="list-state"),
        Column("what", _("What"), is_fixed=True),
        Column("uploads", _("Uploads"), classes="text-num list-size"),
        Column("failed", _("Failed"), classes="text-num list-size"),
        Column("actor", _("Requested by"), classes="list-owner"),
        Column("requested", _("Requested"), sort="created_at", classes="list-time", largest_first=True),
    ),
    filters=(
        Filter("state", _("State"), Kind.CHOICE, _states, is_closed=True),
        Filter("kind", _("What"), Kind.CHOICE, _kinds, is_closed=True),
        Filter("store", _("Store"), Kind.CHOICE, store_names),
        Filter("bucket", _("Bucket")),
        Filter("owner", _("Requested by")),
        Filter("q", _("Key has, or upload id"), Kind.MONO),
        Filter("from", _("From"), Kind.DAY),
        Filter("to", _("Until"), Kind.DAY),
    ),
    default_sort="-requested",
)


@dataclass(frozen=True, slots=True)
class Row:
    """`first` is its first upload."""

    operation: Operation
    progress: OperationProgress
    first: OperationItem | None
    waiting: str

    @property
    def others(self) -> int:
        return self.progress.total - 1


@require_safe
@explains_failures
def operations(request: HttpRequest) -> HttpResponse:
    query = read_list(request, OPERATIONS)
    page = list_page(request, OPERATIONS, query, _search(request, query))
    rows = _rows(list(page.rows))
    if jsonapi.wants_json(request):
        found = [operation_summary_json(row.operation, row.progress) for row in rows]
        return JsonResponse({"operations": found, "next": page.next, "previous": page.previous})
    return render(request, "operations/list.html", {"list": page.context, "rows": rows})


def _search(request: HttpRequest, query: ListQuery) -> Search[Operation]:
    kind = query.text("kind")
    wanted = OperationFilter(
        state=query.text("state"),
        kind=OperationKind(kind) if kind else None,
        text=query.text("q"),
        **common_filters(query),
    )
    return search_operations(request.user, wanted)


def _rows(operations: list[Operation]) -> list[Row]:
    """Two statements, whatever their number."""
    progress, firsts = operation_progress(operations), first_items(operations)
    return [
        Row(each, shown, firsts.get(each.pk), waiting_text(each, shown))
        for each in operations
        if (shown := progress.get(each.pk))
    ]
