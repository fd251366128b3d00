"""Helpers of the tests that run on every server."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote_plus

import pytest

from tests.stores.servers import Server
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import NotSent, Reason, Refused
from uploads.objectstore.payload import Payload
from uploads.objectstore.refusals import Response
from uploads.objectstore.transport import Call
from uploads.objectstore.types import CompletedPart, FileSlice
from uploads.objectstore.xml import unchecked_complete_body
from uploads.objectstore.xml_tree import get, parse

MIB = 1024 * 1024

NO_UPLOAD = "11111111-2222-3333-4444-555555555555"
"""A well-formed upload id that no server has created."""


ABORTS_AGAIN = "reports success for an abort of an upload that has ended"
IGNORES_IDS = "does not check upload ids"
ACCEPTS_PARTS = "accepts parts of uploads that do not exist"


def listed(client: ObjectStoreClient, bucket: str, **parameters: object) -> list[tuple[str, str]]:
    """Key and upload id of every upload, page by page."""
    pages = client.iter_multipart_uploads(bucket, **parameters)  # type: ignore[arg-type]
    return [(upload.key, upload.upload_id) for page in pages for upload in page.uploads]


def objects(server: Server, bucket: str) -> list[str]:
    """The keys of a bucket's objects, which the client cannot list."""
    fields = parse(server.send(Call("ListObjects", "GET", bucket, query={"encoding-type": "url"})).body, LISTING)
    keys = [get(row, "Key") for name, row in fields if name == "Contents" and isinstance(row, list)]
    return [unquote_plus(key) for key in keys] if get(fields, "EncodingType") == "url" else keys


LISTING = "ListBucketResult"


def send_parts(
    client: ObjectStoreClient, bucket: str, key: str, upload_id: str, bodies: Sequence[FileSlice]
) -> list[CompletedPart]:
    """Send parts 1, 2 and so on."""
    sent = [client.upload_part(bucket, key, upload_id, number, body) for number, body in enumerate(bodies, start=1)]
    return [CompletedPart(number, each.etag) for number, each in enumerate(sent, start=1)]


def complete_unchecked(
    server: Server, bucket: str, key: str, upload_id: str, parts: Sequence[CompletedPart], **headers: str
) -> Response:
    """CompleteMultipartUpload with any parts, without the checks of the client."""
    body = Payload(unchecked_complete_body(parts))
    headers = {"Content-Type": "application/xml", **headers}
    return server.send(Call("CompleteMultipartUpload", "POST", bucket, key, {"uploadId": upload_id}, headers, body))


def is_there(client: ObjectStoreClient, bucket: str, key: str) -> bool:
    """Whether HEAD finds the object."""
    try:
        client.head_object(bucket, key)
    except Refused as refused:
        if refused.reason is not Reason.NO_SUCH_KEY:
            raise
        return False
    return True


def assert_key_is_not_sent(client: ObjectStoreClient, bucket: str, key: str, body: FileSlice) -> None:
    """Neither an upload nor an object is created, and no request is sent."""
    with pytest.raises(NotSent) as caught:
        client.create_multipart_upload(bucket, key)
    assert caught.value.reason is Reason.BAD_KEY
    with pytest.raises(NotSent) as caught:
        client.put_object(bucket, key, body)
    assert caught.value.reason is Reason.BAD_KEY
