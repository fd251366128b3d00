"""Error pages, and their JSON, for requests that are refused before a view is called, or that fail."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from django.conf import settings
from django.core.exceptions import (
    DisallowedHost,
    RequestDataTooBig,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template import loader
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import requires_csrf_token

from dashboard.shared.body_limits import TOO_LARGE
from dashboard.shared.csrf_reasons import explain_csrf
from dashboard.shared.formatting import exact_bytes_text
from dashboard.shared.jsonapi import json_error, wants_json, with_code, with_retry_after
from dashboard.shared.messages import text_of
from dashboard.shared.numbers import Count
from uploads import database
from uploads.problems import Code, Problem, ProblemError
from uploads.services.sign_in.hashing import RETRY_SECONDS, HashingBusy

log = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 3


class BadRequestError(Exception):
    """A request with a value that cannot be used. The message is for the user."""

    def __init__(self, text: str, *, code: str = "BadRequest", status: int = 400) -> None:
        super().__init__(text)
        self.text, self.code, self.status = text, code, status


def refuse(
    request: HttpRequest,
    status: int,
    title: str,
    text: str,
    *,
    code: str,
    back: str = "",
    back_text: str = "",
    alone: bool = False,
) -> HttpResponse:
    """An error page with a reason, or the same as JSON.

    A page that stands `alone` needs neither a session nor the database.
    """
    if wants_json(request):
        return json_error(code, text, status=status)
    context = {"status": status, "title": title, "text": text, "back": back, "back_text": back_text}
    if request.headers.get("HX-Request") == "true" and alone:
        return _alone("components/request_failed.html", status, context)
    if not alone:
        try:
            return with_code(render(request, "error.html", context, status=status), code)
        except Exception as error:
            # Without its database, Partway has said so already.
            trace = not database.is_unavailable(error)
            log.warning("the error page of %s is rendered without a session: %s", request.path, error, exc_info=trace)
    return _alone("error_alone.html", status, context)


def _alone(template: str, status: int, context: Mapping[str, object]) -> HttpResponse:
    """A page that is rendered without the request; plain text if even this fails."""
    try:
        return HttpResponse(loader.render_to_string(template, dict(context)), status=status)
    except Exception:
        log.exception("%s could not be rendered", template)
        text = f"{context['title']}\n\n{context['text']}\n"
        return HttpResponse(text, content_type="text/plain; charset=utf-8", status=status)


# --- 400 --------------------------------------------------------------------------------------------------------------


@requires_csrf_token
def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:
    """Django calls the handlers by these names of their parameters."""
    problem = _problem_of(request, exception)
    return refuse(request, problem.status, _("Bad request"), problem.text, code=problem.code, alone=True)


def _problem_of(request: HttpRequest, exception: Exception | None) -> BadRequestError:
    match exception:
        case BadRequestError():
            problem = exception
        case DisallowedHost():
            problem = _unknown_host(request)
        case TooManyFieldsSent() | TooManyFilesSent():
            text = _("The request has more than %(limit)s fields.")
            limit = Count(settings.DATA_UPLOAD_MAX_NUMBER_FIELDS or 0)
            problem = BadRequestError(text % {"limit": limit}, code="TooManyFields")
        case RequestDataTooBig():
            text = _("The form has more than %(limit)s. Only the form of a new transfer may send a file.")
            most = exact_bytes_text(request.META.get(TOO_LARGE) or settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0)
            problem = BadRequestError(text % {"limit": most}, code="TooLarge", status=413)
        case MultiPartParserError():
            text = _("The form cannot be read: its multipart body is malformed, or its boundary is missing.")
            problem = BadRequestError(text, code="MalformedForm")
        case UnreadablePostError():
            text = _("The connection ended before the whole form had arrived.")
            problem = BadRequestError(text, code="IncompleteBody")
        case _:
            problem = BadRequestError(_("The request is malformed or too large."))
    return problem


def _unknown_host(request: HttpRequest) -> BadRequestError:
    host = request.META.get("HTTP_HOST", "")[:200]
    if not host:
        return BadRequestError(
            _("The request does not name a host. Send the header Host with a name of the setting ALLOWED_HOSTS."),
            code="UnknownHost",
        )
    text = _(
        "Partway does not serve the host name “%(host)s”. If this is an address of Partway, add it to the setting "
        "ALLOWED_HOSTS and restart the web server."
    )
    return BadRequestError(text % {"host": host}, code="UnknownHost")


# --- 403, 404 and 405 -------------------------------------------------------------------------------------------------


@requires_csrf_token
def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:
    problem = _explained(exception, Code.ACCESS_DENIED)
    title, back, back_text = _("Not allowed"), "", ""
    if problem.code == Code.NO_ROLE:
        # The overview is refused too.
        back, back_text = reverse("account"), _("To your account")
    return refuse(request, 403, title, text_of(problem), code="AccessDenied", back=back, back_text=back_text)


@requires_csrf_token
def page_not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:
    text = text_of(_explained(exception, Code.NO_SUCH_PAGE))
    return refuse(request, 404, _("Not found"), text, code="NotFound")


def method_not_allowed(request: HttpRequest, allowed: str) -> HttpResponse:
    text = text_of(Problem(Code.METHOD_NOT_ALLOWED, allowed=allowed))
    response = refuse(request, 405, _("Method not allowed"), text, code=Code.METHOD_NOT_ALLOWED, alone=True)
    response["Allow"] = allowed
    return response


def _explained(exception: Exception | None, default: Code) -> Problem:
    """The problem of the exception. Django's own exceptions have none."""
    return exception.problem if isinstance(exception, ProblemError) else Problem(default)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django passes why the check failed."""
    problem = explain_csrf(request, reason)
    code = Code.CSRF_FAILED if problem.code == Code.FORM_EXPIRED else problem.code
    return refuse(request, 403, _("The form was not accepted"), text_of(problem), code=code)


# --- 503 and 507 ------------------------------------------------------------------------------------------------------


def sign_in_busy(request: HttpRequest, error: HashingBusy) -> HttpResponse:
    """503: too many passwords are being checked."""
    text = text_of(error.problem)
    response = refuse(request, 503, _("Please wait"), text, code=error.problem.code, alone=True)
    return with_retry_after(response, RETRY_SECONDS)


def unavailable(request: HttpRequest, error: BaseException | None) -> HttpResponse:
    """The database is down, restarts, has no free connection or can only be read: 503. Its disk is full: 507."""
    problem = Problem(database.code_of(error))
    status = 507 if problem.code == Code.DATABASE_FULL else 503
    is_safe = request.method in ("GET", "HEAD", "OPTIONS")
    text = (
        _("%(problem)s Try again in a few seconds.")
        if is_safe
        else _("%(problem)s Try again in a few seconds, but look first whether your last change was made.")
    )
    text %= {"problem": text_of(problem)}
    back, back_text = (request.get_full_path(), _("Try again")) if request.method == "GET" else ("", "")
    title = _("Database unavailable")
    response = refuse(request, status, title, text, code=problem.code, back=back, back_text=back_text, alone=True)
    return with_retry_after(response, RETRY_AFTER_SECONDS)
