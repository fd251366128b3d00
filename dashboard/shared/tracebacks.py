"""The tracebacks of DEBUG, and of Django's mails: without secrets in settings, variables, forms and messages."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from django.http import HttpRequest
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

from uploads.redaction import hide_values, redact


class Filter(SafeExceptionReporterFilter):
    """Django's filter, which otherwise shows everything while DEBUG is on, and which looks at names only."""

    def is_active(self, _request: HttpRequest | None) -> bool:
        return True

    def cleanse_setting(self, key: str | int, value: Any) -> Any:
        return hide_values(super().cleanse_setting(key, value))

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: Any) -> Any:
        variables = super().get_traceback_frame_variables(request, tb_frame)
        return {name: self.cleanse_setting(name, value) for name, value in variables}.items()

    def get_post_parameters(self, request: HttpRequest | None) -> Any:
        found = super().get_post_parameters(request)
        return {name: self.cleanse_setting(name, value) for name, value in found.items()}


class Reporter(ExceptionReporter):
    """Also hides what is in a message of an exception or in the representation of an object."""

    def __init__(
        self,
        request: HttpRequest | None,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        tb: TracebackType | None,
        is_email: bool = False,
    ) -> None:
        super().__init__(request, exc_type, exc_value, tb, is_email)
        self.filter = Filter()

    def get_traceback_html(self) -> Any:
        return redact(super().get_traceback_html())

    def get_traceback_text(self) -> Any:
        return redact(super().get_traceback_text())
