"""Compares the OSS test server with the examples and tables of the vendor's API reference, field by field.

Each test creates the documented state in the server, sets its clock to the example's date, and sends the documented
request. It compares every header and element of the page: names, values, number, and the format of random values.
"""

from __future__ import annotations

import base64
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from socket import create_connection
from xml.etree import ElementTree as ET

import pytest

from tests.oss.reference import (
    COMPLETE,
    ELEMENTS,
    ERROR_TABLES,
    EXAMPLES,
    Error,
    Example,
    Node,
    add_bucket,
    add_object,
    add_part,
    add_upload,
    host,
)
from tests.oss.wire import Request, Response, send, sign
from tests.stores.oss.accounts import Account, Accounts
from tests.stores.oss.server import OssServer
from tests.stores.oss.state import State

REQUEST_ID = re.compile(r"[0-9A-F]{24}")
"""The length of the ids in the vendor's own tests."""

NOON = datetime(2021, 7, 14, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Served:
    """A server in this process, with a state that tests create and a fixed clock."""

    port: int
    state: State
    account: Account

    def request(self, request: Request) -> Response:
        return send(self.port, request, sign(request, self.account, signed_at=self.state.now()))


@contextmanager
def served(folder: Path, now: datetime, denied: tuple[str, ...] = ()) -> Iterator[Served]:
    account = Account("LTAIexample", secrets.token_urlsafe(12), denied=denied)
    Accounts(folder).save(account)
    state = State(folder, clock=lambda: now)
    with OssServer(folder, state=state, domain="aliyuncs.com") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Served(server.server_address[1], state, account)
        finally:
            server.shutdown()
            thread.join()


# --- Examples ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_example(example: Example, tmp_path: Path) -> None:
    with served(tmp_path, parsedate_to_datetime(example.date), example.denied) as server:
        example.before(server.state)
        response = server.request(example.request)
    assert response.status == example.status, response.body
    check_headers(response, {**example.headers, "Date": example.date})
    for name in example.without:
        assert name.lower() not in response.headers
    if example.document:
        check_element(response.document, example.document)
    elif example.request.method != "GET":
        assert response.body == b""


def check_headers(response: Response, documented: dict[str, str]) -> None:
    for name, text in documented.items():
        assert name.lower() in response.headers, name
        assert matches(response.headers[name.lower()], text), (name, response.headers[name.lower()], text)
    assert REQUEST_ID.fullmatch(response.headers["x-oss-request-id"])
    assert response.headers["x-oss-server-time"].isdigit()
    if response.body:
        assert response.headers["content-length"] == str(len(response.body))


def check_element(found: ET.Element, documented: Node) -> None:
    """Compare elements in any order, ignoring additional ones; those with the same name are compared in order."""
    name, inner = documented
    assert found.tag == name
    if isinstance(inner, str):
        assert matches(found.text or "", inner), (name, found.text, inner)
        assert len(found) == 0
        return
    for child in dict.fromkeys(child for child, _ in inner):
        expected = [node for node in inner if node[0] == child]
        there = found.findall(child)
        assert len(there) == len(expected), (name, child)
        for one, node in zip(there, expected, strict=True):
            check_element(one, node)


def matches(text: str, documented: str) -> bool:
    """Whether a text matches the documented one: `****` stands for any text, and digests may have either case."""
    pattern = ".+".join(re.escape(piece) for piece in documented.split("****"))
    flags = re.DOTALL | (re.IGNORECASE if documented.startswith('"') else 0)
    return re.fullmatch(pattern, text, flags) is not None


def test_comparison_detects_differences() -> None:
    """The comparison itself fails if an element is missing, different, or repeated."""
    documented: Node = ("A", [("B", "1"), ("C", [("D", "x****")]), ("C", [("D", "y")])])
    right = "<A><C><D>xz</D></C><N/><B>1</B><C><D>y</D></C></A>"
    check_element(ET.fromstring(right), documented)
    for wrong in (
        right.replace("<B>1</B>", ""),
        right.replace("<B>1</B>", "<B>2</B>"),
        right.replace("<B>1</B>", "<B>1</B><B>1</B>"),
        right.replace("xz", "x"),
        "<A><B>1</B><C><D>y</D></C><C><D>xz</D></C></A>",
        right.replace("A>", "Z>"),
    ):
        with pytest.raises(AssertionError):
            check_element(ET.fromstring(wrong), documented)


# --- Tables -----------------------------------------------------------------------------------------------------------


def add_documented_bucket(state: State) -> None:
    """A bucket with the object `there`, and uploads of `key` and `there` with the id ID."""
    bucket = add_bucket(state)
    add_object(state, bucket, "there", "0" * 32, 7, "2021-07-14T00:00:00.000Z")
    for key in ("key", "there", "folder/a", "folder/b"):
        upload = add_upload(bucket, key, "ID", "2021-07-14T00:00:00.000Z")
        for number, etag in ((1, "3349DC700140D7F86A0784842780"), (5, "8EFDA8BE206636A695359836FE0A")):
            add_part(state, upload, number, f"{etag}0000", 102_400, "2021-07-14T00:00:00.000Z")
        add_part(state, upload, 8, "8C315065167132444177411FDA140000", 7, "2021-07-14T00:00:00.000Z")


ELEMENT_REQUESTS = {
    "InitiateMultipartUpload": Request("POST", "/fresh?uploads&encoding-type=url", host("oss-example")),
    "CompleteMultipartUpload": Request(
        "POST", "/key?uploadId=ID&encoding-type=url", host("oss-example"), body=COMPLETE
    ),
    "ListMultipartUploads": Request("GET", "/?uploads&delimiter=/&encoding-type=url", host("oss-example")),
    "ListParts": Request("GET", "/key?uploadId=ID&encoding-type=url", host("oss-example")),
    "GetBucketInfo": Request("GET", "/?bucketInfo", host("oss-example")),
}


@pytest.mark.parametrize("page", ELEMENTS)
def test_response_elements(page: str, tmp_path: Path) -> None:
    with served(tmp_path, NOON) as server:
        add_documented_bucket(server.state)
        document = server.request(ELEMENT_REQUESTS[page]).document
    missing = [path for path in ELEMENTS[page] if document.find(path) is None]
    assert missing == []


@pytest.mark.parametrize("error", ERROR_TABLES, ids=str)
def test_error_codes(error: Error, tmp_path: Path) -> None:
    request = Request(error.method, error.target, host("oss-example"), error.headers, error.body)
    with served(tmp_path, NOON, error.denied) as server:
        add_documented_bucket(server.state)
        response = server.request(request)
    assert response.status == error.status
    text = base64.b64decode(response.headers["x-oss-err"]) if error.method == "HEAD" else response.body
    check_error(ET.fromstring(text), response, error.code)


def check_error(document: ET.Element, response: Response, code: str) -> None:
    """The elements of every error ("Error responses"), with EC and RecommendDoc of newer responses."""
    assert (document.tag, document.findtext("Code")) == ("Error", code)
    assert document.findtext("Message")
    assert document.findtext("RequestId") == response.headers["x-oss-request-id"]
    assert document.findtext("HostId") == host("oss-example")
    ec = document.findtext("EC")
    assert re.fullmatch(r"\d{4}-\d{8}", ec or "")
    assert response.headers["x-oss-ec"] == ec
    assert document.findtext("RecommendDoc") == f"https://api.aliyun.com/troubleshoot?q={ec}"


def test_invalid_bucket_names(tmp_path: Path) -> None:
    """PutBucket, "Error codes": InvalidBucketName. (Host names cannot contain most other invalid names.)"""
    with served(tmp_path, NOON) as server:
        for name in ("ab", "a_b", "-ab", "ab-"):
            response = server.request(Request("PUT", "/", host(name)))
            assert (response.status, response.text("Code")) == (400, "InvalidBucketName")


def test_body_without_length(tmp_path: Path) -> None:
    """PutObject, "Error codes": MissingContentLength, 411."""
    with served(tmp_path, NOON) as server:
        add_documented_bucket(server.state)
        request = Request("PUT", "/key", host("oss-example"))
        headers = sign(request, server.account, signed_at=NOON)
        with create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            lines = "".join(f"{name}: {text}\r\n" for name, text in {**headers, "Connection": "close"}.items())
            connection.sendall(f"PUT /key HTTP/1.1\r\n{lines}\r\n".encode())
            response = b"".join(iter(lambda: connection.recv(65536), b""))
    assert response.startswith(b"HTTP/1.1 411 ")
    assert b"<Code>MissingContentLength</Code>" in response


# --- Errors with additional fields ------------------------------------------------------------------------------------


def test_request_time_too_skewed(tmp_path: Path) -> None:
    """As in the vendor's tests (aliyun-oss-java-sdk, ResponseParsersTest and ErrorTest)."""
    with served(tmp_path, NOON) as server:
        request = Request("GET", "/?uploads", host("oss-example"))
        signed_at = datetime(2021, 7, 14, 11, tzinfo=UTC)
        document = send(server.port, request, sign(request, server.account, signed_at=signed_at)).document
    check_element(
        document,
        (
            "Error",
            [
                ("Code", "RequestTimeTooSkewed"),
                ("Message", "The difference between the request time and the current time is too large."),
                ("RequestId", "****"),
                ("HostId", host("oss-example")),
                ("MaxAllowedSkewMilliseconds", "900000"),
                ("RequestTime", "2021-07-14T11:00:00.000Z"),
                ("ServerTime", "2021-07-14T12:00:00.000Z"),
                ("EC", "0002-00000504"),
                ("RecommendDoc", "https://api.aliyun.com/troubleshoot?q=0002-00000504"),
            ],
        ),
    )


def test_invalid_access_key_id(tmp_path: Path) -> None:
    """As in the vendor's tests (alibabacloud-oss-python-sdk-v2)."""
    with served(tmp_path, NOON) as server:
        request = Request("GET", "/", "oss-cn-hangzhou.aliyuncs.com")
        unknown = Account("ak", "sk")
        response = send(server.port, request, sign(request, unknown, signed_at=NOON))
    assert (response.status, response.headers["x-oss-ec"]) == (403, "0002-00000902")
    check_element(
        response.document,
        (
            "Error",
            [
                ("Code", "InvalidAccessKeyId"),
                ("Message", "The OSS Access Key Id you provided does not exist in our records."),
                ("RequestId", "****"),
                ("HostId", "oss-cn-hangzhou.aliyuncs.com"),
                ("OSSAccessKeyId", "ak"),
                ("EC", "0002-00000902"),
                ("RecommendDoc", "https://api.aliyun.com/troubleshoot?q=0002-00000902"),
            ],
        ),
    )


def test_signature_does_not_match(tmp_path: Path) -> None:
    """The page "Troubleshoot signature errors". Its EC is that of V1; for V4 it is 0002-00000201."""
    with served(tmp_path, NOON) as server:
        request = Request("GET", "/?uploads", host("oss-example"))
        wrong = Account(server.account.access_key, "wrong")
        headers = sign(request, wrong, signed_at=NOON)
        document = send(server.port, request, headers).document
    check_element(
        document,
        (
            "Error",
            [
                ("Code", "SignatureDoesNotMatch"),
                (
                    "Message",
                    "The request signature we calculated does not match the signature you provided. "
                    "Check your key and signing method.",
                ),
                ("RequestId", "****"),
                ("HostId", host("oss-example")),
                ("OSSAccessKeyId", "LTAIexample"),
                ("SignatureProvided", headers["Authorization"].rpartition("=")[2]),
                ("StringToSign", "****"),
                ("StringToSignBytes", "4F 53 53 34 2D 48 4D 41 43 2D 53 48 41 32 35 36 0A ****"),
                ("EC", "0002-00000201"),
            ],
        ),
    )


def test_invalid_part(tmp_path: Path) -> None:
    """As in a public report (xtTech/app-version, issue 15)."""
    named = COMPLETE.replace(b"8EFDA8BE206636A695359836FE0A0000", b"undefined")
    with served(tmp_path, NOON) as server:
        add_documented_bucket(server.state)
        document = server.request(Request("POST", "/key?uploadId=ID", host("oss-example"), body=named)).document
    check_element(
        document,
        (
            "Error",
            [
                ("Code", "InvalidPart"),
                (
                    "Message",
                    "One or more of the specified parts could not be found or the specified entity tag might not have "
                    "matched the part's entity tag.",
                ),
                ("RequestId", "****"),
                ("HostId", host("oss-example")),
                ("ETag", "undefined"),
                ("PartNumber", "5"),
                ("UploadId", "ID"),
            ],
        ),
    )


def test_paging_elements_of_get_service(tmp_path: Path) -> None:
    """GetService: Prefix, Marker, MaxKeys, IsTruncated and NextMarker are present only if more buckets follow."""
    with served(tmp_path, NOON) as server:
        for name in ("aaa", "bbb"):
            add_bucket(server.state, name)
        whole = server.request(Request("GET", "/?max-keys=2", "oss-cn-hangzhou.aliyuncs.com")).document
        after_marker = server.request(Request("GET", "/?marker=aaa", "oss-cn-hangzhou.aliyuncs.com")).document
    for name in ("Prefix", "Marker", "MaxKeys", "IsTruncated", "NextMarker"):
        assert whole.find(name) is None
    assert [bucket.findtext("Name") for bucket in after_marker.findall("Buckets/Bucket")] == ["bbb"]
