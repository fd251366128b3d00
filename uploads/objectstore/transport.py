"""One request to a store and its complete response: an exact, signed URL, sent once; redirects are not followed.

There is a timeout for connecting and one for a stall (no byte in either direction). Only the requests of a page have
one for the whole request, see `budget`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from urllib3.response import BaseHTTPResponse

from uploads.objectstore import received, refusals
from uploads.objectstore.budget import BudgetUsedUp, bounded
from uploads.objectstore.connections import NeverConnectedError, PatientAdapter
from uploads.objectstore.dialects import dialect_of
from uploads.objectstore.errors import NotSent, ObjectStoreError, Reason, Refused, unreadable
from uploads.objectstore.keys import bad_argument, check_bucket, check_dns_bucket, check_key, quote_key, quote_query
from uploads.objectstore.network_errors import budget_used_up, not_sent, outcome_unknown
from uploads.objectstore.payload import InterruptedByCallback, Payload
from uploads.objectstore.refusals import Response
from uploads.objectstore.signing import UNSIGNED_PAYLOAD, Signer
from uploads.objectstore.types import StoreConfig
from uploads.problems import Code, Problem

MAX_RESPONSE = 16 * 1024 * 1024
"""Bytes of a decompressed response. A page of 1,000 uploads with encoded keys of 1,024 bytes has about 5 MB."""

BODILESS = ("GET", "HEAD")
"""Methods whose requests have no Content-Length without a body."""

T = TypeVar("T")

log = logging.getLogger("uploads.objectstore")


@dataclass(frozen=True, slots=True)
class Call:
    """The request of one API operation."""

    operation: str
    method: str
    bucket: str = ""
    key: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    payload: Payload | None = field(default=None, repr=False)

    @property
    def upload_id(self) -> str:
        return self.query.get("uploadId", "")


class Endpoint:
    """The address of a store, and the URL of a bucket or key in it. NotSent with BAD_ARGUMENT for an invalid URL."""

    def __init__(self, config: StoreConfig) -> None:
        try:
            url = urlsplit(config.endpoint_url)
            host, port = url.hostname, url.port
        except ValueError as error:
            raise bad_argument(Code.ENDPOINT_URL_MALFORMED, url=config.endpoint_url, detail=str(error)) from error
        is_bare = not (url.query or url.fragment or "@" in url.netloc)
        if url.scheme not in ("http", "https") or not host or not config.endpoint_url.isascii() or not is_bare:
            raise bad_argument(Code.ENDPOINT_URL_INVALID, url=config.endpoint_url)
        self.scheme = url.scheme
        self._host = f"[{host}]" if ":" in host else host
        self._port = "" if port in (None, {"http": 80, "https": 443}[url.scheme]) else f":{port}"
        self._base = url.path.rstrip("/")
        self._virtual = config.addressing == "virtual"

    def address(self, bucket: str, key: str) -> tuple[str, str]:
        """The Host header and the path. Names are checked here, directly before they become part of a URL."""
        if not bucket:
            return self._host + self._port, f"{self._base}/"
        check_bucket(bucket)
        path = ""
        if key:
            check_key(key)
            path = "/" + quote_key(key)
        if self._is_virtual(bucket):
            check_dns_bucket(bucket)
            return f"{bucket}.{self._host}{self._port}", self._base + (path or "/")
        return self._host + self._port, f"{self._base}/{bucket}{path}"

    def _is_virtual(self, bucket: str) -> bool:
        # A wildcard certificate covers one label only, so over TLS a bucket name with dots goes into the path.
        return self._virtual and not (self.scheme == "https" and "." in bucket)


class Observer(Protocol):
    """Receives the events of a client, for metrics."""

    def requested(self, operation: str, seconds: float, error: ObjectStoreError | None) -> None:
        """A request has ended."""

    def repeats(self, error: ObjectStoreError) -> None:
        """A request is retried after this error."""


class Transport:
    """Sends calls over pooled connections. May be shared between threads."""

    def __init__(self, config: StoreConfig, signer: Signer, observer: Observer | None = None) -> None:
        self._config = config
        self._observer = observer
        self._signer = signer
        self._bare_flags = dialect_of(config.signature).bare_flags
        self._endpoint = Endpoint(config)
        self._adapter = PatientAdapter(config.stall_timeout, config.addresses)
        """Not a Session: it would read the whole body of a redirect, look for proxies in the environment, and keep
        cookies."""
        self.clock_offset = timedelta()
        """How far the store's clock is ahead of ours, by the Date header of the last response."""
        self.knows_clock = False

    def close(self) -> None:
        self._adapter.close()

    @property
    def signs_payloads(self) -> bool:
        """Whether the signature covers the SHA-256 of a file's bytes. It always covers the checksum."""
        return self._config.payload_signing == "signed"

    def exchange(self, call: Call, reader: Callable[[Response], T]) -> T:
        """Send the call once and read its response. Raises NotSent, OutcomeUnknown or Refused; logs the attempt."""
        started = time.monotonic()
        response = None
        try:
            response = self._send(self.prepare(call))
            self._note_clock(response)
            if error := self._error_of(response, call):
                raise error
            result = reader(response)
        except ObjectStoreError as error:
            error.operation = call.operation
            error.request_id = error.request_id or (response.request_id if response else "")
            self._ended(call, response, started, error)
            raise
        self._ended(call, response, started, None)
        return result

    def _ended(self, call: Call, response: Response | None, started: float, error: ObjectStoreError | None) -> None:
        seconds = time.monotonic() - started
        _log(call, response, seconds, error)
        if self._observer is not None:
            self._observer.requested(call.operation, seconds, error)

    def _note_clock(self, response: Response) -> None:
        if date := received.time_of(response.headers.get("date", "")):
            self.clock_offset, self.knows_clock = date - datetime.now(UTC), True

    def _error_of(self, response: Response, call: Call) -> ObjectStoreError | None:
        return refusals.error_of(
            response, operation=call.operation, region=self._config.region, key=call.key, upload_id=call.upload_id
        )

    def prepare(self, call: Call) -> requests.PreparedRequest:
        """The signed request exactly as it is sent. NotSent for a name that cannot be sent exactly."""
        host, path = self._endpoint.address(call.bucket, call.key)
        digests = call.payload.digest_headers if call.payload is not None else {}
        headers = {"Accept-Encoding": "identity", "User-Agent": "partway", "Host": host, **digests, **call.headers}
        origin = f"{self._endpoint.scheme}://{host}"
        prepared = requests.PreparedRequest()
        try:
            _check_origin(origin)
            prepared.prepare_headers(headers)
        except requests.RequestException as error:
            raise bad_argument(Code.REQUEST_NOT_WRITABLE, detail=str(error)) from error
        # Set here: `prepare_url` would remove dot segments from the path and so reach another key.
        query = quote_query(call.query, bare_flags=self._bare_flags)
        prepared.method, prepared.url = call.method, f"{origin}{path}" + (f"?{query}" if query else "")
        if call.payload is None and call.method not in BODILESS:
            prepared.headers["Content-Length"] = "0"
        if call.payload is not None:
            prepared.headers["Content-Length"] = str(call.payload.size)
            prepared.body = call.payload if call.payload.size else None  # type: ignore[assignment]
        payload_hash = (call.payload.sha256 or UNSIGNED_PAYLOAD) if call.payload is not None else ""
        self._signer.sign(prepared, bucket=call.bucket, key=call.key, payload_hash=payload_hash)
        return prepared

    def _verify(self) -> str | bool:
        bundle = self._config.ca_bundle
        if bundle and not Path(bundle).is_file():
            raise NotSent(Problem(Code.CA_BUNDLE_MISSING, path=bundle), reason=Reason.TLS)
        return bundle or True

    def _timeouts(self) -> tuple[float, float]:
        """Seconds for connecting, and without a byte. NotSent if the page has no time left to wait."""
        try:
            return bounded(self._config.connect_timeout), bounded(self._config.stall_timeout)
        except BudgetUsedUp as error:
            problem = budget_used_up() or Problem(Code.CONNECTION_STALLED)
            raise NotSent(problem, reason=Reason.TIMEOUT, retryable=True) from error

    def _send(self, prepared: requests.PreparedRequest) -> Response:
        verify, timeouts = self._verify(), self._timeouts()
        try:
            with self._adapter.opened(prepared, timeouts, verify) as response:
                return _read(response)
        except InterruptedByCallback as interrupted:
            raise interrupted.cause from interrupted.cause.__cause__
        except NeverConnectedError as error:
            raise not_sent(error) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise outcome_unknown(error) from error


