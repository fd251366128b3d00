"""Setting up stores, by administrators: add, change, test before saving, disable and enable.

The test has this machine connect to whatever address was typed, inner ones too. That is meant: stores are often there.
So it is for administrators only, as saving a store is, which has the same effect.
"""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from dashboard.shared.messages.providers import notes_on
from dashboard.shared.responses import explains_failures, is_fragment, see_other
from dashboard.stores.connection_report import TrialReport, report_of
from dashboard.stores.forms import AS_PROVIDER, StoreForm
from dashboard.stores.provider_notes import ADDRESSING, SIGNATURE, limits, notes
from uploads import access
from uploads.models import Store
from uploads.objectstore.endpoints import is_made_from_region
from uploads.objectstore.providers import PROVIDERS
from uploads.services.stores import settings as services
from uploads.services.stores.connection_test import try_store


@sensitive_post_parameters("secret_key", "session_token")
@require_http_methods(["GET", "POST"])
@explains_failures
def add_store(request: HttpRequest) -> HttpResponseBase:
    actor = access.actor_to_add_stores(request.user)
    form = StoreForm(request.POST or None)
    if request.method == "POST":
        return _test(request, form) if _is_test(request) else _add(request, actor, form)
    return _form_page(request, form)


@sensitive_post_parameters("secret_key", "session_token")
@require_http_methods(["GET", "POST"])
@explains_failures
def edit_store(request: HttpRequest, store: str) -> HttpResponseBase:
    found = access.store_to_change(request.user, store)
    actor = access.actor(request.user)
    form = StoreForm(request.POST or None, store=found)
    if request.method == "POST":
        return _test(request, form) if _is_test(request) else _change(request, actor, form, found)
    return _form_page(request, form)


@require_http_methods(["GET", "POST"])
@explains_failures
def disable_store(request: HttpRequest, store: str) -> HttpResponseBase:
    return _switch(request, store, enabled=False)


@require_http_methods(["GET", "POST"])
@explains_failures
def enable_store(request: HttpRequest, store: str) -> HttpResponseBase:
    return _switch(request, store, enabled=True)


def _switch(request: HttpRequest, name: str, *, enabled: bool) -> HttpResponse:
    """A page that says what it means, and by POST the deed."""
    store = access.store_to_change(request.user, name)
    actor = access.actor(request.user)
    if request.method == "GET":
        context = {"store": store, "enabled": enabled, "under_way": services.under_way(store)}
        return render(request, "stores/switch.html", context)
    word = "enabled" if enabled else "disabled"
    if services.set_enabled(actor, store, enabled=enabled):
        messages.success(request, f"The store {name} is {word} now.")
    else:
        messages.info(request, f"The store {name} was {word} already.")
    return see_other(reverse("stores"))


def _is_test(request: HttpRequest) -> bool:
    return request.POST.get("action") == "test"


def _add(request: HttpRequest, actor: User, form: StoreForm) -> HttpResponse:
    if not form.is_valid():
        return _form_page(request, form)
    try:
        store = services.add_store(actor, form.values())
    except ValidationError as error:
        form.take_errors(error)
        return _form_page(request, form)
    messages.success(request, f"The store {store.name} was added. Below is what it answers.")
    return see_other(reverse("store", args=[store.name]))


def _change(request: HttpRequest, actor: User, form: StoreForm, store: Store) -> HttpResponse:
    if not form.is_valid():
        return _form_page(request, form)
    try:
        change = services.change_store(actor, store, form.values(), seen=form.cleaned_data["seen"])
    except ValidationError as error:
        form.take_errors(error)
        return _form_page(request, form)
    except services.ChangedMeanwhile as conflict:
        form.show_state_of(conflict.at)
        return _form_page(request, form, conflict=conflict, status=409)
    messages.success(request, f"The store {store.name} was changed. Below is what it answers.")
    if change.forgot_found:
        text = "What a store check had found was forgotten: it spoke of the store as it was. Check it again."
        messages.info(request, text)
    return see_other(reverse("store", args=[store.name]))


def _test(request: HttpRequest, form: StoreForm) -> HttpResponse:
    """What the store says to these values. Nothing is saved; for htmx it is a fragment, so that typed secrets stay."""
    report = None
    if form.is_valid():
        try:
            report = report_of(try_store(form.values(), form.store))
        except ValidationError as error:
            form.take_errors(error)
    if is_fragment(request):
        # 200 whatever came of it: htmx shows no other.
        return render(request, "stores/_trial.html", {"form": form, "report": report})
    return _form_page(request, form, report=report)


def _form_page(
    request: HttpRequest,
    form: StoreForm,
    *,
    report: TrialReport | None = None,
    conflict: services.ChangedMeanwhile | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {
        "form": form,
        "store": form.store,
        "store_name": form.store.name if form.store else None,
        "providers": [
            {
                "profile": each,
                "is_chosen": each == form.chosen_provider,
                "is_made": is_made_from_region(each),
                "limits": limits(each),
                "remarks": notes_on(each.name),
                "notes": notes(each),
                "addressing": ADDRESSING[each.addressing],
                "signature": SIGNATURE[each.signature],
            }
            for each in PROVIDERS.values()
        ],
        "as_provider": AS_PROVIDER,
        "report": report,
        "conflict": conflict,
    }
    return render(request, "stores/form.html", context, status=400 if form.errors else status)
