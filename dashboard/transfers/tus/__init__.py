"""`/files/`: tus 1.0.0, with creation, creation-with-upload, termination, expiration and checksum.

Every error is JSON, and a transfer is its operator's only. See https://tus.io/protocols/resumable-upload.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.http import http_date
from django.views.decorators.csrf import csrf_exempt

from dashboard.shared.messages import error_text, refusal_text, text_of
from dashboard.transfers.bodies import NoSlot, open_body, receiving_slot
from dashboard.transfers.csrf import check_csrf
from dashboard.transfers.form import NewTransferForm
from uploads import access
from uploads.domain.states import DesiredState, Phase
from uploads.models import Transfer
from uploads.objectstore.providers import PROVIDERS
from uploads.problems import ProblemError
from uploads.services.staging.expected_sha256 import parse_digest
from uploads.services.transfers.receive import QuotaExceeded, Receiver, ReceivingStopped, WrongLength, take_up
from uploads.services.transfers.start import TransferRefused, offset_of, start_transfer
from uploads.services.transfers.steps import StepRefused, request_cancel, set_expected_sha256
from uploads.staging import tus
from uploads.staging.body import BodyEnded
from uploads.staging.disk import WriterBusy
from uploads.staging.tus import TusError

log = logging.getLogger(__name__)

DIGEST_HEADER = "Partway-SHA256"
RETRY_AFTER_SECONDS = 3
FIRST_PATIENCE_SECONDS = 1.0
"""How long before a body is read; without room by then it is refused, and its sender comes back."""
QUOTA_PATIENCE_SECONDS = 20.0
"""How long a sender is kept waiting for room in the middle of a body, by not reading, until it is told to come back."""
MAX_CHECKED_BODY = 64 * 1024**2
"""Bytes of a body with Upload-Checksum: nothing of it counts before all of it was seen."""

Method = Callable[..., HttpResponse]


def _view(methods: dict[str, Method]) -> Callable[..., HttpResponseBase]:
    """A view of these methods: who asks, the protocol's version, its errors, and the override of methods."""

    @login_not_required  # A tus client is told 401, not sent to a page.
    @csrf_exempt  # Checked below, before the body is touched.
    def view(request: HttpRequest, **kwargs: uuid.UUID) -> HttpResponseBase:
        try:
            response = _answer(request, methods, kwargs)
        except TusError as error:
            response = _refused(error.status, error.code, error.message, headers=error.headers)
        response["Tus-Resumable"] = tus.VERSION
        response["Cache-Control"] = "no-store"
        return response

    return view


def _answer(request: HttpRequest, methods: dict[str, Method], kwargs: dict[str, uuid.UUID]) -> HttpResponse:
    if not request.user.is_authenticated:
        raise TusError(401, "NotSignedIn", "Sign in first.")
    # By the method it was really sent with: an override never makes a request safer than it is.
    if check_csrf(request, {}) is not None:
        raise TusError(403, "CsrfFailed", "The request was not accepted: its X-CSRFToken header is missing or old.")
    method = _method(request)
    handler = methods.get(method)
    if handler is None:
        allowed = ", ".join(methods)
        raise TusError(405, "MethodNotAllowed", f"This address takes {allowed}.", {"Allow": allowed})
    if method != "OPTIONS":
        tus.check_version(request.headers)
    return handler(request, access.actor_to_send_files(request.user), **kwargs)


def _method(request: HttpRequest) -> str:
    """X-HTTP-Method-Override counts on POST only, which has been checked as the unsafe method it is."""
    method = request.method or ""
    return request.headers.get("X-HTTP-Method-Override", method).upper() if method == "POST" else method


def _refused(
    status: int, code: str, message: str, *, headers: dict[str, str] | None = None, fields: dict[str, str] | None = None
) -> HttpResponse:
    body: dict[str, object] = {"error": {"code": code, "message": message, "request_id": ""}}
    if fields is not None:
        body["fields"] = fields
    return JsonResponse(body, status=status, headers=headers)


# --- What the server can ----------------------------------------------------------------------------------------------


