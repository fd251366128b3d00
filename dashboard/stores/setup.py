"""Setting up stores, by administrators: add, change, test before saving, disable and enable.

A test makes this machine connect to any address that is entered and that the settings allow, internal ones included:
stores are often there. Saving a store has the same effect, so both are for administrators only.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from dashboard.shared.messages.providers import notes_on
from dashboard.shared.responses import explains_failures, is_fragment, see_other
from dashboard.stores.connection_report import ConnectionReport, report_of
from dashboard.stores.forms import AS_PROVIDER, StoreForm
from dashboard.stores.provider_notes import ADDRESSING, SIGNATURE, label_of, limits, notes
from uploads import access
from uploads.models import Store
from uploads.objectstore.endpoints import is_made_from_region
from uploads.objectstore.providers import PROVIDERS, Provider
from uploads.services.stores import settings as services
from uploads.services.stores.connection_test import run_connection_test


@sensitive_post_parameters("secret_key", "session_token")
@require_http_methods(["GET", "POST"])
@explains_failures
def add_store(request: HttpRequest) -> HttpResponseBase:
    actor = access.actor_to_add_stores(request.user)
    form = StoreForm(request.POST or None)
    if request.method == "POST":
        return _test(request, actor, form) if _is_test(request) else _add(request, actor, form)
    return _form_page(request, form)


@sensitive_post_parameters("secret_key", "session_token")
@require_http_methods(["GET", "POST"])
@explains_failures
def edit_store(request: HttpRequest, store: str) -> HttpResponseBase:
    found = access.store_to_change(request.user, store)
    actor = access.actor(request.user)
    form = StoreForm(request.POST or None, store=found)
    if request.method == "POST":
        return _test(request, actor, form) if _is_test(request) else _change(request, actor, form, found)
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
    """GET: a page that explains the consequences. POST: enable or disable the store."""
    store = access.store_to_change(request.user, name)
    actor = access.actor(request.user)
    if request.method == "GET":
        context = {"store": store, "enabled": enabled, "active_work": services.active_work(store)}
        return render(request, "stores/switch.html", context)
    if services.set_enabled(actor, store, enabled=enabled):
        text = _("The store %(store)s is now enabled.") if enabled else _("The store %(store)s is now disabled.")
        messages.success(request, text % {"store": name})
    else:
        text = (
            _("The store %(store)s is already enabled.") if enabled else _("The store %(store)s is already disabled.")
        )
        messages.info(request, text % {"store": name})
    return see_other(reverse("stores"))


def _is_test(request: HttpRequest) -> bool:
    return request.POST.get("action") == "test"


def _add(request: HttpRequest, actor: User, form: StoreForm) -> HttpResponse:
    if not form.is_valid():
        return _form_page(request, form)
    try:
        store = services.add_store(actor, form.values())
    except ValidationError as error:
        form.add_errors(error)
        return _form_page(request, form)
    messages.success(request, _("The store %(store)s was added.") % {"store": store.name})
    return see_other(reverse("store", args=[store.name]))


def _change(request: HttpRequest, actor: User, form: StoreForm, store: Store) -> HttpResponse:
    if not form.is_valid():
        return _form_page(request, form)
    try:
        change = services.change_store(actor, store, form.values(), seen=form.cleaned_data["seen"])
    except ValidationError as error:
        form.add_errors(error)
        return _form_page(request, form)
    except services.EditConflict as conflict:
        form.show_state_of(conflict.at)
        return _form_page(request, form, conflict=conflict, status=409)
    messages.success(request, _("The store %(store)s was changed.") % {"store": store.name})
    if change.removed_overrides:
        text = _(
            "The overrides of its profile were removed, because they applied to the previous settings. Check it again."
        )
        messages.info(request, text)
    return see_other(reverse("store", args=[store.name]))


def _test(request: HttpRequest, actor: User, form: StoreForm) -> HttpResponse:
    """Test the entered values without saving them. For htmx a fragment, so that entered secrets stay in the form."""
    report = None
    if form.is_valid():
        try:
            report = report_of(run_connection_test(form.values(), form.store, actor=actor))
        except ValidationError as error:
            form.add_errors(error)
    if is_fragment(request):
        # Always 200: htmx shows no other response.
        return render(request, "stores/connection_test.html", {"form": form, "report": report})
    return _form_page(request, form, report=report)


def _form_page(
    request: HttpRequest,
    form: StoreForm,
    *,
    report: ConnectionReport | None = None,
    conflict: services.EditConflict | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {
        "form": form,
        "store": form.store,
        "store_name": form.store.name if form.store else None,
        "providers": [_provider(each, form) for each in PROVIDERS.values()],
        "as_provider": AS_PROVIDER,
        "report": report,
        "conflict": conflict,
    }
    return render(request, "stores/form.html", context, status=400 if form.errors else status)


def _provider(profile: Provider, form: StoreForm) -> dict[str, Any]:
    return {
        "profile": profile,
        "label": label_of(profile.name),
        "is_chosen": profile == form.chosen_provider,
        "is_made": is_made_from_region(profile),
        "limits": limits(profile),
        "remarks": notes_on(profile.name),
        "notes": notes(profile),
        "addressing": ADDRESSING[profile.addressing],
        "signature": SIGNATURE[profile.signature],
    }
