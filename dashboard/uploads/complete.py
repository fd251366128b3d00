"""Completing an upload: a confirmation page with a preflight, and the request, which repeats what the page showed."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from dashboard.operations.pages import respond_with
from dashboard.shared import jsonapi
from dashboard.shared.formatting import Count
from dashboard.shared.links import BucketLinks
from dashboard.shared.messages import text_of
from dashboard.shared.parameters import BadParameter, read_uploads
from dashboard.shared.responses import explains_failures
from dashboard.shared.way_back import links_of
from dashboard.uploads.confirmation import read_confirmation
from dashboard.uploads.detail import ending_operation, gone, part_summary_context, upload_context
from dashboard.uploads.serializers import preflight_json
from uploads import access
from uploads.models import Store
from uploads.objectstore.types import UploadRef
from uploads.problems import ProblemError
from uploads.services.browse.browsing import provider_of
from uploads.services.browse.ownership import OwnedByTransfer
from uploads.services.browse.preflight import CompletePreflight, preflight_complete
from uploads.services.ended.noting import note_found_gone
from uploads.services.operations.order import request_complete


@require_http_methods(["GET", "POST"])
@explains_failures
def complete(request: HttpRequest, store: str, bucket: str) -> HttpResponseBase:
    """GET shows the confirmation page, or its facts as JSON. POST requests the completion.

    The POST repeats what was seen, see `read_confirmation`. Without it, nothing is requested.
    """
    name = _only_one(read_uploads(request))
    found = access.store_to_complete_in(request.user, store, bucket, [name.key])
    links = links_of(request, found.name, bucket)
    if request.method == "GET" or "ask" in request.POST:
        return _confirm(request, found, links, name)
    try:
        operation = request_complete(access.actor(request.user), found, bucket, name, read_confirmation(request.POST))
    except OwnedByTransfer as owned:
        return _refused(request, found, links, name, owned, status=409)
    except ProblemError as refused:
        return _refused(request, found, links, name, refused, status=400)
    return respond_with(request, operation, links.back)


def _refused(
    request: HttpRequest, store: Store, links: BucketLinks, name: UploadRef, refused: ProblemError, *, status: int
) -> HttpResponse:
    """The confirmation page again, with the reason; or the reason as JSON."""
    if jsonapi.wants_json(request):
        return jsonapi.json_error(refused.problem.code, text_of(refused.problem), status=status)
    return _confirm(request, store, links, name, refused=refused, status=status)


def _only_one(names: list[UploadRef]) -> UploadRef:
    if len(names) > 1:
        raise BadParameter(
            _("%(count)s uploads are given. Uploads are completed one at a time.") % {"count": Count(len(names))}
        )
    return names[0]


def _confirm(
    request: HttpRequest,
    store: Store,
    links: BucketLinks,
    name: UploadRef,
    *,
    refused: ProblemError | None = None,
    status: int = 200,
) -> HttpResponse:
    ended = ending_operation(request.user, store, links.bucket, name)
    preflight = None if ended else preflight_complete(store, links.bucket, name)
    if preflight is not None and preflight.gone:
        note_found_gone(store, links.bucket, name)
    if preflight is None or preflight.gone:
        return gone(request, links, name, ended=ended)
    if jsonapi.wants_json(request):
        return JsonResponse(preflight_json(links.bucket, preflight), status=status)
    context = upload_context(request.user, store, links, name) | _preflight_context(preflight)
    profile = provider_of(store)
    context["forbids_overwrite"] = bool(profile.forbid_overwrite)
    context["compares_etag"] = profile.if_match
    context["refused"] = refused.problem if refused and not isinstance(refused, OwnedByTransfer) else None
    if preflight.part_summary is not None:
        context |= part_summary_context(preflight.part_summary, store)
    return render(request, "uploads/complete.html", context, status=status)


def _preflight_context(preflight: CompletePreflight) -> dict[str, Any]:
    existing = preflight.existing
    return {
        "preflight": preflight,
        "operation": preflight.operation,
        "replaced": existing.facts if existing else None,
        "replaced_modified": (existing and existing.facts and jsonapi.iso(existing.facts.last_modified)) or "",
        "cannot_look": existing is not None and existing.refusal is not None,
        "blocked": bool(preflight.blockers) or preflight.transfer is not None,
    }
