"""Tests the OSS test server with the vendor's client, following its guide ("Multipart upload")."""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import alibabacloud_oss_v2 as oss
import psutil
import pytest
from alibabacloud_oss_v2.crc import Crc64

from tests.oss.vendor import MIN_PART, Uploads, client, refusal
from tests.stores.oss import OssStore

DRAW = random.Random(20)


def crc64(content: bytes) -> str:
    """Computed by the vendor's own code."""
    checksum = Crc64(0)
    checksum.update(content)
    return str(checksum.sum64())


def md5(content: bytes) -> bytes:
    return hashlib.md5(content).digest()


def test_three_steps(uploads: Uploads) -> None:
    """Initiate, upload parts, complete: the object consists of the parts in order."""
    bodies = [DRAW.randbytes(MIN_PART), DRAW.randbytes(MIN_PART + 1), DRAW.randbytes(10)]
    upload_id = uploads.initiate("multipart.data")
    responses = [uploads.part("multipart.data", upload_id, number, body) for number, body in enumerate(bodies, 1)]
    for response, body in zip(responses, bodies, strict=True):
        assert response.etag == f'"{md5(body).hex().upper()}"'
        assert response.content_md5 == base64.b64encode(md5(body)).decode()
        assert response.hash_crc64 == crc64(body)
    done = uploads.complete(
        "multipart.data", upload_id, [(number, each.etag) for number, each in enumerate(responses, 1)]
    )
    whole = b"".join(bodies)
    assert (done.bucket, done.key) == (uploads.bucket, "multipart.data")
    assert done.location.endswith("/multipart.data")
    assert done.hash_crc64 == crc64(whole)
    assert uploads.object("multipart.data") == whole


def test_attributes_of_an_object(uploads: Uploads) -> None:
    """Storage class, Content-Type and metadata are set by Initiate; the ETag is neither the MD5 nor that of S3."""
    upload_id = uploads.initiate(
        "film",
        storage_class="IA",
        content_type="video/mp4",
        metadata={"partway-transfer": "7"},
        cache_control="no-store",
    )
    bodies = [b"a" * MIN_PART, b"b"]
    etags = [uploads.part("film", upload_id, number, body).etag for number, body in enumerate(bodies, 1)]
    assert uploads.listing().uploads[0].upload_id == upload_id
    assert uploads.parts("film", upload_id).storage_class == "IA"
    done = uploads.complete("film", upload_id, list(enumerate(etags, 1)))
    head = uploads.head("film")
    assert (head.storage_class, head.content_type, head.cache_control) == ("IA", "video/mp4", "no-store")
    assert head.metadata == {"partway-transfer": "7"}
    assert (head.object_type, head.content_md5, head.content_length) == ("Multipart", None, MIN_PART + 1)
    assert head.etag == done.etag
    joined_as_s3_does = hashlib.md5(b"".join(md5(body) for body in bodies)).hexdigest()
    assert joined_as_s3_does not in done.etag.lower()
    assert md5(b"".join(bodies)).hex() not in done.etag.lower()


def test_part_with_same_number_is_replaced(uploads: Uploads) -> None:
    upload_id = uploads.initiate("key")
    first = uploads.part("key", upload_id, 1, b"first")
    second = uploads.part("key", upload_id, 1, b"second")
    listed = uploads.parts("key", upload_id).parts
    assert [(part.part_number, part.size, part.etag) for part in listed] == [(1, 6, second.etag)]
    assert refusal(lambda: uploads.complete("key", upload_id, [(1, first.etag)])).code == "InvalidPart"
    uploads.complete("key", upload_id, [(1, second.etag)])
    assert uploads.object("key") == b"second"


