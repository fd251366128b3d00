"""Error responses of a store: from code and status to a reason that tells an operator what to do.

The code decides whether a request may be retried; the status decides only if there is no code.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from uploads.objectstore import xml
from uploads.objectstore.error_codes import STATUSES, reason_of_code
from uploads.objectstore.errors import ObjectStoreError, OutcomeUnknown, Reason, Refused, UnreadableResponse
from uploads.objectstore.received import clean_text, etag_of, retry_after, time_of
from uploads.problems import Code, Problem

MAX_ID, MAX_CODE = 200, 100
"""Characters of a request id and of an error code that are kept; columns of rows have these lengths."""

_METADATA = re.compile("x-(?:amz|oss)-meta-(.*)")
_OWN_KEY = (
    *(f"x-{vendor}-server-side-encryption-customer-" for vendor in ("amz", "oss")),
    "x-amz-server-side-encryption-aws-kms-",
    "x-oss-server-side-encryption-key-id",
    "x-goog-encryption-",
)
"""The beginnings of headers that name the key of a customer, or in a key management service."""

_OSS_HOST = re.compile(r"(?:.*\.)?oss-([a-z0-9-]+?)(?:-internal)?\.aliyuncs\.com")


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response; header names are lower case, and their values are clean (received.header_text)."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def etag(self) -> str:
        return etag_of(self.headers.get("etag", ""))

    @property
    def request_id(self) -> str:
        names = ("x-amz-request-id", "x-oss-request-id", "x-trans-id", "x-openstack-request-id")
        found = next((self.headers[name] for name in names if self.headers.get(name)), "")
        return clean_text(found.split(",", maxsplit=1)[0], MAX_ID)  # Versity sends the header twice.

    def named(self, name: str) -> str:
        """A header with the prefix of S3 or OSS, by its name without the prefix; '' if there is none."""
        return self.headers.get(f"x-amz-{name}") or self.headers.get(f"x-oss-{name}", "")

    @property
    def is_encrypted(self) -> bool:
        """Whether the bytes are encrypted with a key of their own, so that an ETag is not the MD5 of the bytes.

        SSE-KMS and DSSE-KMS, the KMS and SM4 of OSS, SSE-C, and customer keys of Google Cloud Storage. With the keys of
        the store itself (AES256), an ETag still is the MD5.
        """
        method = self.named("server-side-encryption").strip().lower()
        if method and method != "aes256":
            return True
        return any(name.startswith(_OWN_KEY) for name in self.headers)

    @property
    def metadata(self) -> dict[str, str]:
        """An object's metadata; names are lower case, without prefix."""
        found = ((_METADATA.match(name), text) for name, text in self.headers.items())
        return {match[1]: text for match, text in found if match}

    @property
    def error_body(self) -> bytes:
        """The body, or OSS's header with the same content in a response to HEAD, which has no body."""
        try:
            return self.body or base64.b64decode(self.headers.get("x-oss-err", ""), validate=True)
        except ValueError:
            return b""


_RETRYABLE = frozenset({Reason.DIGEST_MISMATCH, Reason.THROTTLED, Reason.TIMEOUT, Reason.STORE_FAULT})

_WITHOUT_BODY = frozenset({"HeadBucket", "HeadObject"})
"""Operations whose errors have no body. For others, a 404 without a code may be a proxy's: it proves no absence."""

_SKEW = timedelta(minutes=15)
"""The difference that S3 allows between its clock and ours."""


def error_of(
    response: Response, *, operation: str, region: str, key: str = "", upload_id: str = "", now: datetime | None = None
) -> ObjectStoreError | None:
    """The error in a response, or None for a success. `region` is the one that the request was signed for."""
    success = 200 <= response.status < 300
    fields = None if success and b"<Error" not in response.body else xml.error_fields(response.error_body)
    if success and fields is None:
        return None
    if fields is None and (error := _not_from_store(response, operation)):
        return error
    fields = fields or {}
    if response.status == 404 and not fields.get("Code", "").strip() and operation not in _WITHOUT_BODY:
        return _not_of_this_api(response, operation)
    code = clean_text(fields.get("Code", "").strip(), MAX_CODE) or str(response.status)
    reason = _reason(response, fields, region, now or datetime.now(UTC))
    refused = Refused(
        fields.get("Message") or Problem(Code.ERROR_WITHOUT_MESSAGE, status=response.status),
        code=code,
        status=response.status,
        reason=_missing_item(reason, code, key, upload_id),
        request_id=clean_text(fields.get("RequestId", ""), MAX_ID) or response.request_id,
        host_id=fields.get("HostId") or response.named("id-2"),
        region=_named_region(response, fields, region),
        retry_after=retry_after(response.headers.get("retry-after", ""), now or datetime.now(UTC)),
        operation=operation,
        retryable=reason in _RETRYABLE,
    )
    refused.details += _details(response, fields, refused)
    return refused


