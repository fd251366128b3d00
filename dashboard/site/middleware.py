"""What all requests have: a mark on the response, the subject of log records, a limit to waiting for stores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from dashboard.shared.activity import BACKGROUND, keep_session
from dashboard.shared.addresses import address_of
from dashboard.shared.links import TRY_AGAIN
from uploads import logs
from uploads.objectstore import budget
from uploads.origin import Means, origin


class OurResponses:
    """Marks every response, so that pages recognize those of a proxy (static/responses.js), and adds our headers."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._get_response(request)
        response["Partway-Response"] = "1"
        # Other sites cannot embed our responses, such as pictures and scripts, either.
        response["Cross-Origin-Resource-Policy"] = "same-origin"
        if settings.PERMISSIONS_POLICY:
            response["Permissions-Policy"] = settings.PERMISSIONS_POLICY
        return response


class LogContext:
    """Adds the transfer or operation of a request to the log records that are written while it is handled."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with logs.about():
            return self._get_response(request)

    def process_view(self, _request: HttpRequest, _view: object, _args: object, kwargs: dict[str, Any]) -> None:
        if "transfer_id" in kwargs:
            logs.note(transfer=kwargs["transfer_id"])
        if "operation_id" in kwargs:
            logs.note(order=kwargs["operation_id"])


class SessionActivity:
    """Renews the session of an operator who does something. Requests that pages repeat by themselves do not count."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._get_response(request)
        if BACKGROUND not in request.headers:
            keep_session(request)
        return response


class AuditOrigin:
    """Tells the audit log from which address a request comes. A request with an access token adds that."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with origin(address=address_of(request), means=Means.PAGE, token=""):
            return self._get_response(request)


class StoreBudget:
    """All requests that a page sends to stores share one budget of time."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        insists = request.GET.get(TRY_AGAIN) == "1"
        with budget.limited_to(budget.Budget(settings.STORE_PAGE_SECONDS, insists=insists)):
            return self._get_response(request)
