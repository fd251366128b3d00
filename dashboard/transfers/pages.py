"""Pages of transfers: the list, one transfer, and the steps an operator can request."""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Callable, Iterator

from django.contrib import messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from dashboard.shared.deleted import shows_deleted
from dashboard.shared.jsonapi import json_error, wants_json
from dashboard.shared.links import BucketLinks
from dashboard.shared.lists import ListAddress, ListQuery, list_page, read_list
from dashboard.shared.messages import text_of
from dashboard.shared.responses import explains_failures, is_fragment, same_address, see_other
from dashboard.transfers.listed import TRANSFERS, search_of
from dashboard.transfers.picture import draw
from dashboard.transfers.rows import TransferRow, allowed_steps, digest_of, row_of, rows_of
from dashboard.transfers.serializers import transfer_json
from uploads import access
from uploads.domain.roles import Action as RoleAction
from uploads.domain.states import FINAL_PHASES, TransferState
from uploads.models import Part, Transfer
from uploads.objectstore.types import UploadRef
from uploads.problems import Problem
from uploads.selectors.transfers import part_runs
from uploads.services.transfers.dismiss import request_dismissal
from uploads.services.transfers.replaced_parts import ABOUT_PARTS
from uploads.services.transfers.steps import (
    StepRefused,
    request_cancel,
    request_pause,
    request_resume,
    request_retry,
    retry_only_verifies,
)
from uploads.services.transfers.verify import request_verification

MAX_IDS = 200
MAX_PART_ERRORS = 5


@require_safe
@explains_failures
def transfers(request: HttpRequest) -> HttpResponse:
    """The list, filtered and sorted, in pages. With `id` parameters: those transfers as JSON.

    A poll sends what it has `seen`, and gets nothing while that is still so.
    """
    query = read_list(request, TRANSFERS)
    if "id" in request.GET:
        return _by_id(request, access.transfers_to_see(request.user).order_by("-created_at", "-pk"))
    may_steer = access.may(request.user, RoleAction.STEER_TRANSFERS)
    page = list_page(request, TRANSFERS, query, search_of(request, query), may_act=may_steer)
    rows = rows_of(page.rows)
    if wants_json(request):
        found = {"transfers": [transfer_json(row) for row in rows], "next": page.next, "previous": page.previous}
        return JsonResponse(found)
    seen = digest_of(rows)
    if is_fragment(request) and request.GET.get("seen") == seen:
        return HttpResponse(status=204)
    context = {
        "list": page.context,
        "rows": rows,
        "poll_url": ListAddress(TRANSFERS, query).where({"cursor": query.cursor, "seen": seen}),
        "is_live": any(row.is_live for row in rows),
        "states": list(_state_links(query)),
        "sees_all": access.may_see_all_transfers(request.user),
    }
    template = "transfers/_list.html" if is_fragment(request) else "transfers/list.html"
    return render(request, template, context)


def _state_links(query: ListQuery) -> Iterator[tuple[str, str, bool]]:
    """Each state with the address of the list of transfers in it; '' for all of them."""
    address = ListAddress(TRANSFERS, query)
    for state in ("", *TransferState):
        yield str(state), address.where({"state": str(state)}), query.text("state") == state


def _by_id(request: HttpRequest, found: QuerySet[Transfer]) -> HttpResponse:
    """The transfers with the given ids, for a page that follows many at once. Those of others are omitted."""
    try:
        ids = [uuid.UUID(each) for each in request.GET.getlist("id")[: MAX_IDS + 1]]
    except ValueError:
        return json_error("InvalidArgument", _("“id” must be the id of a transfer."), status=400)
    if len(ids) > MAX_IDS:
        text = _("At most %(limit)s transfers can be requested at a time.") % {"limit": MAX_IDS}
        return json_error("InvalidArgument", text, status=400)
    rows = rows_of(list(found.filter(pk__in=ids)))
    return same_address(JsonResponse({"transfers": [transfer_json(row) for row in rows]}))


