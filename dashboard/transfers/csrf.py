"""Django's CSRF check for views that read their own body. Django would read the whole body to find the token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from django.http import HttpRequest, HttpResponse, QueryDict
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.datastructures import MultiValueDict


def check_csrf(request: HttpRequest, fields: Mapping[str, str], method: str = "") -> HttpResponse | None:
    """Check the token in `fields` or in the header. Returns the response of a refused request, None otherwise.

    `method` is the one that the request is handled as, if another one was sent.
    """
    posted = QueryDict(mutable=True)
    posted.update(fields)
    request._post, request._files = posted, MultiValueDict()  # type: ignore[attr-defined]
    sent = request.method
    request.method = method or sent
    try:
        return CsrfViewMiddleware(_not_called).process_view(request, _not_called, (), {})
    finally:
        request.method = sent


def _not_called(_: HttpRequest) -> NoReturn:
    raise AssertionError("the CSRF check calls no view")
