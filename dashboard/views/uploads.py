"""Uploads of a bucket, page by page, and one upload with its parts."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET

from dashboard import formatting, jsonapi
from dashboard.explain import Explanation, explain
from dashboard.links import BucketLinks, Trail
from dashboard.parameters import (
    DEFAULT_PAGE,
    MAX_PART_NUMBER,
    Query,
    read_listing,
    read_named_upload,
    read_trail,
    write_upload,
)
from dashboard.picture import draw
from dashboard.views.common import explains_failures
from uploads import access, selectors
from uploads.access import AnyUser
from uploads.models import Operation, Store, Transfer
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.types import MAX_PAGE, MultipartUpload, PartsPage, UploadsPage
from uploads.services import browsing, ownership
from uploads.services.browsing import UploadsQuery
from uploads.services.operations import settle_suspects
from uploads.services.preflight import UploadName, is_recent
from uploads.survey import Survey, survey

LANES = 4
"""Rows whose facts are fetched at the same time; the others queue behind them."""


# --- The listing ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """An upload as the table shows it, every value ready."""

    value: str
    key: SafeString
    upload_id: str
    short_id: str
    initiated: SafeString
    initiator: str
    storage_class: str
    detail_url: str
    facts_url: str
    lane: int
    transfer_id: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class Folder:
    """A common prefix: what it adds to the prefix, and the listing inside it."""

    name: SafeString
    url: str


@dataclass(frozen=True, slots=True)
class Pager:
    """Links to the pages around; empty where there is none. `stuck`: the store's markers lead nowhere."""

    first: str = ""
    previous: str = ""
    next: str = ""
    stuck: bool = False


@require_GET
@explains_failures
def listing(request: HttpRequest, store: str, bucket: str) -> HttpResponseBase:
    """One page of ListMultipartUploads: one request to the store."""
    found = access.get_store(request.user, store)
    query = Query(request)
    asked, trail = read_listing(query), read_trail(query)
    links = BucketLinks(found.name, bucket)
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
    }
    try:
        page = browsing.list_uploads(found, bucket, asked)
    except ObjectStoreError as error:
        return _failed_listing(request, context, error)
    if jsonapi.wants_json(request):
        return JsonResponse(_listing_json(bucket, asked, page))
    context |= {
        "page": page,
        "rows": _rows(found, links, page.uploads),
        "folders": _folders(links, asked, page),
        "pager": _pager(links, asked, trail, page),
        "lanes": range(LANES),
    }
    return render(request, "uploads/listing.html", context)


def _failed_listing(request: HttpRequest, context: dict[str, Any], error: ObjectStoreError) -> HttpResponse:
    """The page stands, with its forms: another prefix, or an upload whose id is known, may still work."""
    if jsonapi.wants_json(request):
        return jsonapi.store_error(error)
    explained = explain(error)
    return render(request, "uploads/listing.html", context | {"explained": explained}, status=explained.http_status)


def _with_selection(request: HttpRequest) -> str:
    """This page with every row ticked: 'select all' without JavaScript."""
    query = request.META.get("QUERY_STRING", "")
    return f"{request.path}?{query}&select=all" if query else f"{request.path}?select=all"


def _rows(store: Store, links: BucketLinks, uploads: Sequence[MultipartUpload]) -> list[Row]:
    owners = ownership.owners(store, links.bucket, [upload.upload_id for upload in uploads])
    detail, facts = links.detail_form, links.facts_base
    return [_row(upload, detail, facts, index, owners) for index, upload in enumerate(uploads)]


def _row(upload: MultipartUpload, detail: str, facts: str, index: int, owners: dict[tuple[str, str], Transfer]) -> Row:
    value = write_upload(UploadName(upload.key, upload.upload_id))
    query = "?key={}&upload-id={}".format(*value.split("/"))
    owner = owners.get((upload.key, upload.upload_id))
    return Row(
        value=value,
        key=formatting.key_html(upload.key),
        upload_id=upload.upload_id,
        short_id=formatting.short_id(upload.upload_id),
        initiated=formatting.row_time_html(upload.initiated),
        initiator=upload.initiator,
        storage_class=upload.storage_class,
        detail_url=detail + query,
        facts_url=facts + query,
        lane=index % LANES,
        transfer_id=owner.pk if owner else None,
    )


