"""Uploads of a bucket, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET

from dashboard.shared import formatting, jsonapi
from dashboard.shared.explain import explain
from dashboard.shared.links import BucketLinks, Trail
from dashboard.shared.parameters import Query, read_listing, read_trail
from dashboard.shared.responses import explains_failures
from dashboard.uploads.notes import notes_on
from dashboard.uploads.rows import LANES, Group, listed_group, unlisted_group
from uploads import access
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.objectstore.providers import PROVIDERS
from uploads.objectstore.types import Marker, MultipartUpload, UploadsPage, UploadsQuery
from uploads.services.browse import browsing
from uploads.services.browse.unlisted import MAX_UNLISTED, Unlisted, find_unlisted

CANNOT_LIST = frozenset({Reason.PERMISSION, Reason.REFUSED})
"""Why a store that can be reached may not list: then what was begun here can be shown all the same."""

NOTHING_LISTED = UploadsPage((), (), is_truncated=False, next_key_marker="", next_upload_id_marker="")


@dataclass(frozen=True, slots=True)
class Pager:
    """Links to the pages around; empty where there is none. `stuck`: more should follow, and why it cannot be had."""

    first: str = ""
    previous: str = ""
    next: str = ""
    stuck: str = ""


@require_GET
@explains_failures
def listing(request: HttpRequest, store: str, bucket: str) -> HttpResponseBase:
    """One page of ListMultipartUploads: one request to the store."""
    found = access.store_to_list(request.user, store)
    query = Query(request)
    asked, trail = read_listing(query), read_trail(query)
    links = BucketLinks(found.name, bucket)
    provider = browsing.provider_of(found)
    context = {
        "store": found,
        "bucket": bucket,
        "links": links,
        "asked": asked,
        "crumbs": _crumbs(links, asked),
        "select_all": query.text("select") == "all",
        "select_all_url": _with_selection(request),
        "folders_url": links.listing(UploadsQuery(asked.prefix, "" if asked.delimiter else "/", asked.max_uploads)),
        "marker_ignored": bool(asked.upload_id_marker and not asked.key_marker),
        "whole_key_url": links.listing(replace(_at(asked, ("", "")), whole_key=True)),
        "narrowed": browsing.narrows_here(provider, asked),
        "lanes": range(LANES),
        "provider": provider,
        "listed_by": PROVIDERS.get(provider.listed_by),
    }
    asked_at = timezone.now()
    try:
        page = browsing.list_uploads(found, bucket, asked)
    except ObjectStoreError as error:
        return _failed_listing(request, context, error, asked_at)
    unlisted = find_unlisted(found, bucket, asked, page, asked_at)
    if jsonapi.wants_json(request):
        return JsonResponse(_listing_json(bucket, asked, page, unlisted))
    listed = listed_group(found, links, asked, page, asked_at)
    context |= {
        "page": page,
        "listed": listed,
        "pager": _pager(links, asked, trail, page),
        "notes": notes_on(provider, asked, page),
        **_groups(links, asked, unlisted, listed),
    }
    return render(request, "uploads/listing.html", context)


def _failed_listing(
    request: HttpRequest, context: dict[str, Any], error: ObjectStoreError, asked_at: datetime
) -> HttpResponse:
    """The page stands, with its forms: another prefix, or an upload whose id is known, may still work."""
    if jsonapi.wants_json(request):
        return jsonapi.store_error(error)
    explained = explain(error)
    context["explained"] = explained
    if error.reason in CANNOT_LIST:
        store, links, asked = context["store"], context["links"], context["asked"]
        unlisted = find_unlisted(store, links.bucket, asked, NOTHING_LISTED, asked_at)
        context |= _groups(links, asked, unlisted)
    return render(request, "uploads/listing.html", context, status=explained.http_status)


def _groups(links: BucketLinks, asked: UploadsQuery, unlisted: Unlisted, *listed: Group) -> dict[str, Any]:
    """The groups that have something to show, and what the page says of the uploads that are not listed."""
    beside = unlisted_group(links, asked, unlisted)
    return {
        "groups": [group for group in (*listed, beside) if group.rows or group.folders],
        "unlisted": beside,
        "unlisted_more": MAX_UNLISTED if unlisted.more else 0,
        "unlisted_elsewhere": unlisted.elsewhere,
    }


def _with_selection(request: HttpRequest) -> str:
    """This page with every row ticked: 'select all' without JavaScript."""
    query = request.META.get("QUERY_STRING", "")
    return f"{request.path}?{query}&select=all" if query else f"{request.path}?select=all"


def _crumbs(links: BucketLinks, asked: UploadsQuery) -> list[tuple[SafeString, str]]:
    """The folders above, each with the listing inside it; the last is the one shown."""
    if not asked.prefix:
        return []
    if not asked.delimiter:
        return [(formatting.key_html(asked.prefix), "")]
    crumbs, reached = [], ""
    for piece in asked.prefix.split(asked.delimiter)[:-1]:
        reached += piece + asked.delimiter
        url = links.listing(UploadsQuery(reached, asked.delimiter, asked.max_uploads))
        crumbs.append((formatting.key_html(piece + asked.delimiter), url if reached != asked.prefix else ""))
    if rest := asked.prefix[len(reached) :]:
        crumbs.append((formatting.key_html(rest), ""))
    return crumbs


def _pager(links: BucketLinks, asked: UploadsQuery, trail: Trail, page: UploadsPage) -> Pager:
    here = (asked.key_marker, asked.upload_id_marker)
    after = (page.next_key_marker, page.next_upload_id_marker)
    stuck = ""
    if page.is_truncated and not after[0]:
        stuck = "it names no place to go on from"
    elif page.is_truncated and (after == here or after in trail):
        stuck = "its markers lead back to where we were"
    return Pager(
        first=links.listing(_at(asked, ("", ""))) if asked.key_marker else "",
        previous=links.listing(_at(asked, trail[-1]), trail[:-1]) if trail else "",
        next=links.listing(_at(asked, after), [*trail, here]) if page.is_truncated and not stuck else "",
        stuck=stuck,
    )


def _at(asked: UploadsQuery, marker: Marker) -> UploadsQuery:
    return replace(asked, key_marker=marker[0], upload_id_marker=marker[1])


def _listing_json(bucket: str, asked: UploadsQuery, page: UploadsPage, unlisted: Unlisted) -> dict[str, Any]:
    """`Uploads` and `CommonPrefixes` are the store's own; what was begun here and they leave out stands beside them."""
    return {
        "Bucket": bucket,
        "Prefix": asked.prefix,
        "Delimiter": asked.delimiter,
        "MaxUploads": asked.max_uploads,
        "KeyMarker": asked.key_marker,
        "UploadIdMarker": asked.upload_id_marker,
        "IsTruncated": page.is_truncated,
        "NextKeyMarker": page.next_key_marker if page.is_truncated else "",
        "NextUploadIdMarker": page.next_upload_id_marker if page.is_truncated else "",
        "CommonPrefixes": _prefixes_json(page.common_prefixes),
        "Uploads": _uploads_json(page.uploads),
        "Unlisted": _uploads_json([each.upload for each in unlisted.uploads]),
        "UnlistedPrefixes": _prefixes_json(unlisted.prefixes),
        "UnlistedIsTruncated": unlisted.more,
    }


def _prefixes_json(prefixes: Sequence[str]) -> list[dict[str, str]]:
    return [{"Prefix": prefix} for prefix in prefixes]


def _uploads_json(uploads: Sequence[MultipartUpload]) -> list[dict[str, Any]]:
    return [
        {
            "Key": upload.key,
            "UploadId": upload.upload_id,
            "Initiated": jsonapi.iso(upload.initiated),
            "Initiator": upload.initiator,
            "Owner": upload.owner,
            "StorageClass": upload.storage_class,
        }
        for upload in uploads
    ]
