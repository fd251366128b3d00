"""Uploads, parts and objects on every server."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.objectstore.conftest import MakeFile
from tests.objectstore.on_stores.helpers import (
    ABORTS_AGAIN,
    ACCEPTS_PARTS,
    IGNORES_IDS,
    MIB,
    NO_UPLOAD,
    complete_unchecked,
    listed,
    objects,
    send_parts,
)
from tests.services.inventory.lines import lines_with
from tests.stores.servers import Server
from uploads.objectstore.checksums import ReportedCrc64, combine
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import NotSent, Reason, Refused
from uploads.objectstore.payload import Payload
from uploads.objectstore.transport import Call
from uploads.objectstore.types import CompletedPart, FileSlice, MultipartUpload
from uploads.problems import Code, Problem
from uploads.selectors.inventory.search import words_of

LISTS_KEY_AND_ID = "lists no storage class and no owner of an upload"


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


# Buckets


def test_buckets_are_listed(client: ObjectStoreClient, bucket: str) -> None:
    assert bucket in [each.name for each in client.list_buckets()]


def test_bucket_reports_its_region(server: Server, client: ObjectStoreClient, bucket: str) -> None:
    if server.does("does not report the region of a bucket"):
        assert client.head_bucket(bucket) == ""
    else:
        assert client.head_bucket(bucket) == server.store.region


def test_missing_bucket(server: Server, client: ObjectStoreClient, bucket: str) -> None:
    missing = bucket + "-missing"
    acts: list[Callable[[], object]] = [
        lambda: client.head_bucket(missing),
        lambda: client.list_multipart_uploads(missing),
    ]
    if not server.does("creates a missing bucket with its first upload"):
        acts.append(lambda: client.create_multipart_upload(missing, "k"))
    for act in acts:
        with pytest.raises(Refused) as caught:
            act()
        assert caught.value.reason is Reason.NO_SUCH_BUCKET
        assert caught.value.request_id


# From Create to HEAD


def test_upload_from_create_to_head(
    server: Server, client: ObjectStoreClient, bucket: str, make_file: MakeFile, tmp_path: Path
) -> None:
    """An upload with content type and metadata: Create, two parts, Complete, HEAD"""
    first, second = b"1" * server.profile.min_part_size, b"2" * 10
    body = make_file(first + second)
    upload_id = client.create_multipart_upload(bucket, "k", content_type="text/x-test", metadata={"Owner": "it's  me"})
    for line in lines_with(upload_id):
        assert upload_id in words_of(line), line
    counts: list[int] = []
    sent = [
        client.upload_part(bucket, "k", upload_id, 1, FileSlice(body.path, 0, len(first)), on_bytes=counts.append),
        client.upload_part(bucket, "k", upload_id, 2, FileSlice(body.path, len(first), len(second))),
    ]
    assert [each.etag.lower() for each in sent] == [md5(first), md5(second)]
    assert all(each.request_id for each in sent)
    assert sum(counts) == len(first)
    page = client.list_parts(bucket, "k", upload_id)
    assert [(part.number, part.size, part.etag) for part in page.parts] == [
        (1, len(first), sent[0].etag),
        (2, len(second), sent[1].etag),
    ]
    assert page.parts[0].last_modified is not None
    assert abs(page.parts[0].last_modified - datetime.now(UTC)) < timedelta(minutes=5)
    client.complete_multipart_upload(
        bucket, "k", upload_id, [CompletedPart(part.number, part.etag) for part in page.parts]
    )
    facts = client.head_object(bucket, "k")
    assert (facts.size, facts.content_type) == (len(first + second), "text/x-test")
    assert facts.metadata == {"owner": "it's  me"}
    assert facts.last_modified is not None
    assert listed(client, bucket) == []
    assert objects(server, bucket) == ["k"]


def test_etag_of_completed_upload(server: Server, client: ObjectStoreClient, bucket: str, make_file: MakeFile) -> None:
    """Complete returns the object's ETag, computed from the MD5s of its parts"""
    contents = [b"1" * server.profile.min_part_size, b"2"]
    upload_id = client.create_multipart_upload(bucket, "k")
    parts = send_parts(client, bucket, "k", upload_id, [make_file(each) for each in contents])
    done = client.complete_multipart_upload(bucket, "k", upload_id, parts)
    joined = f"{hashlib.md5(b''.join(hashlib.md5(each).digest() for each in contents)).hexdigest()}-2"
    etag = client.head_object(bucket, "k").etag
    if server.does("returns no ETag in its first response to Complete"):
        assert (done.etag, etag) == ("", joined)
    elif server.does("computes the ETag of an object in another way"):
        assert done.etag == etag != joined
        assert not server.profile.joined_etag
    else:
        assert done.etag == etag == joined


