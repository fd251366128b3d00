"""Several small files in one request, which is no part of tus: what each of them costs is most of their time.

The body is the length of a document in 4 bytes (big-endian), the document, and the bytes of all files in its order:

    {"files": [{"size": 1000, "metadata": "store …,key …"}]}

`metadata` is the value that the header Upload-Metadata of a creation has. It needs a fingerprint here. The response
has a result for each file, in the same order: what a creation with these bytes would have been answered.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse

from dashboard.transfers.bodies import open_body
from dashboard.transfers.slots import NoSlot, creating, receiving
from dashboard.transfers.still_allowed import StillAllowed
from dashboard.transfers.tus.body import TOO_LARGE, as_tus_errors, busy, receive_portion
from dashboard.transfers.tus.creation import created, read_new, refused
from dashboard.transfers.tus.responses import error_response
from uploads import access
from uploads.problems import Code, Problem, ProblemError
from uploads.services.transfers.receive import TogetherReceiver
from uploads.services.transfers.start import NewTransfer, Started, TransferRefused
from uploads.services.transfers.start_together import start_together
from uploads.staging import tus
from uploads.staging.body import Body, BodyEnded, Portion
from uploads.staging.tus import TusError

CONTENT_TYPE = "application/octet-stream"
MOST_FILES = 32
MOST_BYTES = 16 * 1024**2
"""Bytes of all files of a request."""
MOST_DOCUMENT = MOST_FILES * tus.MAX_METADATA
PREFIX = 4
"""Bytes of the length of the document."""


@dataclass(frozen=True, slots=True)
class _Entry:
    size: int
    metadata: str


def create_together(request: HttpRequest, user: User) -> HttpResponse:
    """200 with a result for each file, or an error if none of them was looked at."""
    length = _read_length(request)
    with as_tus_errors(request), receiving.taken_by(user.pk):
        body = open_body(request, length)
        entries = _read_entries(body)
        responses = _Together(request, user, entries).take(body)
    response = JsonResponse({"results": [_as_json(each) for each in responses]})
    response.parts = responses  # type: ignore[attr-defined]  # read by the middleware that records refusals
    return response


def _read_length(request: HttpRequest) -> int:
    tus.check_extensions(request.headers, ())
    if request.headers.get("Content-Type", "") != CONTENT_TYPE:
        raise _invalid(415)
    length = tus.read_content_length(request.headers, decodes_chunks=True)
    if length is None:
        raise TusError(411, Problem(Code.MISSING_CONTENT_LENGTH))
    most = PREFIX + MOST_DOCUMENT + MOST_BYTES
    if length > most:
        raise TusError(413, Problem(Code.BODY_TOO_LONG, length_bytes=length, size_bytes=most), code=TOO_LARGE)
    if length <= PREFIX:
        raise _invalid()
    return length


def _read_entries(body: Body) -> list[_Entry]:
    """The files of the document, whose bytes follow in the body. Raises TusError, BodyEnded."""
    size = int.from_bytes(_read(body, PREFIX))
    left = (body.left or 0) - size
    if not 0 < size <= MOST_DOCUMENT or left < 0:
        raise _invalid()
    try:
        document: Any = json.loads(_read(body, size))
        entries = [_Entry(int(each["size"]), str(each["metadata"])) for each in document["files"]]
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise _invalid() from error
    if not 0 < len(entries) <= MOST_FILES or any(entry.size < 0 for entry in entries):
        raise _invalid()
    if sum(entry.size for entry in entries) != left or left > MOST_BYTES:
        raise _invalid()
    return entries


def _read(body: Body, size: int) -> bytes:
    return b"".join(bytes(block) for block in Portion(body, size).read_blocks())


def _invalid(status: int = 400) -> TusError:
    problem = Problem(Code.TOGETHER_INVALID, count=MOST_FILES, limit_bytes=MOST_BYTES)
    return TusError(status, problem, code="InvalidRequest")


Respond = Callable[[], HttpResponse]


class _Together:
    """The files of one request."""

    def __init__(self, request: HttpRequest, user: User, entries: Sequence[_Entry]) -> None:
        self._request = request
        self._user = user
        self._entries = entries
        self._allowed = StillAllowed(request)

    def take(self, body: Body) -> list[HttpResponse]:
        """Start the transfers, and receive their bytes. Returns a response for each. Raises BodyEnded."""
        outcomes = self._start()
        started = [each for each in outcomes if isinstance(each, Started)]
        with TogetherReceiver(started) as receiver:
            arrived = [
                self._receive(receiver, outcome, Portion(body, entry.size))
                for outcome, entry in zip(outcomes, self._entries, strict=True)
            ]
        return [_response(respond) for respond in arrived]

    def _start(self) -> list[Started | HttpResponse]:
        find_store = cache(access.new_transfer_store)
        outcomes: list[Any] = [self._read(entry, find_store) for entry in self._entries]
        places = [place for place, each in enumerate(outcomes) if isinstance(each, NewTransfer)]
        if not all(outcomes[place].fingerprint for place in places):
            raise _invalid()  # If the response is lost, nothing else would find the transfer.
        try:
            with creating.taken_by(self._user.pk):
                found = start_together([outcomes[place] for place in places])
        except NoSlot as refusal:
            raise busy(refusal) from refusal
        for place, outcome in zip(places, found, strict=True):
            outcomes[place] = refused(self._user, outcome) if isinstance(outcome, TransferRefused) else outcome
        return outcomes

    def _read(self, entry: _Entry, find_store: Callable[..., Any]) -> NewTransfer | HttpResponse:
        try:
            return read_new(self._user, entry.metadata, entry.size, with_bytes=entry.size > 0, find_store=find_store)
        except TusError as error:
            return error_response(error)

    def _receive(self, receiver: TogetherReceiver, outcome: Started | HttpResponse, portion: Portion) -> Respond:
        """Read the bytes of a file. Returns what makes its response, once all have been read."""
        if isinstance(outcome, HttpResponse):
            portion.skip()
            return lambda: outcome
        if receiver.takes(outcome):
            self._receive_together(receiver, outcome, portion)
            receive = partial(self._check, receiver, outcome)
            return partial(created, self._user, outcome, has_bytes=True, receive=receive)
        response = self._receive_alone(outcome, portion)
        portion.skip()
        return lambda: response

    def _receive_together(self, receiver: TogetherReceiver, started: Started, portion: Portion) -> None:
        try:
            receiver.receive(started.transfer, self._allowed.blocks(started.transfer, portion.read_blocks()))
        except BodyEnded:
            raise
        except (ProblemError, OSError):
            portion.skip()  # `receiver.check` says why.

    def _check(self, receiver: TogetherReceiver, started: Started) -> int:
        with as_tus_errors(self._request):
            return receiver.check(started.transfer)

    def _receive_alone(self, started: Started, portion: Portion) -> HttpResponse:
        receive = partial(receive_portion, self._request, started, self._allowed, portion)
        try:
            return created(self._user, started, has_bytes=started.transfer.size > 0, receive=receive)
        except TusError as error:
            if isinstance(error.__cause__, BodyEnded):
                raise error.__cause__ from error
            return error_response(error)


def _response(respond: Respond) -> HttpResponse:
    try:
        return respond()
    except TusError as error:
        return error_response(error)


def _as_json(response: HttpResponse) -> dict[str, Any]:
    """The status of a response, the headers that matter, and the members of its body."""
    result: dict[str, Any] = {"status": response.status_code}
    if "Location" in response:
        result["location"] = response["Location"]
    for name, header in (("offset", "Upload-Offset"), ("retry_after", "Retry-After")):
        if header in response:
            result[name] = int(response[header])
    result |= json.loads(response.content or b"{}")
    return result
