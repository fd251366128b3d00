"""The list of operations: aborts and completions, what was requested and what became of it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from dashboard.operations.outcome import waiting_text
from dashboard.operations.serializers import operation_summary_json
from dashboard.shared import jsonapi
from dashboard.shared.lists import (
    Action,
    Column,
    Filter,
    Kind,
    ListQuery,
    ListSpec,
    common_filters,
    list_page,
    read_list,
)
from dashboard.shared.lists.choices import store_names
from dashboard.shared.responses import explains_failures, is_fragment
from dashboard.templatetags.components import state_text
from uploads import access
from uploads.domain.roles import Action as RoleAction
from uploads.domain.states import OperationKind
from uploads.models import Operation, OperationItem
from uploads.selectors.lists.keyset import Search
from uploads.selectors.lists.operations import OPERATION_STATES, OperationFilter, search_operations
from uploads.selectors.operations import OperationProgress, first_items, operation_progress
from uploads.services.operations.steps import can_be_steered


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
    actions=(
        Action("pause", _("Pause selected"), _("Pause"), "player-pause"),
        Action("resume", _("Resume selected"), _("Resume"), "player-play"),
        Action("stop", _("Stop selected…"), _("Stop…"), "player-stop"),
    ),
    url_of_actions="operations-steps",
)


@dataclass(frozen=True, slots=True)
class Row:
    """`first` is its first upload. `is_steerable`: the user can pause, resume or stop it now."""

    operation: Operation
    progress: OperationProgress
    first: OperationItem | None
    waiting: str
    is_steerable: bool = False

    @property
    def others(self) -> int:
        return self.progress.total - 1


@require_safe
@explains_failures
def operations(request: HttpRequest) -> HttpResponse:
    """The list, filtered and sorted, in pages. It polls while an operation on the page runs."""
    query = read_list(request, OPERATIONS)
    may_steer = access.may(request.user, RoleAction.ABORT_UPLOADS)
    page = list_page(request, OPERATIONS, query, search_of(request, query), may_act=may_steer)
    rows = rows_of(page.rows, _steerable(request, page.rows) if may_steer else frozenset())
    if jsonapi.wants_json(request):
        found = [operation_summary_json(row.operation, row.progress) for row in rows]
        return JsonResponse({"operations": found, "next": page.next, "previous": page.previous})
    template = "operations/_list.html" if is_fragment(request) else "operations/list.html"
    is_live = any(row.progress.active for row in rows)
    return render(request, template, {"list": page.context, "rows": rows, "is_live": is_live})


def search_of(request: HttpRequest, query: ListQuery) -> Search[Operation]:
    """Raises BadParameter and NotAllowed."""
    kind = query.text("kind")
    wanted = OperationFilter(
        state=query.text("state"),
        kind=OperationKind(kind) if kind else None,
        text=query.text("q"),
        **common_filters(query),
    )
    return search_operations(request.user, wanted)


def _steerable(request: HttpRequest, operations: Sequence[Operation]) -> frozenset[uuid.UUID]:
    """Those of the page that the user can steer now: one statement."""
    rows = access.operations_to_steer(request.user).filter(can_be_steered(), pk__in=[each.pk for each in operations])
    return frozenset(rows.order_by().values_list("pk", flat=True))


def rows_of(operations: Sequence[Operation], steerable: frozenset[uuid.UUID] = frozenset()) -> list[Row]:
    """Two statements, whatever their number."""
    progress, firsts = operation_progress(operations), first_items(operations)
    return [
        Row(each, shown, firsts.get(each.pk), waiting_text(each, shown), each.pk in steerable)
        for each in operations
        if (shown := progress.get(each.pk))
    ]