def test_wrong_content_md5_stores_nothing(uploads: Uploads) -> None:
    """InvalidDigest; the existing part with that number is unchanged."""
    upload_id = uploads.initiate("key")
    uploads.part("key", upload_id, 1, b"right", content_md5=base64.b64encode(md5(b"right")).decode())
    wrong = base64.b64encode(md5(b"other")).decode()
    error = refusal(lambda: uploads.part("key", upload_id, 1, b"wrong", content_md5=wrong))
    assert (error.status_code, error.code) == (400, "InvalidDigest")
    assert error.error_fileds["Content-MD5"] == wrong
    assert refusal(lambda: uploads.part("key", upload_id, 2, b"x", content_md5="no base64")).code == "InvalidDigest"
    assert [part.size for part in uploads.parts("key", upload_id).parts] == [5]


def test_abort(uploads: Uploads) -> None:
    """204; afterwards the upload does not exist, and its bytes are deleted."""
    upload_id = uploads.initiate("key")
    uploads.part("key", upload_id, 1, b"x" * MIN_PART)
    assert uploads.abort("key", upload_id).status_code == 204
    assert uploads.listing().uploads is None
    for again in (
        lambda: uploads.abort("key", upload_id),
        lambda: uploads.parts("key", upload_id),
        lambda: uploads.part("key", upload_id, 2, b"x"),
        lambda: uploads.complete("key", upload_id, [(1, "E")]),
    ):
        error = refusal(again)
        assert (error.status_code, error.code) == (404, "NoSuchUpload")
        assert error.error_fileds["UploadId"] == upload_id
    assert refusal(lambda: uploads.head("key")).code == "NoSuchKey"


def test_completed_upload_is_not_listed(uploads: Uploads) -> None:
    upload_id = uploads.initiate("key")
    etag = uploads.part("key", upload_id, 1, b"x").etag
    uploads.complete("key", upload_id, [(1, etag)])
    assert refusal(lambda: uploads.abort("key", upload_id)).code == "NoSuchUpload"
    assert refusal(lambda: uploads.complete("key", upload_id, [(1, etag)])).code == "NoSuchUpload"
    assert uploads.object("key") == b"x"


def test_upload_belongs_to_its_key(uploads: Uploads) -> None:
    upload_id = uploads.initiate("key")
    assert refusal(lambda: uploads.part("other", upload_id, 1, b"x")).code == "NoSuchUpload"
    assert refusal(lambda: uploads.abort("other", upload_id)).code == "NoSuchUpload"
    assert uploads.abort("key", upload_id).status_code == 204


def test_uploads_of_one_key_are_independent(uploads: Uploads) -> None:
    """The later completion creates the object; Initiate and UploadPart do not change an existing one."""
    uploads.put("key", b"before")
    first, second = uploads.initiate("key"), uploads.initiate("key")
    etags = {each: uploads.part("key", each, 1, each.encode()).etag for each in (first, second)}
    assert uploads.object("key") == b"before"
    for each in (first, second):
        uploads.complete("key", each, [(1, etags[each])])
        assert uploads.object("key") == each.encode()


def test_gaps_are_allowed(uploads: Uploads) -> None:
    """Uploaded parts that Complete does not name are dropped without an error."""
    upload_id = uploads.initiate("key")
    bodies = {1: b"a" * MIN_PART, 5: b"b" * MIN_PART, 9: b"unnamed" * MIN_PART, 10_000: b"c"}
    etags = {number: uploads.part("key", upload_id, number, body).etag for number, body in bodies.items()}
    del etags[9]
    done = uploads.complete("key", upload_id, list(etags.items()))
    expected = bodies[1] + bodies[5] + bodies[10_000]
    assert uploads.object("key") == expected
    assert done.hash_crc64 == crc64(expected) == uploads.head("key").hash_crc64
    assert done.etag.endswith('-3"')


def test_complete_all(uploads: Uploads) -> None:
    """x-oss-complete-all uses all uploaded parts in order, and does not allow a body."""
    upload_id = uploads.initiate("key")
    for number, body in ((3, b"c"), (1, b"a" * MIN_PART)):
        uploads.part("key", upload_id, number, body)
    both = refusal(lambda: uploads.complete("key", upload_id, [(1, "E")], complete_all="yes"))
    assert (both.status_code, both.code, both.ec) == (400, "InvalidArgument", "0042-00000216")
    request = oss.CompleteMultipartUploadRequest(
        bucket=uploads.bucket, key="key", upload_id=upload_id, complete_all="yes"
    )
    assert uploads.client.complete_multipart_upload(request).hash_crc64 == crc64(b"a" * MIN_PART + b"c")


