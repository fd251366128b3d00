"""What all responses of `/files/` have in common, those made before or instead of a view too."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from uploads.staging import tus


class TusResponses:
    """Adds the headers of the protocol, and lets every error be JSON. `/files` is the same address as `/files/`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not f"{request.path_info}/".startswith("/files/"):
            return self._get_response(request)
        if request.path_info == "/files":
            # Django would redirect, and after a redirect clients send a GET.
            request.path_info = "/files/"
        request.META["HTTP_ACCEPT"] = "application/json"
        response = self._get_response(request)
        response["Tus-Resumable"] = tus.VERSION
        response["Cache-Control"] = "no-store"
        return response
