"""Uploads of a bucket, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from dashboard.shared import formatting, jsonapi
from dashboard.shared.explain import explain
from dashboard.shared.links import BucketLinks, Trail
from dashboard.shared.parameters import Query, query_string, read_listing, read_trail
from dashboard.shared.responses import explains_failures
from dashboard.uploads.notes import GRANTED, UNSUPPORTED, Note, notes_on, why_stuck
from dashboard.uploads.rows import NO_BOXES, Boxes, Group, listed_group, unlisted_group
from dashboard.uploads.serializers import listing_json
from uploads import access
from uploads.access import AnyUser
from uploads.domain.roles import Action, Place, folders_above
from uploads.models import Store
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.objectstore.listing.folders import only_below
from uploads.objectstore.providers import PROVIDERS, Provider
from uploads.objectstore.types import UploadsPage, UploadsQuery
from uploads.services.browse import browsing
from uploads.services.browse.unlisted import MAX_UNLISTED, Unlisted, find_unlisted

CANNOT_LIST = frozenset({Reason.PERMISSION, Reason.FORBIDDEN, Reason.REFUSED})
"""Failures of a reachable store that refuses to list: the uploads that Partway started can be shown all the same."""

NOTHING_LISTED = UploadsPage((), (), is_truncated=False, next_key_marker="", next_upload_id_marker="")


@dataclass(frozen=True, slots=True)
class Pager:
    """Links to the pages around; empty where there is none. `stuck` says why a page that should follow cannot."""

    first: str = ""
    previous: str = ""
    next: str = ""
    stuck: Note | None = None


@require_safe
@explains_failures
def listing(request: HttpRequest, store: str, bucket: str) -> HttpResponseBase:
    """One page of ListMultipartUploads: one request to the store."""
    found = access.store_to_list(request.user, store, bucket)
    parameters = Query(request)
    query, trail = read_listing(parameters), read_trail(parameters)
    prefixes = access.prefixes_to_list(request.user, found, bucket, query.prefix)
    if len(prefixes) > 1:
        return _folders_above(request, found, BucketLinks(found.name, bucket), query, prefixes)
    query, is_limited = replace(query, prefix=prefixes[0]), not access.may_list_all(request.user, found, bucket)
    provider = browsing.provider_of(found)
    filters_here = browsing.narrows_here(provider, query)
    if is_limited:
        query = _without_markers_outside(query, filters_here=filters_here)
    requested_at = timezone.now()
    try:
        page = browsing.list_uploads(found, bucket, query)
        if is_limited:
            page = only_below(page, query.prefix, filtered_here=filters_here)
    except ObjectStoreError as error:
        return _failed_listing(request, found, bucket, query, error, requested_at)
    unlisted = find_unlisted(found, bucket, query, page, requested_at)
    links = BucketLinks(found.name, bucket)
    notes, pager = notes_on(provider, query, page, trail), _pager(links, provider, query, trail, page)
    if jsonapi.wants_json(request):
        notes += [pager.stuck] if pager.stuck else []
        return JsonResponse(listing_json(bucket, query, page, unlisted, notes, pager.next))
    context = _page_context(request, found, links, query)
    boxes = Boxes(context["may_abort"], ticked=parameters.text("select") == "all")
    listed = listed_group(request.user, found, links, query, page, requested_at, boxes)
    context |= {
        "page": page,
        "listed": listed,
        "summary": _summary(listed, more_follow=page.is_truncated),
        "pager": pager,
        "may_miss": any(note.may_miss for note in notes),
        "warnings": [note for note in notes if note.is_warning],
        # The page says in more words that the operation is missing.
        "notes": [note for note in notes if not note.is_warning and note is not UNSUPPORTED],
        **_groups(request.user, links, query, unlisted, listed),
    }
    return render(request, "uploads/listing.html", context)


def _without_markers_outside(query: UploadsQuery, *, filters_here: bool) -> UploadsQuery:
    """The first page instead of one after a marker outside the grant, by which one could find out what is there.

    Where Partway filters the store's pages by the prefix, an upload id alone may be that of any upload.
    """
    is_inside = query.key_marker.startswith(query.prefix) if query.key_marker else not filters_here
    return query if is_inside else _at(query, ("", ""))


def _folders_above(
    request: HttpRequest, store: Store, links: BucketLinks, query: UploadsQuery, prefixes: Sequence[str]
) -> HttpResponse:
    """The way to several granted prefixes, from the grants alone: no request is sent to the store."""
    query = replace(_at(query, ("", "")), whole_key=False)
    page = replace(NOTHING_LISTED, common_prefixes=folders_above(prefixes, query.prefix, query.delimiter))
    if jsonapi.wants_json(request):
        return JsonResponse(listing_json(links.bucket, query, page, Unlisted(), [GRANTED], ""))
    listed = listed_group(request.user, store, links, query, page, timezone.now(), NO_BOXES)
    context = _page_context(request, store, links, query) | {
        "page": page,
        "listed": listed,
        "summary": _folder_count(len(listed.folders)),
        "pager": Pager(),
        "notes": [GRANTED],
        **_groups(request.user, links, query, Unlisted(), listed),
    }
    return render(request, "uploads/listing.html", context)


def _summary(listed: Group, *, more_follow: bool) -> str:
    """What the page lists, in one line."""
    if not (listed.rows or listed.folders):
        return _("Nothing is listed, more follow") if more_follow else _("Nothing is listed")
    counts = {"folders": _folder_count(len(listed.folders)), "uploads": _upload_count(listed.rows)}
    if not listed.rows:
        text = _("%(folders)s on this page, more follow") if more_follow else _("%(folders)s on this page")
    elif not listed.folders:
        text = _("%(uploads)s on this page, more follow") if more_follow else _("%(uploads)s on this page")
    elif more_follow:
        text = _("%(folders)s, %(uploads)s on this page, more follow")
    else:
        text = _("%(folders)s, %(uploads)s on this page")
    return text % counts


def _folder_count(number: int) -> str:
    return ngettext("%(count)s folder", "%(count)s folders", number) % {"count": formatting.Count(number)}


def _upload_count(number: int) -> str:
    return ngettext("%(count)s upload", "%(count)s uploads", number) % {"count": formatting.Count(number)}


def _failed_listing(
    request: HttpRequest,
    store: Store,
    bucket: str,
    query: UploadsQuery,
    error: ObjectStoreError,
    requested_at: datetime,
) -> HttpResponse:
    """The page with its forms: another prefix, or an upload whose id is known, may still work."""
    if jsonapi.wants_json(request):
        return jsonapi.store_error(error)
    explained = explain(error)
    links = BucketLinks(store.name, bucket)
    context = _page_context(request, store, links, query) | {
        "explained": explained,
        "summary": _("The store did not list its uploads"),
    }
    if error.reason in CANNOT_LIST:
        unlisted = find_unlisted(store, bucket, query, NOTHING_LISTED, requested_at)
        context |= _groups(request.user, links, query, unlisted)
    response = render(request, "uploads/listing.html", context, status=explained.http_status)
    return jsonapi.with_retry_after(response, explained.retry_after)


def _page_context(request: HttpRequest, store: Store, links: BucketLinks, query: UploadsQuery) -> dict[str, Any]:
    """Everything around the table."""
    provider = browsing.provider_of(store)
    return {
        "store": store,
        "bucket": links.bucket,
        "links": links,
        "query": query,
        "crumbs": _crumbs(links, query),
        "all_folders_url": links.listing(UploadsQuery(delimiter=query.delimiter)),
        "select_all_url": _with_selection(request),
        "may_see_rules": access.may_list_all(request.user, store, links.bucket),
        "may_send": access.may(request.user, Action.SEND_FILES, Place(store.pk, links.bucket, query.prefix)),
        "upload_here_url": reverse("new-transfer")
        + query_string({"store": store.name, "bucket": links.bucket, "prefix": query.prefix}),
        "may_abort": access.may(request.user, Action.ABORT_UPLOADS, Place(store.pk, links.bucket, query.prefix)),
        "folders_url": links.listing(UploadsQuery(query.prefix, "" if query.delimiter else "/", query.max_uploads)),
        "whole_key_url": links.listing(replace(_at(query, ("", "")), whole_key=True)),
        "narrowed": browsing.narrows_here(provider, query),
        "provider": provider,
        "listed_by": PROVIDERS.get(provider.listed_by),
    }


def _groups(
    user: AnyUser, links: BucketLinks, query: UploadsQuery, unlisted: Unlisted, *listed: Group
) -> dict[str, Any]:
    """The groups that have something to show, and what the page says about the uploads that are not listed."""
    table = listed[0].table if listed and listed[0].rows else None
    beside = unlisted_group(user, links, query, unlisted, table)
    return {
        "table": table or beside.table,
        "groups": [group for group in (*listed, beside) if group.rows or group.folders],
        "unlisted": beside,
        "unlisted_more": MAX_UNLISTED if unlisted.more else 0,
        "unlisted_elsewhere": unlisted.elsewhere,
    }


def _with_selection(request: HttpRequest) -> str:
    """This page with every row selected: 'select all' without JavaScript."""
    query = request.META.get("QUERY_STRING", "")
    return f"{request.path}?{query}&select=all" if query else f"{request.path}?select=all"


def _crumbs(links: BucketLinks, query: UploadsQuery) -> list[tuple[SafeString, str]]:
    """The folders above, each with the URL of the listing inside it; the last, without a URL, is the one shown."""
    if not query.prefix:
        return []
    if not query.delimiter:
        return [(formatting.key_html(query.prefix), "")]
    crumbs, reached = [], ""
    for piece in query.prefix.split(query.delimiter)[:-1]:
        reached += piece + query.delimiter
        url = links.listing(UploadsQuery(reached, query.delimiter, query.max_uploads))
        crumbs.append((formatting.key_html(piece + query.delimiter), url if reached != query.prefix else ""))
    if rest := query.prefix[len(reached) :]:
        crumbs.append((formatting.key_html(rest), ""))
    return crumbs


def _pager(links: BucketLinks, provider: Provider, query: UploadsQuery, trail: Trail, page: UploadsPage) -> Pager:
    here = browsing.markers_here(provider, query)
    after = (page.next_key_marker, page.next_upload_id_marker)
    stuck = why_stuck(trail, page, here)
    return Pager(
        first=links.listing(_at(query, ("", ""))) if any(here) else "",
        previous=links.listing(_at(query, trail[-1]), trail[:-1]) if trail else "",
        next=links.listing(_at(query, after), [*trail, here]) if page.is_truncated and not stuck else "",
        stuck=stuck,
    )


def _at(query: UploadsQuery, marker: tuple[str, str]) -> UploadsQuery:
    return replace(query, key_marker=marker[0], upload_id_marker=marker[1])
