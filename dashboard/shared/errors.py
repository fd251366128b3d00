"""Error pages, and their JSON, for requests that are refused before a view is called."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.csrf import requires_csrf_token

from dashboard.shared.jsonapi import json_error, wants_json
from dashboard.shared.messages import text_of
from uploads.problems import Code, Problem, ProblemError


def refuse(
    request: HttpRequest, status: int, title: str, text: str, *, code: str, back: str = "", back_text: str = ""
) -> HttpResponse:
    """An error page with a reason, or the same as JSON."""
    if wants_json(request):
        return json_error(code, text, status=status)
    context = {"status": status, "title": title, "text": text, "back": back, "back_text": back_text}
    return render(request, "error.html", context, status=status)


@requires_csrf_token
def bad_request(request: HttpRequest, _exception: Exception | None = None) -> HttpResponseBase:
    return refuse(request, 400, _("Bad request"), _("The request is malformed or too large."), code="BadRequest")


@requires_csrf_token
def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:
    return refuse(request, 403, _("Not allowed"), _explained(exception, Code.ACCESS_DENIED), code="AccessDenied")


@requires_csrf_token
def page_not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:
    return refuse(request, 404, _("Not found"), _explained(exception, Code.NO_SUCH_PAGE), code="NotFound")


def _explained(exception: Exception | None, default: Code) -> str:
    """The text of the exception's problem. Django's own exceptions have none."""
    return text_of(exception.problem if isinstance(exception, ProblemError) else Problem(default))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001  (Django passes it by name)
    text = _(
        "The form was not sent from this site, or its token has expired. Nothing was changed. "
        "Go back, reload the page and try again."
    )
    return refuse(request, 403, _("The form was not accepted"), text, code="CsrfFailed")
