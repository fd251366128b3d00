"""The page of a store's thresholds, its schedule of scans, and their rates."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from dashboard.inventory.settings_form import InventoryForm
from dashboard.shared.responses import explains_failures, see_other
from uploads import access
from uploads.models import Store
from uploads.selectors.scans import last_scans, not_checked
from uploads.services.inventory.scans.schedule import schedule_of
from uploads.services.inventory.settings import change_settings, settings_of


@require_http_methods(["GET", "POST"])
@explains_failures
def store_inventory(request: HttpRequest, store: str) -> HttpResponseBase:
    """GET: the settings. POST: change them."""
    found = access.store_to_change_inventory_of(request.user, store)
    settings = settings_of(found)
    if request.method == "GET":
        return _page(request, found, InventoryForm(settings=settings))
    form = InventoryForm(request.POST, settings=settings)
    if not form.is_valid() or not _saved(request, found, form):
        return _page(request, found, form, status=400)
    return see_other(reverse("store-inventory", args=[found.name]))


def _saved(request: HttpRequest, store: Store, form: InventoryForm) -> bool:
    try:
        changed = change_settings(access.actor(request.user), store, form.values())
    except ValidationError as error:
        form.add_error(None, error)
        return False
    if changed:
        messages.success(request, _("The settings of %(store)s were saved.") % {"store": store.name})
    else:
        messages.info(request, _("Nothing was different."))
    return True


def _page(request: HttpRequest, store: Store, form: InventoryForm, *, status: int = 200) -> HttpResponse:
    current = settings_of(store)
    context = {
        "store": store,
        "is_judging": current.judged_to is not None,
        "form": form,
        "next_scan": schedule_of(current).next_slot(timezone.now()) if store.enabled else None,
        "last_scan": last_scans(request.user, [store]).get(store.pk),
        "may_scan": store.enabled and access.may_scan(request.user, store),
        "unchecked": not_checked(request.user, [store]),
    }
    return render(request, "inventory/store_inventory.html", context, status=status)
