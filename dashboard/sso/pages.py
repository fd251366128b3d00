"""The way to the provider and back. A page says what went wrong, and what to do. OIDC_SECONDS bounds each wait."""

from __future__ import annotations

import hmac

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from dashboard.shared.jsonapi import json_error, wants_json
from dashboard.shared.messages import text_of
from dashboard.sso import ended, failures, pending
from dashboard.sso.backends import SINGLE_SIGN_ON
from dashboard.sso.pending import Pending
from uploads.problems import Code, Problem, ProblemError
from uploads.services.sign_in import sessions
from uploads.services.sso import configuration, identities
from uploads.services.sso.identities import SignInRefused
from uploads.services.sso.provider import Person, ProviderRefused, ProviderUnavailable, named_error, provider


@login_not_required
@never_cache
@require_GET
def start(request: HttpRequest) -> HttpResponse:
    """To the provider. A link and not a form: the CSP allows forms to lead to this site only."""
    _require_provider()
    next_url = _ours(request, request.GET.get("next", ""))
    try:
        started = provider().start(_callback_uri(request))
    except (ProviderUnavailable, ProviderRefused) as error:
        return _failed(request, error, next_url)
    response = HttpResponseRedirect(started.url)
    pending.remember(request, response, started, next_url)
    return response


@login_not_required
@never_cache
@require_GET
def callback(request: HttpRequest) -> HttpResponse:
    """Back from the provider. Only the browser that was sent there can come back, and only once with each code."""
    _require_provider()
    begun = pending.take(request, request.GET.get("state", ""))
    if begun is None:
        return _failed(request, ProviderRefused(Problem(Code.SSO_EXPIRED)), "")
    try:
        person = _person(request, begun)
        user = identities.user_of(person)
    except (ProviderUnavailable, ProviderRefused, SignInRefused) as error:
        failures.record(error)
        response = _failed(request, error, begun.next)
    else:
        login(request, user, backend=SINGLE_SIGN_ON)
        ended.remember(request, person)
        if settings.OIDC_SESSION_FOLLOWS_TOKEN:
            sessions.end_at(request.session, person.expires_at)
        # Checked again: the host of this request need not be that of the first one.
        response = HttpResponseRedirect(_ours(request, begun.next) or reverse(settings.LOGIN_REDIRECT_URL))
    pending.forget(request, response, begun.state)
    return response


def _person(request: HttpRequest, begun: Pending) -> Person:
    """Raises ProviderUnavailable and ProviderRefused."""
    found = provider()
    issuer = request.GET.get("iss", "")
    if (issuer or found.checks_issuer) and not hmac.compare_digest(issuer.encode(), settings.OIDC_ISSUER.encode()):
        # Somebody else's provider would get the code.
        raise ProviderRefused(Problem(Code.SSO_RESPONSE_INVALID))
    if "error" in request.GET:
        raise ProviderRefused(Problem(Code.SSO_REFUSED, error=named_error(request.GET["error"])))
    code = request.GET.get("code", "")
    if not code:
        raise ProviderRefused(Problem(Code.SSO_RESPONSE_INVALID))
    return found.finish(code, begun.nonce, begun.verifier, _callback_uri(request))


def _require_provider() -> None:
    if not configuration.is_enabled():
        raise Http404


def _callback_uri(request: HttpRequest) -> str:
    """As it is registered at the provider."""
    return request.build_absolute_uri(reverse("sso-callback"))


def _ours(request: HttpRequest, url: str) -> str:
    """The address if it is one of this site, otherwise ''."""
    hosts = {request.get_host()}
    is_ours = url_has_allowed_host_and_scheme(url, allowed_hosts=hosts, require_https=request.is_secure())
    return url if is_ours else ""


# --- Failures ---------------------------------------------------------------------------------------------------------


def _failed(request: HttpRequest, error: ProblemError, next_url: str) -> HttpResponse:
    status = _status(error)
    text = text_of(error.problem)
    if wants_json(request):
        return json_error(error.problem.code, text, status=status)
    context = {"problem": text, "next": next_url, "is_unavailable": isinstance(error, ProviderUnavailable)}
    return render(request, "registration/sso_failed.html", context, status=status)


def _status(error: ProblemError) -> int:
    if isinstance(error, ProviderUnavailable):
        return 503
    return 400 if error.problem.code == Code.SSO_EXPIRED else 403
