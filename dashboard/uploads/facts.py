"""Fragments about uploads that a page fetches after it has loaded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from dashboard.shared.body_limits import receives_large_form
from dashboard.shared.explain import explain
from dashboard.shared.links import BucketLinks
from dashboard.shared.numbers import Count
from dashboard.shared.parameters import BadParameter, Query, read_named_upload, read_upload, read_uploads
from dashboard.shared.responses import explains_failures
from dashboard.templatetags.components import state
from dashboard.uploads.columns import Facts, last_active, render_facts, render_without_facts
from dashboard.uploads.detail import part_summary_context
from uploads import access
from uploads.domain.part_summary import PartSummary
from uploads.models import Store
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.types import UploadRef
from uploads.services.browse import browsing
from uploads.services.browse.many_facts import Outcome, summarize_uploads
from uploads.services.browse.preflight import is_recent
from uploads.services.ended.noting import note_found_gone

MOST_ROWS = 50
"""Rows of one request. static/uploads/facts.js asks for no more."""


@receives_large_form
@require_http_methods(["GET", "HEAD", "POST"])
@explains_failures
def facts(request: HttpRequest, store: str, bucket: str) -> HttpResponseBase:
    """Parts, bytes, last activity and state of rows. The status is 200 whatever the store says about an upload.

    GET has the cells of one upload. POST has a row for each of the `upload` fields, in their order, because many are
    too long for a URL. `unlisted` names those that the store's listing leaves out.
    """
    if request.method != "POST":
        query = Query(request)
        names = [read_named_upload(query)]
        unlisted = set(names) if query.text("unlisted") == "1" else set()
    else:
        names = read_uploads(request)
        unlisted = set(map(read_upload, request.POST.getlist("unlisted")))
    if len(names) > MOST_ROWS:
        raise BadParameter(_("At most %(limit)s uploads are allowed.") % {"limit": Count(MOST_ROWS)})
    found = access.store_to_list(request.user, store, bucket, [name.key for name in names])
    outcomes = list(zip(names, _outcomes(found, bucket, names), strict=True))
    for name, outcome in outcomes:
        if isinstance(outcome, ObjectStoreError) and browsing.is_gone(outcome):
            note_found_gone(found, bucket, name)
    if request.method != "POST":
        return HttpResponse(_cells(outcomes[0][1], is_unlisted=bool(unlisted)))
    return HttpResponse(_rows((outcome, name in unlisted) for name, outcome in outcomes))


def _outcomes(store: Store, bucket: str, names: list[UploadRef]) -> list[Outcome]:
    try:
        return summarize_uploads(store, bucket, names)
    except ObjectStoreError as error:
        # No request was sent at all: the store is known not to answer.
        return [error] * len(names)


def _rows(outcomes: Iterable[tuple[Outcome, bool]]) -> SafeString:
    """`data-active`, `data-parts` and `data-bytes` are for the filter by idle time and for sums: empty if not known."""
    rows = format_html_join(
        "", "<tr{}>{}</tr>", ((_numbers(each), _cells(each, is_unlisted=is_unlisted)) for each, is_unlisted in outcomes)
    )
    return format_html("<table><tbody>{}</tbody></table>", rows)


def _numbers(outcome: Outcome) -> SafeString:
    if not isinstance(outcome, PartSummary):
        is_gone = isinstance(outcome, ObjectStoreError) and browsing.is_gone(outcome)
        return SafeString(" data-later" if outcome is None else " data-gone" if is_gone else ' data-active=""')
    return format_html(
        ' data-active="{}" data-parts="{}" data-bytes="{}"',
        last_active(outcome),
        f"{outcome.count:d}",
        "" if outcome.total_bytes is None else f"{outcome.total_bytes:d}",
    )


def _cells(outcome: Outcome, *, is_unlisted: bool) -> SafeString:
    if outcome is None:
        return SafeString()
    if isinstance(outcome, PartSummary):
        return render_facts(Facts(outcome, is_recent(outcome), is_unlisted))
    if browsing.is_gone(outcome):
        ended = _("completed or aborted") if is_unlisted else _("completed or aborted; the store still listed it")
        gone = format_html('<span data-gone>{}</span> <span class="text-secondary">{}</span>', state("gone"), ended)
        return render_without_facts(gone)
    explained = explain(outcome)
    text = _("not allowed") if outcome.is_denied else explained.title
    title = f"{explained.code} {explained.message}"
    return render_without_facts(format_html('<span class="text-secondary" title="{}">{}</span>', title, text))


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