def test_object_without_content_type(client: ObjectStoreClient, bucket: str, make_file: MakeFile) -> None:
    """An upload without a content type becomes an object with the default type"""
    upload_id = client.create_multipart_upload(bucket, "k")
    parts = send_parts(client, bucket, "k", upload_id, [make_file(b"x")])
    client.complete_multipart_upload(bucket, "k", upload_id, parts)
    assert client.head_object(bucket, "k").content_type in {"application/octet-stream", "binary/octet-stream"}


def test_storage_class(server: Server, client: ObjectStoreClient, bucket: str, make_file: MakeFile) -> None:
    """A storage class is applied, or refused before any part is sent"""
    if server.does("refuses unknown storage classes"):
        with pytest.raises(Refused) as caught:
            client.create_multipart_upload(bucket, "k", storage_class="IA")
        assert caught.value.reason is Reason.REFUSED
        assert listed(client, bucket) == []
        return
    upload_id = client.create_multipart_upload(bucket, "k", storage_class="IA")
    (upload,) = client.list_multipart_uploads(bucket).uploads
    kept = "STANDARD" if server.does("ignores the requested storage class") else "IA"
    shown = (upload.storage_class, client.list_parts(bucket, "k", upload_id).storage_class)
    if server.does(LISTS_KEY_AND_ID):
        assert shown == ("", "STANDARD")
    else:
        assert shown == (kept, kept)
    parts = send_parts(client, bucket, "k", upload_id, [make_file(b"x")])
    client.complete_multipart_upload(bucket, "k", upload_id, parts)
    assert client.head_object(bucket, "k").storage_class == kept


@pytest.mark.parametrize("content", [b"", b"1", b"x" * (17 * MIB)], ids=["empty", "a byte", "streamed"])
def test_put_object(client: ObjectStoreClient, bucket: str, make_file: MakeFile, content: bytes) -> None:
    """PutObject of 0 bytes, 1 byte and 17 MiB, with content type and metadata"""
    sent = client.put_object(bucket, "k", make_file(content), content_type="a/b", metadata={"x": "y"})
    facts = client.head_object(bucket, "k")
    assert (facts.size, facts.etag.lower()) == (len(content), md5(content))
    assert (facts.etag, facts.content_type, facts.metadata) == (sent.etag, "a/b", {"x": "y"})


def test_put_object_without_file(client: ObjectStoreClient, bucket: str) -> None:
    """PutObject without a file creates an empty object"""
    client.put_object(bucket, "k", None)
    assert client.head_object(bucket, "k").size == 0


def test_missing_object(client: ObjectStoreClient, bucket: str) -> None:
    """HEAD of an object that does not exist"""
    with pytest.raises(Refused) as caught:
        client.head_object(bucket, "missing")
    assert caught.value.reason is Reason.NO_SUCH_KEY
    assert caught.value.request_id


def test_object_is_deleted(server: Server, client: ObjectStoreClient, bucket: str) -> None:
    for key in ("kept", "deleted"):
        client.put_object(bucket, key, None)
    client.delete_object(bucket, "deleted")
    assert objects(server, bucket) == ["kept"]


# Uploads in progress


def test_upload_is_listed_with_its_facts(server: Server, client: ObjectStoreClient, bucket: str) -> None:
    """An upload is listed with its id, start, owner and storage class"""
    upload_id = client.create_multipart_upload(bucket, "k")
    (upload,) = client.list_multipart_uploads(bucket).uploads
    if server.does(LISTS_KEY_AND_ID):
        assert upload == MultipartUpload("k", upload_id, upload.initiated)
        return
    assert (upload.key, upload.upload_id, upload.storage_class.upper()) == ("k", upload_id, "STANDARD")
    assert upload.initiated is not None
    assert abs(upload.initiated - datetime.now(UTC)) < timedelta(minutes=5)
    if server.does("returns no owner of an upload"):
        assert (upload.owner, upload.initiator) == ("", "")
    else:
        assert upload.owner
        assert upload.initiator