def test_complete_refuses_invalid_parts(uploads: Uploads) -> None:
    """After each refusal the upload is unchanged."""
    upload_id = uploads.initiate("key")
    bodies = {1: b"a" * (MIN_PART - 1), 2: b"b" * MIN_PART, 3: b"c"}
    etags = {number: uploads.part("key", upload_id, number, body).etag for number, body in bodies.items()}
    for parts, code in (
        ([(2, etags[2]), (1, etags[1])], "InvalidPartOrder"),
        ([(2, etags[2]), (2, etags[2])], "InvalidPartOrder"),
        ([(0, etags[2])], "InvalidPartOrder"),
        ([(10_001, etags[2])], "InvalidPartOrder"),
        ([(2, etags[3])], "InvalidPart"),
        ([(2, etags[2]), (4, etags[3])], "InvalidPart"),
        ([(1, etags[1]), (2, etags[2])], "EntityTooSmall"),
        ([], "MalformedXML"),
    ):
        error = refusal(lambda parts=parts: uploads.complete("key", upload_id, parts))  # type: ignore[misc]
        assert (error.status_code, error.code) == (400, code), parts
    assert len(uploads.parts("key", upload_id).parts) == 3
    uploads.complete("key", upload_id, [(2, etags[2]), (3, etags[3])])
    assert uploads.object("key") == bodies[2] + bodies[3]


def test_etags_without_quotes_are_accepted(uploads: Uploads) -> None:
    upload_id = uploads.initiate("key")
    etag = uploads.part("key", upload_id, 1, b"x").etag.strip('"')
    assert uploads.complete("key", upload_id, [(1, etag)]).status_code == 200


@pytest.mark.parametrize("number", [0, 10_001, -1])
def test_part_numbers_out_of_range(uploads: Uploads, number: int) -> None:
    upload_id = uploads.initiate("key")
    error = refusal(lambda: uploads.part("key", upload_id, number, b"x"))
    assert (error.status_code, error.code) == (400, "InvalidArgument")
    assert error.error_fileds["ArgumentName"] == "partNumber"


def test_forbid_overwrite(uploads: Uploads) -> None:
    """409 FileAlreadyExists from Initiate, Complete and PutObject. Without the header the object is replaced."""
    upload_id = uploads.initiate("key", forbid_overwrite=True)
    etag = uploads.part("key", upload_id, 1, b"fresh").etag
    uploads.put("key", b"there", forbid_overwrite=True)
    for refused in (
        lambda: uploads.initiate("key", forbid_overwrite=True),
        lambda: uploads.complete("key", upload_id, [(1, etag)], forbid_overwrite=True),
        lambda: uploads.put("key", b"again", forbid_overwrite=True),
    ):
        error = refusal(refused)
        assert (error.status_code, error.code) == (409, "FileAlreadyExists")
    assert uploads.object("key") == b"there"
    uploads.complete("key", upload_id, [(1, etag)], forbid_overwrite=False)
    assert uploads.object("key") == b"fresh"


def test_parts_by_key_and_upload_id_alone(oss_store: OssStore, uploads: Uploads) -> None:
    """Another client that knows only key and upload id gets the same parts."""
    upload_id = uploads.initiate("folder/key")
    responses = {number: uploads.part("folder/key", upload_id, number, b"x" * number) for number in (1, 2, 7)}
    stranger = Uploads(oss_store, uploads.bucket)
    for page in (uploads.parts("folder/key", upload_id), stranger.parts("folder/key", upload_id)):
        assert (page.bucket, page.key, page.upload_id) == (uploads.bucket, "folder/key", upload_id)
        assert (page.part_number_marker, page.next_part_number_marker) == (0, 7)
        assert (page.max_parts, page.is_truncated, page.storage_class) == (1000, False, "Standard")
        for part in page.parts:
            response = responses[part.part_number]
            assert (part.size, part.etag, part.hash_crc64) == (part.part_number, response.etag, response.hash_crc64)
            assert part.last_modified.tzinfo is not None
        assert [part.part_number for part in page.parts] == [1, 2, 7]


