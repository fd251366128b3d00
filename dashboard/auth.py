"""Signing in and out."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
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
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(headers={"HX-Refresh": "true"})
    if request.method != "POST" and wants_json(request):
        return json_error("NotSignedIn", _("Sign in first."), status=401)
    return _login_form(request)


@require_POST
def logout(request: HttpRequest) -> HttpResponseBase:
    return _logout(request)