def test_new_part_does_not_change_the_order(
    server: Server, client: ObjectStoreClient, bucket: str, make_file: MakeFile
) -> None:
    """A new part does not change the order of the listing"""
    ids = []
    for _ in range(3):
        ids.append(client.create_multipart_upload(bucket, "k"))
        time.sleep(0.02)  # So that the timestamps of a file system differ.
    before = listed(client, bucket)
    client.upload_part(bucket, "k", ids[0], 1, make_file(b"x"))
    if server.does("reports the last change of an upload as its start"):
        assert listed(client, bucket) == [*before[1:], before[0]]
    else:
        assert listed(client, bucket) == before


def test_abort_is_not_repeatable(server: Server, client: ObjectStoreClient, bucket: str, make_file: MakeFile) -> None:
    """A second Abort and ListParts do not find an aborted upload"""
    upload_id = client.create_multipart_upload(bucket, "k")
    client.upload_part(bucket, "k", upload_id, 1, make_file(b"x"))
    client.abort_multipart_upload(bucket, "k", upload_id)
    assert listed(client, bucket) == []
    if server.does(ABORTS_AGAIN):
        client.abort_multipart_upload(bucket, "k", upload_id)
    else:
        with pytest.raises(Refused) as caught:
            client.abort_multipart_upload(bucket, "k", upload_id)
        assert (caught.value.reason, caught.value.retryable) == (Reason.NO_SUCH_UPLOAD, False)
    with pytest.raises(Refused) as caught:
        client.list_parts(bucket, "k", upload_id)
    assert (caught.value.reason, caught.value.retryable) == (Reason.NO_SUCH_UPLOAD, False)
    if server.does("returns NoSuchKey for a missing upload"):
        assert caught.value.code == "NoSuchKey"
    else:
        assert caught.value.code == "NoSuchUpload"
    if server.does(ACCEPTS_PARTS):
        client.upload_part(bucket, "k", upload_id, 2, make_file(b"x"))
        assert listed(client, bucket) == []
    else:
        with pytest.raises(Refused) as caught:
            client.upload_part(bucket, "k", upload_id, 2, make_file(b"x"))
        assert caught.value.reason is Reason.NO_SUCH_UPLOAD


@pytest.mark.parametrize("upload_id", [NO_UPLOAD, "missing"], ids=["well formed", "nonsense"])
def test_missing_upload(
    server: Server, client: ObjectStoreClient, bucket: str, make_file: MakeFile, upload_id: str
) -> None:
    """Abort, ListParts and UploadPart of an upload that does not exist"""
    acts: list[Callable[[], object]] = [
        lambda: client.abort_multipart_upload(bucket, "k", upload_id),
        lambda: client.list_parts(bucket, "k", upload_id),
    ]
    if server.does(ACCEPTS_PARTS):
        client.upload_part(bucket, "k", upload_id, 1, make_file(b"x"))
    else:
        acts.append(lambda: client.upload_part(bucket, "k", upload_id, 1, make_file(b"x")))
    if server.does(IGNORES_IDS):
        acts.clear()
        raw = Call("ListParts", "GET", bucket, "other", {"uploadId": upload_id})
        assert b"<Part>" not in server.send(raw).body
        for request in (client.abort_multipart_upload, client.list_parts):
            with pytest.raises(Refused) as caught:
                request(bucket, "other", upload_id)
            assert (caught.value.reason, caught.value.problem) == (
                Reason.NO_SUCH_UPLOAD,
                Problem(Code.UPLOAD_NOT_LISTED),
            )
    for act in acts:
        with pytest.raises(Refused) as caught:
            act()
        assert caught.value.reason is Reason.NO_SUCH_UPLOAD
        assert caught.value.request_id
    assert objects(server, bucket) == []