def test_pages_of_parts(uploads: Uploads) -> None:
    upload_id = uploads.initiate("key")
    numbers = [1, 2, 3, 5, 8, 13, 9_999]
    for number in numbers:
        uploads.part("key", upload_id, number, b"x")
    request = oss.ListPartsRequest(bucket=uploads.bucket, key="key", upload_id=upload_id)
    for limit in (1, 2, 3, 7, 1000):
        pages = list(uploads.client.list_parts_paginator(limit=limit).iter_page(request))
        assert [part.part_number for page in pages for part in page.parts] == numbers
        assert [page.is_truncated for page in pages] == [True] * (len(pages) - 1) + [False]
        assert len(pages) == -(-len(numbers) // limit)
    rest = uploads.parts("key", upload_id, part_number_marker=8, max_parts=1)
    assert (rest.part_number_marker, rest.next_part_number_marker, rest.is_truncated) == (8, 13, True)


def test_upload_without_parts(uploads: Uploads) -> None:
    page = uploads.parts("key", uploads.initiate("key"))
    assert (page.parts, page.next_part_number_marker, page.is_truncated) == (None, None, False)


@pytest.mark.parametrize("fields", [{"max_parts": 0}, {"max_parts": 1001}, {"part_number_marker": "x"}])
def test_paging_of_parts_out_of_range(uploads: Uploads, fields: dict[str, Any]) -> None:
    upload_id = uploads.initiate("key")
    error = refusal(lambda: uploads.parts("key", upload_id, **fields))
    assert (error.status_code, error.code) == (400, "InvalidArgument")


def test_uploader_sends_a_file(uploads: Uploads, tmp_path: Path) -> None:
    """The vendor's uploader sends parts in parallel and compares the CRC-64."""
    content = DRAW.randbytes(MIN_PART * 7 + 12_345)
    (tmp_path / "film.mp4").write_bytes(content)
    request = oss.PutObjectRequest(bucket=uploads.bucket, key="film.mp4", metadata={"a": "1"})
    uploader = uploads.client.uploader(part_size=MIN_PART, parallel_num=3)
    result = uploader.upload_file(request, filepath=str(tmp_path / "film.mp4"))
    assert (result.status_code, result.hash_crc64) == (200, crc64(content))
    assert uploads.object("film.mp4") == content
    assert (uploads.head("film.mp4").content_type, uploads.head("film.mp4").metadata) == ("video/mp4", {"a": "1"})


def test_uploader_resumes_where_it_stopped(uploads: Uploads, tmp_path: Path) -> None:
    """Its checkpoint contains the upload id, and ListParts returns the existing parts."""
    content = DRAW.randbytes(MIN_PART * 4)
    (tmp_path / "file").write_bytes(content)
    request = oss.PutObjectRequest(bucket=uploads.bucket, key="file")
    uploader = uploads.client.uploader(
        part_size=MIN_PART, parallel_num=1, enable_checkpoint=True, checkpoint_dir=str(tmp_path)
    )
    send = uploads.client.upload_part

    def fail_at_third_part(part: Any, **fields: Any) -> Any:
        if part.part_number == 3:
            raise ConnectionError("interrupted")
        return send(part, **fields)

    uploads.client.upload_part = fail_at_third_part
    with pytest.raises(oss.exceptions.BaseError):
        uploader.upload_file(request, filepath=str(tmp_path / "file"))
    (left,) = uploads.listing().uploads
    sent: list[int] = []

    def count(part: Any, **fields: Any) -> Any:
        sent.append(part.part_number)
        return send(part, **fields)

    uploads.client.upload_part = count
    result = uploader.upload_file(request, filepath=str(tmp_path / "file"))
    assert (sent, result.upload_id) == ([3, 4], left.upload_id)
    assert uploads.object("file") == content


def test_body_of_unknown_length_is_sent_in_chunks(uploads: Uploads) -> None:
    def blocks() -> Iterator[bytes]:
        yield from (b"one", b"two" * 100_000, b"three")

    content = b"".join(blocks())
    upload_id = uploads.initiate("key")
    assert uploads.part("key", upload_id, 1, blocks()).hash_crc64 == crc64(content)
    uploads.put("other", blocks())
    assert uploads.object("other") == content


def test_put_head_get_delete(uploads: Uploads) -> None:
    response = uploads.put("key", b"hello", storage_class="Archive", content_type="text/x", metadata={"a-b": "c d"})
    assert (response.etag, response.hash_crc64) == ('"5D41402ABC4B2A76B9719D911017C592"', crc64(b"hello"))
    head = uploads.head("key")
    assert (head.content_length, head.etag, head.content_md5) == (5, response.etag, "XUFAKrxLKna5cZ2REBfFkg==")
    assert (head.object_type, head.storage_class, head.content_type) == ("Normal", "Archive", "text/x")
    assert (head.metadata, head.hash_crc64) == ({"a-b": "c d"}, response.hash_crc64)
    assert uploads.object("key") == b"hello"
    deleted = oss.DeleteObjectRequest(bucket=uploads.bucket, key="key")
    assert [uploads.client.delete_object(deleted).status_code for _ in range(2)] == [204, 204]
    error = refusal(lambda: uploads.head("key"))
    assert (error.status_code, error.code, error.ec) == (404, "NoSuchKey", "0026-00000001")
    assert refusal(lambda: uploads.object("key")).error_fileds["Key"] == "key"


@pytest.mark.parametrize(
    ("byte_range", "expected"),
    [("bytes=2-5", b"2345"), ("bytes=17-", b"789"), ("bytes=-4", b"6789"), ("bytes=8-11", b"8901")],
)
def test_ranges(uploads: Uploads, byte_range: str, expected: bytes) -> None:
    uploads.put("key", b"0123456789" * 2)
    request = oss.GetObjectRequest(bucket=uploads.bucket, key="key", range_header=byte_range)
    response = uploads.client.get_object(request)
    assert (response.status_code, response.body.content) == (206, expected)
    assert response.content_range.endswith("/20")


def test_range_across_two_parts(uploads: Uploads) -> None:
    bodies = [DRAW.randbytes(MIN_PART), DRAW.randbytes(MIN_PART)]
    upload_id = uploads.initiate("key")
    etags = [uploads.part("key", upload_id, number, body).etag for number, body in enumerate(bodies, 1)]
    uploads.complete("key", upload_id, list(enumerate(etags, 1)))
    request = oss.GetObjectRequest(
        bucket=uploads.bucket, key="key", range_header=f"bytes={MIN_PART - 3}-{MIN_PART + 2}"
    )
    assert uploads.client.get_object(request).body.content == bodies[0][-3:] + bodies[1][:3]


@pytest.mark.parametrize("call", ["list_objects", "list_objects_v2"])
def test_listing_objects(uploads: Uploads, call: str) -> None:
    """V1 and V2 return the same keys, page by page, and the same common prefixes."""
    keys = sorted(["a", "a/b", "a/c/d", "b", "b\x01\n", "ü/x", "ü/y"])
    for key in keys:
        uploads.put(key, b"x")
    kind = oss.ListObjectsRequest if call == "list_objects" else oss.ListObjectsV2Request
    pages = list(getattr(uploads.client, f"{call}_paginator")(limit=2).iter_page(kind(bucket=uploads.bucket)))
    assert [entry.key for page in pages for entry in page.contents] == keys
    grouped = getattr(uploads.client, call)(kind(bucket=uploads.bucket, delimiter="/"))
    assert [entry.key for entry in grouped.contents] == ["a", "b", "b\x01\n"]
    assert [entry.prefix for entry in grouped.common_prefixes] == ["a/", "ü/"]
    inner = getattr(uploads.client, call)(kind(bucket=uploads.bucket, delimiter="/", prefix="a/"))
    assert ([entry.key for entry in inner.contents], inner.common_prefixes[0].prefix) == (["a/b"], "a/c/")


def test_buckets(oss_store: OssStore) -> None:
    """ListBuckets with a prefix, page by page; GetBucketInfo and GetBucketLocation of a bucket."""
    buckets = [oss_store.new_bucket() for _ in range(3)]
    ours = client(oss_store)
    prefix = buckets[0].rpartition("-")[0] + "-"
    pages = list(ours.list_buckets_paginator(limit=1).iter_page(oss.ListBucketsRequest(prefix=prefix)))
    listed = [bucket.name for page in pages for bucket in page.buckets]
    assert listed == sorted(listed)
    assert set(buckets) <= set(listed)
    (found,) = (bucket for page in pages for bucket in page.buckets if bucket.name == buckets[0])
    assert (found.location, found.region, found.storage_class) == ("oss-cn-hangzhou", "cn-hangzhou", "Standard")
    info = ours.get_bucket_info(oss.GetBucketInfoRequest(bucket=buckets[0])).bucket_info
    assert (info.name, info.acl, info.location) == (buckets[0], "private", "oss-cn-hangzhou")
    location = ours.get_bucket_location(oss.GetBucketLocationRequest(bucket=buckets[0]))
    assert location.location == "oss-cn-hangzhou"


@pytest.mark.parametrize(
    "call",
    [
        lambda uploads: uploads.listing(),
        lambda uploads: uploads.initiate("key"),
        lambda uploads: uploads.parts("key", "id"),
        lambda uploads: uploads.part("key", "id", 1, b"x"),
        lambda uploads: uploads.complete("key", "id", [(1, "E")]),
        lambda uploads: uploads.abort("key", "id"),
        lambda uploads: uploads.put("key"),
        lambda uploads: uploads.head("key"),
        lambda uploads: uploads.client.get_bucket_info(oss.GetBucketInfoRequest(bucket=uploads.bucket)),
    ],
)
def test_missing_bucket(oss_store: OssStore, call: Callable[[Uploads], object]) -> None:
    error = refusal(lambda: call(Uploads(oss_store, "nosuchbucket")))
    assert (error.status_code, error.code, error.ec) == (404, "NoSuchBucket", "0015-00000101")
    assert error.error_fileds["BucketName"] == "nosuchbucket"


def test_every_error_has_a_request_id(uploads: Uploads) -> None:
    """Including the error of HEAD, which has no body."""
    for error in (refusal(lambda: uploads.head("nothing")), refusal(lambda: uploads.object("nothing"))):
        assert error.request_id == error.headers["x-oss-request-id"]
        assert len(error.request_id) == 24
        assert error.ec == error.headers["x-oss-ec"]
        assert error.error_fileds["HostId"].startswith(uploads.bucket)
        assert error.error_fileds["RecommendDoc"].endswith(error.ec)


def test_bodies_are_not_kept_in_memory(oss_store: OssStore, uploads: Uploads, tmp_path: Path) -> None:
    """For a part of 96 MiB, and the object of it, the memory of the server grows by less than a third of that."""
    size = 96 * 1024**2
    with (tmp_path / "large").open("wb") as file:
        file.truncate(size)
    upload_id = uploads.initiate("large")
    before = _peak_memory(oss_store.pid)
    with (tmp_path / "large").open("rb") as file:
        etag = uploads.part("large", upload_id, 1, file).etag
    uploads.complete("large", upload_id, [(1, etag)])
    read = sum(
        len(block)
        for block in uploads.client.get_object(
            oss.GetObjectRequest(bucket=uploads.bucket, key="large"), response_stream=True
        ).body.iter_bytes(block_size=1024**2)
    )
    assert read == size
    assert _peak_memory(oss_store.pid) - before < size // 3


def _peak_memory(pid: int) -> int:
    """The peak memory of a process in bytes."""
    assert psutil.pid_exists(pid)
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
