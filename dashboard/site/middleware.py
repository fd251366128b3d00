"""Adds the transfer or operation of a request to the log records that are written while it is handled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from uploads import logs


class LogContext:
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
