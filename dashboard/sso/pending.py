"""Sign-ins that have begun: in a cookie of the browser that began them, so that nobody fills the database with them.

The cookie is signed, and only this browser has the secrets of the sign-in: the state, the nonce and the code verifier.
Each window has an entry of its own.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from django.conf import settings
from django.core import signing
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from uploads.services.sso.provider import Started

SECONDS = 900
"""How long signing in at the provider may take."""
MOST = 4
"""Windows that sign in at the same time. Each needs about 250 bytes of the cookie."""
LONGEST_NEXT = 400
"""Longer addresses are forgotten: browsers drop cookies of more than 4,096 bytes."""
SALT = "partway.sso"


@dataclass(frozen=True, slots=True)
class Pending:
    """One sign-in. `next`: where the browser goes afterwards."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    next: str = ""


def remember(request: HttpRequest, response: HttpResponseBase, started: Started, next_url: str) -> None:
    short = next_url if len(next_url) <= LONGEST_NEXT else ""
    begun = Pending(started.state, started.nonce, started.verifier, short)
    _write(response, [*_read(request), begun][-MOST:])


def take(request: HttpRequest, state: str) -> Pending | None:
    """The sign-in with this state that this browser began."""
    return next((each for each in _read(request) if hmac.compare_digest(each.state.encode(), state.encode())), None)


def forget(request: HttpRequest, response: HttpResponseBase, state: str) -> None:
    _write(response, [each for each in _read(request) if each.state != state])


def _read(request: HttpRequest) -> list[Pending]:
    try:
        values = signing.loads(request.COOKIES.get(settings.SSO_COOKIE_NAME, ""), salt=SALT, max_age=SECONDS)
        return [Pending(*value) for value in values]
    except (signing.BadSignature, TypeError, ValueError):
        return []


def _write(response: HttpResponseBase, pending: list[Pending]) -> None:
    if not pending:
        response.delete_cookie(settings.SSO_COOKIE_NAME, path=_path())
        return
    values = [[each.state, each.nonce, each.verifier, each.next] for each in pending]
    response.set_cookie(
        settings.SSO_COOKIE_NAME,
        signing.dumps(values, salt=SALT, compress=True),
        max_age=SECONDS,
        path=_path(),
        secure=settings.SECURE_COOKIES,
        httponly=True,
        samesite="Lax",
    )


def _path() -> str:
    """Only the pages of single sign-on get the cookie."""
    return reverse("sso-start")
