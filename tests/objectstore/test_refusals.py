"""From code, status and headers of a response to a reason, and whether it is retryable."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploads.objectstore.errors import ObjectStoreError, OutcomeUnknown, Reason, Refused, UnreadableResponse
from uploads.objectstore.received import retry_after, time_of
from uploads.objectstore.refusals import Response, error_of
from uploads.problems import Code, Problem

NOW = datetime(2024, 1, 1, 12, tzinfo=UTC)


def error(
    status: int, body: bytes = b"", headers: dict[str, str] | None = None, *, operation: str = "Any", **more: Any
) -> ObjectStoreError | None:
    return error_of(Response(status, headers or {}, body), operation=operation, region="us-east-1", now=NOW, **more)


def xml(code: str, **fields: str) -> bytes:
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in fields.items())
    return f"<?xml version='1.0'?><Error><Code>{code}</Code>{inner}</Error>".encode()


def refusal(*args: Any, **kwargs: Any) -> Refused:
    found = error(*args, **kwargs)
    assert isinstance(found, Refused)
    return found


@pytest.mark.parametrize(
    ("status", "code", "reason", "retryable"),
    [
        (403, "InvalidAccessKeyId", Reason.CREDENTIALS, False),
        (403, "SignatureDoesNotMatch", Reason.CREDENTIALS, False),
        (400, "ExpiredToken", Reason.CREDENTIALS_EXPIRED, False),
        (403, "RequestTimeTooSkewed", Reason.CLOCK_SKEW, False),
        (403, "AccessDenied", Reason.PERMISSION, False),
        (403, "SomethingNew", Reason.FORBIDDEN, False),
        *((403, code, Reason.STORE_FULL, False) for code in ("QuotaExceeded", "BucketQuotaExceeded", "StorageFull")),
        (507, "XMinioStorageFull", Reason.STORE_FULL, False),
        *((403, code, Reason.ACCOUNT, False) for code in ("UserSuspended", "AccountProblem", "UserDisable")),
        *((403, code, Reason.CREDENTIALS, False) for code in ("InvalidTokenId", "InvalidAccessKeyId.Inactive")),
        (403, "SecurityTokenExpired", Reason.CREDENTIALS_EXPIRED, False),
        (301, "PermanentRedirect", Reason.WRONG_REGION, False),
        (307, "TemporaryRedirect", Reason.WRONG_REGION, False),
        (404, "NoSuchBucket", Reason.NO_SUCH_BUCKET, False),
        (404, "NoSuchKey", Reason.NO_SUCH_KEY, False),
        (404, "NoSuchUpload", Reason.NO_SUCH_UPLOAD, False),
        (400, "BadDigest", Reason.DIGEST_MISMATCH, True),
        (400, "InvalidDigest", Reason.DIGEST_MISMATCH, True),
        (400, "XAmzContentSHA256Mismatch", Reason.DIGEST_MISMATCH, True),
        (503, "SlowDown", Reason.THROTTLED, True),
        (429, "TooManyRequests", Reason.THROTTLED, True),
        (400, "RequestTimeout", Reason.TIMEOUT, True),
        (500, "InternalError", Reason.STORE_FAULT, True),
        (409, "ConditionalRequestConflict", Reason.STORE_FAULT, True),
        (501, "NotImplemented", Reason.REFUSED, False),
        (500, "SomethingNew", Reason.STORE_FAULT, True),
        (400, "InvalidArgument", Reason.REFUSED, False),
        (400, "EntityTooSmall", Reason.REFUSED, False),
        (409, "BucketNotEmpty", Reason.REFUSED, False),
        (400, "KeyTooLongError", Reason.KEY_NOT_ALLOWED, False),
        (400, "XMinioInvalidObjectName", Reason.KEY_NOT_ALLOWED, False),
        (400, "InvalidObjectName", Reason.KEY_NOT_ALLOWED, False),
        (200, "InternalError", Reason.STORE_FAULT, True),
        (200, "AccessDenied", Reason.PERMISSION, False),
    ],
)
def test_reason_by_code(status: int, code: str, reason: Reason, retryable: bool) -> None:
    found = refusal(status, xml(code, Message="why", RequestId="r", HostId="h"), key="k")
    assert (found.reason, found.retryable, found.code, found.status) == (reason, retryable, code, status)
    assert (found.store_message, found.request_id, found.host_id) == ("why", "r", "h")


@pytest.mark.parametrize(
    ("status", "reason", "retryable"),
    [
        (301, Reason.WRONG_REGION, False),
        (400, Reason.REFUSED, False),
        (401, Reason.CREDENTIALS, False),
        (403, Reason.PERMISSION, False),
        (405, Reason.REFUSED, False),
        (412, Reason.REFUSED, False),
        (429, Reason.THROTTLED, True),
        (500, Reason.STORE_FAULT, True),
        (501, Reason.REFUSED, False),
        (503, Reason.THROTTLED, True),
    ],
)
def test_reason_by_status_without_body(status: int, reason: Reason, retryable: bool) -> None:
    found = refusal(status, headers={"x-amz-request-id": "r"}, key="k")
    assert (found.reason, found.retryable, found.code, found.request_id) == (reason, retryable, str(status), "r")


def test_404_without_a_code_names_what_is_missing_only_for_head() -> None:
    """A response to HEAD has no body. In other responses, only a code proves that something is missing."""
    assert refusal(404, operation="HeadBucket").reason is Reason.NO_SUCH_BUCKET
    assert refusal(404, operation="HeadObject", key="k").reason is Reason.NO_SUCH_KEY
    for body in (b"", b" ", b"<Error/>", b"<Error><Message>no</Message></Error>", b"<Error><Code> </Code></Error>"):
        found = error(404, body, {"x-amz-request-id": "r"}, key="k", upload_id="u")
        assert isinstance(found, UnreadableResponse)


def test_no_such_key_for_an_upload_is_no_such_upload() -> None:
    assert refusal(404, xml("NoSuchKey"), key="k", upload_id="u").reason is Reason.NO_SUCH_UPLOAD


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (301, xml("PermanentRedirect"), {"x-amz-bucket-region": "eu-west-1"}),
        (400, xml("AuthorizationHeaderMalformed", Region="eu-west-1"), {}),
        (400, xml("IllegalLocationConstraintException"), {"x-amz-bucket-region": "eu-west-1"}),
        (400, b"", {"x-amz-bucket-region": "eu-west-1"}),
        (403, b"", {"x-amz-bucket-region": "eu-west-1"}),
        (307, b"", {"x-amz-bucket-region": "eu-west-1", "location": "http://elsewhere"}),
    ],
)
def test_correct_region_is_named(status: int, body: bytes, headers: dict[str, str]) -> None:
    found = refusal(status, body, headers)
    assert (found.reason, found.region, found.retryable) == (Reason.WRONG_REGION, "eu-west-1", False)
    assert Problem(Code.BUCKET_REGION, region="eu-west-1") in found.details


def test_signed_region_is_not_the_correct_one() -> None:
    found = refusal(400, xml("InvalidArgument", Message="Invalid signing region in it.", Region="us-east-1"))
    assert (found.reason, found.region, found.details) == (Reason.WRONG_REGION, "", [])
    assert found.store_message == "Invalid signing region in it."


def test_repeated_request_id_is_read_once() -> None:
    found = refusal(403, xml("AccessDenied"), {"x-amz-request-id": "A1, A1"})
    assert found.request_id == "A1"


def test_403_in_the_correct_region_is_a_permission_error() -> None:
    assert refusal(403, b"", {"x-amz-bucket-region": "us-east-1"}).reason is Reason.PERMISSION


def test_malformed_credential_is_not_a_wrong_region() -> None:
    body = xml("AuthorizationHeaderMalformed", Message="a non-empty Access Key (AKID) must be provided")
    assert refusal(400, body).reason is Reason.CREDENTIALS


def test_clock_skew_of_head_is_detected_by_date() -> None:
    assert refusal(403, headers={"date": "Mon, 01 Jan 2024 12:20:00 GMT"}).reason is Reason.CLOCK_SKEW
    assert refusal(403, headers={"date": "Mon, 01 Jan 2024 12:10:00 GMT"}).reason is Reason.PERMISSION


@pytest.mark.parametrize(
    ("status", "body"), [(302, b""), (303, b""), (307, b""), (308, b""), (302, b"<html>"), (301, b"<html>")]
)
def test_redirect_of_a_proxy_leaves_the_outcome_open(status: int, body: bytes) -> None:
    """Redirects to somewhere that is not another region, such as a login page, are no refusal of the store."""
    found = error(status, body, headers={"location": "http://elsewhere/x"})
    assert isinstance(found, UnreadableResponse)
    assert found.problem == Problem(Code.RESPONSE_NOT_OF_THIS_API, status=status)
    assert found.details == [Problem(Code.REDIRECT_NOT_FOLLOWED, location="http://elsewhere/x")]


@pytest.mark.parametrize("status", [502, 504])
def test_gateway_error_leaves_outcome_unknown(status: int) -> None:
    found = error(status, b"<html>Bad Gateway</html>")
    assert isinstance(found, OutcomeUnknown)
    assert found.retryable


def test_gateway_status_with_error_of_the_store_is_refused() -> None:
    assert refusal(502, xml("InternalError")).code == "InternalError"


@pytest.mark.parametrize("status", [400, 403, 404, 413])
def test_html_page_is_unreadable(status: int) -> None:
    assert isinstance(error(status, b"<html>nginx</html>"), UnreadableResponse)


def test_html_page_with_503_is_retryable() -> None:
    found = refusal(503, b"<html>busy</html>", {"retry-after": "7"})
    assert (found.retryable, found.retry_after) == (True, 7.0)


@pytest.mark.parametrize("body", [b"", b"<ListPartsResult/>", b"<Result><Key>&lt;Error></Key></Result>", b"<Error"])
def test_success_is_not_an_error(body: bytes) -> None:
    assert error(200, body) is None


@given(st.text(max_size=30))
def test_any_retry_after_is_seconds_or_none(text: str) -> None:
    seconds = retry_after(text, NOW)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5.0),
        ("", None),
        ("-1", None),
        ("Mon, 01 Jan 2024 12:00:30 GMT", 30.0),
        ("Mon, 01 Jan 2023 12:00:30 GMT", 0.0),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    assert retry_after(text, NOW) == seconds


def test_http_dates_are_utc() -> None:
    assert time_of("Mon, 01 Jan 2024 12:00:00 GMT") == NOW
    assert time_of("Mon, 01 Jan 2024 13:00:00 +0100") == NOW
    assert time_of("soon") is None
