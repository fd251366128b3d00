"""Creating an upload, and what the server supports."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from dashboard.shared.jsonapi import with_retry_after
from dashboard.shared.messages import refusal_text, text_of
from dashboard.transfers.bodies import decodes_chunks
from dashboard.transfers.form import FindStore, UploadMetadataForm
from dashboard.transfers.in_the_way import InTheWay, in_the_way
from dashboard.transfers.refusals import refusal_fields, request_id_of, retry_after_of
from dashboard.transfers.slots import NoSlot, creating
from dashboard.transfers.tus.body import busy, check_fits, check_is_here, is_empty, receive, recover_end
from dashboard.transfers.tus.responses import fields_response, with_progress
from dashboard.transfers.tus.whole import may_be_whole, start_whole
from uploads import access
from uploads.models import Transfer
from uploads.objectstore.providers import PROVIDERS
from uploads.problems import Code, Problem
from uploads.services.transfers.start import KeyBusy, NewTransfer, Started, TransferRefused, offset_of, start
from uploads.services.transfers.steps import StepRefused, request_cancel
from uploads.staging import tus
from uploads.staging.tus import TusError

METADATA_NAMES = frozenset(name.replace("_", "-") for name in UploadMetadataForm.base_fields)
"""The names in Upload-Metadata that the form reads."""

OWN_ID = "creation-id"
"""The name of an id that a client makes for each creation: with it, the same metadata is the same request, repeated."""

log = logging.getLogger(__name__)


def options(_request: HttpRequest, user: User, **_kwargs: uuid.UUID) -> HttpResponse:
    stores = access.stores_to_transfer_to(user)
    sizes = [PROVIDERS[store.provider].max_object_size for store in stores]
    headers = {
        "Tus-Version": tus.VERSION,
        "Tus-Extension": ",".join(tus.EXTENSIONS),
        "Tus-Checksum-Algorithm": ",".join(tus.CHECKSUMS),
    }
    return HttpResponse(status=204, headers=headers | ({"Tus-Max-Size": str(max(sizes))} if sizes else {}))


def create(request: HttpRequest, user: User) -> HttpResponse:
    """201 with the address of the transfer. A body of the right content type has its first bytes."""
    first = _first_body(request, user)
    metadata = request.headers.get("Upload-Metadata", "")
    new = read_new(user, metadata, first.size, with_bytes=first.length != 0)
    return _start(request, user, new, first.length) if isinstance(new, NewTransfer) else new


def read_new(
    user: User, metadata: str, size: int, *, with_bytes: bool, find_store: FindStore = access.new_transfer_store
) -> NewTransfer | HttpResponse:
    """The transfer that a header Upload-Metadata asks for, or the response that refuses it. Raises TusError."""
    named = tus.read_metadata({"Upload-Metadata": metadata}, METADATA_NAMES | {OWN_ID})
    form = UploadMetadataForm(user=user, data=named, find_store=find_store)
    if not form.is_valid() and form.is_forbidden:
        return fields_response(403, Code.ACCESS_DENIED, text_of(Problem(Code.ACCESS_DENIED)), form.field_errors())
    if not form.is_valid():
        return fields_response(400, tus.INVALID_METADATA, text_of(Problem(Code.INVALID_FORM)), form.field_errors())
    values = form.values()
    if not values.key:
        text = text_of(Problem(Code.KEY_MISSING))
        return fields_response(400, tus.INVALID_METADATA, text, {"key": text})
    new = values.new_transfer(user, size, resumable=True)
    return replace(new, upload_metadata=metadata, with_bytes=with_bytes, has_own_id=bool(named.get(OWN_ID)))


@dataclass(frozen=True, slots=True)
class _FirstBody:
    """The size of the file, and the length of the body that comes with its creation; None if that is in chunks."""

    size: int
    length: int | None


def _first_body(request: HttpRequest, user: User) -> _FirstBody:
    """Check all headers, so that nothing is created for a request that must be refused."""
    headers = request.headers
    tus.check_extensions(headers, tus.CREATION_HEADERS)
    size = tus.read_length(headers)
    tus.check_unchanged(headers, "Upload-Offset", 0)
    checksum = tus.read_checksum(headers)
    length = tus.read_content_length(headers, decodes_chunks=decodes_chunks(request))
    if length is None and not headers.get("Content-Type") and is_empty(request, user.pk):
        length = 0
    if length != 0:
        tus.check_content_type(headers)
    check_fits(size, 0, length, is_checked=checksum is not None)
    return _FirstBody(size, length)


def _start(request: HttpRequest, user: User, new: NewTransfer, length: int | None) -> HttpResponse:
    started, body = None, None
    try:
        if may_be_whole(request, new, length):
            started, body = start_whole(request, user, new)
        if started is not None and started.is_new:
            return created(user, started, has_bytes=True, receive=lambda: new.size)
        if started is None:
            with creating.taken_by(user.pk):
                started = start(new)
    except NoSlot as refusal:
        raise busy(refusal) from refusal
    except TransferRefused as refusal:
        return refused(user, refusal)
    return created(user, started, has_bytes=length != 0, receive=lambda: receive(request, started, 0, length, body))


def refused(user: User, refusal: TransferRefused) -> HttpResponse:
    """Why no transfer was started."""
    if isinstance(refusal, KeyBusy):
        return _key_busy(in_the_way(user, refusal.transfer))
    text = refusal_text(refusal.problem, refusal.store_error)
    fields, request_id = refusal_fields(refusal), request_id_of(refusal)
    response = fields_response(refusal.status, refusal.code, text, fields, request_id=request_id)
    return with_retry_after(response, retry_after_of(refusal))


def created(user: User, started: Started, *, has_bytes: bool, receive: Callable[[], int]) -> HttpResponse:
    """201 for a transfer that is there. `receive` receives its first bytes; its offset. Raises TusError."""
    transfer = started.transfer
    check_is_here(transfer)
    offset = _first_bytes(user, started, receive, has_bytes=has_bytes)
    response = HttpResponse(status=201, headers={"Location": reverse("file", args=[transfer.pk])})
    return with_progress(response, transfer, offset)


def _key_busy(found: InTheWay) -> HttpResponse:
    """409 with the transfer in the way: a sender may repeat the request with its id as `discard`."""
    more = {"transfer": found.as_json()}
    response = fields_response(409, Code.KEY_BUSY, found.text, {"key": found.text}, more)
    return with_retry_after(response, found.retry_after)


def _first_bytes(user: User, started: Started, receive: Callable[[], int], *, has_bytes: bool) -> int:
    """Receive what came with the creation. Returns the offset of the next byte.

    The upload exists, so the response is 201 if the bytes can be sent again later.
    """
    transfer = started.transfer
    offset = 0 if started.is_new else offset_of(transfer)
    if not (has_bytes and not offset) and transfer.size:
        recover_end(transfer, offset)
        return offset
    try:
        return receive()
    except TusError as error:
        log.info("transfer %s: bytes that came with its creation: %s", transfer.pk, error)
        if error.code == Code.WRONG_OFFSET:
            # The same request came twice, and the other one has just received bytes: this one goes on after them.
            return int(error.headers["Upload-Offset"])
        if error.status not in (423, 429, 503):
            _cancel_unreachable(user, transfer, error)
            raise
        return offset


def _cancel_unreachable(user: User, transfer: Transfer, error: TusError) -> None:
    """Cancel an upload whose address its sender never receives, unless the fingerprint can find it again.

    Otherwise its key would be in use for a day.
    """
    if not transfer.fingerprint:
        with suppress(StepRefused):
            request_cancel(user, transfer, reason=error.problem)
