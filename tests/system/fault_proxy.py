"""A proxy between Partway and a real store that injects the faults of networks and stores.

It forwards requests unchanged, including the Host header, so that signatures stay valid. Bodies are streamed. Faults
are selected by operation: for the next requests (`next`), or at random with a seed (`add_chance`).
"""

from __future__ import annotations

import http.client
import random
import re
import select
import socket
import struct
import threading
import time
import uuid
from base64 import b64encode
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from enum import StrEnum
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from uploads.objectstore.client import NO_UPLOAD

BLOCK = 64 * 1024
CONNECTION_SECONDS = 120
"""How long a connection may be silent until the proxy closes it: longer than any timeout in a test."""


EXPECT = re.compile(rb"\r\nexpect: *100-continue(?=\r\n|$)", re.IGNORECASE)
"""A header of boto3, which signs no part of it."""


class Fault(StrEnum):
    NONE = "none: the request passes"
    LATENCY = "latency"
    STALL = "stall"
    RESET_BEFORE_BODY = "reset before the body"
    RESET_DURING_BODY = "reset during the body"
    RESET_AFTER_BODY = "reset after the body"
    RESPONSE_LOST = "response lost after the store acted"
    TRUNCATED = "response truncated"
    DUPLICATED = "response duplicated"
    FLIPPED_BYTE = "byte flipped"
    INTERNAL_ERROR = "500 InternalError"
    BAD_GATEWAY = "502 of a gateway"
    SLOW_DOWN = "503 SlowDown with Retry-After"
    TOO_MANY_REQUESTS = "429 with Retry-After"
    ERROR_INSIDE = "200 with an error inside"
    EXPIRED_TOKEN = "400 ExpiredToken"
    INVALID_ACCESS_KEY = "403 InvalidAccessKeyId"
    ACCESS_DENIED = "403 AccessDenied"
    QUOTA_EXCEEDED = "403 QuotaExceeded"
    INVALID_PART = "400 InvalidPart"
    EMPTY_SUCCESS = "200 of a proxy, empty"
    ACCEPTED_ONLY = "200 of the store, which does nothing"
    PAGE = "200 of a proxy, with a page"
    PAGE_AFTER = "page of a proxy after the store acted"
    OTHER_KEY = "response about another key after the store acted"
    OTHER_ETAG = "an ETag that is no MD5, the same for the same bytes"
    CHANGING_ETAG = "another ETag for every request"
    OPAQUE_ETAG = "an ETag that does not look like an MD5"
    CUSTOMER_KEY = "the ETag of bytes encrypted with a customer's key"
    NO_SUCH_KEY = "404 NoSuchKey"
    NO_SUCH_UPLOAD = "404 NoSuchUpload"
    NO_SUCH_BUCKET = "404 NoSuchBucket"
    NOT_FOUND_PAGE = "404 of a proxy, with a page"
    NOT_FOUND_EMPTY = "404 of a proxy, empty"
    BAD_REQUEST_PAGE = "400 of a proxy, with a page"
    UNAVAILABLE_PAGE = "503 of a proxy, with a page"
    UNAVAILABLE_AFTER = "503 of a proxy, with a page, after the store acted"
    REDIRECT = "302 of a proxy, with a page"
    REDIRECT_AFTER = "302 of a proxy after the store acted"
    WITHOUT_LENGTH = "200 without Content-Length"
    STRANGE_VALUES = "texts, times and numbers that are damaged or out of range"


@dataclass(frozen=True, slots=True)
class CannedResponse:
    """A response of the proxy. The store does not receive the request. Without a code or a page it has no body.

    `location` is where it redirects to. A code `in_header` also arrives in a response to HEAD, as that of OSS does.
    """

    status: int
    code: str = ""
    retry_after: str = ""
    page: bytes = b""
    location: str = ""
    in_header: bool = False
    has_length: bool = True
    request_id: str = ""


PAGE = b"<!DOCTYPE html><html><head><title>Welcome</title></head><body>It works!</body></html>"

