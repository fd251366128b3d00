"""Pages, and their JSON, for what is refused before a view is reached."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.csrf import requires_csrf_token

from dashboard.shared.jsonapi import json_error, wants_json


def refuse(
    request: HttpRequest, status: int, title: str, text: str, *, code: str, back: str = "", back_text: str = ""
) -> HttpResponse:
    """A page that says why not, or the same as JSON."""
    if wants_json(request):
        return json_error(code, text, status=status)
    context = {"status": status, "title": title, "text": text, "back": back, "back_text": back_text}
    return render(request, "error.html", context, status=status)


@requires_csrf_token
def bad_request(request: HttpRequest, _exception: Exception | None = None) -> HttpResponseBase:
    return refuse(request, 400, "This request cannot be understood", "It is malformed or too large.", code="BadRequest")


@requires_csrf_token
def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:
    text = str(exception or "") or "Your role does not allow this."
    return refuse(request, 403, "Not allowed", text, code="AccessDenied")


@requires_csrf_token
def page_not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:
    text = str(exception) if exception is not None and _is_ours(exception) else ""
    return refuse(request, 404, "Not found", text or "There is nothing at this address.", code="NotFound")


def _is_ours(exception: Exception) -> bool:
    """A 404 of ours says what is missing in one sentence; the resolver's holds its tables."""
    return bool(exception.args) and isinstance(exception.args[0], str)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001  (Django passes it by name)
    text = (
        "The form was not sent from this site, or its token has expired. Nothing was done. "
        "Go back, reload the page and try again."
    )
    return refuse(request, 403, "The form was not accepted", text, code="CsrfFailed")
