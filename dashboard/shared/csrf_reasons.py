"""Why Django's CSRF check refused a request. It only says so in English sentences, which are told apart here."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.middleware.csrf import (
    REASON_BAD_ORIGIN,
    REASON_BAD_REFERER,
    REASON_INSECURE_REFERER,
    REASON_MALFORMED_REFERER,
    REASON_NO_CSRF_COOKIE,
    REASON_NO_REFERER,
)

from uploads.problems import Code, Problem


def explain_csrf(request: HttpRequest, reason: str) -> Problem:
    """What an operator or an administrator can do about it."""
    if reason.startswith(_beginning(REASON_BAD_ORIGIN)):
        return _wrong_origin(request, request.META.get("HTTP_ORIGIN", ""))
    if reason == REASON_INSECURE_REFERER:
        return Problem(Code.REFERER_INSECURE)
    if reason in (REASON_NO_REFERER, REASON_MALFORMED_REFERER):
        return Problem(Code.REFERER_MISSING)
    if reason.startswith(_beginning(REASON_BAD_REFERER)):
        referer = urlsplit(request.META.get("HTTP_REFERER", ""))
        return _wrong_origin(request, f"{referer.scheme}://{referer.netloc}")
    if reason == REASON_NO_CSRF_COOKIE:
        return Problem(Code.CSRF_COOKIE_MISSING, cookie=settings.CSRF_COOKIE_NAME)
    return Problem(Code.FORM_EXPIRED)


def _beginning(reason: str) -> str:
    return reason.partition("%s")[0]


def _wrong_origin(request: HttpRequest, origin: str) -> Problem:
    host = request.headers.get("Host", "")
    address = f"{request.scheme}://{host}"
    origin = origin[:200]
    if origin == "null":
        return Problem(Code.ORIGIN_HIDDEN)
    # Behind a proxy with TLS, the host is the same and the scheme is not.
    code = Code.ORIGIN_SCHEME if origin == f"https://{host}" else Code.ORIGIN_UNTRUSTED
    return Problem(code, origin=origin, address=address)