def _options(_request: HttpRequest, user: User, **_: uuid.UUID) -> HttpResponse:
    stores = access.stores_to_transfer_to(user)
    largest = max((PROVIDERS[store.provider].max_object_size for store in stores), default=0)
    return HttpResponse(
        status=204,
        headers={
            "Tus-Version": tus.VERSION,
            "Tus-Extension": ",".join(tus.EXTENSIONS),
            "Tus-Checksum-Algorithm": ",".join(tus.CHECKSUMS),
            "Tus-Max-Size": str(largest),
        },
    )


# --- Creation ---------------------------------------------------------------------------------------------------------


def _create(request: HttpRequest, user: User) -> HttpResponse:
    """201 with the address of the transfer; a body with the right content type is its first bytes."""
    size = tus.read_length(request.headers)
    length = tus.read_content_length(request.headers)
    if length:
        tus.check_content_type(request.headers)
    form = NewTransferForm(user=user, data=tus.read_metadata(request.headers))
    if not form.is_valid():
        return _refused(400, "InvalidMetadata", "Some fields need another value.", fields=form.field_errors())
    values = form.values()
    if not values.key:
        return _refused(400, "InvalidMetadata", "Name a key.", fields={"key": "Name a key, or a filename."})
    try:
        transfer = start_transfer(values.new_transfer(user, size, resumable=True))
    except TransferRefused as refusal:
        text = refusal_text(refusal.problem, refusal.store_error)
        return _refused(refusal.status, refusal.code, text, fields={refusal.field: text})
    offset = offset_of(transfer)
    # An answer that says 201 has made the upload, whatever became of the bytes that came with it.
    if (length and not offset) or not transfer.size:
        try:
            offset = _receive(request, transfer, 0, length)
        except TusError as error:
            log.info("transfer %s: bytes that came with its creation: %s", transfer.pk, error)
            if error.status not in (423, 503):
                _unmake(user, transfer, error)
                raise
    response = HttpResponse(status=201, headers={"Location": reverse("file", args=[transfer.pk])})
    return _with_progress(response, transfer, offset)


def _unmake(user: User, transfer: Transfer, error: TusError) -> None:
    """Its sender never hears its address, and the key would be busy for a day. A fingerprint finds it again."""
    if not transfer.fingerprint:
        with suppress(StepRefused):
            request_cancel(user, transfer, reason=error.message)


# --- One upload -------------------------------------------------------------------------------------------------------


def _why_ended(transfer: Transfer) -> str:
    return error_text(transfer.error) if transfer.error else "It was cancelled."


def _load(user: User, transfer_id: uuid.UUID) -> Transfer:
    """404 for what is not there or another's, 410 for what is no more, 503 for what is on another machine's disk."""
    try:
        transfer = access.transfer_to_send(user, transfer_id)
    except access.NotVisible:
        transfer = None
    if transfer is None or not transfer.resumable:
        raise TusError(404, "NotFound", "There is no such upload.")
    if transfer.phase == Phase.CANCELLED or transfer.desired_state == DesiredState.CANCEL:
        raise TusError(410, transfer.error_code or "Cancelled", _why_ended(transfer))
    if transfer.node != settings.NODE_NAME and not transfer.all_received:
        raise TusError(503, "OtherNode", f"Its bytes are staged on {transfer.node}: send them there.")
    return transfer


def _head(_request: HttpRequest, user: User, transfer_id: uuid.UUID) -> HttpResponse:
    transfer = _load(user, transfer_id)
    offset = offset_of(transfer)
    if offset == transfer.size and not transfer.all_received:
        _adopt(transfer)
    return _with_progress(HttpResponse(), transfer, offset)


def _adopt(transfer: Transfer) -> None:
    """All is here, and whoever took the last byte died before that was written down: nobody will send another."""
    try:
        take_up(transfer)
    except (WriterBusy, ReceivingStopped, QuotaExceeded, OSError) as reason:
        log.info("transfer %s: not taken up: %s", transfer.pk, reason)


def _patch(request: HttpRequest, user: User, transfer_id: uuid.UUID) -> HttpResponse:
    tus.check_content_type(request.headers)
    offset = tus.read_offset(request.headers)
    length = tus.read_content_length(request.headers)
    transfer = _load(user, transfer_id)
    offset = _receive(request, transfer, offset, length)
    return _with_progress(HttpResponse(status=204), transfer, offset)