def _folders(links: BucketLinks, asked: UploadsQuery, page: UploadsPage) -> list[Folder]:
    """Names without the prefix that they all share; a prefix that hides nothing is shown whole."""
    return [
        Folder(
            formatting.key_html(common.removeprefix(asked.prefix) or common),
            links.listing(UploadsQuery(common, asked.delimiter, asked.max_uploads)),
        )
        for common in page.common_prefixes
    ]


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
    stuck = page.is_truncated and (after == here or not page.next_key_marker or after in trail)
    has_next = page.is_truncated and not stuck
    return Pager(
        first=links.listing(_at(asked, ("", ""))) if asked.key_marker else "",
        previous=links.listing(_at(asked, trail[-1]), trail[:-1]) if trail else "",
        next=links.listing(_at(asked, after), [*trail, here]) if has_next else "",
        stuck=stuck,
    )


def _at(asked: UploadsQuery, marker: tuple[str, str]) -> UploadsQuery:
    return replace(asked, key_marker=marker[0], upload_id_marker=marker[1])


def _listing_json(bucket: str, asked: UploadsQuery, page: UploadsPage) -> dict[str, Any]:
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
        "CommonPrefixes": [{"Prefix": prefix} for prefix in page.common_prefixes],
        "Uploads": [
            {
                "Key": upload.key,
                "UploadId": upload.upload_id,
                "Initiated": jsonapi.iso(upload.initiated),
                "Initiator": upload.initiator,
                "Owner": upload.owner,
                "StorageClass": upload.storage_class,
            }
            for upload in page.uploads
        ],
    }


# --- What a row learns late -------------------------------------------------------------------------------------------


@require_GET
@explains_failures
def facts(request: HttpRequest, store: str, bucket: str) -> HttpResponseBase:
    """Parts, bytes and last activity of one row: cells for htmx, always 200 so that they are shown."""
    found = access.get_store(request.user, store)
    name = read_named_upload(Query(request))
    context: dict[str, Any] = {}
    try:
        surveyed = browsing.survey_upload(found, bucket, name.key, name.upload_id)
        context = {"survey": surveyed, "recent": is_recent(surveyed)}
    except ObjectStoreError as error:
        if browsing.is_gone(error):
            settle_suspects(found, bucket, name)
        context = {"gone": browsing.is_gone(error), "explained": explain(error)}
    return render(request, "uploads/facts.html", context)


# --- One upload -------------------------------------------------------------------------------------------------------


@require_GET
@explains_failures
def detail(request: HttpRequest, store: str, bucket: str) -> HttpResponseBase:
    """One page of ListParts; the picture of all parts comes with it where this page is all, else later."""
    found = access.get_store(request.user, store)
    query = Query(request)
    name = read_named_upload(query)
    max_parts = query.number("max-parts", DEFAULT_PAGE, 1, MAX_PAGE)
    marker = query.number("part-number-marker", 0, 0, MAX_PART_NUMBER)
    links = BucketLinks(found.name, bucket)
    if ended := ending_operation(request.user, found, bucket, name):
        return gone(request, links, name, ended=ended)
    try:
        page = browsing.list_parts(
            found, bucket, name.key, name.upload_id, max_parts=max_parts, part_number_marker=marker
        )
    except ObjectStoreError as error:
        if not browsing.is_gone(error):
            raise
        settle_suspects(found, bucket, name)
        return gone(request, links, name, error=error)
    if jsonapi.wants_json(request):
        return JsonResponse(_detail_json(bucket, name, page, max_parts, marker))
    context = upload_context(request.user, found, links, name) | {
        "page": page,
        "marker": marker,
        "max_parts": max_parts,
        "first_url": links.detail(name, max_parts=max_parts) if marker else "",
        "next_url": _next_parts(links, name, page, max_parts, marker),
    }
    context |= _summary(found, links, name, page, marker, wanted=query.text("survey") == "1")
    context["suspected"] = _suspected(request.user, found, bucket, name)
    return render(request, "uploads/detail.html", context)


@require_GET
@explains_failures
def survey_fragment(request: HttpRequest, store: str, bucket: str) -> HttpResponseBase:
    """All parts of an upload as a picture: a request for each 1,000 of them, and one for when it was initiated."""
    found = access.get_store(request.user, store)
    name = read_named_upload(Query(request))
    context: dict[str, Any] = {"upload": name, "links": BucketLinks(found.name, bucket)}
    try:
        context |= survey_context(browsing.survey_upload(found, bucket, name.key, name.upload_id), found)
        context |= _listed_facts(found, bucket, name)
    except ObjectStoreError as error:
        context["explained"] = explain(error)
    return render(request, "uploads/survey.html", context)


