"""CompleteMultipartUpload, right and wrong, on every server."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pytest

from tests.objectstore.conftest import MakeFile
from tests.objectstore.on_stores.helpers import NO_UPLOAD, complete_unchecked, is_there, listed, send_parts
from tests.stores.servers import Server
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import NotSent, Reason, Refused
from uploads.objectstore.types import CompletedPart

WRONG = "0" * 32


@dataclass(frozen=True)
class Begun:
    """An upload of two parts that could be completed."""

    bucket: str
    key: str
    upload_id: str
    parts: tuple[CompletedPart, CompletedPart]
    size: int


@pytest.fixture
def begun(server: Server, client: ObjectStoreClient, bucket: str, make_file: MakeFile) -> Begun:
    bodies = [make_file(content * server.profile.min_part_size) for content in (b"1", b"2")]
    upload_id = client.create_multipart_upload(bucket, "k")
    first, second = send_parts(client, bucket, "k", upload_id, bodies)
    return Begun(bucket, "k", upload_id, (first, second), server.profile.min_part_size)


def refusal(server: Server, begun: Begun, parts: list[CompletedPart]) -> Refused:
    """What the store says to these parts; the upload is still whole afterwards, and no object is made."""
    with pytest.raises(Refused) as caught:
        complete_unchecked(server, begun.bucket, begun.key, begun.upload_id, parts)
    with server.connect() as client:
        assert [each.number for each in client.iter_parts(begun.bucket, begun.key, begun.upload_id)] == [1, 2]
        assert not is_there(client, begun.bucket, begun.key)
    assert caught.value.reason is Reason.REFUSED
    return caught.value


def not_sent(client: ObjectStoreClient, begun: Begun, parts: list[CompletedPart]) -> None:
    """The client sees before sending that no store could take these parts."""
    with pytest.raises(NotSent) as caught:
        client.complete_multipart_upload(begun.bucket, begun.key, begun.upload_id, parts)
    assert caught.value.reason is Reason.BAD_ARGUMENT


def test_another_etag(server: Server, begun: Begun) -> None:
    """Complete with another ETag than a part's: InvalidPart"""
    assert refusal(server, begun, [CompletedPart(1, WRONG), begun.parts[1]]).code == "InvalidPart"


def test_a_part_that_was_never_sent(server: Server, begun: Begun) -> None:
    """Complete with a part that was never sent: InvalidPart"""
    assert refusal(server, begun, [begun.parts[0], CompletedPart(9, begun.parts[1].etag)]).code == "InvalidPart"


def test_parts_in_the_wrong_order(server: Server, client: ObjectStoreClient, begun: Begun) -> None:
    """Complete with parts in the wrong order: InvalidPartOrder"""
    backwards = [begun.parts[1], begun.parts[0]]
    not_sent(client, begun, backwards)
    if server.does("completes parts in any order"):
        complete_unchecked(server, begun.bucket, begun.key, begun.upload_id, backwards)
        # In the order of their numbers all the same.
        digests = b"".join(bytes.fromhex(part.etag) for part in begun.parts)
        assert client.head_object(begun.bucket, begun.key).etag == f"{hashlib.md5(digests).hexdigest()}-2"
    else:
        assert refusal(server, begun, backwards).code == "InvalidPartOrder"


def test_a_part_named_twice(server: Server, client: ObjectStoreClient, begun: Begun) -> None:
    """Complete with a part named twice: InvalidPartOrder"""
    twice = [begun.parts[0], begun.parts[0]]
    not_sent(client, begun, twice)
    code = "InvalidPart" if server.does("compares the number of parts before it checks them") else "InvalidPartOrder"
    assert refusal(server, begun, twice).code == code


def test_no_parts_at_all(server: Server, client: ObjectStoreClient, begun: Begun) -> None:
    """Complete with no parts at all: MalformedXML"""
    not_sent(client, begun, [])
    assert refusal(server, begun, []).code == "MalformedXML"


def test_parts_that_are_too_small(server: Server, client: ObjectStoreClient, bucket: str, make_file: MakeFile) -> None:
    """Complete with parts that are too small: EntityTooSmall"""
    upload_id = client.create_multipart_upload(bucket, "k")
    small = make_file(b"x" * (server.profile.min_part_size - 1))
    parts = send_parts(client, bucket, "k", upload_id, [small, make_file(b"x")])
    with pytest.raises(Refused) as caught:
        client.complete_multipart_upload(bucket, "k", upload_id, parts)
    assert (caught.value.reason, caught.value.code) == (Reason.REFUSED, "EntityTooSmall")
    assert listed(client, bucket) == [("k", upload_id)]


