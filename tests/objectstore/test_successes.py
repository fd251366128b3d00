"""A response with status 2xx counts as a success only if it carries what the API promises."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.objectstore.conftest import MakeClient, MakeFile
from tests.objectstore.fault_server import Exchange, FaultServer, Step, respond
from tests.objectstore.responses import PARTS, md5, stored
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import OutcomeUnknown, Reason, UnreadableResponse
from uploads.problems import Code

PAGE = b"<!DOCTYPE html><html><head><title>Welcome</title></head><body>It works!</body></html>"
XHTML = b"<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'><body/></html>"
ETAG = {"ETag": '"9a0364b9e99bb480dd25e1f0284c8555"', "x-amz-request-id": "r-1"}

Request = Callable[[ObjectStoreClient, MakeFile], object]

REQUESTS: dict[str, Request] = {
    "PutObject": lambda client, make_file: client.put_object("bucket", "k", make_file(b"x")),
    "UploadPart": lambda client, make_file: client.upload_part("bucket", "k", "u", 1, make_file(b"x")),
    "CreateMultipartUpload": lambda client, _: client.create_multipart_upload("bucket", "k"),
    "CompleteMultipartUpload": lambda client, _: client.complete_multipart_upload("bucket", "k", "u", PARTS),
    "AbortMultipartUpload": lambda client, _: client.abort_multipart_upload("bucket", "k", "u"),
    "DeleteObject": lambda client, _: client.delete_object("bucket", "k"),
    "HeadObject": lambda client, _: client.head_object("bucket", "k"),
    "ListParts": lambda client, _: client.list_parts("bucket", "k", "u"),
    "ListMultipartUploads": lambda client, _: client.list_multipart_uploads("bucket"),
    "ListBuckets": lambda client, _: client.list_buckets(),
}

MAY_BE_EMPTY = {"AbortMultipartUpload", "DeleteObject"}
"""Requests whose success carries nothing."""


def page(body: bytes, **headers: str) -> Step:
    return respond(200, body, {"Content-Type": "text/html", **headers})


def head_page(exchange: Exchange) -> None:
    respond(200, headers={"Content-Type": "text/html", "Content-Length": "86"})(exchange)


@pytest.mark.parametrize("operation", REQUESTS)
@pytest.mark.parametrize("body", [PAGE, XHTML, b"OK", b"{}"], ids=["html", "xhtml", "text", "json"])
def test_page_of_a_proxy_is_no_success(
    server: FaultServer, client: ObjectStoreClient, make_file: MakeFile, operation: str, body: bytes
) -> None:
    """Every operation: a response that is not one of this API never counts as a success, whatever its status is."""
    server.script(head_page if operation == "HeadObject" else page(body))
    with pytest.raises(UnreadableResponse) as caught:
        REQUESTS[operation](client, make_file)
    assert (caught.value.reason, caught.value.operation) == (Reason.UNREADABLE_RESPONSE, operation)
    assert len(server.received) == 1


@pytest.mark.parametrize("operation", [each for each in REQUESTS if each not in MAY_BE_EMPTY])
def test_empty_response_is_no_success(
    server: FaultServer, client: ObjectStoreClient, make_file: MakeFile, operation: str
) -> None:
    server.script(respond(200, headers={"x-amz-request-id": "r-7"}))
    with pytest.raises(UnreadableResponse) as caught:
        REQUESTS[operation](client, make_file)
    assert caught.value.request_id == "r-7"


@pytest.mark.parametrize("operation", ["PutObject", "UploadPart"])
@pytest.mark.parametrize("etag", ["", '""', " "])
def test_empty_etag_is_no_success(
    server: FaultServer, client: ObjectStoreClient, make_file: MakeFile, operation: str, etag: str
) -> None:
    server.script(respond(200, headers={"ETag": etag}))
    with pytest.raises(UnreadableResponse, match=Code.RESPONSE_WITHOUT_ETAG):
        REQUESTS[operation](client, make_file)


@pytest.mark.parametrize("operation", ["PutObject", "UploadPart", "AbortMultipartUpload", "DeleteObject"])
def test_page_with_an_etag_is_no_success(
    server: FaultServer, client: ObjectStoreClient, make_file: MakeFile, operation: str
) -> None:
    """A static page has an ETag as well."""
    server.script(page(PAGE, **ETAG))
    with pytest.raises(UnreadableResponse, match=Code.RESPONSE_WITH_BODY) as caught:
        REQUESTS[operation](client, make_file)
    assert caught.value.request_id == "r-1"


def test_empty_object_needs_an_etag_too(server: FaultServer, client: ObjectStoreClient) -> None:
    server.script(respond(200), stored(b""))
    with pytest.raises(UnreadableResponse):
        client.put_object("bucket", "k", None)
    assert client.put_object("bucket", "k", None).etag == md5(b"")


def created(fields: str) -> Step:
    body = f"<InitiateMultipartUploadResult>{fields}<UploadId>u-1</UploadId></InitiateMultipartUploadResult>"
    return respond(200, body.encode())


@pytest.mark.parametrize(
    ("key", "fields"),
    [
        ("a/k é", ""),
        ("a/k é", "<Bucket>bucket</Bucket><Key>a/k é</Key>"),
        ("a/k é", "<Key>a/k%20%C3%A9</Key>"),
        ("a/k é", "<Key>a%2Fk+%C3%A9</Key>"),
        ("a\x01b\r\n", "<Key>ab</Key>"),
        ("k", "<Bucket>the-bucket-of-an-access-point</Bucket><Key>k</Key>"),
    ],
)
def test_upload_of_our_key_is_accepted(server: FaultServer, client: ObjectStoreClient, key: str, fields: str) -> None:
    server.script(created(fields))
    assert client.create_multipart_upload("bucket", key) == "u-1"


def test_upload_of_another_key_is_no_success(server: FaultServer, client: ObjectStoreClient) -> None:
    """A mixed-up response: our parts would go to another key's upload. Garage drops a leading slash."""
    for key, named in (("k", "other"), ("/precious", "precious")):
        server.script(created(f"<Bucket>bucket</Bucket><Key>{named}</Key>"))
        with pytest.raises(OutcomeUnknown, match=Code.RESPONSE_FOR_OTHER_KEY):
            client.create_multipart_upload("bucket", key)