def test_uploads_of_one_key_are_independent(client: ObjectStoreClient, bucket: str) -> None:
    """One of three uploads of one key is aborted"""
    ids = [client.create_multipart_upload(bucket, "k") for _ in range(3)]
    client.abort_multipart_upload(bucket, "k", ids[1])
    assert sorted(each for _, each in listed(client, bucket)) == sorted([ids[0], ids[2]])


def test_upload_id_with_another_key(client: ObjectStoreClient, bucket: str, make_file: MakeFile) -> None:
    """An upload id with another key reaches nothing"""
    upload_id = client.create_multipart_upload(bucket, "mine")
    part = client.upload_part(bucket, "mine", upload_id, 1, make_file(b"x"))
    for act in (client.abort_multipart_upload, client.list_parts):
        with pytest.raises(Refused) as caught:
            act(bucket, "other", upload_id)
        assert caught.value.reason is Reason.NO_SUCH_UPLOAD
    with pytest.raises(Refused):
        client.complete_multipart_upload(bucket, "other", upload_id, [CompletedPart(1, part.etag)])
    assert [each.etag for each in client.iter_parts(bucket, "mine", upload_id)] == [part.etag]


# Parts


def test_part_sent_again_replaces_the_first(
    server: Server, client: ObjectStoreClient, bucket: str, make_file: MakeFile
) -> None:
    """A part that is sent again replaces the one with its number"""
    upload_id = client.create_multipart_upload(bucket, "k")
    client.upload_part(bucket, "k", upload_id, 3, make_file(b"first"))
    keeps_copies = server.does("lists a part once for each time it was sent")
    if keeps_copies:
        time.sleep(1.1)  # Its dates have whole seconds.
    again = client.upload_part(bucket, "k", upload_id, 3, make_file(b"another"))
    (part,) = client.iter_parts(bucket, "k", upload_id)
    assert (part.number, part.size, part.etag, part.copies) == (3, 7, again.etag, 1 + keeps_copies)
    client.complete_multipart_upload(bucket, "k", upload_id, [CompletedPart(3, again.etag)])
    assert client.head_object(bucket, "k").size == 7


def test_pages_of_parts(server: Server, client: ObjectStoreClient, bucket: str, make_file: MakeFile) -> None:
    """ListParts by key and upload id alone, page by page"""
    upload_id = client.create_multipart_upload(bucket, "k")
    numbers = [1, 2, 3, 7, 10, 100, 9999, 10_000]
    for number in numbers:
        client.upload_part(bucket, "k", upload_id, number, make_file(b"x" * (number % 7 + 1)))
    whole = client.list_parts(bucket, "k", upload_id)
    assert [(part.number, part.size) for part in whole.parts] == [(number, number % 7 + 1) for number in numbers]
    assert not whole.is_truncated
    # SeaweedFS sorts part 10,000 before part 1,000: a page of seven parts ends with it.
    sizes = (3, 7, len(numbers)) if server.does("sorts part 10,000 before part 1,000") else (1, 3, 7, len(numbers))
    for size in sizes:
        assert [part.number for part in client.iter_parts(bucket, "k", upload_id, max_parts=size)] == numbers
    page = client.list_parts(bucket, "k", upload_id, max_parts=3)
    if server.does("lists all parts on one page"):
        assert ([part.number for part in page.parts], page.is_truncated) == (numbers, False)
        return
    assert ([part.number for part in page.parts], page.is_truncated) == ([1, 2, 3], True)
    assert page.next_part_number_marker == 3
    for marker in (7, 8):
        after = client.list_parts(bucket, "k", upload_id, part_number_marker=marker)
        assert [part.number for part in after.parts] == [10, 100, 9999, 10_000][marker < 7 :]
    assert client.list_parts(bucket, "k", upload_id, part_number_marker=10_000).parts == ()


