"""Store checks: requested by an administrator for a bucket, read by everybody who uses the store."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard.shared import jsonapi
from dashboard.shared.messages.providers import notes_on
from dashboard.shared.responses import explains_failures, is_fragment, see_other
from dashboard.stores import provider_notes
from dashboard.stores.check_form import CheckForm
from dashboard.stores.check_report import card_of, overrides_in_words
from dashboard.stores.serializers import check_json, checks_json
from uploads import access
from uploads.models import Store
from uploads.objectstore.providers import PROVIDERS
from uploads.services.stores.checks.overrides import reset_overrides
from uploads.services.stores.checks.request import request_check

SHOWN_CHECKS = 10
"""Checks of a store that its page lists, newest first."""


@require_http_methods(["GET", "POST"])
@explains_failures
def checks(request: HttpRequest, store: str) -> HttpResponseBase:
    """GET: the form and the latest checks. POST: request a check of a bucket (`bucket`, `consent`)."""
    if request.method == "GET":
        found = access.store_to_see(request.user, store)
        return _page(request, found, CheckForm(initial={"bucket": request.GET.get("bucket", "")}))
    found = access.store_to_check(request.user, store)
    form = CheckForm(request.POST)
    if not form.is_valid():
        return _refused(request, found, form)
    check = request_check(access.actor(request.user), found, form.cleaned_data["bucket"])
    url = reverse("store-check", args=[found.name, check.pk])
    if jsonapi.wants_json(request):
        return JsonResponse(check_json(check), status=202, headers={"Location": url})
    return see_other(url)


@require_safe
@explains_failures
def check(request: HttpRequest, store: str, check_id: uuid.UUID) -> HttpResponseBase:
    """The card of a check. The page reloads it while the check runs."""
    found = access.store_to_see(request.user, store)
    shown = access.check_to_see(request.user, found, check_id)
    if jsonapi.wants_json(request):
        return JsonResponse(check_json(shown))
    template = "stores/check_card.html" if is_fragment(request) else "stores/check_detail.html"
    return render(request, template, _context(request, found) | {"card": card_of(shown)})


@require_POST
@explains_failures
def reset(request: HttpRequest, store: str) -> HttpResponseBase:
    """Use the provider's profile again."""
    found = access.store_to_check(request.user, store)
    if reset_overrides(access.actor(request.user), found):
        text = _("The overrides of %(store)s were removed. The profile of its provider applies again.")
        messages.success(request, text % {"store": found.name})
    else:
        messages.info(request, _("%(store)s has no overrides of its profile.") % {"store": found.name})
    return see_other(reverse("store-checks", args=[found.name]))


def _refused(request: HttpRequest, store: Store, form: CheckForm) -> HttpResponse:
    if not jsonapi.wants_json(request):
        return _page(request, store, form, status=400)
    errors = " ".join(f"{name}: {' '.join(map(str, texts))}" for name, texts in form.errors.items())
    return jsonapi.json_error("InvalidArgument", errors, status=400)


def _page(request: HttpRequest, store: Store, form: CheckForm, *, status: int = 200) -> HttpResponse:
    recent = list(access.checks_to_see(request.user, store)[:SHOWN_CHECKS])
    if jsonapi.wants_json(request):
        return JsonResponse(checks_json(store, recent))
    buckets = {*store.named_buckets.values_list("name", flat=True), *(each.bucket for each in recent)}
    granted = access.buckets_to_see(request.user, store)
    if granted is not None:
        buckets = set(granted)
    context = _context(request, store) | {
        "form": form,
        "buckets": sorted(buckets),
        "cards": [card_of(each) for each in recent],
    }
    return render(request, "stores/check.html", context, status=status)


def _context(request: HttpRequest, store: Store) -> dict[str, Any]:
    profile = PROVIDERS.get(store.provider)
    return {
        "store": store,
        "may_change": access.may_check_store(request.user, store),
        "profile": profile,
        "provider": provider_notes.label_of(store.provider),
        "overrides": overrides_in_words(profile, store.overrides),
        "limits": provider_notes.limits(profile) if profile else "",
        "lifecycle": provider_notes.lifecycle(profile) if profile else "",
        "remarks": notes_on(store.provider),
        "notes": provider_notes.notes(profile) if profile else [],
    }
