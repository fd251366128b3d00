"""Receiving a body at an offset, and the status of everything that can go wrong."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.http import HttpRequest

from dashboard.transfers.bodies import NoSlot, open_body, receiving_slot
from uploads.models import Transfer
from uploads.problems import Code, Problem, ProblemError
from uploads.services.staging.expected_sha256 import parse_digest
from uploads.services.transfers.receive import QuotaExceeded, Receiver, ReceivingStopped, WrongLength
from uploads.services.transfers.steps import set_expected_sha256
from uploads.staging import tus
from uploads.staging.body import BodyEnded
from uploads.staging.disk import WriterBusy
from uploads.staging.tus import Checksum, TusError

log = logging.getLogger(__name__)

DIGEST_HEADER = "Partway-SHA256"
RETRY_AFTER_SECONDS = 3
FIRST_PATIENCE_SECONDS = 1.0
"""How long to wait for space before the body is read. Then the sender gets 503 and has to retry."""
QUOTA_PATIENCE_SECONDS = 20.0
"""How long a sender is kept waiting for space in the middle of a body before it gets 503."""
MAX_CHECKED_BODY = 64 * 1024**2
"""The most bytes of a body with Upload-Checksum: none of them counts before all of them are verified."""

TOO_LARGE = "TooLarge"
BODY_ENDED = "BodyEnded"
"""Codes in JSON that several problems share."""


def receive(request: HttpRequest, transfer: Transfer, offset: int, length: int) -> int:
    """Receive a body at an offset. Returns the offset of the next byte.

    Bytes that arrived before a failure are kept. Raises TusError.
    """
    checksum = tus.read_checksum(request.headers)
    _check_length(transfer, offset, length, is_checked=checksum is not None)
    if transfer.all_received:
        return _check_all_received(transfer, offset)
    _set_digest(request, transfer)
    with _as_tus_errors(transfer), receiving_slot():
        return _write(request, transfer, offset, length, checksum)


def _write(request: HttpRequest, transfer: Transfer, offset: int, length: int, checksum: Checksum | None) -> int:
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
            problem = Problem(Code.WRONG_OFFSET, expected=receiver.offset, given=offset)
            raise TusError(409, problem, headers=_offset_header(receiver.offset))
        receiver.expect(length, FIRST_PATIENCE_SECONDS)
        while block := body.read_block():
            receiver.write(block)
        receiver.end()
    return receiver.offset


def _check_length(transfer: Transfer, offset: int, length: int, *, is_checked: bool) -> None:
    if is_checked and length > MAX_CHECKED_BODY:
        problem = Problem(Code.CHECKED_BODY_LIMIT, length_bytes=length, limit_bytes=MAX_CHECKED_BODY)
        raise TusError(413, problem, code=TOO_LARGE)
    if length > transfer.size - offset >= 0:
        problem = Problem(Code.BODY_TOO_LONG, length_bytes=length, size_bytes=transfer.size)
        raise TusError(413, problem, code=TOO_LARGE)


def _check_all_received(transfer: Transfer, offset: int) -> int:
    if offset != transfer.size:
        problem = Problem(Code.ALL_RECEIVED, size_bytes=transfer.size)
        raise TusError(409, problem, code=Code.WRONG_OFFSET, headers=_offset_header(transfer.size))
    return offset


def _offset_header(offset: int) -> dict[str, str]:
    return {"Upload-Offset": str(offset)}


def _set_digest(request: HttpRequest, transfer: Transfer) -> None:
    """An announced SHA-256 comes with the last bytes of the file. It is stored before the body is read."""
    text = request.headers.get(DIGEST_HEADER, "")
    if not text:
        return
    try:
        set_expected_sha256(transfer, parse_digest(text))
    except ProblemError as error:
        raise TusError(400, error.problem, code=tus.INVALID_HEADER) from error


@contextmanager
def _as_tus_errors(transfer: Transfer) -> Iterator[None]:
    """Turn every way in which a body can fail into a response with its status."""
    try:
        yield
    except OSError as error:
        log.warning("transfer %s: %s", transfer.pk, error)
        raise TusError(507, Problem(Code.STAGING_FAILED, detail=error.strerror or str(error))) from error
    except ProblemError as error:
        raise _tus_error(error) from error


def _tus_error(error: ProblemError) -> TusError:
    problem = error.problem
    match error:
        case TusError():
            return error
        case NoSlot() | QuotaExceeded():
            return TusError(503, problem, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
        case WriterBusy():
            return TusError(423, problem, code=Code.WRITER_BUSY)
        case ReceivingStopped():
            return TusError(410 if problem.code == Code.TRANSFER_CANCELLED else 423, problem)
        case WrongLength():
            return TusError(413, problem, code=TOO_LARGE)
        case BodyEnded():
            # The sender may have left, or receive this and continue: HEAD tells it how much was kept.
            return TusError(408, problem, code=BODY_ENDED)
    raise error
