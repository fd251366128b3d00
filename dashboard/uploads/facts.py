"""Fragments about an upload that a page fetches after it has loaded."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from dashboard.shared.explain import explain
from dashboard.shared.links import BucketLinks
from dashboard.shared.parameters import Query, read_named_upload
from dashboard.shared.responses import explains_failures
from dashboard.uploads.columns import FACTS, Facts, render_facts
from dashboard.uploads.detail import part_summary_context
from uploads import access
from uploads.models import Store
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.types import UploadRef
from uploads.services.browse import browsing
from uploads.services.browse.preflight import is_recent
from uploads.services.ended.noting import note_found_gone


@require_safe
@explains_failures
def facts(request: HttpRequest, store: str, bucket: str) -> HttpResponseBase:
    """Parts, bytes and last activity of one row as cells. The status is always 200, because htmx shows nothing else.

    `unlisted`: the store's listing leaves out the upload of this row.
    """
    query = Query(request)
    name, is_unlisted = read_named_upload(query), query.text("unlisted") == "1"
    found = access.store_to_list(request.user, store, bucket, [name.key])
    context: dict[str, Any] = {"unlisted": is_unlisted, "facts": FACTS}
    try:
        summary = browsing.summarize_upload(found, bucket, name.key, name.upload_id)
        context["cells"] = render_facts(Facts(summary, is_recent(summary), is_unlisted))
    except ObjectStoreError as error:
        if browsing.is_gone(error):
            note_found_gone(found, bucket, name)
        denied = error.is_denied
        context |= {"gone": browsing.is_gone(error), "denied": denied, "explained": explain(error)}
    return render(request, "uploads/facts.html", context)


@require_safe
@explains_failures
def part_summary_fragment(request: HttpRequest, store: str, bucket: str) -> HttpResponseBase:
    """All parts of an upload as a picture: one request for each 1,000 of them, and one for when it was initiated."""
    name = read_named_upload(Query(request))
    found = access.store_to_list(request.user, store, bucket, [name.key])
    context: dict[str, Any] = {"upload": name, "links": BucketLinks(found.name, bucket)}
    try:
        context |= part_summary_context(browsing.summarize_upload(found, bucket, name.key, name.upload_id), found)
        context |= _listed_facts(found, bucket, name)
    except ObjectStoreError as error:
        if browsing.is_gone(error):
            note_found_gone(found, bucket, name)
        context["explained"] = explain(error)
    return render(request, "uploads/part_summary.html", context)


def _listed_facts(store: Store, bucket: str, name: UploadRef) -> dict[str, Any]:
    """When the upload was initiated, which ListParts does not report; or that the listing does not show the upload.

    Swift keeps listing the parts of completed uploads, and MinIO's listing leaves out live ones: `unlisted` is set for
    both.
    """
    try:
        listed, is_all = browsing.find_listed(store, bucket, name.key, name.upload_id)
    except ObjectStoreError:
        return {}
    if listed is not None:
        return {"initiated": listed.initiated, "initiated_known": True}
    return {"unlisted": is_all}
