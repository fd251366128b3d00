"""One upload: its offset, more bytes, its cancellation."""

from __future__ import annotations

import uuid

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse

from dashboard.transfers.bodies import decodes_chunks
from dashboard.transfers.tus.body import check_is_here, receive, recover_end
from dashboard.transfers.tus.responses import UploadEnded, expiry_headers, with_progress
from uploads import access
from uploads.domain.states import DesiredState, Phase
from uploads.models import Transfer
from uploads.problems import Code, Problem
from uploads.services.transfers.start import Started, offset_of
from uploads.services.transfers.steps import StepRefused, request_cancel
from uploads.staging import tus
from uploads.staging.tus import TusError


def head(_request: HttpRequest, user: User, transfer_id: uuid.UUID) -> HttpResponse:
    transfer = _load(user, transfer_id)
    offset = offset_of(transfer)
    recover_end(transfer, offset)
    response = with_progress(HttpResponse(), transfer, offset)
    if transfer.upload_metadata:
        # As it was given at the creation: a MUST of the protocol.
        response["Upload-Metadata"] = transfer.upload_metadata
    return response


def patch(request: HttpRequest, user: User, transfer_id: uuid.UUID) -> HttpResponse:
    transfer = _load(user, transfer_id)
    try:
        offset = _receive(request, transfer)
    except TusError as error:
        error.headers |= expiry_headers(transfer)
        raise
    if offset < transfer.size:
        transfer.refresh_from_db(fields=["received_at", "all_received"])  # They say when it expires.
    return with_progress(HttpResponse(status=204), transfer, offset)


def _receive(request: HttpRequest, transfer: Transfer) -> int:
    headers = request.headers
    tus.check_extensions(headers, tus.PATCH_HEADERS)
    tus.check_content_type(headers)
    tus.check_unchanged(headers, "Upload-Length", transfer.size)
    offset = tus.read_offset(headers)
    length = tus.read_content_length(headers, decodes_chunks=decodes_chunks(request))
    return receive(request, Started(transfer), offset, length)


def delete(_request: HttpRequest, user: User, transfer_id: uuid.UUID) -> HttpResponse:
    """Any node cancels, as the node with the bytes may be lost."""
    transfer = _find(user, transfer_id)
    try:
        request_cancel(user, transfer)
    except StepRefused as refusal:
        raise TusError(409, refusal.problem, code="StepRefused") from refusal
    return HttpResponse(status=204)


def _load(user: User, transfer_id: uuid.UUID) -> Transfer:
    """The upload, if its bytes are here. Raises 503 if another node has them, and as `_find`."""
    transfer = _find(user, transfer_id)
    check_is_here(transfer)
    return transfer


def _find(user: User, transfer_id: uuid.UUID) -> Transfer:
    """Raises 404 if it does not exist or is another operator's, 410 if it has ended."""
    try:
        transfer = access.transfer_to_send(user, transfer_id)
    except access.NotVisible as error:
        raise TusError(404, error.problem, code="NotFound") from error
    if not transfer.resumable:
        raise TusError(404, Problem(Code.NO_SUCH_TRANSFER), code="NotFound")
    if transfer.phase == Phase.CANCELLED or transfer.desired_state == DesiredState.CANCEL:
        raise UploadEnded(transfer)
    return transfer