def upload_context(user: AnyUser, store: Store, links: BucketLinks, name: UploadName) -> dict[str, Any]:
    """What every page about one upload shows."""
    owner = ownership.owner_of(store, links.bucket, name.key, name.upload_id)
    return {
        "store": store,
        "bucket": links.bucket,
        "links": links,
        "upload": name,
        "value": write_upload(name),
        "detail_url": links.detail(name),
        "abort_url": links.abort(name),
        "complete_url": links.complete(name),
        "transfer": owner,
        "transfer_visible": owner is not None and access.visible_transfers(user).filter(pk=owner.pk).exists(),
    }


def _suspected(user: AnyUser, store: Store, bucket: str, name: UploadName) -> list[tuple[Transfer, bool]]:
    """The transfers that may have begun this upload, each with whether the user may open it."""
    suspected = selectors.suspected_beginners(store, bucket, name.key, name.upload_id)
    visible = set(access.visible_transfers(user).filter(pk__in=[each.pk for each in suspected]))
    return [(each, each in visible) for each in suspected]


def survey_context(surveyed: Survey, store: Store) -> dict[str, Any]:
    return {
        "survey": surveyed,
        "picture": draw(surveyed),
        "recent": is_recent(surveyed),
        "provider": browsing.provider_of(store),
    }


def ending_operation(user: AnyUser, store: Store, bucket: str, name: UploadName) -> Operation | None:
    """The operation of ours that ended this upload."""
    return selectors.ending_operation(user, store, bucket, name.key, name.upload_id)


def gone(
    request: HttpRequest,
    links: BucketLinks,
    name: UploadName,
    *,
    error: ObjectStoreError | None = None,
    ended: Operation | None = None,
) -> HttpResponse:
    """Already completed or aborted: said plainly, with what ended it where we know, and the way back to the list."""
    if jsonapi.wants_json(request):
        if error is not None:
            return jsonapi.store_error(error)
        return jsonapi.json_error("NoSuchUpload", "The upload was already completed or aborted.", status=404)
    explained: Explanation | None = explain(error) if error else None
    context = {
        "store_name": links.store,
        "bucket": links.bucket,
        "links": links,
        "upload": name,
        "explained": explained,
        "ended": ended,
        "around_url": links.listing(UploadsQuery(prefix=name.key)),
    }
    return render(request, "uploads/gone.html", context, status=404)


def _summary(
    store: Store, links: BucketLinks, name: UploadName, page: PartsPage, marker: int, *, wanted: bool
) -> dict[str, Any]:
    """The picture: free where this page holds every part, else only where it was asked for."""
    summary: dict[str, Any] = {"survey_url": links.survey(name), "survey_link": links.detail(name, survey=1)}
    if not marker and not page.is_truncated:
        surveyed = survey(page.parts, browsing.provider_of(store).min_part_size)
    elif wanted:
        surveyed = browsing.survey_upload(store, links.bucket, name.key, name.upload_id)
    else:
        return summary
    return summary | survey_context(surveyed, store)


def _listed_facts(store: Store, bucket: str, name: UploadName) -> dict[str, Any]:
    """ListParts does not say when an upload was initiated; the listing at its key does, or that it has no such upload.

    Swift goes on listing the parts of completed uploads, MinIO's listing forgets live ones: `unlisted` tells of both.
    """
    try:
        page = browsing.list_uploads(store, bucket, UploadsQuery(prefix=name.key, max_uploads=MAX_PAGE))
    except ObjectStoreError:
        return {}
    matching = [each for each in page.uploads if (each.key, each.upload_id) == (name.key, name.upload_id)]
    if matching:
        return {"initiated": matching[0].initiated, "initiated_known": True}
    return {"unlisted": not page.is_truncated}


def _next_parts(links: BucketLinks, name: UploadName, page: PartsPage, max_parts: int, marker: int) -> str:
    """By the store's marker, or the last number shown where it gives none; never back to where we are."""
    last = page.parts[-1].number if page.parts else 0
    after = page.next_part_number_marker or last
    if not page.is_truncated or after <= marker:
        return ""
    return links.detail(name, max_parts=max_parts, part_number_marker=after)


def _detail_json(bucket: str, name: UploadName, page: PartsPage, max_parts: int, marker: int) -> dict[str, Any]:
    return {
        "Bucket": bucket,
        "Key": name.key,
        "UploadId": name.upload_id,
        "PartNumberMarker": marker,
        "MaxParts": max_parts,
        "IsTruncated": page.is_truncated,
        "NextPartNumberMarker": page.next_part_number_marker if page.is_truncated else 0,
        "Initiator": page.initiator,
        "Owner": page.owner,
        "StorageClass": page.storage_class,
        "Parts": [
            {
                "PartNumber": part.number,
                "Size": part.size,
                "ETag": part.etag,
                "LastModified": jsonapi.iso(part.last_modified),
            }
            for part in page.parts
        ],
    }
