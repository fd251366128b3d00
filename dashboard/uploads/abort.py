"""Aborting one upload or many: a confirmation page, and the request."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from dashboard.operations.pages import respond_with
from dashboard.shared import formatting, jsonapi
from dashboard.shared.body_limits import receives_large_form
from dashboard.shared.explain import explain
from dashboard.shared.exports import attachment
from dashboard.shared.links import BucketLinks
from dashboard.shared.messages import text_of
from dashboard.shared.parameters import read_number, read_uploads, write_upload
from dashboard.shared.responses import explains_failures
from dashboard.shared.way_back import links_of
from dashboard.uploads.columns import TO_ABORT
from dashboard.uploads.detail import ending_operation, gone, part_summary_context, upload_context
from dashboard.uploads.exported import selection_csv
from dashboard.uploads.rows import rows_to_abort
from uploads import access
from uploads.models import Store
from uploads.objectstore.types import UploadRef
from uploads.services.browse.ownership import OwnedByTransfer, owners
from uploads.services.browse.preflight import preflight_abort
from uploads.services.ended.noting import note_found_gone
from uploads.services.operations.order import request_abort

SPARED_HOURS = 24
"""Suggested on the page."""

MOST_SPARED_HOURS = 365 * 24


@receives_large_form
@require_http_methods(["GET", "POST"])
@explains_failures
def abort(request: HttpRequest, store: str, bucket: str) -> HttpResponseBase:
    """GET shows the confirmation page. So does POST with `ask`, because a selection is too long for a URL.

    POST with `export=csv` has the selection as a file, with the `facts` of the page. Any other POST requests the abort.
    `spare-hours`: uploads with a part of the last so many hours are left out, and those whose parts have no time.
    """
    names = read_uploads(request)
    found = access.store_to_abort_in(request.user, store, bucket, [name.key for name in names])
    links = links_of(request, found.name, bucket)
    if request.method == "GET" or "ask" in request.POST:
        return _confirm(request, found, links, names)
    if request.POST.get("export") == "csv":
        return attachment("uploads-to-abort", "csv", selection_csv(found, bucket, names, request.POST.get("facts", "")))
    try:
        operation = request_abort(access.actor(request.user), found, bucket, names, _spare_after(request))
    except OwnedByTransfer as owned:
        if jsonapi.wants_json(request):
            return jsonapi.json_error(owned.problem.code, text_of(owned.problem), status=409)
        return _confirm_one(request, found, links, names[0], status=409)
    return respond_with(request, operation, links.back)


def _spare_after(request: HttpRequest) -> datetime | None:
    """The time after which a part spares its upload; None if none does."""
    hours = read_number("spare-hours", request.POST.get("spare-hours", ""), 0, 0, MOST_SPARED_HOURS)
    return timezone.now() - timedelta(hours=hours) if hours else None


def _confirm(request: HttpRequest, store: Store, links: BucketLinks, names: Sequence[UploadRef]) -> HttpResponse:
    if len(names) == 1:
        return _confirm_one(request, store, links, names[0])
    return _confirm_many(request, store, links, names)


def _confirm_one(
    request: HttpRequest, store: Store, links: BucketLinks, name: UploadRef, *, status: int = 200
) -> HttpResponse:
    ended = ending_operation(request.user, store, links.bucket, name)
    preflight = None if ended else preflight_abort(store, links.bucket, name)
    if preflight is not None and preflight.gone:
        note_found_gone(store, links.bucket, name)
    if preflight is None or preflight.gone:
        return gone(request, links, name, ended=ended)
    context: dict[str, Any] = upload_context(request.user, store, links, name) | {
        "operation": preflight.operation,
        "refusal": explain(preflight.refusal) if preflight.refusal else None,
        "keep_url": links.came_from if request.method == "POST" else links.detail(name),
    }
    if preflight.part_summary is not None:
        context |= part_summary_context(preflight.part_summary, store)
    return render(request, "uploads/abort.html", context, status=status)


def _confirm_many(request: HttpRequest, store: Store, links: BucketLinks, names: Sequence[UploadRef]) -> HttpResponse:
    owned = owners(store, links.bucket, [name.upload_id for name in names])
    context = {
        "store": store,
        "bucket": links.bucket,
        "links": links,
        "rows": rows_to_abort(links, names, owned),
        "values": [write_upload(name) for name in names],
        "title": _("Abort %(count)s uploads?") % {"count": formatting.Count(len(names))},
        "table": TO_ABORT,
        "count": len(names),
        "keys": len({name.key for name in names}),
        "owned": len(owned),
        "spared_hours": SPARED_HOURS,
    }
    return render(request, "uploads/abort_many.html", context)
