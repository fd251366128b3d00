"""CompleteMultipartUpload with valid and invalid parts, on every server."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pytest

from tests.objectstore.conftest import MakeFile
from tests.objectstore.on_stores.helpers import (
    ABORTS_AGAIN,
    NO_UPLOAD,
    complete_unchecked,
    is_there,
    listed,
    send_parts,
)
from tests.stores.servers import Server
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import NotSent, Reason, Refused
from uploads.objectstore.types import CompletedPart

WRONG = "0" * 32


@dataclass(frozen=True)
class TwoParts:
    """An upload of two parts that can be completed."""

    bucket: str
    key: str
    upload_id: str
    parts: tuple[CompletedPart, CompletedPart]
    size: int


@pytest.fixture
def upload(server: Server, client: ObjectStoreClient, bucket: str, make_file: MakeFile) -> TwoParts:
    bodies = [make_file(content * server.profile.min_part_size) for content in (b"1", b"2")]
    upload_id = client.create_multipart_upload(bucket, "k")
    first, second = send_parts(client, bucket, "k", upload_id, bodies)
    return TwoParts(bucket, "k", upload_id, (first, second), server.profile.min_part_size)


def refusal(server: Server, upload: TwoParts, parts: list[CompletedPart]) -> Refused:
    """The store's error for these parts; the upload stays unchanged, and no object is created."""
    with pytest.raises(Refused) as caught:
        complete_unchecked(server, upload.bucket, upload.key, upload.upload_id, parts)
    with server.connect() as client:
        assert [each.number for each in client.iter_parts(upload.bucket, upload.key, upload.upload_id)] == [1, 2]
        assert not is_there(client, upload.bucket, upload.key)
    assert caught.value.reason is Reason.REFUSED
    return caught.value


def not_sent(client: ObjectStoreClient, upload: TwoParts, parts: list[CompletedPart]) -> None:
    """The client refuses these parts before it sends a request."""
    with pytest.raises(NotSent) as caught:
        client.complete_multipart_upload(upload.bucket, upload.key, upload.upload_id, parts)
    assert caught.value.reason is Reason.BAD_ARGUMENT


def test_wrong_etag(server: Server, upload: TwoParts) -> None:
    """Complete with the wrong ETag of a part: InvalidPart"""
    assert refusal(server, upload, [CompletedPart(1, WRONG), upload.parts[1]]).code == "InvalidPart"


def test_part_that_was_not_sent(server: Server, upload: TwoParts) -> None:
    """Complete with a part that was not sent: InvalidPart"""
    assert refusal(server, upload, [upload.parts[0], CompletedPart(9, upload.parts[1].etag)]).code == "InvalidPart"


def test_parts_in_the_wrong_order(server: Server, client: ObjectStoreClient, upload: TwoParts) -> None:
    """Complete with parts in the wrong order: InvalidPartOrder"""
    backwards = [upload.parts[1], upload.parts[0]]
    not_sent(client, upload, backwards)
    if server.does("completes parts in any order"):
        complete_unchecked(server, upload.bucket, upload.key, upload.upload_id, backwards)
        # The object still has its parts in the order of their numbers.
        digests = b"".join(bytes.fromhex(part.etag) for part in upload.parts)
        assert client.head_object(upload.bucket, upload.key).etag == f"{hashlib.md5(digests).hexdigest()}-2"
    else:
        assert refusal(server, upload, backwards).code == "InvalidPartOrder"


def test_repeated_part(server: Server, client: ObjectStoreClient, upload: TwoParts) -> None:
    """Complete with a part named twice: InvalidPartOrder"""
    twice = [upload.parts[0], upload.parts[0]]
    not_sent(client, upload, twice)
    if server.does("completes a part that is named twice"):
        complete_unchecked(server, upload.bucket, upload.key, upload.upload_id, twice)
        assert client.head_object(upload.bucket, upload.key).size == upload.size, "The part counts once."
        return
    code = "InvalidPart" if server.does("compares the number of parts before it checks them") else "InvalidPartOrder"
    assert refusal(server, upload, twice).code == code


def test_no_parts(server: Server, client: ObjectStoreClient, upload: TwoParts) -> None:
    """Complete without parts: MalformedXML"""
    not_sent(client, upload, [])
    if server.does("reports an upload that is completed without parts as missing"):
        with pytest.raises(Refused) as caught:
            complete_unchecked(server, upload.bucket, upload.key, upload.upload_id, [])
        assert caught.value.reason is Reason.NO_SUCH_UPLOAD
        assert listed(client, upload.bucket) == [(upload.key, upload.upload_id)]
        return
    assert refusal(server, upload, []).code == "MalformedXML"


def test_parts_that_are_too_small(server: Server, client: ObjectStoreClient, bucket: str, make_file: MakeFile) -> None:
    """Complete with parts that are too small: EntityTooSmall"""
    upload_id = client.create_multipart_upload(bucket, "k")
    small = make_file(b"x" * (server.profile.min_part_size - 1))
    parts = send_parts(client, bucket, "k", upload_id, [small, make_file(b"x")])
    with pytest.raises(Refused) as caught:
        client.complete_multipart_upload(bucket, "k", upload_id, parts)
    assert (caught.value.reason, caught.value.code) == (Reason.REFUSED, "EntityTooSmall")
    assert listed(client, bucket) == [("k", upload_id)]


