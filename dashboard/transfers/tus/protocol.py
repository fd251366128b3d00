"""What all requests have in common: authentication, CSRF, the method and its override, the version, and errors."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from dashboard.shared.body_limits import receives_file
from dashboard.shared.repeated_headers import repeated_headers
from dashboard.transfers.csrf import check_csrf
from dashboard.transfers.tus.responses import error_response
from uploads import access
from uploads.problems import Code, Problem
from uploads.services.sign_in import second_factor
from uploads.staging import tus
from uploads.staging.tus import TusError

SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")

Handler = Callable[..., HttpResponse]
View = Callable[..., HttpResponseBase]


def tus_view(handlers: Mapping[str, Handler], *, needs_version: bool = True) -> View:
    """A view that passes each method to its handler. `needs_version`: only for requests of tus."""

    @receives_file
    @login_not_required  # A tus client gets 401 instead of a redirect to the login page.
    @csrf_exempt  # Checked in `_handle`, before the body is read.
    def view(request: HttpRequest, **kwargs: uuid.UUID) -> HttpResponseBase:
        try:
            return _handle(request, handlers, kwargs, needs_version=needs_version)
        except TusError as error:
            return error_response(error)

    return view


def _handle(
    request: HttpRequest, handlers: Mapping[str, Handler], kwargs: Mapping[str, uuid.UUID], *, needs_version: bool
) -> HttpResponse:
    if not request.user.is_authenticated:
        raise TusError(401, Problem(Code.NOT_SIGNED_IN))
    if isinstance(request.user, User) and second_factor.is_missing(request.session, request.user):
        raise TusError(403, Problem(Code.SECOND_FACTOR_REQUIRED))
    tus.check_repeated(repeated_headers(request))
    method = _method(request)
    # An override never makes a request safer: the check is that of an unsafe method if either of the two is unsafe.
    refused = check_csrf(request, {}, method if request.method in SAFE_METHODS else "")
    if refused is not None:
        expired = refused.problem.code == Code.FORM_EXPIRED
        raise TusError(403, Problem(Code.CSRF_FAILED) if expired else refused.problem)
    handler = handlers.get(method)
    if handler is None:
        allowed = ", ".join(handlers)
        raise TusError(405, Problem(Code.METHOD_NOT_ALLOWED, allowed=allowed), headers={"Allow": allowed})
    if needs_version and method != "OPTIONS":
        tus.check_version(request.headers)
    return handler(request, access.actor_to_send_files(request.user), **kwargs)


def _method(request: HttpRequest) -> str:
    """The method, or the one in X-HTTP-Method-Override, for which the method that was sent does not matter."""
    return request.headers.get("X-HTTP-Method-Override", request.method or "").upper()
