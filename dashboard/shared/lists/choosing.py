"""How a user wants to see a list: which columns, and how dense. It is remembered for the user."""

from __future__ import annotations

import re

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from dashboard.shared.responses import explains_failures, see_other
from uploads import access
from uploads.models.list_choice import Density
from uploads.services.people.list_choices import choose, forget_choice

LISTS = ("transfers", "operations", "checks", "audit", "inventory", "sweeps")
"""The lists of which a choice is remembered, by the names of their URLs."""

MAX_COLUMNS = 40
NAME = re.compile(r"[a-z-]{1,40}")


@require_POST
@explains_failures
def choose_columns(request: HttpRequest, name: str) -> HttpResponse:
    """Remember `column` (several) and `density`, or with `reset` forget them, and go `back` to the list."""
    user = access.actor(request.user)
    if name not in LISTS:
        raise Http404
    density = request.POST.get("density", "")
    if "reset" in request.POST:
        forget_choice(user, name)
    else:
        columns = [each for each in request.POST.getlist("column")[:MAX_COLUMNS] if NAME.fullmatch(each)]
        choose(user, name, columns, Density(density) if density in set(Density) else Density.COMFORTABLE)
    back = request.POST.get("back", "")
    path = reverse(name)
    is_ours = url_has_allowed_host_and_scheme(back, allowed_hosts=None) and back.split("?")[0] == path
    return see_other(back if is_ours else path)