def _delete(_request: HttpRequest, user: User, transfer_id: uuid.UUID) -> HttpResponse:
    transfer = _load(user, transfer_id)
    try:
        request_cancel(user, transfer)
    except StepRefused as refusal:
        raise TusError(409, "StepRefused", text_of(refusal.problem)) from refusal
    return HttpResponse(status=204)


def _with_progress(response: HttpResponse, transfer: Transfer, offset: int) -> HttpResponse:
    response["Upload-Offset"] = str(offset)
    response["Upload-Length"] = str(transfer.size)
    if offset < transfer.size and transfer.expires_at:
        response["Upload-Expires"] = http_date(transfer.expires_at.timestamp())
    return response


# --- Bytes ------------------------------------------------------------------------------------------------------------


def _receive(request: HttpRequest, transfer: Transfer, offset: int, length: int) -> int:
    """Take a body's bytes at an offset; where the next ones go. What came before a failure is kept. Raises TusError."""
    checksum = tus.read_checksum(request.headers)
    _check_length(transfer, offset, length, is_checked=checksum is not None)
    if transfer.all_received:
        if offset != transfer.size:
            raise TusError(409, "WrongOffset", f"All {transfer.size:,} bytes are here.", _told_offset(transfer.size))
        return offset
    _note_digest(request, transfer)
    with _in_terms_of_tus(transfer), receiving_slot():
        body = open_body(request, length)
        receiver = Receiver(
            transfer,
            quota_patience=QUOTA_PATIENCE_SECONDS,
            checksum=checksum,
            is_ready=body.is_ready,
            on_wait=body.pause,
        )
        with receiver:
            if receiver.offset != offset:
                message = f"The next byte goes to {receiver.offset:,}, not to {offset:,}."
                raise TusError(409, "WrongOffset", message, _told_offset(receiver.offset))
            receiver.expect(length, FIRST_PATIENCE_SECONDS)
            while block := body.read_block():
                receiver.write(block)
            receiver.end()
    return receiver.offset


def _check_length(transfer: Transfer, offset: int, length: int, *, is_checked: bool) -> None:
    if is_checked and length > MAX_CHECKED_BODY:
        message = f"A body with a checksum may have {MAX_CHECKED_BODY:,} bytes; this one has {length:,}."
        raise TusError(413, "TooLarge", message)
    if length > transfer.size - offset >= 0:
        message = f"{length:,} bytes at {offset:,} would go beyond the {transfer.size:,} announced."
        raise TusError(413, "TooLarge", message)


@contextmanager
def _in_terms_of_tus(transfer: Transfer) -> Iterator[None]:
    """Every way in which a body can come to nothing, with its status."""
    wait = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    try:
        yield
    except NoSlot as error:
        raise TusError(503, "Busy", str(error), wait) from error
    except QuotaExceeded as error:
        raise TusError(503, "NoRoom", f"{error} Wait, and go on.", wait) from error
    except WriterBusy as error:
        raise TusError(423, "Locked", str(error)) from error
    except ReceivingStopped as stopped:
        raise TusError(410 if stopped.code == "Cancelled" else 423, stopped.code, str(stopped)) from stopped
    except WrongLength as error:
        raise TusError(413, "TooLarge", str(error)) from error
    except BodyEnded as error:
        # The sender may be gone, or hear this and come back: what came is kept, HEAD says how much.
        raise TusError(408, "BodyEnded", str(error)) from error
    except OSError as error:
        log.warning("transfer %s: %s", transfer.pk, error)
        raise TusError(507, "StagingFailed", f"The bytes could not be staged: {error.strerror or error}.") from error


def _told_offset(offset: int) -> dict[str, str]:
    return {"Upload-Offset": str(offset)}


def _note_digest(request: HttpRequest, transfer: Transfer) -> None:
    """The SHA-256 that was promised for later comes with the file's last bytes: kept before the first is read."""
    text = request.headers.get(DIGEST_HEADER, "")
    if not text:
        return
    try:
        set_expected_sha256(transfer, parse_digest(text))
    except ProblemError as error:
        raise TusError(400, "InvalidHeader", f"{DIGEST_HEADER}: {text_of(error.problem)}") from error


files = _view({"POST": _create, "OPTIONS": _options})
"""Where uploads are created."""

file = _view({"HEAD": _head, "PATCH": _patch, "DELETE": _delete, "OPTIONS": _options})
"""One upload; its address ends in the transfer's id."""
