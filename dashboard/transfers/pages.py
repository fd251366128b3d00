"""Transfers: the list, one of them, and the steps an operator may order."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import add_never_cache_headers, patch_vary_headers
from django.views.decorators.http import require_GET, require_POST

from dashboard.shared.errors import refuse
from dashboard.shared.jsonapi import json_error, wants_json
from dashboard.shared.links import BucketLinks
from dashboard.shared.messages import text_of
from dashboard.shared.responses import is_fragment, see_other
from dashboard.transfers.picture import draw
from dashboard.transfers.rows import TransferRow, allowed_steps, in_state, row_of, rows_of, transfer_json
from uploads import access
from uploads.domain.states import FINAL_PHASES, TransferState
from uploads.models import Transfer
from uploads.objectstore.types import UploadRef
from uploads.selectors.transfers import part_runs
from uploads.services.transfers.steps import StepRefused, request_cancel, request_pause, request_resume, request_retry

PAGE_SIZE = 50
MAX_NAMED = 200
MAX_PART_ERRORS = 5


def same_address(response: HttpResponse) -> HttpResponse:
    """A page, its fragment and its JSON share one address, and each is old after a second."""
    patch_vary_headers(response, ["Accept", "HX-Request"])
    add_never_cache_headers(response)
    return response


@require_GET
def transfers(request: HttpRequest) -> HttpResponse:
    """The list, newest first; `state` filters by the state shown, `page` pages. With `id`s: just those, as JSON."""
    state = request.GET.get("state", "")
    if state and state not in set(TransferState):
        allowed = ", ".join(TransferState)
        return refuse(request, 400, "No such state", f"state may be one of {allowed}.", code="InvalidArgument")
    found = access.transfers_to_see(request.user).order_by("-created_at", "-pk")
    if "id" in request.GET:
        return _these(request, found)
    if state:
        found = found.filter(in_state(TransferState(state)))
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    rows = rows_of(list(page.object_list))
    if wants_json(request):
        return same_address(JsonResponse({"transfers": [transfer_json(row) for row in rows]}))
    context = {
        "page": page,
        "rows": rows,
        "is_live": any(row.is_live for row in rows),
        "state": state,
        "states": list(TransferState),
    }
    template = "transfers/_list.html" if is_fragment(request) else "transfers/list.html"
    return same_address(render(request, template, context))


def _these(request: HttpRequest, found: QuerySet[Transfer]) -> HttpResponse:
    """The transfers that are named, for a page that follows many at once; what one may not see is left out."""
    try:
        ids = [uuid.UUID(each) for each in request.GET.getlist("id")[: MAX_NAMED + 1]]
    except ValueError:
        return json_error("InvalidArgument", "id must be a transfer's id.", status=400)
    if len(ids) > MAX_NAMED:
        return json_error("InvalidArgument", f"At most {MAX_NAMED} transfers can be asked for at a time.", status=400)
    rows = rows_of(list(found.filter(pk__in=ids)))
    return same_address(JsonResponse({"transfers": [transfer_json(row) for row in rows]}))


@require_GET
def transfer(request: HttpRequest, transfer_id: uuid.UUID) -> HttpResponse:
    """One transfer. A poll says what it has `seen` and `said`, and gets beyond the moving part only what is new."""
    row = row_of(access.transfer_to_see(request.user, transfer_id))
    if wants_json(request):
        return same_address(JsonResponse(transfer_json(row)))
    context = {
        "row": row,
        "transfer": row.transfer,
        "progress": row.progress,
        "steps": allowed_steps(row.transfer),
        "upload_url": upload_url(row),
        "picture": draw(part_runs(row.transfer), row.transfer.part_count),
        "part_errors": row.transfer.parts.exclude(error_code="")[:MAX_PART_ERRORS],
        "is_new": request.GET.get("seen") != row.seen,
        "is_unsaid": request.GET.get("said") != row.said,
    }
    template = "transfers/_poll.html" if is_fragment(request) else "transfers/transfer.html"
    return same_address(render(request, template, context))


def upload_url(row: TransferRow) -> str:
    """The page of the upload in the store while there is one."""
    transfer = row.transfer
    if not row.progress.upload_id or transfer.phase in FINAL_PHASES:
        return ""
    links = BucketLinks(transfer.store.name, transfer.bucket)
    return links.detail(UploadRef(transfer.key, row.progress.upload_id))


Order = Callable[[User, Transfer], None]


def _step(request: HttpRequest, transfer_id: uuid.UUID, order: Order, done: str) -> HttpResponse:
    """Order a step and show the transfer again; what its state does not allow is said, as JSON with a 409."""
    transfer = access.transfer_to_steer(request.user, transfer_id)
    try:
        order(access.actor(request.user), transfer)
    except StepRefused as refusal:
        text = text_of(refusal.problem)
        if wants_json(request):
            return json_error("StepRefused", text, status=409)
        messages.error(request, text)
        return see_other(reverse("transfer", args=[transfer_id]))
    if wants_json(request):
        return JsonResponse(transfer_json(row_of(access.transfer_to_steer(request.user, transfer_id))))
    messages.success(request, done)
    return see_other(reverse("transfer", args=[transfer_id]))


@require_POST
def pause(request: HttpRequest, transfer_id: uuid.UUID) -> HttpResponse:
    return _step(request, transfer_id, request_pause, "Paused: no further part is begun.")


@require_POST
def resume(request: HttpRequest, transfer_id: uuid.UUID) -> HttpResponse:
    return _step(request, transfer_id, request_resume, "Resumed.")


@require_POST
def retry(request: HttpRequest, transfer_id: uuid.UUID) -> HttpResponse:
    return _step(request, transfer_id, request_retry, "Tried again from where it stands.")


@require_POST
def cancel(request: HttpRequest, transfer_id: uuid.UUID) -> HttpResponse:
    return _step(request, transfer_id, request_cancel, "Cancellation ordered: the upload in the store is aborted.")