def test_subset_of_parts(server: Server, client: ObjectStoreClient, upload: TwoParts) -> None:
    """Complete with some of the parts: the rest is dropped"""
    first = [upload.parts[0]]
    if server.does("completes an upload only with all of its parts"):
        assert refusal(server, upload, first).code == "InvalidPart"
        client.complete_multipart_upload(upload.bucket, upload.key, upload.upload_id, upload.parts)
        assert client.head_object(upload.bucket, upload.key).size == 2 * upload.size
    else:
        client.complete_multipart_upload(upload.bucket, upload.key, upload.upload_id, first)
        assert client.head_object(upload.bucket, upload.key).size == upload.size


def test_gaps_between_numbers(server: Server, client: ObjectStoreClient, bucket: str, make_file: MakeFile) -> None:
    """Complete with gaps between the part numbers"""
    upload_id = client.create_multipart_upload(bucket, "k")
    body, size = make_file(b"x" * server.profile.min_part_size), server.profile.min_part_size
    sent = {number: client.upload_part(bucket, "k", upload_id, number, body) for number in (2, 7, 10_000)}
    parts = [CompletedPart(number, each.etag) for number, each in sent.items()]
    client.complete_multipart_upload(bucket, "k", upload_id, parts)
    assert client.head_object(bucket, "k").size == 3 * size


def test_completed_twice(server: Server, client: ObjectStoreClient, upload: TwoParts) -> None:
    """Complete repeated, as after a lost response"""

    def complete() -> str:
        return client.complete_multipart_upload(upload.bucket, upload.key, upload.upload_id, upload.parts).etag

    complete()
    etag = client.head_object(upload.bucket, upload.key).etag
    if server.does("reports success again for an upload that was completed before"):
        assert complete() == etag
    else:
        with pytest.raises(Refused) as caught:
            complete()
        assert caught.value.reason is Reason.NO_SUCH_UPLOAD
    assert client.head_object(upload.bucket, upload.key).etag == etag
    if server.does(ABORTS_AGAIN):
        client.abort_multipart_upload(upload.bucket, upload.key, upload.upload_id)
    else:
        with pytest.raises(Refused) as caught:
            client.abort_multipart_upload(upload.bucket, upload.key, upload.upload_id)
        assert caught.value.reason is Reason.NO_SUCH_UPLOAD
    assert client.head_object(upload.bucket, upload.key).etag == etag


def test_parts_of_completed_upload(server: Server, client: ObjectStoreClient, upload: TwoParts) -> None:
    """ListParts of a completed upload"""
    client.complete_multipart_upload(upload.bucket, upload.key, upload.upload_id, upload.parts)
    if server.does("keeps listing the parts of completed uploads"):
        assert len(list(client.iter_parts(upload.bucket, upload.key, upload.upload_id))) == 2
    else:
        with pytest.raises(Refused) as caught:
            client.list_parts(upload.bucket, upload.key, upload.upload_id)
        assert caught.value.reason is Reason.NO_SUCH_UPLOAD
    assert listed(client, upload.bucket) == []


@pytest.mark.parametrize("upload_id", [NO_UPLOAD, "missing"], ids=["well formed", "nonsense"])
def test_missing_upload(server: Server, client: ObjectStoreClient, bucket: str, upload_id: str) -> None:
    """Complete of an upload that does not exist"""
    with pytest.raises(Refused) as caught:
        client.complete_multipart_upload(bucket, "k", upload_id, [CompletedPart(1, WRONG)])
    if server.does("returns 500 when a missing upload is completed"):
        assert (caught.value.reason, caught.value.code) == (Reason.STORE_FAULT, "InternalError")
    else:
        assert caught.value.reason is Reason.NO_SUCH_UPLOAD
    assert caught.value.request_id
    assert not is_there(client, bucket, "k")


def test_aborted_upload_with_existing_object(
    server: Server, client: ObjectStoreClient, bucket: str, make_file: MakeFile
) -> None:
    """Complete of an aborted upload whose key has an object"""
    client.put_object(bucket, "k", make_file(b"the object before"))
    before = client.head_object(bucket, "k")
    upload_id = client.create_multipart_upload(bucket, "k")
    parts = send_parts(client, bucket, "k", upload_id, [make_file(b"new")])
    client.abort_multipart_upload(bucket, "k", upload_id)
    if server.does("reports success for a missing upload if there is an object"):
        result = client.complete_multipart_upload(bucket, "k", upload_id, parts)
        assert result.etag != before.etag, "The reported ETag is not that of the object."
    else:
        with pytest.raises(Refused) as caught:
            client.complete_multipart_upload(bucket, "k", upload_id, parts)
        fault = server.does("returns 500 when a missing upload is completed")
        assert caught.value.reason is (Reason.STORE_FAULT if fault else Reason.NO_SUCH_UPLOAD)
    after = client.head_object(bucket, "k")
    assert (after.etag, after.size, after.last_modified) == (before.etag, before.size, before.last_modified)
