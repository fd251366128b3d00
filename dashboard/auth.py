"""Signing in and out."""

from __future__ import annotations

import math
from typing import Any

from axes.handlers.proxy import AxesProxyHandler
from axes.helpers import get_client_ip_address
from django.contrib.auth import login as begin_session
from django.contrib.auth import logout as end_session
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_login_failed
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from dashboard.shared.errors import refuse
from dashboard.shared.jsonapi import iso, json_error, wants_json, with_retry_after
from dashboard.shared.messages import text_of
from dashboard.shared.responses import see_other
from dashboard.shared.without_second_factor import needs_second_factor, without_second_factor
from dashboard.sso.ended import session_elsewhere
from uploads.problems import Code, Problem
from uploads.services.sign_in import second_factor
from uploads.services.sign_in.hashing import places
from uploads.services.sign_in.lockout import counted_name, lock_of
from uploads.services.sign_in.second_factor import CodeRefused

_logout = LogoutView.as_view()


class _LoginView(LoginView):
    template_name = "registration/login.html"
    redirect_authenticated_user = True

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        user = form.get_user()
        if not second_factor.is_set_up(user):
            return super().form_valid(form)
        # Whoever knows the key of the session from before must not enter a code for this user.
        self.request.session.cycle_key()
        second_factor.expect(self.request.session, user, self.get_success_url())
        return see_other(reverse("login-code"))


_login_form = _LoginView.as_view()


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


@sensitive_post_parameters("code")
@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def code(request: HttpRequest) -> HttpResponseBase:
    """The second step of signing in, for users who have set up an app for codes."""
    user = second_factor.expected_user(request.session)
    if user is None:
        return _for_scripts(request) or redirect("login")
    if request.method != "POST":
        return render(request, "registration/code.html")
    credentials = {"username": user.get_username()}
    if not AxesProxyHandler.is_allowed(request, credentials):
        return locked(request, None, credentials)
    try:
        second_factor.verify(user, request.POST.get("code", ""))
    except CodeRefused as refused:
        return _code_refused(request, refused, credentials)
    expected = second_factor.accept(request.session)
    begin_session(request, user, backend=expected.backend)
    return HttpResponseRedirect(expected.next_url)


def _code_refused(request: HttpRequest, refused: CodeRefused, credentials: dict[str, str]) -> HttpResponse:
    """A wrong code counts as a failed sign-in. If that locks the account, the response is replaced (`locked`)."""
    if not refused.wait_seconds:
        user_login_failed.send(sender=__name__, credentials=credentials, request=request)
    text, status = text_of(refused.problem), 429 if refused.wait_seconds else 403
    if wants_json(request):
        response: HttpResponse = json_error(refused.problem.code, text, status=status)
    else:
        response = render(request, "registration/code.html", {"error": text}, status=429 if status == 429 else 200)
    return with_retry_after(response, refused.wait_seconds or None)


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

    def process_view(self, request: HttpRequest, view_func: Any, view_args: Any, view_kwargs: Any) -> Any:
        response = super().process_view(request, view_func, view_args, view_kwargs)
        if response is None and getattr(view_func, "login_required", True) and needs_second_factor(view_func):
            return _lead_to_second_factor(request)
        return response

    def handle_no_permission(  # type: ignore[override]  # Django returns it as the response, whatever it is
        self, request: HttpRequest, view_func: Any
    ) -> HttpResponseBase:
        return _for_scripts(request) or super().handle_no_permission(request, view_func)


def _lead_to_second_factor(request: HttpRequest) -> HttpResponse | None:
    """For users whose role needs a second factor, and who have none."""
    user = request.user
    if not isinstance(user, User) or not second_factor.is_missing(request.session, user):
        return None
    if second_factor.is_set_up(user):
        # In another session, which has shown it. This one has not.
        end_session(request)
        return _for_scripts(request) or redirect("login")
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(headers={"HX-Refresh": "true"})
    if wants_json(request):
        problem = Problem(Code.SECOND_FACTOR_REQUIRED)
        return json_error(problem.code, text_of(problem), status=403)
    return redirect("second-factor")


def _for_scripts(request: HttpRequest) -> HttpResponse | None:
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(headers={"HX-Refresh": "true"})
    if wants_json(request):
        return json_error("NotSignedIn", _("Sign in first."), status=401)
    return None


@without_second_factor
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
