"""Signing in and out."""

from __future__ import annotations

import math
from typing import Any

from axes.handlers.proxy import AxesProxyHandler
from axes.helpers import get_client_ip_address
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from dashboard.shared.errors import refuse
from dashboard.shared.jsonapi import iso, json_error, wants_json, with_retry_after
from dashboard.shared.messages import text_of
from dashboard.sso.ended import session_elsewhere
from uploads.problems import Code, Problem
from uploads.services.sign_in.hashing import places
from uploads.services.sign_in.lockout import counted_name, lock_of

_login_form = LoginView.as_view(template_name="registration/login.html", redirect_authenticated_user=True)
_logout = LogoutView.as_view()


@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def login(request: HttpRequest) -> HttpResponseBase:
    """The form. Polling pages and clients that request JSON get a response that they understand instead."""
    if request.method != "POST":
        return _for_scripts(request) or _login_form(request)
    credentials = {"username": request.POST.get("username", "")}
    if not AxesProxyHandler.is_allowed(request, credentials):
        # Without waiting for a place: whoever guesses against a lock delays nobody.
        return locked(request, None, credentials)
    # The lock is checked again inside, after the attempts that ran before this one.
    with places.place():
        return _login_form(request)


def locked(request: HttpRequest, _response: object, credentials: dict[str, Any] | None) -> HttpResponse:
    """429 with the time of the next attempt. AXES_LOCKOUT_CALLABLE."""
    now = timezone.now()
    lock = lock_of(counted_name(request, credentials), get_client_ip_address(request), now)
    until = lock.until if lock else now
    problem = Problem(Code.ADDRESS_LOCKED if lock and lock.is_of_address else Code.ACCOUNT_LOCKED, until_at=iso(until))
    response = refuse(request, 429, _("Too many attempts"), text_of(problem), code=problem.code)
    return with_retry_after(response, max(1, math.ceil((until - now).total_seconds())))


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
    """A page of ours leads to the provider, because the CSP does not let a form be redirected to other sites."""
    elsewhere = session_elsewhere(request)
    response = _logout(request)
    if elsewhere is None:
        return response
    page = render(request, "registration/signed_out.html", {"url": elsewhere.url})
    add_never_cache_headers(page)
    return page