@require_safe
@shows_deleted
def transfer(request: HttpRequest, transfer_id: uuid.UUID) -> HttpResponse:
    """One transfer. A poll sends what it has `seen` and `said`, and gets only what has changed besides the progress.

    If it also has what is `shown`, the response is 204.
    """
    row = row_of(access.transfer_to_see(request.user, transfer_id))
    if wants_json(request):
        return same_address(JsonResponse(transfer_json(row)))
    runs, errors = part_runs(row.transfer), _part_errors(row)
    shown = row.shown(runs, errors)
    if is_fragment(request) and request.GET.get("shown") == shown:
        return same_address(HttpResponse(status=204))
    context = {
        "row": row,
        "transfer": row.transfer,
        "progress": row.progress,
        "steps": allowed_steps(row.transfer),
        "offers_another": row.state in ENDED and access.may_send_another(request.user, row.transfer),
        "refused_for_parts": row.transfer.error_code in ABOUT_PARTS,
        "only_verifies": row.state is TransferState.FAILED and retry_only_verifies(row.transfer),
        "upload_url": upload_url(row),
        "poll_url": poll_url(row, shown),
        "orphan_links": orphan_links(row),
        "lost_create_reason": text_of(Problem(row.transfer.lost_create_reason)) if row.transfer.lost_creates else "",
        "list_command": list_command(row.transfer),
        "picture": draw(runs, row.transfer.part_count),
        "part_errors": errors,
        "is_new": request.GET.get("seen") != row.seen,
        "is_unsaid": request.GET.get("said") != row.said,
    }
    template = "transfers/_poll.html" if is_fragment(request) else "transfers/transfer.html"
    return same_address(render(request, template, context))


def _part_errors(row: TransferRow) -> list[Part]:
    """The parts of a transfer whose last attempt failed; at most MAX_PART_ERRORS."""
    if row.progress.part_error is None:
        return []
    return list(row.transfer.parts.exclude(error_code="")[:MAX_PART_ERRORS])


def poll_url(row: TransferRow, shown: str) -> str:
    """The address of the next poll: it names what the page has seen and said, and what it shows."""
    return f"{reverse('transfer', args=[row.transfer.pk])}?seen={row.seen}&said={row.said}&shown={shown}"


def upload_url(row: TransferRow) -> str:
    """The page of the upload in the store, while it exists."""
    transfer = row.transfer
    if not row.progress.upload_id or transfer.phase in FINAL_PHASES:
        return ""
    links = BucketLinks(transfer.store.name, transfer.bucket)
    return links.detail(UploadRef(transfer.key, row.progress.upload_id))


def orphan_links(row: TransferRow) -> list[tuple[str, str]]:
    """The upload ids of the transfer's possible orphans, and their pages."""
    links = BucketLinks(row.transfer.store.name, row.transfer.bucket)
    ids = row.progress.possible_orphans
    return [(upload_id, links.detail(UploadRef(row.transfer.key, upload_id))) for upload_id in ids]


def list_command(transfer: Transfer) -> str:
    """A command that lists the uploads in progress with the transfer's key."""
    words = ["aws", "s3api", "list-multipart-uploads", "--bucket", transfer.bucket, "--prefix", transfer.key]
    return shlex.join(words)


ENDED = frozenset({TransferState.DONE, TransferState.CANCELLED})

Step = Callable[[User, Transfer], None]


def _step(request: HttpRequest, transfer_id: uuid.UUID, step: Step, done: str) -> HttpResponse:
    """Request a step and show the transfer again. If its state does not allow the step: an error, as JSON with 409."""
    transfer = access.transfer_to_steer(request.user, transfer_id)
    try:
        step(access.actor(request.user), transfer)
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
    return _step(request, transfer_id, request_pause, _("Paused. No further part is started."))


@require_POST
def resume(request: HttpRequest, transfer_id: uuid.UUID) -> HttpResponse:
    return _step(request, transfer_id, request_resume, _("Resumed."))


@require_POST
def retry(request: HttpRequest, transfer_id: uuid.UUID) -> HttpResponse:
    return _step(
        request,
        transfer_id,
        request_retry,
        _("The transfer is retried. What is in the store is not sent again."),
    )


@require_POST
def verify(request: HttpRequest, transfer_id: uuid.UUID) -> HttpResponse:
    return _step(request, transfer_id, request_verification, _("The object is verified."))


@require_POST
def dismiss_orphan(request: HttpRequest, transfer_id: uuid.UUID) -> HttpResponse:
    return _step(request, transfer_id, request_dismissal, _("Dismissed."))


@require_POST
def cancel(request: HttpRequest, transfer_id: uuid.UUID) -> HttpResponse:
    return _step(
        request,
        transfer_id,
        request_cancel,
        _("Cancelling. The staged bytes are removed and the upload in the store is aborted."),
    )
