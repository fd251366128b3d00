"""The audit log: who did what, newest first."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from dashboard.shared.errors import refuse
from dashboard.shared.messages.audit import ACTIONS
from uploads.selectors.audit import find_audit_entries

PAGE_SIZE = 100
FILTERS = ("actor", "action", "store", "bucket", "key")


@require_safe
def audit(request: HttpRequest) -> HttpResponse:
    """One page, filtered. `before` is the id of the last entry of the previous page."""
    before = request.GET.get("before", "")
    if before and not (before.isascii() and before.isdigit() and len(before) <= 18):
        return _no_such_place(request)
    filters = {name: request.GET.get(name, "") for name in FILTERS}
    # One more entry than is shown reveals whether there is an older page.
    found = find_audit_entries(request.user, **filters, before=int(before) if before else None, limit=PAGE_SIZE + 1)
    entries, has_older = found[:PAGE_SIZE], len(found) > PAGE_SIZE
    given = {name: value for name, value in filters.items() if value}
    context = {
        "entries": entries,
        "filters": filters,
        "is_filtered": bool(given),
        "actions": ACTIONS.items(),
        "before": before,
        "newest_query": urlencode(given),
        "older_query": urlencode({**given, "before": entries[-1].pk}) if has_older else "",
    }
    return render(request, "audit/audit.html", context)


def _no_such_place(request: HttpRequest) -> HttpResponse:
    title = _("No such page of the audit log")
    text = _("The parameter “before” must be the number of an audit entry. Use the links of this page.")
    return refuse(request, 400, title, text, code="InvalidArgument", back=reverse("audit"))
