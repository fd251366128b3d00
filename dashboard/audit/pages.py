"""The page of the audit log: who did what, newest first, as a page, as JSON, or exported as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from dashboard.audit.export import FORMATS, export
from dashboard.audit.filters import marker, query_of, read
from dashboard.audit.listed import context_of
from dashboard.audit.serializers import page_json
from dashboard.shared.errors import refuse
from dashboard.shared.jsonapi import wants_json
from dashboard.shared.parameters import BadParameter
from dashboard.shared.responses import same_address
from uploads.selectors.audit import AuditPage, find_audit_page

PAGE_SIZE = 100

FORMAT_NAMES: Mapping[str, Any] = {"csv": gettext_lazy("CSV"), "jsonl": gettext_lazy("JSON Lines")}


@require_safe
def audit(request: HttpRequest) -> HttpResponseBase:
    """One page, filtered. `before` and `after` are the ids of entries: the page is older, or newer, than that entry."""
    try:
        query, given, wanted = read(request)
        before, after = marker(query, "before"), marker(query, "after")
        form = query.text("format")
        if form not in ("", *FORMATS):
            raise BadParameter(_("“format” must be one of %(values)s.") % {"values": ", ".join(FORMATS)})
    except BadParameter as error:
        return _no_such_filter(request, str(error))
    if form:
        return export(request, form, given, wanted)
    page = find_audit_page(request.user, wanted, before=before, after=after, limit=PAGE_SIZE)
    if wants_json(request):
        return same_address(JsonResponse(page_json(page)))
    place = {"before": before, "after": after}
    return same_address(render(request, "audit/audit.html", _context(request, page, given, place)))


def _context(
    request: HttpRequest, page: AuditPage, given: dict[str, str], place: Mapping[str, int | None]
) -> dict[str, Any]:
    return {
        "list": context_of(request, given, place),
        "lines": page.lines,
        "page": page,
        "is_first_page": set(place.values()) == {None},
        "newest_query": query_of(given),
        "older_query": query_of(given, before=page.older) if page.older is not None else "",
        "newer_query": query_of(given, after=page.newer) if page.newer is not None else "",
        "exports": [(FORMAT_NAMES[name], query_of(given, format=name)) for name in FORMATS],
    }


def _no_such_filter(request: HttpRequest, text: str) -> HttpResponse:
    title = _("No such page of the audit log")
    return refuse(request, 400, title, text, code="InvalidArgument", back=reverse("audit"))
