"""What every request is checked for before a view sees it, and what every response to a bad one has.

Django finds some of these errors only where a view reads a value, answers others with its own page if DEBUG is on, and
lets PostgreSQL refuse the rest, which is a 500.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

from csp.middleware import CSPMiddleware
from django.conf import settings
from django.core.exceptions import BadRequest, DisallowedHost, RequestDataTooBig, SuspiciousOperation
from django.db import DataError
from django.db import Error as DatabaseError
from django.http import HttpRequest, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.http.response import HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.utils.translation import gettext as _

from dashboard import auth
from dashboard.shared.body_limits import TOO_LARGE, limit_of
from dashboard.shared.errors import BadRequestError, bad_request, method_not_allowed, sign_in_busy, unavailable
from dashboard.site.message_storage import MessageCookies
from uploads import database
from uploads.services.sign_in.hashing import HashingBusy

GetResponse = Callable[[HttpRequest], HttpResponseBase]

BAD_REQUESTS = (BadRequestError, BadRequest, SuspiciousOperation, MultiPartParserError, UnreadablePostError)
"""Exceptions that the client has caused."""

ANY_HOST = ("/healthz", "/metrics")
"""Addresses that monitoring reads by whatever name it knows the machine."""

ENCODINGS = ("utf-8", "utf8", "us-ascii", "ascii")
OUR_COOKIES = (
    settings.SESSION_COOKIE_NAME,
    settings.CSRF_COOKIE_NAME,
    settings.LANGUAGE_COOKIE_NAME,
    settings.SSO_COOKIE_NAME,
    MessageCookies.cookie_name,
)


class RequestChecks:
    """Refuses what no view can use: NUL characters, which PostgreSQL does not store, and text that is not UTF-8."""

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response
        self._csp = CSPMiddleware(get_response)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        try:
            check_head(request)
        except BAD_REQUESTS as error:
            return self._csp.process_response(request, self._refused(request, error))
        response = self._get_response(request)
        if response.status_code == 405 and not getattr(response, "content", b"-"):
            # Django's has no body.
            return self._csp.process_response(request, method_not_allowed(request, response.get("Allow", "")))
        return response

    def _refused(self, request: HttpRequest, error: Exception) -> HttpResponseBase:
        response = bad_request(request, error)
        for name in OUR_COOKIES:
            # A browser would send a cookie that is refused again and again.
            if "\0" in request.COOKIES.get(name, ""):
                response.delete_cookie(name, path=settings.SESSION_COOKIE_PATH)
        return response

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], _args: object, _kwargs: object
    ) -> HttpResponseBase | None:
        """Read the form before the CSRF check does. Views without that check read the body themselves."""
        try:
            check_length(request, limit_of(view))
        except BAD_REQUESTS as error:
            return bad_request(request, error)
        if request.method == "POST" and not getattr(view, "csrf_exempt", False):
            try:
                check_form(request)
            except BAD_REQUESTS as error:
                request._mark_post_parse_error()  # type: ignore[attr-defined]
                return bad_request(request, error)
        return None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseBase | None:
        """The same responses whether DEBUG is on or off."""
        if isinstance(error, BAD_REQUESTS):
            return bad_request(request, error)
        if isinstance(error, HashingBusy):
            return sign_in_busy(request, error)
        if database.is_unavailable(error):
            return unavailable(request, error)
        if isinstance(error, DataError):
            # Something passed the checks that the database does not accept. The log has the traceback.
            return bad_request(request, BadRequestError(_("The database does not accept a value of the request.")))
        return None


def check_head(request: HttpRequest) -> None:
    """Raise one of BAD_REQUESTS."""
    if TOO_LARGE in request.META:
        raise RequestDataTooBig
    if "\0" in request.META.get("PATH_INFO", ""):
        raise _has_nul(_("The path"))
    for name, value in request.META.items():
        # Each request has many headers, so that nothing is translated for those that are valid.
        if isinstance(value, str) and "\0" in value and name.startswith(("HTTP_", "CONTENT_")):
            raise _has_nul(_("A header"))
    if (request.encoding or "utf-8").lower() not in ENCODINGS:
        raise BadRequestError(_("The request must be encoded as UTF-8."), code="NotUtf8", status=415)
    try:
        unquote_to_bytes(request.META.get("QUERY_STRING", "").encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise BadRequestError(_("The query must be valid, percent-encoded UTF-8."), code="InvalidArgument") from None
    for name, values in request.GET.lists():
        _check_value(name, [name, *values])
    for name in OUR_COOKIES:
        _check_value(name, [request.COOKIES.get(name, "")])


def check_length(request: HttpRequest, limit: int | None) -> None:
    """The same check for web servers that do not know the limits. Raises one of BAD_REQUESTS."""
    length = request.META.get("CONTENT_LENGTH") or ""
    if limit is not None and length.isdigit() and int(length) > limit:
        request.META[TOO_LARGE] = limit
        raise RequestDataTooBig


def check_form(request: HttpRequest) -> None:
    """Raise one of BAD_REQUESTS."""
    for name, values in request.POST.lists():
        _check_value(name, [name, *values])
    for name in request.FILES:
        _check_value(name, [name])


def _check_value(name: str, values: Iterable[str]) -> None:
    if any("\0" in value for value in values):
        raise _has_nul(name.replace("\0", "\ufffd")[:100])


def _has_nul(name: str) -> BadRequestError:
    return BadRequestError(_("%(name)s must not contain a NUL character.") % {"name": name}, code="InvalidArgument")


class KnownHost(CommonMiddleware):
    """Django's middleware, which reads the host name, with a response that says how to allow it."""

    def process_request(self, request: HttpRequest) -> Any:
        if request.path_info in ANY_HOST:
            return None
        try:
            return super().process_request(request)
        except DisallowedHost as error:
            return bad_request(request, error)


class LoginRequired(auth.LoginRequired):
    """The middleware that reads the session and the user, with a response for a database that is down."""

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> Any:
        if not getattr(view, "login_required", True):
            return None  # Django would read the session first, which the health check must not need.
        try:
            return super().process_view(request, view, args, kwargs)
        except DatabaseError as error:
            if database.is_unavailable(error):
                return unavailable(request, error)
            raise
