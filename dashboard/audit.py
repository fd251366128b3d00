"""The audit log: who did what, newest first."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboard.shared.errors import refuse
from uploads.selectors.audit import find_audit_entries

PAGE_SIZE = 100
FILTERS = ("actor", "action", "store", "bucket", "key")
ACTIONS = (
    "abort.ordered",
    "abort.done",
    "abort.failed",
    "complete.ordered",
    "complete.done",
    "complete.failed",
    "store.added",
    "store.changed",
    "store.enabled",
    "store.disabled",
    "check.ordered",
    "check.done",
    "check.failed",
    "transfer.begun",
    "transfer.paused",
    "transfer.resumed",
    "transfer.cancel-ordered",
    "transfer.cancelled",
    "transfer.retried",
    "transfer.replace-allowed",
    "transfer.done",
    "transfer.failed",
)
"""Offered in the filter; others can be typed."""


@require_GET
def audit(request: HttpRequest) -> HttpResponse:
    """One page, filtered; `before` is the id of the last entry of the page before."""
    before = request.GET.get("before", "")
    if before and not (before.isascii() and before.isdigit() and len(before) <= 18):
        text = "before is the number of an audit entry: the links of this page have it."
        return refuse(request, 400, "No such place in the log", text, code="InvalidArgument", back="/audit/")
    wanted = {name: request.GET.get(name, "") for name in FILTERS}
    # One more than is shown tells whether there is an older page.
    found = find_audit_entries(request.user, **wanted, before=int(before) if before else None, limit=PAGE_SIZE + 1)
    entries, has_older = found[:PAGE_SIZE], len(found) > PAGE_SIZE
    kept = {name: value for name, value in wanted.items() if value}
    context = {
        "entries": entries,
        "wanted": wanted,
        "is_filtered": bool(kept),
        "actions": ACTIONS,
        "before": before,
        "newest_query": urlencode(kept),
        "older_query": urlencode({**kept, "before": entries[-1].pk}) if has_older else "",
    }
    return render(request, "audit/audit.html", context)
