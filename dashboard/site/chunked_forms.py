"""Forms whose body is in chunks. Django reads as many bytes as Content-Length says, so it would see an empty form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _

from dashboard.shared.errors import BadRequestError, bad_request


class ChunkedForms:
    """Reads such a body, up to the limit of all forms. Views that are exempt from the CSRF check read their own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self._get_response(request)

    def process_view(self, request: HttpRequest, view: Any, _args: object, _kwargs: object) -> HttpResponseBase | None:
        if not request.META.get("wsgi.input_terminated") or getattr(view, "csrf_exempt", False):
            return None
        request._stream = request.META["wsgi.input"]
        try:
            request.META["CONTENT_LENGTH"] = str(len(request.body))
        except RequestDataTooBig as error:
            return bad_request(request, error)
        except (OSError, ValueError):
            text = _("The chunks of the form are malformed, or the connection ended before the last one.")
            return bad_request(request, BadRequestError(text, code="MalformedForm"))
        return None
