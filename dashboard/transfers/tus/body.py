"""Receiving a body at an offset, and the status of everything that can go wrong."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.http import HttpRequest

from dashboard.transfers.bodies import open_body
from dashboard.transfers.slots import NoSlot, receiving
from dashboard.transfers.still_allowed import NoLongerAllowed, StillAllowed
from uploads.models import Transfer
from uploads.models.node import silent_since
from uploads.problems import Code, Problem, ProblemError
from uploads.services.staging.expected_sha256 import parse_digest
from uploads.services.transfers.receive import QuotaExceeded, Receiver, ReceivingStopped, WrongLength, recover
from uploads.services.transfers.start import Started
from uploads.services.transfers.steps import set_expected_sha256
from uploads.staging import tus
from uploads.staging.body import Body, BodyEnded, BodyMalformed, BodyTooLong, Portion
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


def receive(request: HttpRequest, started: Started, offset: int, length: int | None, body: Body | None = None) -> int:
    """Receive a body at an offset. Returns the offset of the next byte. The length is None for a body in chunks.

    `body` is that of the request, if some of it may have been read. Bytes that arrived before a failure are kept.
    Raises TusError.
    """
    transfer, checksum = started.transfer, tus.read_checksum(request.headers)
    check_fits(transfer.size, offset, length, is_checked=checksum is not None)
    if transfer.all_received:
        return _check_all_received(request, transfer, offset, length)
    _set_digest(request, transfer)
    with as_tus_errors(request), receiving.taken_by(transfer.owner_id):
        body = body or open_body(request, length)
        return _write(StillAllowed(request), started, offset, length, body, checksum)


def receive_portion(request: HttpRequest, started: Started, allowed: StillAllowed, portion: Portion) -> int:
    """Receive a whole file that is a portion of a body. Returns the offset of the next byte. Raises TusError.

    The caller has the slot of the request.
    """
    if started.transfer.all_received:
        return started.transfer.size
    with as_tus_errors(request):
        return _write(allowed, started, 0, started.transfer.size, portion)


def is_empty(request: HttpRequest, user_id: int) -> bool:
    """Whether a body in chunks has no byte. Raises TusError."""
    with as_tus_errors(request), receiving.taken_by(user_id):
        return not open_body(request, None).read_block(1)


def check_is_here(transfer: Transfer) -> None:
    """Raise 503 if the bytes of a file that is still arriving are on another node, with its name."""
    if transfer.is_staged_here or transfer.all_received:
        return
    since = silent_since(transfer.node)
    problem = Problem(Code.OTHER_NODE, node=transfer.node)
    if since is not None:
        problem = Problem(Code.WAITING_FOR_NODE, node=transfer.node, since_at=since.isoformat())
    raise TusError(503, problem, code=Code.OTHER_NODE)


def recover_end(transfer: Transfer, offset: int) -> None:
    """Record that all bytes have arrived, if the process that received the last one stopped before it did that."""
    if offset != transfer.size or transfer.all_received:
        return
    try:
        recover(transfer)
    except (WriterBusy, ReceivingStopped, QuotaExceeded, OSError) as reason:
        log.info("transfer %s: not recovered: %s", transfer.pk, reason)


def _write(
    allowed: StillAllowed,
    started: Started,
    offset: int,
    length: int | None,
    body: Body | Portion,
    checksum: Checksum | None = None,
) -> int:
    transfer = started.transfer
    receiver = Receiver(
        transfer,
        quota_patience=QUOTA_PATIENCE_SECONDS,
        checksum=checksum,
        reserved=started.reserved,
        is_ready=body.is_ready,
        on_wait=body.pause,
    )
    with receiver:
        if receiver.offset != offset:
            problem = Problem(Code.WRONG_OFFSET, expected=receiver.offset, given=offset)
            raise TusError(409, problem, headers=_offset_header(receiver.offset))
        receiver.expect(length, FIRST_PATIENCE_SECONDS)
        try:
            for block in allowed.blocks(transfer, body.read_blocks(transfer.size - offset)):
                if checksum and receiver.offset + len(block) - offset > MAX_CHECKED_BODY:
                    raise _checked_too_large(receiver.offset + len(block) - offset)
                receiver.write(block)
        except BodyMalformed:
            raise  # What would have followed is unknown, for an empty file too.
        except BodyEnded:
            # Only the end of the chunks may be missing: no request may follow that would find the file complete.
            if receiver.offset != transfer.size:
                raise
        receiver.end()
    return receiver.offset


def check_fits(size: int, offset: int, length: int | None, *, is_checked: bool) -> None:
    """Raise 413 for a body of known length that exceeds the size of its file, or what one checksum may cover."""
    if length is None:
        return
    if is_checked and length > MAX_CHECKED_BODY:
        raise _checked_too_large(length)
    if length > size - offset >= 0:
        problem = Problem(Code.BODY_TOO_LONG, length_bytes=length, size_bytes=size)
        raise TusError(413, problem, code=TOO_LARGE)


def _checked_too_large(length: int) -> TusError:
    problem = Problem(Code.CHECKED_BODY_LIMIT, length_bytes=length, limit_bytes=MAX_CHECKED_BODY)
    return TusError(413, problem, code=TOO_LARGE)


def _check_all_received(request: HttpRequest, transfer: Transfer, offset: int, length: int | None) -> int:
    if offset != transfer.size:
        problem = Problem(Code.ALL_RECEIVED, size_bytes=transfer.size)
        raise TusError(409, problem, code=Code.WRONG_OFFSET, headers=_offset_header(transfer.size))
    if length is None and not is_empty(request, transfer.owner_id):
        raise TusError(413, Problem(Code.BODY_GOES_ON), code=TOO_LARGE)
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
def as_tus_errors(request: HttpRequest) -> Iterator[None]:
    """Turn every way in which a body can fail into a response with its status."""
    try:
        yield
    except OSError as error:
        log.warning("%s: %s", request.path, error)
        raise TusError(507, Problem(Code.STAGING_FAILED, detail=error.strerror or str(error))) from error
    except ProblemError as error:
        raise _tus_error(error) from error


def busy(error: NoSlot | QuotaExceeded) -> TusError:
    """503 or, for a limit of the user, 429: the same request succeeds later."""
    seconds = error.retry_after if isinstance(error, NoSlot) else RETRY_AFTER_SECONDS
    return TusError(429 if error.of_user else 503, error.problem, headers={"Retry-After": str(seconds)})


def _tus_error(error: ProblemError) -> TusError:
    problem = error.problem
    match error:
        case TusError():
            return error
        case NoSlot() | QuotaExceeded():
            return busy(error)
        case WriterBusy() | ReceivingStopped():
            code = Code.WRITER_BUSY if isinstance(error, WriterBusy) else problem.code
            return TusError(410 if code == Code.TRANSFER_CANCELLED else 423, problem, code=code)
        case WrongLength() | BodyTooLong():
            return TusError(413, problem, code=TOO_LARGE)
        case BodyMalformed() | NoLongerAllowed():
            return TusError(400 if isinstance(error, BodyMalformed) else 401, problem)
        case BodyEnded():
            # The sender may have left, or receive this and continue: HEAD tells it how much was kept.
            return TusError(408, problem, code=BODY_ENDED)
    raise error
