"""Signing in and out."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from dashboard.shared.jsonapi import json_error, wants_json

_login_form = LoginView.as_view(template_name="registration/login.html", redirect_authenticated_user=True)
_logout = LogoutView.as_view()


@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def login(request: HttpRequest) -> HttpResponseBase:
    """The form. Polling pages and clients that request JSON get a response that they understand instead."""
    return (_for_scripts(request) if request.method != "POST" else None) or _login_form(request)


class LoginRequired(LoginRequiredMiddleware):
    """Scripts are not redirected to the form: only proxies redirect them, and scripts report that."""

    def handle_no_permission(  # type: ignore[override]  # Django returns it as the response, whatever it is
        self, request: HttpRequest, view_func: Any
    ) -> HttpResponseBase:
        return _for_scripts(request) or super().handle_no_permission(request, view_func)


def _for_scripts(request: HttpRequest) -> HttpResponse | None:
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(headers={"HX-Refresh": "true"})
    if wants_json(request):
        return json_error("NotSignedIn", _("Sign in first."), status=401)
    return None


@require_POST
def logout(request: HttpRequest) -> HttpResponseBase:
    return _logout(request)
