"""Django's CSRF check for views that read their own body. Django would read the whole body to find the token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from django.http import HttpRequest, HttpResponse, QueryDict
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.datastructures import MultiValueDict

from dashboard.shared.csrf_reasons import explain_csrf
from uploads.problems import Problem


class CsrfRefused(HttpResponse):
    """The response of a refused request, with the reason for clients that do not get a page."""

    problem: Problem


class _Check(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> Any:
        response = super()._reject(request, reason)  # type: ignore[misc]  # the stubs lack it
        response.problem = explain_csrf(request, reason)
        return response


def check_csrf(request: HttpRequest, fields: Mapping[str, str], method: str = "") -> CsrfRefused | None:
    """Check the token in `fields` or in the header. Returns the response of a refused request, None otherwise.

    `method` is the one that the request is handled as, if another one was sent.
    """
    posted = QueryDict(mutable=True)
    posted.update(fields)
    request._post, request._files = posted, MultiValueDict()  # type: ignore[attr-defined]
    sent = request.method
    request.method = method or sent
    try:
        return _Check(_not_called).process_view(request, _not_called, (), {})  # type: ignore[return-value]
    finally:
        request.method = sent


def _not_called(_: HttpRequest) -> NoReturn:
    raise AssertionError("the CSRF check calls no view")
