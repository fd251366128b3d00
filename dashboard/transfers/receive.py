"""The plain form with a file: its fields are checked before the file is read, then the file is streamed to staging."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from dashboard.shared.body_limits import receives_file
from dashboard.shared.jsonapi import wants_json, with_retry_after
from dashboard.shared.messages import text_of
from dashboard.transfers.bodies import decodes_chunks, open_body
from dashboard.transfers.csrf import check_csrf
from dashboard.transfers.form import NewTransferForm
from dashboard.transfers.in_the_way import InTheWay, in_the_way
from dashboard.transfers.new import render_form, show
from dashboard.transfers.refusals import refusal_fields, request_id_of, retry_after_of
from dashboard.transfers.resuming import RESUME, CannotResume, find_resumed
from dashboard.transfers.serializers import fields_error_json
from dashboard.transfers.slots import NoSlot, creating, receiving
from dashboard.transfers.still_allowed import NoLongerAllowed, while_allowed
from uploads import access
from uploads.models import Transfer
from uploads.problems import Code, Problem
from uploads.services.transfers.receive import (
    INCOMPLETE_BODY,
    GaveWay,
    QuotaExceeded,
    Receiver,
    ReceivingStopped,
    WrongLength,
)
from uploads.services.transfers.receive.same_bytes import OtherBytes, new_bytes
from uploads.services.transfers.start import KeyBusy, NewTransfer, TransferRefused, start_transfer
from uploads.staging.body import BodyEnded
from uploads.staging.form_body import BadBody, FormBody

log = logging.getLogger(__name__)

FIRST_PATIENCE_SECONDS = 5.0
"""How long to wait for space before the file is read. Then the form is refused."""
RETRY_AFTER_SECONDS = 10
QUOTA_PATIENCE_SECONDS = 600.0
"""How long a sender is kept waiting for space in the middle of the file: a form cannot be resumed."""


class FormRefused(Exception):
    """Nothing was staged. `errors` are by form field; an empty name stands for the whole form.

    `retry_after`: the seconds after which another attempt makes sense, if that is known. `in_the_way`: the transfer
    that has the key. `request_id`: that of the store's response that is the reason.
    """

    def __init__(
        self,
        errors: Mapping[str, str],
        status: int = 400,
        code: str = "InvalidForm",
        retry_after: int | None = None,
        in_the_way: InTheWay | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__("; ".join(errors.values()))
        self.errors = dict(errors)
        self.status = status
        self.code = code
        self.retry_after = retry_after
        self.in_the_way = in_the_way
        self.request_id = request_id


@receives_file
@csrf_exempt  # Django would read the whole body to find the token. `check_csrf` runs once the fields have arrived.
@require_http_methods(["GET", "HEAD", "POST"])
def new_transfer(request: HttpRequest) -> HttpResponse:
    """GET shows the form. POST receives it: 303 to the transfer, or 201 as JSON."""
    if request.method != "POST":
        return show(request)
    try:
        user = access.actor_to_send_files(request.user)
        with receiving.taken_by(user.pk):
            return _take(request, user)
    except NoSlot as error:
        return _refused(request, {}, _busy(error))


def _take(request: HttpRequest, user: User) -> HttpResponse:
    fields: dict[str, str] = {}
    try:
        body = _form_body(request)
        fields = body.read_fields()
        forbidden = check_csrf(request, fields)
        if forbidden is not None:
            return forbidden
        resumed = find_resumed(user, fields.get(RESUME, ""), body)
        if resumed is not None:
            _receive(request, resumed, body, resumes=True)
            return _created(request, resumed)
        new = _checked(user, fields, body)
        with creating.taken_by(user.pk):
            transfer = start_transfer(new)
        _receive(request, transfer, body)
    except NoSlot as error:
        refusal = _busy(error)
    except CannotResume as error:
        refusal = FormRefused({"file": text_of(error.problem)}, error.status, error.problem.code)
    except (BadBody, BodyEnded, WrongLength) as error:
        refusal = FormRefused({"": text_of(error.problem)}, code=INCOMPLETE_BODY)
    except TransferRefused as error:
        refusal = _refusal_of(user, error)
    except FormRefused as error:
        refusal = error
    else:
        return _created(request, transfer)
    return _refused(request, fields, refusal)


def _busy(error: NoSlot) -> FormRefused:
    status = 429 if error.of_user else 503
    return FormRefused({"": text_of(error.problem)}, status, error.problem.code, error.retry_after)


def _refusal_of(user: User, error: TransferRefused) -> FormRefused:
    if isinstance(error, KeyBusy):
        found = in_the_way(user, error.transfer)
        return FormRefused({"key": found.text}, 409, Code.KEY_BUSY, found.retry_after, found)
    errors, request_id = refusal_fields(error), request_id_of(error)
    return FormRefused(errors, error.status, error.code, retry_after_of(error), request_id=request_id)


def _form_body(request: HttpRequest) -> FormBody:
    return FormBody(open_body(request, _length(request)), request.headers.get("Content-Type", ""), "file")


def _length(request: HttpRequest) -> int | None:
    """The length of the body; None if it is in chunks. Raises FormRefused."""
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity":
        problem = Problem(Code.CONTENT_ENCODING_NOT_SUPPORTED, given=encoding)
        raise FormRefused({"": text_of(problem)}, 415, problem.code)
    if "Transfer-Encoding" in request.headers and decodes_chunks(request):
        return None
    length = request.headers.get("Content-Length", "")
    if not length.isdigit():
        problem = Problem(Code.MISSING_CONTENT_LENGTH)
        raise FormRefused({"": text_of(problem)}, 411, problem.code)
    return int(length)


def _checked(user: User, fields: Mapping[str, str], body: FormBody) -> NewTransfer:
    """The transfer that the form requests. Raises FormRefused."""
    if not body.filename:
        raise FormRefused({"file": text_of(Problem(Code.FILE_NOT_SELECTED))})
    form = NewTransferForm(user=user, data={**fields, "filename": body.filename})
    if not form.is_valid():
        if form.is_forbidden:
            raise FormRefused(form.field_errors(), 403, Code.ACCESS_DENIED)
        raise FormRefused(form.field_errors())
    return form.values().new_transfer(user, body.file_size)


def _receive(request: HttpRequest, transfer: Transfer, body: FormBody, *, resumes: bool = False) -> None:
    """Stage the file. A new transfer is cancelled if it raises BadBody, BodyEnded, WrongLength or FormRefused.

    A transfer that resumes keeps what it has received. Raises CannotResume if the file is another one.
    """
    try:
        receiver = Receiver(transfer, quota_patience=QUOTA_PATIENCE_SECONDS, is_ready=body.is_ready, on_wait=body.pause)
        with receiver:
            receiver.expect(transfer.size - receiver.offset, FIRST_PATIENCE_SECONDS)
            blocks: Iterator[bytes | memoryview] = body.blocks()
            if resumes:
                blocks = new_bytes(transfer, receiver.offset, body.blocks())
            for block in while_allowed(request, transfer, blocks):
                receiver.write(block)
            receiver.end()
    except OtherBytes as error:
        raise CannotResume(error.problem, 409) from error
    except ReceivingStopped as error:
        raise FormRefused({"": text_of(error.problem)}, 409, error.code) from error
    except NoLongerAllowed as error:
        raise FormRefused({"": text_of(error.problem)}, 401, error.problem.code) from error
    except QuotaExceeded as error:
        status = 429 if error.of_user else 503 if isinstance(error, GaveWay) else 507
        raise FormRefused({"file": text_of(error.problem)}, status, error.problem.code, RETRY_AFTER_SECONDS) from error
    except OSError as error:
        log.warning("transfer %s: %s", transfer.pk, error)
        problem = Problem(Code.STAGING_FAILED, detail=error.strerror or str(error))
        raise FormRefused({"file": text_of(problem)}, 507) from error


def _created(request: HttpRequest, transfer: Transfer) -> HttpResponse:
    url = reverse("transfer", args=[transfer.pk])
    if wants_json(request):
        return JsonResponse({"id": str(transfer.pk), "url": url}, status=201, headers={"Location": url})
    response = redirect(url)
    response.status_code = 303
    return response


def _refused(request: HttpRequest, fields: Mapping[str, str], refusal: FormRefused) -> HttpResponse:
    if wants_json(request):
        body = fields_error_json(refusal.code, str(refusal), refusal.errors, refusal.request_id)
        if refusal.in_the_way:
            body["transfer"] = refusal.in_the_way.as_json()
        return with_retry_after(JsonResponse(body, status=refusal.status), refusal.retry_after)
    page = render_form(
        request, values=fields, errors=refusal.errors, status=refusal.status, in_the_way=refusal.in_the_way
    )
    return with_retry_after(page, refusal.retry_after)