def _not_from_store(response: Response, operation: str) -> ObjectStoreError | None:
    """For an error without the body of an S3 error: after a page, redirect or gateway timeout, the outcome is open."""
    if response.status in (502, 504):
        problem = Problem(Code.GATEWAY_ERROR, status=response.status)
        return OutcomeUnknown(problem, reason=Reason.STORE_FAULT, operation=operation, retryable=True)
    transient = response.status >= 500 or response.status in (408, 429)
    if (response.body.strip() and not transient) or _redirects_elsewhere(response):
        return _not_of_this_api(response, operation)
    return None


def _not_of_this_api(response: Response, operation: str) -> UnreadableResponse:
    problem = Problem(Code.RESPONSE_NOT_OF_THIS_API, status=response.status)
    unreadable = UnreadableResponse(problem, reason=Reason.UNREADABLE_RESPONSE, operation=operation)
    unreadable.details += _redirect(response, {})
    return unreadable


def _redirects_elsewhere(response: Response) -> bool:
    """Whether a redirect is a proxy's, for example to a login page: S3 redirects only to the region of the bucket."""
    redirects = 300 <= response.status < 400 and response.status != 301
    return redirects and not response.named("bucket-region")


def _reason(response: Response, fields: Mapping[str, str], region: str, now: datetime) -> Reason:
    code = fields.get("Code", "")
    if known := Reason.WRONG_REGION if _mentions_region(fields) else reason_of_code(code):
        return known
    if code in ("AuthorizationHeaderMalformed", "AuthorizationQueryParametersError"):
        named = fields.get("Region") or "region" in fields.get("Message", "").lower()
        return Reason.WRONG_REGION if named else Reason.CREDENTIALS
    if _named_region(response, fields, region) and response.status in (301, 307, 308, 400, 403):
        return Reason.WRONG_REGION
    if not code and response.status in (400, 403) and _is_skewed(response, now):
        return Reason.CLOCK_SKEW
    if code and response.status < 500:
        return Reason.FORBIDDEN if response.status == 403 else Reason.REFUSED
    return _by_status(response.status)


def _mentions_region(fields: Mapping[str, str]) -> bool:
    """OSS responds with AccessDenied for a bucket at another endpoint, and for a signature for another region."""
    return bool(_region_of_host(fields.get("Endpoint", ""))) or "signing region" in fields.get("Message", "").lower()


def _region_of_host(host: str) -> str:
    """The region in an OSS host name; '' for other host names."""
    match = _OSS_HOST.fullmatch(host)
    return match[1] if match else ""


def _by_status(status: int) -> Reason:
    if status == 404:
        return Reason.NO_SUCH_KEY
    if status in STATUSES:
        return STATUSES[status]
    return Reason.STORE_FAULT if status >= 500 and status not in (501, 505) else Reason.REFUSED


def _missing_item(reason: Reason, code: str, key: str, upload_id: str) -> Reason:
    """What does not exist, if the response does not name it: a bare 404 to HEAD, Ceph's NoSuchKey for an upload."""
    if reason is not Reason.NO_SUCH_KEY:
        return reason
    if upload_id:
        return Reason.NO_SUCH_UPLOAD
    return reason if key or code != "404" else Reason.NO_SUCH_BUCKET


def _named_region(response: Response, fields: Mapping[str, str], signed_for: str) -> str:
    """The bucket's region, if it is not the one that the request was signed for (which OSS repeats)."""
    named = fields.get("Region") or response.named("bucket-region") or _region_of_host(fields.get("Endpoint", ""))
    named = named.removeprefix("oss-")
    return "" if named == signed_for else named


def _details(response: Response, fields: Mapping[str, str], refused: Refused) -> Iterable[Problem]:
    """What the response reports in fields other than its message."""
    if refused.reason is Reason.WRONG_REGION and refused.region:
        yield Problem(Code.BUCKET_REGION, region=refused.region)
    yield from _redirect(response, fields)


def _redirect(response: Response, fields: Mapping[str, str]) -> Iterable[Problem]:
    location = fields.get("Endpoint") or response.headers.get("location", "")
    if location and 300 <= response.status < 400:
        yield Problem(Code.REDIRECT_NOT_FOLLOWED, location=location[:200])


def _is_skewed(response: Response, now: datetime) -> bool:
    """Whether the clocks differ too much: the response to a HEAD request does not name that as the reason."""
    theirs = time_of(response.headers.get("date", ""))
    return theirs is not None and abs(theirs - now) > _SKEW
