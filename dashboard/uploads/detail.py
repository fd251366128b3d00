"""One upload with its parts, and what every page about an upload shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from dashboard.shared import jsonapi
from dashboard.shared.explain import Explanation, explain
from dashboard.shared.links import BucketLinks
from dashboard.shared.messages import error_code, store_error_text
from dashboard.shared.parameters import Query, read_named_upload, write_upload
from dashboard.shared.responses import explains_failures
from dashboard.shared.way_back import links_of
from dashboard.uploads.notes import why_parts_end
from dashboard.uploads.picture import draw
from dashboard.uploads.serializers import detail_json
from uploads import access
from uploads.access import AnyUser
from uploads.domain.part_summary import PartSummary, Run, summarize_parts
from uploads.domain.roles import Place
from uploads.models import OperationItem, Store, Transfer
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.objectstore.types import DEFAULT_PAGE, MAX_PAGE, MAX_PART_NUMBER, PartsPage, UploadRef, UploadsQuery
from uploads.selectors import operations
from uploads.selectors.transfers import possible_creators
from uploads.services.browse import browsing, ownership
from uploads.services.browse.preflight import is_recent
from uploads.services.ended.noting import note_found_gone

UNUSABLE = frozenset({Reason.BAD_KEY, Reason.BAD_ARGUMENT})
"""Reasons why no request about an upload can be sent."""

MAX_NAMED_RUNS = 20
"""Gaps, or runs of parts that are too small, that the page names."""


@require_safe
@explains_failures
def detail(request: HttpRequest, store: str, bucket: str) -> HttpResponseBase:
    """One page of ListParts. The picture of all parts is included if the page has every part; else htmx loads it."""
    query = Query(request)
    name = read_named_upload(query)
    found = access.store_to_list(request.user, store, bucket, [name.key])
    max_parts = query.number("max-parts", DEFAULT_PAGE, 1, MAX_PAGE)
    marker = query.number("part-number-marker", 0, 0, MAX_PART_NUMBER)
    links = links_of(request, found.name, bucket)
    if ended := ending_operation(request.user, found, bucket, name):
        return gone(request, links, name, ended=ended)
    try:
        page = browsing.list_parts(
            found, bucket, name.key, name.upload_id, max_parts=max_parts, part_number_marker=marker
        )
    except ObjectStoreError as error:
        if not browsing.is_gone(error):
            if error.reason in UNUSABLE or jsonapi.wants_json(request):
                raise
            return _unseen(request, found, links, name, error)
        note_found_gone(found, bucket, name)
        return gone(request, links, name, error=error)
    if jsonapi.wants_json(request):
        return JsonResponse(detail_json(bucket, name, page, max_parts, marker))
    context = upload_context(request.user, found, links, name) | {
        "page": page,
        "marker": marker,
        "max_parts": max_parts,
        "first_url": links.detail(name, max_parts=max_parts) if marker else "",
        "next_url": _next_parts(links, name, page, max_parts, marker),
        "stuck": why_parts_end(page, marker),
    }
    context |= _summary(found, links, name, page, marker, with_summary=query.text("survey") == "1")
    context["possible_creators"] = _possible_creators(request.user, found, bucket, name)
    return render(request, "uploads/detail.html", context)


def _unseen(
    request: HttpRequest, store: Store, links: BucketLinks, name: UploadRef, error: ObjectStoreError
) -> HttpResponse:
    """Its parts cannot be listed. The page offers everything else: an abort needs no list of parts."""
    explained = explain(error)
    context = upload_context(request.user, store, links, name) | {"explained": explained}
    return render(request, "uploads/unseen.html", context, status=explained.http_status)


def upload_context(user: AnyUser, store: Store, links: BucketLinks, name: UploadRef) -> dict[str, Any]:
    """The context of every page about one upload."""
    owner = ownership.owner_of(store, links.bucket, name.key, name.upload_id)
    return {
        "store": store,
        "bucket": links.bucket,
        "links": links,
        "upload": name,
        "upload_place": Place(store.pk, links.bucket, name.key),
        "value": write_upload(name),
        "detail_url": links.detail(name),
        "abort_url": links.abort(name),
        "complete_url": links.complete(name),
        "transfer": owner,
        "transfer_visible": owner is not None and access.visible_transfers(user).filter(pk=owner.pk).exists(),
    }


def _possible_creators(user: AnyUser, store: Store, bucket: str, name: UploadRef) -> list[tuple[Transfer, bool]]:
    """The transfers that may have started this upload, each with whether the user may open it."""
    creators = possible_creators(store, bucket, name.key, name.upload_id)
    visible = set(access.visible_transfers(user).filter(pk__in=[each.pk for each in creators]))
    return [(each, each in visible) for each in creators]


def part_summary_context(part_summary: PartSummary, store: Store) -> dict[str, Any]:
    return {
        "part_summary": part_summary,
        "picture": draw(part_summary),
        "missing": numbers_text(part_summary.missing),
        "too_small": numbers_text(part_summary.too_small),
        "copied": numbers_text(part_summary.copied),
        "unclear": numbers_text(part_summary.unclear),
        "recent": is_recent(part_summary),
        "provider": browsing.provider_of(store),
    }


def numbers_text(runs: Sequence[Run]) -> str:
    """The part numbers of runs, such as `3, 7-9`."""
    named = [str(run.first) if run.count == 1 else f"{run.first}-{run.last}" for run in runs[:MAX_NAMED_RUNS]]
    return ", ".join([*named, "…"] if len(runs) > MAX_NAMED_RUNS else named)


def ending_operation(user: AnyUser, store: Store, bucket: str, name: UploadRef) -> OperationItem | None:
    """The item of an operation of Partway that ended this upload."""
    return operations.ending_operation(user, store, bucket, name.key, name.upload_id)


def gone(
    request: HttpRequest,
    links: BucketLinks,
    name: UploadRef,
    *,
    error: ObjectStoreError | None = None,
    ended: OperationItem | None = None,
) -> HttpResponse:
    """The page of an upload that the store does not have, or no longer.

    It names the operation that ended it, if there is one. Otherwise the key or the upload id may be wrong.
    """
    was_ended = ended is not None and not ended.outcome.get("already_gone")
    if jsonapi.wants_json(request):
        text = _gone_text(was_ended=was_ended)
        if error is None:
            return jsonapi.json_error("NoSuchUpload", text, status=404)
        message = " ".join(filter(None, [text, store_error_text(error)]))
        return jsonapi.json_error(error_code(error), message, status=404, request_id=error.request_id)
    explained: Explanation | None = explain(error) if error else None
    context = {
        "title": _("Already completed or aborted") if was_ended else _("No such upload"),
        "store_name": links.store,
        "bucket": links.bucket,
        "links": links,
        "upload": name,
        "explained": explained,
        "ended": ended,
        "around_url": links.listing(UploadsQuery(prefix=name.key, whole_key=True)),
    }
    return render(request, "uploads/gone.html", context, status=404)


def _gone_text(*, was_ended: bool) -> str:
    if was_ended:
        return _("The upload was already completed or aborted.")
    return _("The store has no such upload: it was completed or aborted, or the key or the upload id is wrong.")


def _summary(
    store: Store, links: BucketLinks, name: UploadRef, page: PartsPage, marker: int, *, with_summary: bool
) -> dict[str, Any]:
    """The picture of all parts. It costs no request if this page has every part; otherwise it is drawn on request."""
    summary: dict[str, Any] = {
        "part_summary_url": links.part_summary(name),
        "part_summary_link": links.detail(name, survey=1),
    }
    if not marker and not page.is_truncated:
        part_summary = summarize_parts(page.parts, browsing.provider_of(store).min_part_size)
    elif with_summary:
        try:
            part_summary = browsing.summarize_upload(store, links.bucket, name.key, name.upload_id)
        except ObjectStoreError as error:
            return summary | {"explained": explain(error)}
    else:
        return summary
    return summary | part_summary_context(part_summary, store)


def _next_parts(links: BucketLinks, name: UploadRef, page: PartsPage, max_parts: int, marker: int) -> str:
    """The next page of parts; '' if none follows, or if the marker would lead to the same page again."""
    if not page.is_truncated or why_parts_end(page, marker):
        return ""
    return links.detail(name, max_parts=max_parts, part_number_marker=page.onward)