@lru_cache(maxsize=1024)
def _check_origin(origin: str) -> None:
    """Raises requests.RequestException for a host that no URL can have."""
    requests.PreparedRequest().prepare_url(f"{origin}/", None)


def _read(response: BaseHTTPResponse) -> Response:
    """The response with clean headers and its decompressed body. Errors from here on have the id of its header."""
    found = response.headers
    headers = {received.clean_text(name.lower()): received.header_text(found[name]) for name in found}
    head = Response(response.status, headers, b"")
    try:
        body = _body(response)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        lost = outcome_unknown(error)
        lost.request_id = head.request_id
        raise lost from error
    except ObjectStoreError as error:
        error.request_id = head.request_id
        raise
    return replace(head, body=received.body_with_charset(body, headers.get("content-type", "")))


def _body(response: BaseHTTPResponse) -> bytes:
    """The decompressed body, of which at most MAX_RESPONSE bytes are kept in memory."""
    body = bytearray()
    while block := response.read(64 * 1024, decode_content=True):
        body += block
        if len(body) > MAX_RESPONSE:
            raise unreadable(Code.RESPONSE_TOO_LARGE, limit_bytes=MAX_RESPONSE)
    return bytes(body)


def _log(call: Call, response: Response | None, seconds: float, error: ObjectStoreError | None) -> None:
    """One line for each attempt, with its identifiers but without secrets: names, never headers."""
    level = _level(call, error)
    if not log.isEnabledFor(level):
        return
    facts: dict[str, Any] = {
        "operation": call.operation,
        "bucket": call.bucket,
        "key": call.key,
        "upload_id": call.upload_id,
        "status": response.status if response else None,
        "code": error.code if isinstance(error, Refused) else str(error.reason) if error else "",
        "request_id": response.request_id if response else error.request_id if error else "",
        "seconds": round(seconds, 4),
    }
    text = " ".join(f"{name}={value!r}" for name, value in facts.items() if value not in (None, ""))
    log.log(level, "%s", text, extra=facts)


EXPECTED = {
    ("HeadObject", Reason.NO_SUCH_KEY),
    ("CheckWriting", Reason.NO_SUCH_UPLOAD),
    ("ListParts", Reason.NO_SUCH_UPLOAD),
}
"""Refusals that say before each new transfer that its way is free, and after each abort that nothing is left."""


def _level(call: Call, error: ObjectStoreError | None) -> int:
    is_failure = error is not None and (call.operation, error.reason) not in EXPECTED
    return logging.WARNING if is_failure else logging.DEBUG
