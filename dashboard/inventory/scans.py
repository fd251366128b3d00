"""The pages of scans: all of them, and one with its buckets. Both are reloaded while something moves."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard.inventory.scan_serializers import scan_json, scans_json
from dashboard.shared.errors import refuse
from dashboard.shared.jsonapi import wants_json
from dashboard.shared.messages.scans import ORIGINS
from dashboard.shared.parameters import BadParameter, Query, check_text, query_string
from dashboard.shared.responses import explains_failures, is_fragment, see_other
from uploads import access
from uploads.models import Scan, Store
from uploads.selectors.scans import (
    Cursor,
    ScanPage,
    ScanProgress,
    buckets_of_scan,
    find_scan_page,
    last_scans,
    not_checked,
    scan_progress,
)
from uploads.services.inventory.scans.cancel import cancel_scan
from uploads.services.inventory.scans.request import request_scan

PAGE_SIZE = 50

SHOWN_BUCKETS = 100
"""The most buckets that the page of a scan shows, those with errors first."""

MAX_BUCKETS = 1000
"""The most that its JSON has."""

LIVE_SECONDS, IDLE_SECONDS = 2, 30


@require_http_methods(["GET", "HEAD", "POST"])
@explains_failures
def scans(request: HttpRequest) -> HttpResponseBase:
    """GET: a page of scans; `cursor` is that of the page before. POST: request one (`store`, `bucket`, `prefix`)."""
    if request.method == "POST":
        return _request(request)
    before = _read_cursor(Query(request).text("cursor"))
    page = find_scan_page(request.user, before=before, limit=PAGE_SIZE)
    progress = scan_progress(request.user, page.scans, timezone.now())
    older = _write_cursor(page.older) if page.older else ""
    if wants_json(request):
        return JsonResponse(scans_json([(each, progress[each.pk]) for each in page.scans], older))
    template = "inventory/_scans_live.html" if is_fragment(request) else "inventory/scans.html"
    return render(request, template, _page_context(request, page, progress, before, older))


@require_safe
@explains_failures
def scan(request: HttpRequest, scan_id: uuid.UUID) -> HttpResponseBase:
    """A scan with its buckets. The page reloads it while the scan runs."""
    shown = access.scan_to_see(request.user, scan_id)
    progress = scan_progress(request.user, [shown], timezone.now())[shown.pk]
    if wants_json(request):
        return JsonResponse(scan_json(shown, progress, list(buckets_of_scan(request.user, shown)[:MAX_BUCKETS])))
    template = "inventory/_scan_live.html" if is_fragment(request) else "inventory/scan.html"
    return render(request, template, _scan_context(request, shown, progress))


@require_POST
@explains_failures
def cancel(request: HttpRequest, scan_id: uuid.UUID) -> HttpResponseBase:
    found = access.scan_to_cancel(request.user, scan_id)
    if cancel_scan(access.actor(request.user), found):
        messages.success(request, _("The scan was cancelled. What it has read is in the inventory."))
    else:
        messages.info(request, _("The scan had ended already."))
    url = reverse("scan", args=[found.pk])
    if wants_json(request):
        progress = scan_progress(request.user, [found], timezone.now())[found.pk]
        return JsonResponse(scan_json(found, progress, list(buckets_of_scan(request.user, found)[:MAX_BUCKETS])))
    return see_other(url)


def _request(request: HttpRequest) -> HttpResponseBase:
    store, bucket, prefix = (check_text(name, request.POST.get(name, "")) for name in ("store", "bucket", "prefix"))
    if not store:
        if bucket or prefix:
            raise BadParameter(_("A bucket or a prefix needs the name of its store."))
        return _request_all(request)
    if prefix and not bucket:
        raise BadParameter(_("A prefix needs the name of its bucket."))
    found = access.store_to_scan(request.user, store)
    if not found.enabled:
        text = _("%(store)s is disabled. Enable it to scan it.") % {"store": found.name}
        return refuse(request, 409, _("Nothing was scanned"), text, code="StoreDisabled", back=reverse("scans"))
    places = access.places_to_scan(request.user, found, bucket, prefix)
    requested = request_scan(access.actor(request.user), found, "page", places)
    url = reverse("scan", args=[requested.pk])
    if wants_json(request):
        progress = scan_progress(request.user, [requested], timezone.now())[requested.pk]
        return JsonResponse(scan_json(requested, progress, []), status=202, headers={"Location": url})
    return see_other(url)


def _request_all(request: HttpRequest) -> HttpResponseBase:
    """A scan of each store of which the user may scan something."""
    stores = list(access.stores_to_scan(request.user))
    user = access.actor(request.user)
    requested = [request_scan(user, each, "page", access.places_to_scan(user, each)) for each in stores]
    if wants_json(request):
        progress = scan_progress(request.user, requested, timezone.now())
        body = scans_json([(each, progress[each.pk]) for each in requested], "")
        return JsonResponse(body, status=202)
    if not requested:
        messages.info(request, _("There is no enabled store to scan."))
    return see_other(reverse("scans"))


def _page_context(
    request: HttpRequest, page: ScanPage, progress: dict[uuid.UUID, ScanProgress], before: Cursor | None, older: str
) -> dict[str, Any]:
    stores = _stores_to_scan(request)
    last = last_scans(request.user, stores)
    is_live = any(each.is_active for each in progress.values())
    return {
        "rows": [_row(each, progress[each.pk]) for each in page.scans],
        "stores": [(each, last.get(each.pk)) for each in stores],
        "unchecked": not_checked(request.user) if before is None else None,
        "is_first_page": before is None,
        "older_query": query_string({"cursor": older}).removeprefix("?"),
        "poll_url": request.get_full_path(),
        "poll_seconds": LIVE_SECONDS if is_live else IDLE_SECONDS,
    }


def _stores_to_scan(request: HttpRequest) -> Sequence[Store]:
    return list(access.stores_to_scan(request.user).order_by("name")) if access.may_scan(request.user) else []


def _scan_context(request: HttpRequest, shown: Scan, progress: ScanProgress) -> dict[str, Any]:
    found = list(buckets_of_scan(request.user, shown)[: SHOWN_BUCKETS + 1])
    return _row(shown, progress) | {
        "buckets": found[:SHOWN_BUCKETS],
        "hidden": max(0, progress.buckets - SHOWN_BUCKETS),
        "may_cancel": progress.is_active and access.may_cancel_scan(request.user, shown),
        "may_scan": shown.store.enabled and access.may_scan(request.user, shown.store),
    }


def _row(shown: Scan, progress: ScanProgress) -> dict[str, Any]:
    return {"scan": shown, "progress": progress, "origin": ORIGINS.get(shown.origin, shown.origin)}


def _write_cursor(cursor: Cursor) -> str:
    at, pk = cursor
    return f"{at.isoformat()}_{pk.hex}"


def _read_cursor(text: str) -> Cursor | None:
    if not text:
        return None
    at, _sign, pk = text.rpartition("_")
    try:
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None or not 1970 < moment.year < 9999:
            raise ValueError
        return moment, uuid.UUID(hex=pk)
    except ValueError:
        raise BadParameter(_("cursor is not valid. Omit it to start with the newest scans.")) from None
