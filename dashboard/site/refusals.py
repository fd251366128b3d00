"""Responses that the web server makes before the site sees the request, because it cannot be read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from django.utils.translation import gettext_lazy as _

REFUSALS = {
    400: ("BadRequest", _("The request is malformed.")),
    405: ("MethodNotAllowed", _("This method is not supported.")),
    408: ("RequestTimeout", _("The request did not arrive in time.")),
    411: ("MissingContentLength", _("The request needs the header Content-Length.")),
    414: ("AddressTooLong", _("The address of the request is too long: %(limit)s bytes are allowed.")),
    431: ("HeadersTooLarge", _("The headers of the request are too large: %(limit)s bytes are allowed.")),
    500: ("InternalError", _("Internal error in Partway. The log of the web server has the details.")),
    501: ("NotImplemented", _("Of the transfer codings, only chunked is supported.")),
    503: ("Busy", _("The web server is busy or stops. Try again in a few seconds.")),
    505: ("VersionNotSupported", _("Only HTTP/1.0 and HTTP/1.1 are supported.")),
}
"""The code and the text of a response that the server makes before the site sees the request, by status."""


def refusal(
    status: int, detail: str, values: Mapping[str, object], *, is_tus: bool, accepts_json: bool
) -> tuple[bytes, bytes]:
    """The head and the body of a response, which ends the connection."""
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        # Cheroot means the headers: bodies have no limit.
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    code, text = REFUSALS.get(status, REFUSALS[400])
    message = str(text % values)
    if detail and status == HTTPStatus.BAD_REQUEST:
        message += f" ({detail})"
    error = {"code": code, "message": message, "request_id": ""}
    body = (json.dumps({"error": error}) if accepts_json else f"{message}\n").encode()
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"Content-Length: {len(body)}",
        f"Content-Type: {'application/json' if accepts_json else 'text/plain; charset=utf-8'}",
        "Connection: close",
        "Partway-Response: 1",
        *(["Tus-Resumable: 1.0.0"] if is_tus else []),
        *(["Retry-After: 3"] if status == HTTPStatus.SERVICE_UNAVAILABLE else []),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode(), body


def alive(*, is_last: bool) -> tuple[bytes, bytes]:
    """The head and the body of the response to a health check. `is_last`: the connection ends."""
    lines = [
        "HTTP/1.1 200 OK",
        "Content-Length: 2",
        "Content-Type: text/plain",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Partway-Response: 1",
        *(["Connection: close"] if is_last else []),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode(), b"ok"