@pytest.mark.parametrize("number", [0, -1, 10_001])
def test_part_number_out_of_range(
    server: Server, client: ObjectStoreClient, bucket: str, make_file: MakeFile, number: int
) -> None:
    """Part numbers 0, -1 and 10,001"""
    upload_id = client.create_multipart_upload(bucket, "k")
    with pytest.raises(NotSent) as caught:
        client.upload_part(bucket, "k", upload_id, number, make_file(b"x"))
    assert caught.value.reason is Reason.BAD_ARGUMENT
    assert list(client.iter_parts(bucket, "k", upload_id)) == []
    query = {"partNumber": str(number), "uploadId": upload_id}
    call = Call("UploadPart", "PUT", bucket, "k", query, payload=Payload(b"x"))
    if server.does("accepts part numbers out of range") or (
        number < 0 and server.does("accepts a negative part number")
    ):
        assert server.send(call).status == 200
    else:
        with pytest.raises(Refused) as refused:
            server.send(call)
        own_code = server.does("reports a part number out of range as InvalidPart")
        assert refused.value.code == ("InvalidPart" if own_code else "InvalidArgument")


def test_empty_part(client: ObjectStoreClient, bucket: str, make_file: MakeFile) -> None:
    """An upload of one empty part becomes an empty object"""
    upload_id = client.create_multipart_upload(bucket, "k")
    parts = send_parts(client, bucket, "k", upload_id, [make_file(b"")])
    client.complete_multipart_upload(bucket, "k", upload_id, parts)
    assert client.head_object(bucket, "k").size == 0


def test_interrupted_part_leaves_nothing(client: ObjectStoreClient, bucket: str, make_file: MakeFile) -> None:
    """A part that is interrupted leaves nothing"""
    upload_id = client.create_multipart_upload(bucket, "k")
    counted: list[int] = []

    class Cancelled(Exception):
        pass

    def interrupt(count: int) -> None:
        counted.append(count)
        if sum(counted) > 2 * MIB:
            raise Cancelled

    with pytest.raises(Cancelled):
        client.upload_part(bucket, "k", upload_id, 1, make_file(b"x" * 8 * MIB), on_bytes=interrupt)
    assert 2 * MIB < sum(counted) < 3 * MIB
    assert list(client.iter_parts(bucket, "k", upload_id)) == []


# Digests


class WrongDigest(Payload):
    """A body with the Content-MD5 of another one."""

    @property
    def content_md5(self) -> str:
        return Payload(b"other").content_md5


def test_store_checks_content_md5(server: Server, client: ObjectStoreClient, bucket: str) -> None:
    """A body that does not match its Content-MD5 is refused and not stored"""
    upload_id = client.create_multipart_upload(bucket, "k")
    query = {"partNumber": "1", "uploadId": upload_id}
    for call in (
        Call("PutObject", "PUT", bucket, "k", payload=WrongDigest(b"abc")),
        Call("UploadPart", "PUT", bucket, "k", query, payload=WrongDigest(b"abc")),
    ):
        with pytest.raises(Refused) as caught:
            server.send(call)
        assert (caught.value.reason, caught.value.retryable) == (Reason.DIGEST_MISMATCH, True)
        code = "InvalidDigest" if server.does("reports a wrong digest as InvalidDigest") else "BadDigest"
        assert caught.value.code == code
    assert list(client.iter_parts(bucket, "k", upload_id)) == []
    assert objects(server, bucket) == []


def test_file_that_changes_after_its_digest_is_not_stored_mixed(
    client: ObjectStoreClient, bucket: str, tmp_path: Path
) -> None:
    """A file that changes after its digest was computed is not stored as a mixture"""
    path = tmp_path / "file"
    # More than is kept in memory: read once for the digests, and again for sending.
    path.write_bytes(b"a" * 33 * MIB)
    upload_id = client.create_multipart_upload(bucket, "k")
    changed = False

    def change(_: int) -> None:
        nonlocal changed
        if not changed:
            path.write_bytes(b"b" * 33 * MIB)
        changed = True

    sent = client.upload_part(bucket, "k", upload_id, 1, FileSlice(path, 0, 33 * MIB), on_bytes=change)
    assert sent.etag.lower() == md5(b"b" * 33 * MIB)
    client.abort_multipart_upload(bucket, "k", upload_id)