CANNED = {
    Fault.INTERNAL_ERROR: CannedResponse(500, "InternalError"),
    Fault.BAD_GATEWAY: CannedResponse(502),
    Fault.SLOW_DOWN: CannedResponse(503, "SlowDown", retry_after="1"),
    Fault.TOO_MANY_REQUESTS: CannedResponse(429, "TooManyRequests", retry_after="1"),
    Fault.ERROR_INSIDE: CannedResponse(200, "InternalError"),
    Fault.EXPIRED_TOKEN: CannedResponse(400, "ExpiredToken"),
    Fault.INVALID_ACCESS_KEY: CannedResponse(403, "InvalidAccessKeyId"),
    Fault.ACCESS_DENIED: CannedResponse(403, "AccessDenied"),
    Fault.QUOTA_EXCEEDED: CannedResponse(403, "QuotaExceeded"),
    Fault.INVALID_PART: CannedResponse(400, "InvalidPart"),
    Fault.EMPTY_SUCCESS: CannedResponse(200),
    Fault.ACCEPTED_ONLY: CannedResponse(200, request_id="proxy-1"),
    Fault.PAGE: CannedResponse(200, page=PAGE),
    Fault.NO_SUCH_KEY: CannedResponse(404, "NoSuchKey"),
    Fault.NO_SUCH_UPLOAD: CannedResponse(404, "NoSuchUpload"),
    Fault.NO_SUCH_BUCKET: CannedResponse(404, "NoSuchBucket", in_header=True),
    Fault.NOT_FOUND_PAGE: CannedResponse(404, page=PAGE),
    Fault.NOT_FOUND_EMPTY: CannedResponse(404),
    Fault.BAD_REQUEST_PAGE: CannedResponse(400, page=PAGE),
    Fault.UNAVAILABLE_PAGE: CannedResponse(503, page=PAGE),
    Fault.REDIRECT: CannedResponse(302, page=PAGE, location="https://login.example.org/"),
    Fault.WITHOUT_LENGTH: CannedResponse(200, has_length=False),
}

_OTHER_ETAGS: dict[Fault | None, Callable[[str], str]] = {
    Fault.OTHER_ETAG: lambda etag: etag.strip('"')[::-1],
    Fault.CHANGING_ETAG: lambda _: uuid.uuid4().hex,
    Fault.OPAQUE_ETAG: lambda _: "CKicn4fknf8CEAE=",
    Fault.CUSTOMER_KEY: lambda etag: etag.strip('"')[::-1],
}
_ETAG_HEADERS: dict[Fault | None, tuple[tuple[str, str], ...]] = {
    Fault.CUSTOMER_KEY: (("x-goog-encryption-algorithm", "AES256"), ("x-goog-encryption-key-sha256", "a=")),
}

REPLACED: dict[Fault | None, Fault] = {
    Fault.PAGE_AFTER: Fault.PAGE,
    Fault.REDIRECT_AFTER: Fault.REDIRECT,
    Fault.UNAVAILABLE_AFTER: Fault.UNAVAILABLE_PAGE,
}
"""What the proxy responds in place of the store, after the store acted."""

Blocks = Iterable[tuple[int, bytearray]]
"""The blocks of a body with their offsets."""

NEEDS_BODY = frozenset({Fault.RESET_DURING_BODY, Fault.FLIPPED_BYTE})


@dataclass(frozen=True, slots=True)
class Request:
    """The head of a request as it was received, and its operation."""

    head: bytes = field(repr=False)
    method: str
    operation: str
    part_number: int
    length: int

    @property
    def keeps_alive(self) -> bool:
        return b"connection: close" not in self.head.lower()


@dataclass(frozen=True, slots=True)
class Chance:
    fault: Fault
    probability: float
    operations: frozenset[str]


class ConnectionCut(Exception):
    """The proxy resets the connection to Partway here."""


