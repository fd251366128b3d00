"""Saving, renaming and deleting views of the inventory. The page of the inventory has the forms."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from dashboard.shared.errors import refuse
from dashboard.shared.messages import text_of
from dashboard.shared.numbers import Count
from dashboard.shared.parameters import BadParameter
from dashboard.shared.responses import see_other
from uploads import access
from uploads.services.inventory.saved_views import ViewRefused, delete_view, rename_view, save_view

MAX_NAME, MAX_QUERY = 100, 4000


@require_POST
def save(request: HttpRequest) -> HttpResponse:
    """The filter of the page under a name. An own view with this name is replaced."""
    user = access.actor_to_save_views(request.user)
    try:
        name, query = _name(request), _query(request)
        is_shared = bool(request.POST.get("shared")) and access.may_share_views(request.user)
        view = save_view(user, name, query, is_shared=is_shared)
    except (BadParameter, ViewRefused) as error:
        return _refused(request, error)
    messages.success(request, _("The view “%(name)s” is saved.") % {"name": view.name})
    return _to_page(query)


@require_POST
def rename(request: HttpRequest, view_id: int) -> HttpResponse:
    view = access.view_to_change(request.user, view_id)
    try:
        rename_view(access.actor(request.user), view, _name(request))
    except (BadParameter, ViewRefused) as error:
        return _refused(request, error)
    messages.success(request, _("The view is now named “%(name)s”.") % {"name": view.name})
    return _to_page(view.query)


@require_POST
def delete(request: HttpRequest, view_id: int) -> HttpResponse:
    view = access.view_to_change(request.user, view_id)
    delete_view(access.actor(request.user), view)
    messages.success(request, _("The view “%(name)s” is deleted.") % {"name": view.name})
    return _to_page("")


def _to_page(query: str) -> HttpResponse:
    return see_other(reverse("inventory") + (f"?{query}" if query else ""))


def _name(request: HttpRequest) -> str:
    """Raises BadParameter."""
    name = " ".join(request.POST.get("name", "").split())
    if not name or len(name) > MAX_NAME or not name.isprintable():
        text = _("Enter a name for the view, of at most %(limit)s characters.")
        raise BadParameter(text % {"limit": Count(MAX_NAME)})
    return name


def _query(request: HttpRequest) -> str:
    """The query of a page of the inventory, as its URL has it: percent-encoded. Raises BadParameter."""
    query = request.POST.get("query", "").removeprefix("?")
    if not (query.isascii() and query.isprintable()) or set(query) & set("#<>\"' "):
        raise BadParameter(_("“query” must be the query of a page of the inventory, as its address has it."))
    if len(query) > MAX_QUERY:
        text = _("This filter is too long to be saved: the query of a view has at most %(limit)s characters.")
        raise BadParameter(text % {"limit": Count(MAX_QUERY)})
    return query


def _refused(request: HttpRequest, error: BadParameter | ViewRefused) -> HttpResponse:
    text, code = (text_of(error.problem), error.problem.code) if isinstance(error, ViewRefused) else (str(error), "")
    status = 409 if isinstance(error, ViewRefused) else 400
    title = _("The view was not saved")
    return refuse(request, status, title, text, code=code or "InvalidArgument", back=reverse("inventory"))
