"""The page of the audit log: who did what, as a page, as JSON, or exported as a whole."""

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
from dashboard.audit.filters import marker, one_of, query_of, read
from dashboard.audit.listed import AUDIT, OLDEST_FIRST, context_of
from dashboard.audit.serializers import page_json
from dashboard.shared.errors import refuse
from dashboard.shared.jsonapi import wants_json
from dashboard.shared.parameters import BadParameter
from dashboard.shared.responses import same_address
from uploads.selectors.audit import find_audit_page

PAGE_SIZE = 100

FORMAT_NAMES: Mapping[str, Any] = {"csv": gettext_lazy("CSV"), "jsonl": gettext_lazy("JSON Lines")}


@require_safe
def audit(request: HttpRequest) -> HttpResponseBase:
    """One page, filtered. `before` and `after` are the ids of entries: the page is older, or newer, than that entry.

    With `sort=at`, the oldest is first.
    """
    try:
        query, given, wanted = read(request)
        before, after = marker(query, "before"), marker(query, "after")
        form, sort = query.text("format"), query.text("sort")
        one_of("format", form, FORMATS)
        one_of("sort", sort, AUDIT.sorts)
    except BadParameter as error:
        return _no_such_filter(request, str(error))
    if form:
        return export(request, form, given, wanted)
    place = {"before": before, "after": after}
    page = find_audit_page(request.user, wanted, **place, limit=PAGE_SIZE, oldest_first=sort == OLDEST_FIRST)
    if wants_json(request):
        return same_address(JsonResponse(page_json(page)))
    context = {
        "list": context_of(request, given, sort, place, page),
        "lines": page.lines,
        "page": page,
        "exports": [(FORMAT_NAMES[name], query_of(given, format=name)) for name in FORMATS],
    }
    return same_address(render(request, "audit/audit.html", context))


def _no_such_filter(request: HttpRequest, text: str) -> HttpResponse:
    title = _("No such page of the audit log")
    return refuse(request, 400, title, text, code="InvalidArgument", back=reverse("audit"))
