"""The page of the search box: it leads to what was found, or lists the choices, or says what to do."""

from __future__ import annotations

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from dashboard.search.choices import choices_of
from dashboard.shared.parameters import Query, query_string
from dashboard.shared.responses import explains_failures, see_other
from uploads import access
from uploads.domain.search_text import named_in
from uploads.selectors.search import Found, find

MAX_Q_BYTES = 4096
"""The longest text, such as a line of a log."""

MAX_KEY = 1024
"""Characters from which on a text is no key."""

TO_OPEN = ("bucket", "key", "upload-id")
"""The fields of the form that opens an upload, besides the store."""


@require_safe
@explains_failures
def search(request: HttpRequest) -> HttpResponseBase:
    """With `q`: what it means. With `store`: on to the page that opens an upload of this store by key and id."""
    stores = access.stores_to_see(request.user)
    query = Query(request)
    if name := query.text("store"):
        store = access.store_to_see(request.user, name)
        given: dict[str, str | int | None] = {field: query.text(field) for field in TO_OPEN}
        return see_other(reverse("open-bucket", args=[store.name]) + query_string(given))
    text = query.long_text("q", MAX_Q_BYTES).strip()
    found = find(request.user, text) if text else Found()
    choices = choices_of(found)
    if len(choices) == 1 and not found.has_more:
        return see_other(choices[0].url)
    context = {
        "search_text": text,
        "choices": choices,
        "has_more": found.has_more,
        "in_inventory_url": reverse("inventory") + query_string({"q": text}),
        "in_audit_url": reverse("audit") + query_string({"key": text}),
        "is_key": len(text) <= MAX_KEY and "\n" not in text,
        "given": named_in(text),
        "stores": list(stores.values_list("name", flat=True)),
    }
    return render(request, "search/search.html", context)
