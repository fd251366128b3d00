"""The uploads of one key, side by side, with advice which one to complete."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from dashboard.shared.explain import explain
from dashboard.shared.links import BucketLinks
from dashboard.shared.messages.comparison import ADVICE
from dashboard.shared.parameters import BadParameter, Query, query_string
from dashboard.shared.responses import explains_failures
from dashboard.shared.way_back import BACK, links_of
from dashboard.uploads.detail import numbers_text
from uploads import access
from uploads.domain.roles import Action, Place
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.types import MAX_PAGE, UploadRef
from uploads.services.browse import browsing
from uploads.services.browse.same_key import Compared, SameKey, compare_uploads

COLUMNS = 8
"""Uploads on one page."""


@require_safe
@explains_failures
def compare(request: HttpRequest, store: str, bucket: str) -> HttpResponseBase:
    """`key`, and `from`: how many uploads of it are on the pages before."""
    query = Query(request)
    key, start = query.text("key"), query.number("from", 0, 0, MAX_PAGE)
    if not key:
        raise BadParameter(_("key is missing."))
    found = access.store_to_list(request.user, store, bucket, [key])
    links = links_of(request, found.name, bucket)
    same_key = compare_uploads(found, bucket, key, start, COLUMNS)
    place = Place(found.pk, bucket, key)
    existing = same_key.existing
    context = {
        "store": found,
        "bucket": bucket,
        "links": links,
        "key": key,
        "same_key": same_key,
        "existing": None if isinstance(existing, ObjectStoreError) else existing,
        "existing_error": explain(existing) if isinstance(existing, ObjectStoreError) else None,
        "columns": [_column(links, each) for each in same_key.compared],
        "predicts_etag": browsing.provider_of(found).computes_joined_etag,
        "may_abort": access.may(request.user, Action.ABORT_UPLOADS, place),
        "may_complete": access.may(request.user, Action.COMPLETE_UPLOADS, place),
        "next_url": _next(links, key, start, same_key),
    }
    return render(request, "uploads/compare.html", context)


def _column(links: BucketLinks, compared: Compared) -> dict[str, Any]:
    name, summary = UploadRef(compared.upload.key, compared.upload.upload_id), compared.part_summary
    return {
        "upload": compared.upload,
        "summary": summary,
        "missing": numbers_text(summary.missing) if summary else "",
        "blockers": compared.blockers,
        "owner": compared.owner,
        "error": explain(compared.error) if compared.error else None,
        "advice": ADVICE[compared.advice],
        "code": compared.advice.value,
        "detail_url": links.detail(name),
        "abort_url": links.abort(name),
        "complete_url": links.complete(name),
    }


def _next(links: BucketLinks, key: str, start: int, same_key: SameKey) -> str:
    if start + COLUMNS >= same_key.total:
        return ""
    return links.compare_form + query_string({"key": key, "from": start + COLUMNS, BACK: links.back})