def test_crc_of_parts_and_object(server: Server, client: ObjectStoreClient, bucket: str, make_file: MakeFile) -> None:
    """The CRC-64 that the store reports for parts, to Complete and to HEAD equals ours"""
    contents = [b"1" * server.profile.min_part_size, b"2" * 10]
    algorithm = server.profile.crc64
    upload_id = client.create_multipart_upload(bucket, "k")
    sent = [
        client.upload_part(bucket, "k", upload_id, number, make_file(each)) for number, each in enumerate(contents, 1)
    ]
    parts = [CompletedPart(number, each.etag) for number, each in enumerate(sent, 1)]
    done = client.complete_multipart_upload(bucket, "k", upload_id, parts)
    whole = combine(algorithm, [(each.crc64, len(body)) for each, body in zip(sent, contents, strict=True)])
    reported = [*(each.reported_crc64 for each in sent), done.reported_crc64, client.head_object(bucket, "k").crc64]
    ours = [
        *(ReportedCrc64(algorithm, each.crc64) for each in sent),
        ReportedCrc64(algorithm, whole),
        ReportedCrc64(algorithm, whole),
    ]
    if server.does("returns no CRC-64"):
        assert reported == [None] * 4
    elif server.does("returns only the CRC-64 of the object, and only to Complete"):
        assert reported == [None, None, ours[2], None]
    else:
        assert reported == ours


# Forbidding to replace an object

PUT_ONLY = "refuses to replace an object with PutObject, but not with Complete"
IF_NONE_MATCH = {"If-None-Match": "*"}


def test_object_is_not_replaced(server: Server, client: ObjectStoreClient, bucket: str, make_file: MakeFile) -> None:
    """PutObject and Complete that must not replace an object are refused"""
    client.put_object(bucket, "k", make_file(b"before"))
    upload_id = client.create_multipart_upload(bucket, "k")
    parts = send_parts(client, bucket, "k", upload_id, [make_file(b"after")])
    acts: tuple[Callable[[], object], ...] = (
        lambda: client.put_object(bucket, "k", make_file(b"after"), forbid_overwrite=True),
        lambda: client.complete_multipart_upload(bucket, "k", upload_id, parts, forbid_overwrite=True),
    )
    if server.does(PUT_ONLY):
        for act in acts:
            with pytest.raises(NotSent) as not_sent:
                act()
            assert not_sent.value.reason is Reason.BAD_ARGUMENT
        with pytest.raises(Refused) as caught:
            server.send(Call("PutObject", "PUT", bucket, "k", headers=IF_NONE_MATCH, payload=Payload(b"after")))
        assert caught.value.reason is Reason.EXISTS
    else:
        for act in acts:
            with pytest.raises(Refused) as caught:
                act()
            assert (caught.value.reason, caught.value.retryable) == (Reason.EXISTS, False)
    assert client.head_object(bucket, "k").size == len(b"before")
    assert listed(client, bucket) == [("k", upload_id)]
    headers = IF_NONE_MATCH if server.does(PUT_ONLY) else {}
    complete_unchecked(server, bucket, "k", upload_id, parts, **headers)
    assert client.head_object(bucket, "k").size == len(b"after")


def test_create_checks_for_existing_object(
    server: Server, client: ObjectStoreClient, bucket: str, make_file: MakeFile
) -> None:
    """Create that must not replace an object is refused"""
    client.put_object(bucket, "k", None)

    def create() -> str:
        return client.create_multipart_upload(bucket, "k", forbid_overwrite=True)

    if server.does(PUT_ONLY):
        with pytest.raises(NotSent):
            create()
    elif server.does("checks for an existing object only when the object is created"):
        upload_id = create()
        assert listed(client, bucket) == [("k", upload_id)]
        return
    else:
        with pytest.raises(Refused) as caught:
            create()
        assert caught.value.reason is Reason.EXISTS
    assert listed(client, bucket) == []


def test_forbid_overwrite_without_existing_object(
    server: Server, client: ObjectStoreClient, bucket: str, make_file: MakeFile
) -> None:
    """PutObject and Complete that must not replace an object create a new one"""
    forbid = not server.does(PUT_ONLY)
    client.put_object(bucket, "put", make_file(b"x"), forbid_overwrite=forbid)
    upload_id = client.create_multipart_upload(bucket, "parts", forbid_overwrite=forbid)
    parts = send_parts(client, bucket, "parts", upload_id, [make_file(b"xy")])
    client.complete_multipart_upload(bucket, "parts", upload_id, parts, forbid_overwrite=forbid)
    assert [client.head_object(bucket, key).size for key in ("put", "parts")] == [1, 2]
