"""Taking a file from the form: checked as soon as its fields are here, then streamed straight into staging."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import NoReturn

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.middleware.csrf import CsrfViewMiddleware
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.datastructures import MultiValueDict
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from dashboard.jsonapi import wants_json
from dashboard.transfer_forms import NewTransferForm
from dashboard.views.new_transfer_form import render_form, show
from uploads.access import operator
from uploads.models import Transfer
from uploads.services.receiving import Receiver, ReceivingStopped, WrongLength
from uploads.services.transfers import NewTransfer, TransferRefused, begin_transfer
from uploads.staging.form_body import BadBody, FormBody

log = logging.getLogger(__name__)

DRAIN_BYTES = 32 * 1024**2
"""Of a refused form this much is still read: a browser shows the answer only once it could send what it was sending."""


class FormRefused(Exception):
    """Nothing was staged. `errors` are by form field; the empty name speaks of the whole form."""

    def __init__(self, errors: Mapping[str, str], status: int = 400, code: str = "InvalidForm") -> None:
        super().__init__("; ".join(errors.values()))
        self.errors = dict(errors)
        self.status = status
        self.code = code


@csrf_exempt  # Django would read the whole body to find the token; _check_origin does it once the fields are here.
@require_http_methods(["GET", "HEAD", "POST"])
def new_transfer(request: HttpRequest) -> HttpResponse:
    """GET shows the form. POST takes it: 303 to the transfer, or 201 as JSON."""
    if request.method != "POST":
        return show(request)
    user = operator(request.user)
    fields: dict[str, str] = {}
    body = None
    try:
        body = _open_body(request)
        fields = body.read_fields()
        forbidden = _check_origin(request, fields)
        if forbidden is not None:
            return forbidden
        transfer = begin_transfer(user, _checked(user, fields, body))
        _receive(transfer, body)
    except BadBody as error:
        refusal = FormRefused({"": str(error)}, code="IncompleteBody")
    except TransferRefused as error:
        refusal = FormRefused({error.field: error.message}, error.status)
    except FormRefused as error:
        refusal = error
    else:
        return _created(request, transfer)
    if body is not None:
        body.drain(DRAIN_BYTES)
    return _refused(request, fields, refusal)


def _open_body(request: HttpRequest) -> FormBody:
    length = request.headers.get("Content-Length", "")
    if not length.isdigit():
        raise FormRefused({"": "The request must say its length (Content-Length)."}, 411, "MissingContentLength")
    return FormBody(request.read, request.headers.get("Content-Type", ""), int(length), "file")


def _check_origin(request: HttpRequest, fields: Mapping[str, str]) -> HttpResponse | None:
    """Django's own CSRF check, with the fields that have been read as the request's POST. A response: refused."""
    posted = QueryDict(mutable=True)
    posted.update(fields)
    request._post, request._files = posted, MultiValueDict()  # type: ignore[attr-defined]
    return CsrfViewMiddleware(_not_called).process_view(request, _not_called, (), {})


def _not_called(_: HttpRequest) -> NoReturn:
    raise AssertionError("the CSRF check calls no view")


def _checked(user: User, fields: Mapping[str, str], body: FormBody) -> NewTransfer:
    """What the form asks for. Raises FormRefused."""
    if not body.filename:
        raise FormRefused({"file": "Choose a file."})
    form = NewTransferForm(user=user, data={**fields, "filename": body.filename})
    if not form.is_valid():
        raise FormRefused(form.field_errors())
    values = form.values()
    return NewTransfer(
        store=values.store,
        bucket=values.bucket,
        key=values.key,
        size=body.file_size,
        filename=values.filename,
        content_type=values.content_type,
        storage_class=values.storage_class,
        metadata=dict(values.metadata),
        part_size=values.part_size,
        part_count=values.part_count,
        replace=values.replace,
    )


def _receive(transfer: Transfer, body: FormBody) -> None:
    """Stage the file. Raises BadBody or FormRefused; the transfer is being cancelled then."""
    try:
        with Receiver(transfer) as receiver:
            for block in body.blocks():
                receiver.write(block)
            receiver.finish()
    except WrongLength as error:
        raise BadBody(str(error)) from error
    except ReceivingStopped as error:
        raise FormRefused({"": str(error)}, 409, "Cancelled") from error
    except OSError as error:
        log.warning("transfer %s: %s", transfer.pk, error)
        raise FormRefused({"file": f"The file could not be staged: {error.strerror or error}."}, 507) from error


def _created(request: HttpRequest, transfer: Transfer) -> HttpResponse:
    url = reverse("transfer", args=[transfer.pk])
    if wants_json(request):
        return JsonResponse({"id": str(transfer.pk), "url": url}, status=201, headers={"Location": url})
    response = redirect(url)
    response.status_code = 303
    return response


def _refused(request: HttpRequest, fields: Mapping[str, str], refusal: FormRefused) -> HttpResponse:
    if wants_json(request):
        error = {"code": refusal.code, "message": str(refusal), "request_id": ""}
        return JsonResponse({"error": error, "fields": refusal.errors}, status=refusal.status)
    return render_form(request, values=fields, errors=refusal.errors, status=refusal.status)
