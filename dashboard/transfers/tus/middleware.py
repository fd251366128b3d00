"""What all responses of `/files/` have in common, those made before or instead of a view too."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from uploads.staging import tus


def with_slash(path_info: str) -> str:
    """Django would redirect from the address without a slash, and after a redirect clients send a GET."""
    return "/files/" if path_info == "/files" else path_info


class TusResponses:
    """Adds the headers of the protocol, and lets every error be JSON. `/files` is the same address as `/files/`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not f"{request.path_info}/".startswith("/files/"):
            return self._get_response(request)
        request.path_info = with_slash(request.path_info)
        request.META["HTTP_ACCEPT"] = "application/json"
        response = self._get_response(request)
        response["Tus-Resumable"] = tus.VERSION
        response["Cache-Control"] = "no-store"
        return response