def test_some_of_the_parts(server: Server, client: ObjectStoreClient, begun: Begun) -> None:
    """Complete with some of the parts: the rest is dropped"""
    first = [begun.parts[0]]
    if server.does("completes an upload only with all of its parts"):
        assert refusal(server, begun, first).code == "InvalidPart"
        client.complete_multipart_upload(begun.bucket, begun.key, begun.upload_id, begun.parts)
        assert client.head_object(begun.bucket, begun.key).size == 2 * begun.size
    else:
        client.complete_multipart_upload(begun.bucket, begun.key, begun.upload_id, first)
        assert client.head_object(begun.bucket, begun.key).size == begun.size


def test_gaps_between_the_numbers(server: Server, client: ObjectStoreClient, bucket: str, make_file: MakeFile) -> None:
    """Complete with gaps between the part numbers"""
    upload_id = client.create_multipart_upload(bucket, "k")
    body, size = make_file(b"x" * server.profile.min_part_size), server.profile.min_part_size
    sent = {number: client.upload_part(bucket, "k", upload_id, number, body) for number in (2, 7, 10_000)}
    parts = [CompletedPart(number, each.etag) for number, each in sent.items()]
    client.complete_multipart_upload(bucket, "k", upload_id, parts)
    assert client.head_object(bucket, "k").size == 3 * size


def test_completed_twice(server: Server, client: ObjectStoreClient, begun: Begun) -> None:
    """A completion repeated, as after a lost answer"""

    def complete() -> str:
        return client.complete_multipart_upload(begun.bucket, begun.key, begun.upload_id, begun.parts).etag

    complete()
    etag = client.head_object(begun.bucket, begun.key).etag
    if server.does("reports success again for an upload that was completed before"):
        assert complete() == etag
    else:
        with pytest.raises(Refused) as caught:
            complete()
        assert caught.value.reason is Reason.NO_SUCH_UPLOAD
    assert client.head_object(begun.bucket, begun.key).etag == etag
    with pytest.raises(Refused) as caught:
        client.abort_multipart_upload(begun.bucket, begun.key, begun.upload_id)
    assert caught.value.reason is Reason.NO_SUCH_UPLOAD
    assert client.head_object(begun.bucket, begun.key).etag == etag


def test_the_parts_of_a_completed_upload(server: Server, client: ObjectStoreClient, begun: Begun) -> None:
    """ListParts of a completed upload"""
    client.complete_multipart_upload(begun.bucket, begun.key, begun.upload_id, begun.parts)
    if server.does("keeps listing the parts of completed uploads"):
        assert len(list(client.iter_parts(begun.bucket, begun.key, begun.upload_id))) == 2
    else:
        with pytest.raises(Refused) as caught:
            client.list_parts(begun.bucket, begun.key, begun.upload_id)
        assert caught.value.reason is Reason.NO_SUCH_UPLOAD
    assert listed(client, begun.bucket) == []


@pytest.mark.parametrize("upload_id", [NO_UPLOAD, "missing"], ids=["well formed", "nonsense"])
def test_an_upload_that_never_was(server: Server, client: ObjectStoreClient, bucket: str, upload_id: str) -> None:
    """Complete of an upload that never was"""
    with pytest.raises(Refused) as caught:
        client.complete_multipart_upload(bucket, "k", upload_id, [CompletedPart(1, WRONG)])
    if server.does("returns 500 when a missing upload is completed"):
        assert (caught.value.reason, caught.value.code) == (Reason.STORE_FAULT, "InternalError")
    else:
        assert caught.value.reason is Reason.NO_SUCH_UPLOAD
    assert caught.value.request_id
    assert not is_there(client, bucket, "k")


def test_an_aborted_upload_over_an_object(
    server: Server, client: ObjectStoreClient, bucket: str, make_file: MakeFile
) -> None:
    """Complete of an upload that was aborted, where an object of its key is"""
    client.put_object(bucket, "k", make_file(b"the object before"))
    before = client.head_object(bucket, "k")
    upload_id = client.create_multipart_upload(bucket, "k")
    parts = send_parts(client, bucket, "k", upload_id, [make_file(b"new")])
    client.abort_multipart_upload(bucket, "k", upload_id)
    if server.does("reports success for a missing upload if there is an object"):
        said = client.complete_multipart_upload(bucket, "k", upload_id, parts)
        assert said.etag != before.etag, "what it names is not what is there: HEAD shows it"
    else:
        with pytest.raises(Refused) as caught:
            client.complete_multipart_upload(bucket, "k", upload_id, parts)
        fault = server.does("returns 500 when a missing upload is completed")
        assert caught.value.reason is (Reason.STORE_FAULT if fault else Reason.NO_SUCH_UPLOAD)
    after = client.head_object(bucket, "k")
    assert (after.etag, after.size, after.last_modified) == (before.etag, before.size, before.last_modified)
