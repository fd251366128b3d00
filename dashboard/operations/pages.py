"""The page of an operation: how far it is, and the outcome of each of its uploads."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Case, QuerySet, Value, When
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from dashboard.operations.outcome import completion_text, outcome_text, pace_text, waiting_text
from dashboard.operations.serializers import operation_json
from dashboard.shared import jsonapi
from dashboard.shared.deleted import shows_deleted
from dashboard.shared.errors import refuse
from dashboard.shared.links import BucketLinks
from dashboard.shared.messages import text_of
from dashboard.shared.parameters import query_string
from dashboard.shared.responses import explains_failures, is_fragment, see_other
from dashboard.shared.way_back import BACK, links_of
from uploads import access
from uploads.domain.states import ItemState, OperationKind
from uploads.models import Operation, OperationItem
from uploads.objectstore.types import UploadRef, UploadsQuery
from uploads.selectors.operations import OperationProgress, operation_progress
from uploads.services.operations.steps import StepRefused, pause_operation, resume_operation, stop_operation

SHOWN_ITEMS = 50
"""The most items that the page shows, failed ones first. The JSON has all of them."""

PATIENCE_SECONDS = 2.0
"""How long a JSON request waits for the outcome before the response names the operation's URL instead."""

POLL_SECONDS = 0.1

STEPS: Mapping[str, tuple[str, ...]] = {
    "running": ("pause", "stop"),
    "pausing": ("resume", "stop"),
    "paused": ("resume", "stop"),
}
"""What can be done with an operation in a state."""


@require_safe
@explains_failures
@shows_deleted
def detail(request: HttpRequest, operation_id: uuid.UUID) -> HttpResponseBase:
    operation = access.operation_to_see(request.user, operation_id)
    progress = progress_of(operation)
    if jsonapi.wants_json(request):
        return JsonResponse(operation_json(operation, progress))
    template = "operations/status.html" if is_fragment(request) else "operations/detail.html"
    links = links_of(request, operation.store.name, operation.bucket)
    context = _context(operation, progress, links)
    context["may_steer"] = operation.sweep_id is None and access.may_steer_operation(request.user, operation)
    return render(request, template, context)


def respond_with(request: HttpRequest, operation: Operation, back: str = "") -> HttpResponseBase:
    """A redirect to the operation's page. JSON: the outcome if it is known soon, otherwise the operation's URL.

    `back`: where the page leads back to, as `safe_back` returns it.
    """
    url = reverse("operation", args=[operation.pk])
    if not jsonapi.wants_json(request):
        return see_other(url + query_string({BACK: back}))
    progress = _wait(operation)
    status = 202 if progress.active else 200
    return JsonResponse(operation_json(operation, progress), status=status, headers={"Location": url})


@require_POST
@explains_failures
def pause(request: HttpRequest, operation_id: uuid.UUID) -> HttpResponseBase:
    return _step(request, operation_id, pause_operation)


@require_POST
@explains_failures
def resume(request: HttpRequest, operation_id: uuid.UUID) -> HttpResponseBase:
    return _step(request, operation_id, resume_operation)


@require_POST
@explains_failures
def stop(request: HttpRequest, operation_id: uuid.UUID) -> HttpResponseBase:
    """What is not begun is left."""
    return _step(request, operation_id, stop_operation)


def _step(request: HttpRequest, operation_id: uuid.UUID, act: Callable[[User, Operation], None]) -> HttpResponseBase:
    operation = access.operation_to_steer(request.user, operation_id)
    links = links_of(request, operation.store.name, operation.bucket)
    url = reverse("operation", args=[operation.pk]) + query_string({BACK: links.back})
    try:
        act(access.actor(request.user), operation)
    except StepRefused as refused:
        text = text_of(refused.problem)
        if jsonapi.wants_json(request):
            return jsonapi.json_error(refused.problem.code, text, status=409)
        return refuse(request, 409, _("Nothing was changed"), text, code=refused.problem.code, back=url)
    if jsonapi.wants_json(request):
        operation.refresh_from_db()
        return JsonResponse(operation_json(operation, progress_of(operation)))
    return see_other(url)


def progress_of(operation: Operation) -> OperationProgress:
    return operation_progress([operation])[operation.pk]


def _wait(operation: Operation) -> OperationProgress:
    deadline = time.monotonic() + PATIENCE_SECONDS
    progress = progress_of(operation)
    while progress.active and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        progress = progress_of(operation)
    return progress


def _context(operation: Operation, progress: OperationProgress, links: BucketLinks) -> dict[str, Any]:
    rows = [_row(links, item) for item in _failed_first(operation)]
    return {
        "operation": operation,
        "progress": progress,
        "finished": progress.total - progress.active - progress.left,
        "running": progress.active > 0,
        "steps": STEPS.get(progress.state, ()),
        "pace": pace_text(operation, progress),
        "waiting": waiting_text(operation, progress),
        "links": links,
        "operation_url": reverse("operation", args=[operation.pk]) + query_string({BACK: links.back}),
        "rows": rows,
        "hidden": progress.total - len(rows),
        "single": rows[0] if progress.total == len(rows) == 1 else None,
        "is_abort": operation.kind == OperationKind.ABORT,
        "quarter": _quarter(progress),
    }


def _failed_first(operation: Operation) -> QuerySet[OperationItem]:
    """One query: of two queries by state, neither would find an item that ends between them."""
    failed_first = Case(When(state__in=(ItemState.FAILED, ItemState.UNKNOWN), then=Value(0)), default=Value(1))
    return operation.items.select_related("operation").order_by(failed_first, "id")[:SHOWN_ITEMS]


def _quarter(progress: OperationProgress) -> int:
    """The progress in steps of 25 per cent, which screen readers announce."""
    return (progress.total - progress.active) * 4 // max(progress.total, 1) * 25


def _row(links: BucketLinks, item: OperationItem) -> dict[str, Any]:
    name = UploadRef(item.key, item.upload_id)
    return {
        "item": item,
        "detail_url": links.detail(name),
        "key_url": links.listing(UploadsQuery(prefix=item.key, whole_key=True)),
        "outcome_text": outcome_text(item),
        "verification": completion_text(item),
    }