def completion(fields: str, root: str = "CompleteMultipartUploadResult") -> Step:
    return respond(200, f"<{root}>{fields}<ETag>e-1</ETag></{root}>".encode())


def listing(fields: str) -> Step:
    return respond(200, f"<ListPartsResult>{fields}<IsTruncated>false</IsTruncated></ListPartsResult>".encode())


@pytest.mark.parametrize(
    ("key", "fields"),
    [
        ("a/k é", ""),
        ("a/k é", "<Key/>"),
        ("a/k é", "<Bucket>behind-an-access-point</Bucket><Key>a/k é</Key>"),
        ("a/k é", "<Key>a/k%20%C3%A9</Key>"),
        ("a/k é", "<Key>a%2Fk+%C3%A9</Key>"),
        ("100%41+", "<Key>100%41+</Key>"),
        ("a\x01b\r\n", "<Key>ab</Key>"),
    ],
)
def test_completion_and_parts_of_our_key_are_accepted(
    server: FaultServer, client: ObjectStoreClient, key: str, fields: str
) -> None:
    """Every form in which stores name a key: not at all, as it is, or encoded."""
    server.script(
        completion(fields),
        listing(fields),
        listing(f"{fields}<UploadId>u/1+=</UploadId>"),
        listing(f"{fields}<UploadId>u%2F1%2B%3D</UploadId>"),
    )
    assert client.complete_multipart_upload("bucket", key, "u", PARTS).etag == "e-1"
    assert client.list_parts("bucket", key, "u").parts == ()
    for _ in range(2):
        assert client.list_parts("bucket", key, "u/1+=").parts == ()


@pytest.mark.parametrize(
    ("operation", "step"),
    [
        ("CompleteMultipartUpload", completion("<Key>other</Key>")),
        ("CompleteMultipartUpload", completion("<Key>K</Key>")),
        ("CompleteMultipartUpload", completion("<Key>other</Key>", root="x")),
        ("CompleteMultipartUpload", completion("", root="x")),
        ("ListParts", listing("<Key>other</Key>")),
        ("ListParts", listing("<Key>k</Key><UploadId>other</UploadId>")),
    ],
)
def test_response_about_another_upload_is_no_success(
    server: FaultServer, client: ObjectStoreClient, make_file: MakeFile, operation: str, step: Step
) -> None:
    """A mixed-up response, or one of another API: it proves nothing about the upload of the request."""
    server.script(step)
    with pytest.raises(UnreadableResponse) as caught:
        REQUESTS[operation](client, make_file)
    assert caught.value.operation == operation
    assert len(server.received) == 1


def test_head_without_an_etag_is_an_object_if_it_has_a_date(server: FaultServer, make_client: MakeClient) -> None:
    """S3Proxy reports no ETag for a file that it has not written."""
    server.script(respond(200, headers={"Content-Length": "0", "Last-Modified": "Sat, 28 Nov 2026 10:00:00 GMT"}))
    facts = make_client(server.url).head_object("bucket", "k")
    assert (facts.size, facts.etag) == (0, "")