class FaultPlan:
    """Selects the fault of each request. Thread-safe; the same seed gives the same sequence."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._next: dict[str, deque[Fault | None]] = {}
        self._always: dict[str, Fault] = {}
        self._chances: list[Chance] = []
        self._lock = threading.Lock()
        self.frozen = False

    def next(self, operation: str, *faults: Fault | None, count: int = 1) -> None:
        with self._lock:
            self._next.setdefault(operation, deque()).extend(faults * count)

    def always(self, operation: str, fault: Fault) -> None:
        with self._lock:
            self._always[operation] = fault

    def add_chance(self, fault: Fault, probability: float, *operations: str) -> None:
        with self._lock:
            self._chances.append(Chance(fault, probability, frozenset(operations)))

    def clear(self) -> None:
        with self._lock:
            self._next.clear()
            self._always.clear()
            self._chances.clear()

    def choose(self, request: Request) -> Fault | None:
        with self._lock:
            if self.frozen:
                return Fault.STALL
            if waiting := self._next.get(request.operation):
                fault = waiting.popleft()
                return None if fault is Fault.NONE else fault
            if request.operation in self._always:
                return self._always[request.operation]
            return next((each.fault for each in self._chances if self._hits(each, request)), None)

    def _hits(self, chance: Chance, request: Request) -> bool:
        if chance.operations and request.operation not in chance.operations:
            return False
        if chance.fault in NEEDS_BODY and not request.length:
            return False
        return self._random.random() < chance.probability


class FaultProxy:
    """Listens on a loopback port and forwards to the store at `endpoint_url`. `url` is the endpoint to give Partway.

    `requests` counts requests by operation, `parts` by part number, and `faults` the injected faults.
    `latency` is the delay of Fault.LATENCY. `clock_ahead` is added to the dates of the store's responses.
    """

    def __init__(self, endpoint_url: str, *, seed: int = 0, latency: float = 0.5) -> None:
        self.plan = FaultPlan(seed)
        self.requests: Counter[str] = Counter()
        self.parts: Counter[int] = Counter()
        self.faults: Counter[Fault] = Counter()
        self.latency = latency
        self.clock_ahead = timedelta()
        self._before: dict[str, Callable[[], None]] = {}
        self._answers: dict[str, CannedResponse] = {}
        store = urlsplit(endpoint_url)
        self._store = (store.hostname or "", store.port or 80)
        self._changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self._busy = 0
        self._held = 0
        self._first_held = 0
        self._half_way = True
        self._released = threading.Event()
        self._listener: socket.socket | None = None
        self.port = 0
        self.reconnect()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.disconnect()

    # --- Faults -------------------------------------------------------------------------------------------------------

    def next(self, operation: str, *faults: Fault | None, count: int = 1) -> None:
        """Inject these faults into the next requests of an operation, in this order; None forwards a request."""
        self.plan.next(operation, *faults, count=count)

    def before(self, operation: str, action: Callable[[], None]) -> None:
        """Do this once, before the next request of an operation is passed on: what another client does meanwhile."""
        self._before[operation] = action

    def always(self, operation: str, fault: Fault) -> None:
        """Inject this fault into every request of an operation until the plan is cleared."""
        self.plan.always(operation, fault)

    def answer(self, operation: str, response: CannedResponse) -> None:
        """Respond to every request of an operation with this until the plan is cleared."""
        self._answers[operation] = response

    def clear(self) -> None:
        """Inject no more faults."""
        self._answers.clear()
        self.plan.clear()

    # --- Parts that stop on their way ---------------------------------------------------------------------------------

    @contextmanager
    def holding_parts(self, first: int, *, half_way: bool = True) -> Iterator[None]:
        """Hold parts from this number on until the end of the block.

        The store gets half of each, or with `half_way=False` nothing of it, not even the request.
        """
        self._first_held, self._half_way, self._released = first, half_way, threading.Event()
        try:
            yield
        finally:
            self._first_held = 0
            self._released.set()

    @property
    def held(self) -> int:
        """How many parts are being held."""
        with self._changed:
            return self._held

    def _hold(self, connection: socket.socket) -> None:
        """Wait until held parts are released. Raises ConnectionCut if the client has gone."""
        with self._changed:
            self._held += 1
        try:
            while not self._released.wait(0.05):
                if _has_hung_up(connection):
                    raise ConnectionCut
        finally:
            with self._changed:
                self._held -= 1

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Accept connections and never respond."""
        self.plan.frozen = True
        try:
            yield
        finally:
            self.plan.frozen = False

    # --- Reachability -------------------------------------------------------------------------------------------------

    def disconnect(self) -> None:
        """Make the store unreachable: stop listening and close all connections."""
        self._stop_listening()
        with self._changed:
            connections, self._open = self._open, set()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def drain(self, seconds: float = 30) -> None:
        """Stop listening, and close connections when their requests have ended."""
        self._stop_listening()
        with self._changed:
            self._changed.wait_for(lambda: not self._busy, seconds)
        self.disconnect()

    def reconnect(self) -> None:
        """Make the store reachable again, on the same port."""
        listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=[listener], daemon=True).start()

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.settimeout(CONNECTION_SECONDS)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                self._open.add(connection)
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    # --- Connections --------------------------------------------------------------------------------------------------

    def _serve(self, connection: socket.socket) -> None:
        try:
            # Errors here are injected, or come from processes that were killed.
            with suppress(OSError, http.client.HTTPException):
                while self._serve_one(connection):
                    pass
        except ConnectionCut:
            _reset(connection)
        finally:
            with self._changed:
                self._open.discard(connection)
            connection.close()

    def _serve_one(self, connection: socket.socket) -> bool:
        """Serve one request. Returns whether another one may follow."""
        read = _read_head(connection)
        if read is None:
            return False
        request, rest = read
        with self._at_work():
            fault = self.plan.choose(request)
            if action := self._before.pop(request.operation, None):
                action()
            with self._changed:
                self.requests[request.operation] += 1
                self.parts[request.part_number] += 1
                self.faults.update([fault] if fault else [])
            return self._exchange(connection, request, _Body(connection, rest, request.length), fault)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        with self._changed:
            self._busy += 1
        try:
            yield
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    def _exchange(self, connection: socket.socket, request: Request, body: _Body, fault: Fault | None) -> bool:
        if fault is Fault.RESET_BEFORE_BODY:
            raise ConnectionCut
        if fault is Fault.STALL:
            _wait_for_end(connection)
            return False
        if fault is Fault.LATENCY:
            time.sleep(self.latency)
        canned = self._answers.get(request.operation) or (CANNED.get(fault) if fault else None)
        if canned is not None:
            for _ in body:
                pass
            connection.sendall(_canned_response(canned, request))
            return request.keeps_alive
        blocks = self._unless_held(connection, request, body)
        with socket.create_connection(self._store, timeout=CONNECTION_SECONDS) as store:
            keeps_alive = self._forward(connection, store, request, blocks, fault)
            return keeps_alive and body.is_read

    def _forward(
        self, connection: socket.socket, store: socket.socket, request: Request, blocks: Blocks, fault: Fault | None
    ) -> bool:
        """Returns whether the connection may have another request, if the whole body was read."""
        store.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        store.sendall(request.head)
        half = request.length // 2
        for start, block in blocks:
            if fault is Fault.RESET_DURING_BODY and start + len(block) > half:
                store.sendall(block[: max(0, half - start)])
                raise ConnectionCut
            if fault is Fault.FLIPPED_BYTE and start <= half < start + len(block):
                block[half - start] ^= 1
            if select.select([store], [], [], 0)[0]:
                break  # The store responds before it has the whole body.
            store.sendall(block)
        if fault is Fault.RESET_AFTER_BODY:
            raise ConnectionCut
        if fault in REPLACED:
            for _ in self._response_of(store, request):
                pass
            connection.sendall(_canned_response(CANNED[REPLACED[fault]], request))
            return request.keeps_alive
        self._respond(connection, self._response_of(store, request, fault), fault)
        return request.keeps_alive and fault is not Fault.TRUNCATED

    def _unless_held(self, connection: socket.socket, request: Request, body: _Body) -> Blocks:
        """The blocks of a body. Those of a held part, or of its second half, follow when it is released."""
        if not 0 < self._first_held <= request.part_number:
            return body
        if self._half_way:
            return self._held_half_way(connection, request, body)
        # All that the client has sent must be read: its end comes after that.
        blocks = [*body]
        self._hold(connection)
        return blocks

    def _held_half_way(self, connection: socket.socket, request: Request, body: _Body) -> Blocks:
        for start, block in body:
            if start + len(block) <= request.length // 2:
                yield start, block
                continue
            rest = [(start, block), *body]
            self._hold(connection)
            yield from rest

    def _respond(self, connection: socket.socket, response: Iterable[bytes], fault: Fault | None) -> None:
        if fault is Fault.RESPONSE_LOST:
            for _ in response:
                pass
            raise ConnectionCut
        if fault is Fault.DUPLICATED:
            connection.sendall(b"".join(response) * 2)
        elif fault is Fault.TRUNCATED:
            head, *body = response
            connection.sendall(head + body[0][: len(body[0]) // 2] if body else head[: len(head) // 2])
        else:
            for block in response:
                connection.sendall(block)

    def _response_of(self, store: socket.socket, request: Request, fault: Fault | None = None) -> Iterator[bytes]:
        """The store's response, as the fault changes it: its head, then its body in blocks."""
        response = http.client.HTTPResponse(store, method=request.method)
        response.begin()
        if fault is Fault.STRANGE_VALUES:
            yield from _with_strange_values(response, request)
            return
        chunked = bool(response.chunked)
        dropped = {"connection", "keep-alive", "transfer-encoding"}
        lines = [f"HTTP/1.1 {response.status} {response.reason}"]
        for name, text in [*response.msg.items(), *_ETAG_HEADERS.get(fault, ())]:
            if name.lower() == "etag" and fault in _OTHER_ETAGS:
                lines.append(f'{name}: "{_OTHER_ETAGS[fault](text)}"')
            elif name.lower() not in dropped:
                lines.append(f"{name}: {self._shifted_date(text) if name.lower() == 'date' else text}")
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        yield ("\r\n".join([*lines, "", ""])).encode("latin-1")
        while block := response.read(BLOCK):
            if fault is Fault.OTHER_KEY:
                block = re.sub(rb"<Key>(.)", lambda found: b"<Key>" + bytes([found[1][0] ^ 1]), block)
            yield b"%x\r\n%s\r\n" % (len(block), block) if chunked else block
        if chunked:
            yield b"0\r\n\r\n"

    def _shifted_date(self, text: str) -> str:
        return format_datetime(parsedate_to_datetime(text).astimezone(UTC) + self.clock_ahead, usegmt=True)


class _Body:
    """The body of a request in blocks, with their offsets."""

    def __init__(self, connection: socket.socket, rest: bytes, length: int) -> None:
        self._connection, self._rest, self._length = connection, rest, length
        self._done = 0

    @property
    def is_read(self) -> bool:
        return self._done == self._length

    def __iter__(self) -> Iterator[tuple[int, bytearray]]:
        while self._done < self._length:
            block = bytearray(self._rest or self._connection.recv(min(BLOCK, self._length - self._done)))
            if not block:
                raise ConnectionResetError("the client has closed the connection")
            self._rest = b""
            start, self._done = self._done, self._done + len(block)
            yield start, block


def _read_head(connection: socket.socket) -> tuple[Request, bytes] | None:
    data = b""
    while b"\r\n\r\n" not in data:
        block = connection.recv(BLOCK)
        if not block:
            return None
        data += block
    head, _, rest = data.partition(b"\r\n\r\n")
    if EXPECT.search(head):
        # The proxy answers this itself: the store's answer would look like an early response.
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        head = EXPECT.sub(b"", head)
    return _parse_head(head + b"\r\n\r\n"), rest


def _parse_head(head: bytes) -> Request:
    method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
    parts = urlsplit(target)
    query = parse_qs(parts.query, keep_blank_values=True)
    length = re.search(rb"\r\ncontent-length: *(\d+)\r\n", head, re.IGNORECASE)
    number = 0 if query.get("uploadId") == [NO_UPLOAD] else int(query.get("partNumber", ["0"])[0])
    return Request(head, method, _operation(method, parts.path, query), number, int(length[1]) if length else 0)


def _operation(method: str, path: str, query: dict[str, list[str]]) -> str:
    """The API's name of the operation."""
    _, _, key = path.lstrip("/").partition("/")
    if query.get("uploadId") == [NO_UPLOAD]:
        return "CheckWriting"
    if "uploadId" in query:
        names = {"PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload"}
        return names.get(method, "ListParts")
    if "uploads" in query:
        return "CreateMultipartUpload" if method == "POST" else "ListMultipartUploads"
    if "lifecycle" in query:
        names = {"PUT": "PutBucketLifecycleConfiguration", "DELETE": "DeleteBucketLifecycle"}
        return names.get(method, "GetBucketLifecycleConfiguration")
    if not path.strip("/"):
        return "ListBuckets"
    return {"PUT": "PutObject", "HEAD": "HeadObject", "GET": "GetObject"}.get(method, method) if key else "HeadBucket"


def _canned_response(canned: CannedResponse, request: Request) -> bytes:
    code = f"<Code>{canned.code}</Code><Message>This is an injected fault.</Message><RequestId>proxy-1</RequestId>"
    body = f"<?xml version='1.0'?><Error>{code}</Error>".encode() if canned.code else canned.page
    lines = [f"HTTP/1.1 {canned.status} Injected"]
    lines += [f"Content-Length: {len(body)}"] if canned.has_length else []
    lines += [f"x-amz-request-id: {canned.request_id or 'proxy-1'}"] if canned.code or canned.request_id else []
    lines += [f"x-oss-err: {b64encode(body).decode()}"] if canned.in_header else []
    lines += ["Content-Type: text/html"] if canned.page else []
    lines += [f"Location: {canned.location}"] if canned.location else []
    lines += [f"Date: {format_datetime(datetime.now(UTC), usegmt=True)}"]
    lines += [f"Retry-After: {canned.retry_after}"] if canned.retry_after else []
    head = "\r\n".join([*lines, "", ""]).encode()
    return head if request.method == "HEAD" else head + body


STRANGE_TEXT = b"\xff\0&#0;&#xD800;"
STRANGE_FIELDS = {
    rb"Initiated|LastModified|CreationDate": b"0001-01-01T00:00:00+14:00",
    rb"Size": b"9" * 400,
    rb"DisplayName|StorageClass|Message|RequestId|HostId": STRANGE_TEXT,
}
STRANGE_HEADERS = {
    "date": "Fri, 31 Dec 9999 23:59:59 -1400",
    "last-modified": "Mon, 01 Jan 0001 00:00:00 +1400",
    "retry-after": "9" * 5000,
    "x-amz-abort-date": "9999-12-31T23:59:59-14:00",
    "x-amz-abort-rule-id": "\xff\0",
    "x-amz-storage-class": "\xff\0",
    "x-amz-meta-strange": "\xff\0",
    "x-amz-request-id": "\xff\0",
    "x-amz-id-2": "\xff\0",
}


def _with_strange_values(response: http.client.HTTPResponse, request: Request) -> Iterator[bytes]:
    """A response in which the values of known fields and headers are strange. Names and ETags are unchanged."""
    body = response.read()
    for fields, value in STRANGE_FIELDS.items():
        body = re.sub(b"<(%s)>[^<]*<" % fields, b"<\\1>" + value + b"<", body)
    dropped = {"connection", "keep-alive", "transfer-encoding", *STRANGE_HEADERS}
    if request.method != "HEAD":
        dropped.add("content-length")
    kept = [(name, text) for name, text in response.msg.items() if name.lower() not in dropped]
    length = [] if request.method == "HEAD" else [("Content-Length", str(len(body)))]
    lines = [f"{name}: {text}" for name, text in [*kept, *STRANGE_HEADERS.items(), *length]]
    yield "\r\n".join([f"HTTP/1.1 {response.status} {response.reason}", *lines, "", ""]).encode("latin-1") + body


def _has_hung_up(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP)
    return bool(poll.poll(0))


def _wait_for_end(connection: socket.socket) -> None:
    """Neither read nor respond until the connection is closed."""
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP)
    poll.poll(CONNECTION_SECONDS * 1000)


def _reset(connection: socket.socket) -> None:
    """Let close() send a reset instead of an orderly end."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
