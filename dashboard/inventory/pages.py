"""The page of the inventory: all uploads in progress of all stores."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from dashboard.inventory.explore import page_context
from dashboard.shared.errors import refuse
from dashboard.shared.parameters import BadParameter
from dashboard.shared.responses import same_address
from uploads.selectors.inventory.order import BadCursor


@require_safe
def inventory(request: HttpRequest) -> HttpResponseBase:
    """One page of uploads with a filter, in an order, with groups."""
    try:
        context = page_context(request)
    except BadParameter as error:
        return _refused(request, str(error))
    except BadCursor:
        return _refused(request, _("“cursor” must be that of another page with this order."))
    return same_address(render(request, "inventory/explore.html", context))


def _refused(request: HttpRequest, text: str) -> HttpResponse:
    title = _("No such page of the inventory")
    return refuse(request, 400, title, text, code="InvalidArgument", back=reverse("inventory"))
