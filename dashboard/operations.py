"""Operations: what was ordered, and what became of each upload."""

from __future__ import annotations

import time
import uuid
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from dashboard.shared import jsonapi
from dashboard.shared.links import BucketLinks
from dashboard.shared.messages import error_json
from dashboard.shared.responses import explains_failures, is_fragment, see_other
from uploads import access
from uploads.domain.states import ItemState, OperationKind
from uploads.models import Operation, OperationItem
from uploads.objectstore.types import UploadRef
from uploads.selectors.operations import OperationProgress, operation_progress

SHOWN_ITEMS = 50
"""Items a page shows of each kind; the counts tell of the rest, the JSON has them all."""

PATIENCE_SECONDS = 2.0
"""How long an order waits for its outcome before it answers with the operation's address."""

LOOK_SECONDS = 0.1


@require_GET
@explains_failures
def detail(request: HttpRequest, operation_id: uuid.UUID) -> HttpResponseBase:
    operation = access.operation_to_see(request.user, operation_id)
    progress = progress_of(operation)
    if jsonapi.wants_json(request):
        return JsonResponse(operation_json(operation, progress))
    template = "operations/status.html" if is_fragment(request) else "operations/detail.html"
    return render(request, template, _context(operation, progress))


def answer_order(request: HttpRequest, operation: Operation) -> HttpResponseBase:
    """To the operation's page; with JSON the outcome if it comes soon, else where to look for it."""
    url = reverse("operation", args=[operation.pk])
    if not jsonapi.wants_json(request):
        return see_other(url)
    progress = _wait(operation)
    status = 202 if progress.state == "running" else 200
    return JsonResponse(operation_json(operation, progress), status=status, headers={"Location": url})


def operation_json(operation: Operation, progress: OperationProgress) -> dict[str, Any]:
    """The same facts as the page."""
    return {
        "id": str(operation.pk),
        "url": reverse("operation", args=[operation.pk]),
        "kind": operation.kind,
        "state": progress.state,
        "store": operation.store.name,
        "Bucket": operation.bucket,
        "actor": operation.actor.get_username(),
        "created": jsonapi.iso(operation.created_at),
        "items": {"count": progress.total, "done": progress.done, "failed": progress.failed, "active": progress.active},
        "Uploads": [_item_json(item) for item in operation.items.all()],
    }


def progress_of(operation: Operation) -> OperationProgress:
    return operation_progress([operation])[operation.pk]


def _item_json(item: OperationItem) -> dict[str, Any]:
    return {
        "Key": item.key,
        "UploadId": item.upload_id,
        "state": item.state,
        "outcome": item.outcome,
        "error": error_json(item.error),
        "finished": jsonapi.iso(item.finished_at),
    }


def _wait(operation: Operation) -> OperationProgress:
    deadline = time.monotonic() + PATIENCE_SECONDS
    progress = progress_of(operation)
    while progress.state == "running" and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        progress = progress_of(operation)
    return progress


def _context(operation: Operation, progress: OperationProgress) -> dict[str, Any]:
    links = BucketLinks(operation.store.name, operation.bucket)
    items = operation.items.order_by("id")
    failed = items.filter(state=ItemState.FAILED)[:SHOWN_ITEMS]
    others = items.exclude(state=ItemState.FAILED)[:SHOWN_ITEMS]
    rows = [_row(links, item) for item in [*failed, *others]]
    return {
        "operation": operation,
        "progress": progress,
        "ended": progress.total - progress.active,
        "running": progress.state == "running",
        "links": links,
        "rows": rows,
        "hidden": progress.total - len(rows),
        "single": rows[0] if progress.total == 1 else None,
        "is_abort": operation.kind == OperationKind.ABORT,
        "quarter": _quarter(progress),
    }


def _quarter(progress: OperationProgress) -> int:
    """Progress in steps of 25 per cent: what a screen reader is told."""
    return (progress.total - progress.active) * 4 // max(progress.total, 1) * 25


def _row(links: BucketLinks, item: OperationItem) -> dict[str, Any]:
    name = UploadRef(item.key, item.upload_id)
    return {"item": item, "detail_url": links.detail(name), "words": _outcome_words(item)}


def _outcome_words(item: OperationItem) -> str:
    """The outcome in a sentence."""
    outcome = item.outcome
    if item.state != ItemState.DONE:
        return ""
    if "repeats" in outcome:
        if outcome.get("already_gone"):
            return "It was already gone: completed or aborted before."
        repeats = outcome["repeats"]
        return "Aborted; the store lists no part of it any more." + (
            f" It took {repeats} aborts, since parts kept arriving." if repeats > 1 else ""
        )
    if outcome.get("verified"):
        return "Completed, and the object is there."
    return "Done, unverified: the store did not let us look at the object, or it is not as expected."
