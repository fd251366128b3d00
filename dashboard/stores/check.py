"""Checking a store: ordered by an administrator for a bucket, watched, read by everybody who uses the store."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from dashboard.shared import jsonapi
from dashboard.shared.responses import explains_failures, is_fragment, see_other
from dashboard.stores import provider_notes
from dashboard.stores.check_form import CheckForm
from dashboard.stores.check_report import card_of, check_json, overruled
from uploads import access
from uploads.models import Store, StoreCheck
from uploads.objectstore.providers import PROVIDERS
from uploads.services.stores.checks import request_check, reset_found

SHOWN_CHECKS = 10
"""Checks of a store that its page names, newest first."""


@require_http_methods(["GET", "POST"])
@explains_failures
def checks(request: HttpRequest, store: str) -> HttpResponseBase:
    """GET: the form, and what was found lately. POST: order a check of a bucket (`bucket`, `consent`)."""
    if request.method == "GET":
        found = access.store_to_see(request.user, store)
        return _page(request, found, CheckForm(initial={"bucket": request.GET.get("bucket", "")}))
    found = access.store_to_check(request.user, store)
    form = CheckForm(request.POST)
    if not form.is_valid():
        if jsonapi.wants_json(request):
            complaint = " ".join(f"{name}: {' '.join(map(str, errors))}" for name, errors in form.errors.items())
            return jsonapi.json_error("InvalidArgument", complaint, status=400)
        return _page(request, found, form, status=400)
    check = request_check(access.actor(request.user), found, form.cleaned_data["bucket"])
    url = reverse("store-check", args=[found.name, check.pk])
    if jsonapi.wants_json(request):
        return JsonResponse(check_json(check), status=202, headers={"Location": url})
    return see_other(url)


@require_GET
@explains_failures
def check(request: HttpRequest, store: str, check_id: uuid.UUID) -> HttpResponseBase:
    """The card of a check; while it runs it fills."""
    found = access.store_to_see(request.user, store)
    looked_at = access.check_to_see(request.user, found, check_id)
    if jsonapi.wants_json(request):
        return JsonResponse(check_json(looked_at))
    template = "stores/check_card.html" if is_fragment(request) else "stores/check_detail.html"
    return render(request, template, _context(request, found) | {"card": card_of(looked_at)})


@require_POST
@explains_failures
def reset(request: HttpRequest, store: str) -> HttpResponseBase:
    """The provider's profile holds again."""
    found = access.store_to_check(request.user, store)
    if reset_found(access.actor(request.user), found):
        messages.success(
            request, f"What checks found of {found.name} is forgotten: its provider's profile holds again."
        )
    else:
        messages.info(request, f"Nothing overruled the profile of {found.name}.")
    return see_other(reverse("store-checks", args=[found.name]))


def _page(request: HttpRequest, store: Store, form: CheckForm, *, status: int = 200) -> HttpResponse:
    recent = access.checks_to_see(request.user, store)[:SHOWN_CHECKS]
    buckets = {*store.named_buckets.values_list("name", flat=True), *(each.bucket for each in recent)}
    context = _context(request, store) | {
        "form": form,
        "buckets": sorted(buckets),
        "cards": [card_of(each) for each in recent],
    }
    if jsonapi.wants_json(request):
        return JsonResponse(_json(store, list(recent)))
    return render(request, "stores/check.html", context, status=status)


def _context(request: HttpRequest, store: Store) -> dict[str, Any]:
    profile = PROVIDERS.get(store.provider)
    return {
        "store": store,
        "may_change": access.may_check_stores(request.user),
        "profile": profile,
        "overruled_now": overruled(profile, store.overrides),
        "limits": provider_notes.limits(profile) if profile else "",
        "lifecycle": provider_notes.LIFECYCLE[profile.lifecycle] if profile else "",
        "ways": provider_notes.ways(profile) if profile else [],
    }


def _json(store: Store, recent: list[StoreCheck]) -> dict[str, Any]:
    return {
        "store": store.name,
        "provider": store.provider,
        "found": store.overrides,
        "checks": [check_json(each) for each in recent],
    }
