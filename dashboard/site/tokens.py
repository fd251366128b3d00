"""Requests with an access token: `Authorization: Bearer`, on the pages that return JSON, and on tus.

A request with this header has no session: neither a wrong token nor a page that accepts none falls back to the cookies.
It needs no CSRF token, because browsers never add the header by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _

from dashboard.shared.access_tokens import bearer_of, ignore_bearer
from dashboard.shared.addresses import address_of
from dashboard.shared.jsonapi import json_error
from dashboard.shared.messages import text_of
from uploads import access
from uploads.origin import Means, origin
from uploads.problems import Code, Problem
from uploads.services.people.tokens import TokenRefused, limits_of, token_of
from uploads.services.sign_in.session_store import SessionStore

SAFE = ("GET", "HEAD", "OPTIONS")

ACCEPTED: Mapping[str, tuple[str, ...]] = {
    "stores": SAFE,
    "store": SAFE,
    "store-checks": SAFE,
    "store-check": SAFE,
    "lifecycle": SAFE,
    "lifecycle-buckets": SAFE,
    "uploads": SAFE,
    "upload": SAFE,
    "abort": (*SAFE, "POST"),
    "complete": (*SAFE, "POST"),
    "operation": SAFE,
    "operations": SAFE,
    "operations-steps": ("POST",),
    "checks": SAFE,
    "operation-pause": ("POST",),
    "operation-resume": ("POST",),
    "operation-stop": ("POST",),
    "scans": (*SAFE, "POST"),
    "scan": SAFE,
    "cancel-scan": ("POST",),
    "sweeps": SAFE,
    "sweep": SAFE,
    "new-sweep": ("POST",),
    "sweep-approve": ("POST",),
    "sweep-run": ("POST",),
    "sweep-pause": ("POST",),
    "sweep-resume": ("POST",),
    "sweep-cancel": ("POST",),
    "transfers": SAFE,
    "transfers-steps": ("POST",),
    "transfer": SAFE,
    "transfer-pause": ("POST",),
    "transfer-resume": ("POST",),
    "transfer-cancel": ("POST",),
    "transfer-retry": ("POST",),
    "transfer-verify": ("POST",),
    "transfer-dismiss-orphan": ("POST",),
    "transfer-received": SAFE,
    "new-transfer": ("POST",),
    "new-transfer-check": ("POST",),
    "new-transfer-known": ("POST",),
    "files": ("POST", "OPTIONS"),
    "audit": SAFE,
    "inventory": SAFE,
    "trend": SAFE,
    "file": ("HEAD", "PATCH", "DELETE", "POST", "OPTIONS"),
}
"""The views that accept tokens, by the name of their URL, and the methods. All other views refuse them.

A token can therefore not create tokens, change users, or change its own user.
"""

WITHOUT_SIGNING_IN = frozenset(
    {"login", "login-code", "sso-start", "sso-callback", "invitation", "healthz", "metrics", "catalog"}
)
"""Views for everybody, for which the header means nothing. /metrics has a token of its own."""

CHALLENGE = 'Bearer realm="Partway"'


class AccessTokens:
    """Replaces the user of a request with a token, before its session, its CSRF token or its user is looked at."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        has_token = bearer_of(request) is not None
        with ExitStack() as until_response:
            request.until_response = until_response  # type: ignore[attr-defined]
            response = self._get_response(request)
        if response.status_code == 401 and "WWW-Authenticate" not in response:
            response["WWW-Authenticate"] = CHALLENGE
        if has_token:
            patch_vary_headers(response, ["Authorization"])
        return response

    def process_view(
        self, request: HttpRequest, _view: Callable[..., Any], _args: object, _kwargs: object
    ) -> HttpResponseBase | None:
        secret = bearer_of(request)
        name = (request.resolver_match.url_name if request.resolver_match else None) or ""
        if secret is None:
            return None
        if name in WITHOUT_SIGNING_IN:
            ignore_bearer(request)
            return None
        _forget_session(request)
        try:
            token = token_of(secret, address_of(request))
        except TokenRefused as error:
            return unauthorized(error.problem)
        refusal = _refusal(request, name)
        if refusal is not None:
            return refusal
        request.user = access.limited(token.user, limits_of(token))
        request.access_token = token  # type: ignore[attr-defined]
        request.until_response.enter_context(  # type: ignore[attr-defined]
            origin(means=Means.TOKEN, token=token.name, token_id=token.pk)
        )
        request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]
        return None


def unauthorized(problem: Problem) -> HttpResponse:
    response = json_error(problem.code, text_of(problem), status=401)
    response["WWW-Authenticate"] = f'{CHALLENGE}, error="invalid_token"'
    return response


def _forget_session(request: HttpRequest) -> None:
    """The cookies of the request count for nothing, and no response changes them."""
    request.COOKIES.pop(settings.SESSION_COOKIE_NAME, None)
    request.session = SessionStore()
    request.user = AnonymousUser()


def _refusal(request: HttpRequest, name: str) -> HttpResponse | None:
    if request.method not in ACCEPTED.get(name, ()):
        return json_error(Code.TOKEN_NOT_ACCEPTED, text_of(Problem(Code.TOKEN_NOT_ACCEPTED)), status=403)
    if not request.accepts("application/json"):
        text = _("A request with an access token gets JSON. Send the header Accept: application/json.")
        return json_error("NotAcceptable", text, status=406)
    return None
