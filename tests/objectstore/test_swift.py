"""The client against a real store that verifies signatures."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.objectstore.conftest import MakeFile
from tests.stores.swift import SwiftStore
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import NotSent, Reason, Refused, UnreadableAnswer
from uploads.objectstore.payload import Payload
from uploads.objectstore.retry import RetryPolicy
from uploads.objectstore.signing import SigV4
from uploads.objectstore.transport import Call, Transport
from uploads.objectstore.types import CompletedPart, Credentials, FileSlice, MultipartUpload, StoreConfig
from uploads.objectstore.xml import get, parse

MIB = 1024 * 1024

HOSTILE_KEYS = (
    *("a/../b", "a/./b", "../x", "../../x", "//x", "/x", "a//b", "a/", "/", "//", ".", "..", "a/..", "/..", "..a"),
    *("a b", " ", " a ", "a+b", "a%b", "a%2Fb", "%2e%2e/x", "a?b", "?uploads", "a#b", "a&b", "a;b", "a=b", "it's", '"'),
    *(
        "<&>",
        "~",
        "*",
        "\\",
        "ü/日本",
        "é",
        "e\u0301",
        "😀",
        "\u202e",
        "a\rb",
        "a\tb",
        "a\x7fb",
        "k" * 1024,
        "é" * 512,
    ),
)


@pytest.fixture(scope="module")
def client(swift_store: SwiftStore) -> Iterator[ObjectStoreClient]:
    with connect(swift_store) as connected:
        yield connected


@pytest.fixture
def bucket(swift_store: SwiftStore) -> str:
    return swift_store.new_bucket()


def config_of(store: SwiftStore, *, secret_key: str = "", region: str = "", access_key: str = "") -> StoreConfig:
    credentials = Credentials(access_key or store.access_key, secret_key or store.secret_key)
    return StoreConfig(store.endpoint_url, region or store.region, credentials, provider="swift")


def connect(store: SwiftStore, **changes: str) -> ObjectStoreClient:
    return ObjectStoreClient(config_of(store, **changes), retries=RetryPolicy(attempts=2, sleep=lambda _: None))


def listed(client: ObjectStoreClient, bucket: str, **parameters: object) -> list[tuple[str, str]]:
    pages = client.iter_multipart_uploads(bucket, **parameters)  # type: ignore[arg-type]
    return [(upload.key, upload.upload_id) for page in pages for upload in page.uploads]


# Every method


def test_the_life_of_an_upload(client: ObjectStoreClient, bucket: str, make_file: MakeFile) -> None:
    first, second = b"1" * 5 * MIB, b"2" * 10
    body = make_file(first + second)
    upload_id = client.create_multipart_upload(
        bucket, "k", content_type="text/x-test", metadata={"Owner": "it's  me"}, storage_class="STANDARD"
    )
    counts: list[int] = []
    sent = [
        client.upload_part(bucket, "k", upload_id, 1, FileSlice(body.path, 0, len(first)), on_bytes=counts.append),
        client.upload_part(bucket, "k", upload_id, 2, FileSlice(body.path, len(first), len(second))),
    ]
    assert [each.etag for each in sent] == [hashlib.md5(first).hexdigest(), hashlib.md5(second).hexdigest()]
    assert all(each.request_id for each in sent)
    assert sum(counts) == len(first)
    page = client.list_parts(bucket, "k", upload_id)
    assert [(part.number, part.size, part.etag) for part in page.parts] == [
        (1, len(first), sent[0].etag),
        (2, len(second), sent[1].etag),
    ]
    assert page.parts[0].last_modified is not None
    assert abs(page.parts[0].last_modified - datetime.now(UTC)) < timedelta(minutes=5)
    parts = [CompletedPart(part.number, part.etag) for part in page.parts]
    done = client.complete_multipart_upload(bucket, "k", upload_id, parts)
    facts = client.head_object(bucket, "k")
    assert (facts.size, facts.etag, facts.content_type) == (len(first + second), done.etag, "text/x-test")
    assert facts.metadata == {"owner": "it's  me"}
    assert facts.last_modified is not None
    assert listed(client, bucket) == []


def test_buckets(client: ObjectStoreClient, bucket: str) -> None:
    assert bucket in [each.name for each in client.list_buckets()]
    assert client.head_bucket(bucket) in ("", "us-east-1")


def test_what_is_not_there(client: ObjectStoreClient, bucket: str) -> None:
    missing = bucket + "-missing"
    for act, reason in (
        (lambda: client.head_bucket(missing), Reason.NO_SUCH_BUCKET),
        (lambda: client.list_multipart_uploads(missing), Reason.NO_SUCH_BUCKET),
        (lambda: client.create_multipart_upload(missing, "k"), Reason.NO_SUCH_BUCKET),
        (lambda: client.head_object(bucket, "missing"), Reason.NO_SUCH_KEY),
        (lambda: client.list_parts(bucket, "k", "missing"), Reason.NO_SUCH_UPLOAD),
        (lambda: client.abort_multipart_upload(bucket, "k", "missing"), Reason.NO_SUCH_UPLOAD),
        (
            lambda: client.complete_multipart_upload(bucket, "k", "missing", [CompletedPart(1, "e")]),
            Reason.NO_SUCH_UPLOAD,
        ),
    ):
        with pytest.raises(Refused) as caught:
            act()
        assert caught.value.reason is reason
        assert caught.value.request_id


@pytest.mark.parametrize("content", [b"", b"1", b"x" * (17 * MIB)], ids=["empty", "a byte", "streamed"])
def test_objects_put_in_one_piece(client: ObjectStoreClient, bucket: str, make_file: MakeFile, content: bytes) -> None:
    sent = client.put_object(bucket, "k", make_file(content), content_type="a/b", metadata={"x": "y"})
    facts = client.head_object(bucket, "k")
    assert (facts.size, facts.etag) == (len(content), hashlib.md5(content).hexdigest())
    assert (facts.etag, facts.content_type, facts.metadata) == (sent.etag, "a/b", {"x": "y"})


def test_an_object_of_no_file(client: ObjectStoreClient, bucket: str) -> None:
    client.put_object(bucket, "k", None)
    assert client.head_object(bucket, "k").size == 0


def test_an_upload_is_listed_with_its_facts(client: ObjectStoreClient, bucket: str) -> None:
    upload_id = client.create_multipart_upload(bucket, "k")
    (upload,) = client.list_multipart_uploads(bucket).uploads
    assert isinstance(upload, MultipartUpload)
    assert (upload.key, upload.upload_id, upload.storage_class) == ("k", upload_id, "STANDARD")
    assert upload.initiated is not None
    assert upload.owner


def test_a_part_sent_again_replaces_the_first(client: ObjectStoreClient, bucket: str, make_file: MakeFile) -> None:
    upload_id = client.create_multipart_upload(bucket, "k")
    client.upload_part(bucket, "k", upload_id, 3, make_file(b"first"))
    again = client.upload_part(bucket, "k", upload_id, 3, make_file(b"second"))
    assert [(part.number, part.etag) for part in client.iter_parts(bucket, "k", upload_id)] == [(3, again.etag)]


def test_an_abort_is_done_once_and_then_there_is_nothing(
    client: ObjectStoreClient, bucket: str, make_file: MakeFile
) -> None:
    upload_id = client.create_multipart_upload(bucket, "k")
    client.upload_part(bucket, "k", upload_id, 1, make_file(b"x"))
    client.abort_multipart_upload(bucket, "k", upload_id)
    for act in (client.abort_multipart_upload, client.list_parts):
        with pytest.raises(Refused) as caught:
            act(bucket, "k", upload_id)
        assert (caught.value.reason, caught.value.retryable) == (Reason.NO_SUCH_UPLOAD, False)
    assert listed(client, bucket) == []


def test_an_upload_goes_by_its_id_not_only_by_its_key(client: ObjectStoreClient, bucket: str) -> None:
    ids = [client.create_multipart_upload(bucket, "k") for _ in range(3)]
    client.abort_multipart_upload(bucket, "k", ids[1])
    assert sorted(each for _, each in listed(client, bucket)) == sorted([ids[0], ids[2]])


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([CompletedPart(1, "0" * 32), CompletedPart(2, "0" * 32)], "InvalidPart"),
        ([CompletedPart(9, "0" * 32)], "InvalidPart"),
    ],
)
def test_a_completion_with_other_parts_is_refused_with_the_stores_code(
    client: ObjectStoreClient, bucket: str, make_file: MakeFile, parts: list[CompletedPart], code: str
) -> None:
    upload_id = client.create_multipart_upload(bucket, "k")
    client.upload_part(bucket, "k", upload_id, 1, make_file(b"x"))
    with pytest.raises(Refused) as caught:
        client.complete_multipart_upload(bucket, "k", upload_id, parts)
    assert caught.value.code == code


def test_a_completion_with_too_small_parts_is_refused(
    client: ObjectStoreClient, bucket: str, make_file: MakeFile
) -> None:
    upload_id = client.create_multipart_upload(bucket, "k")
    sent = [client.upload_part(bucket, "k", upload_id, number, make_file(b"x")) for number in (1, 2)]
    parts = [CompletedPart(number, each.etag) for number, each in enumerate(sent, start=1)]
    with pytest.raises(Refused, match="smaller") as caught:
        client.complete_multipart_upload(bucket, "k", upload_id, parts)
    assert caught.value.code == "EntityTooSmall"


# Exact keys


@pytest.mark.parametrize("key", HOSTILE_KEYS)
def test_a_hostile_key_reaches_exactly_itself(
    client: ObjectStoreClient, bucket: str, make_file: MakeFile, key: str
) -> None:
    body = make_file(b"content")
    client.put_object(bucket, key, make_file(b"before"))
    upload_id = client.create_multipart_upload(bucket, key)
    sent = client.upload_part(bucket, key, upload_id, 1, body)
    assert listed(client, bucket) == [(key, upload_id)]
    assert [part.etag for part in client.iter_parts(bucket, key, upload_id)] == [sent.etag]
    client.complete_multipart_upload(bucket, key, upload_id, [CompletedPart(1, sent.etag)])
    assert client.head_object(bucket, key).size == 7
    assert objects(client, bucket) == [key]
    upload_id = client.create_multipart_upload(bucket, key)
    client.abort_multipart_upload(bucket, key, upload_id)
    assert listed(client, bucket) == []


@pytest.mark.parametrize(
    ("key", "normalised"),
    [
        ("a/../b", "b"),
        ("a/./b", "a/b"),
        ("//x", "x"),
        ("/x", "x"),
        ("a//b", "a/b"),
        ("./b", "b"),
        ("a/b/..", "a"),
        ("a%2Fb", "a/b"),
        ("a+b", "a b"),
        ("a%20b", "a b"),
    ],
)
def test_the_normalised_key_is_never_touched(
    client: ObjectStoreClient, bucket: str, make_file: MakeFile, key: str, normalised: str
) -> None:
    client.put_object(bucket, normalised, make_file(b"bystander"))
    bystander = client.create_multipart_upload(bucket, normalised)
    part = client.upload_part(bucket, normalised, bystander, 1, make_file(b"part"))
    for act in (client.abort_multipart_upload, client.list_parts):
        with pytest.raises(Refused) as caught:
            act(bucket, key, bystander)
        assert caught.value.reason is Reason.NO_SUCH_UPLOAD
    with pytest.raises(Refused):
        client.complete_multipart_upload(bucket, key, bystander, [CompletedPart(1, part.etag)])
    with pytest.raises(Refused):
        client.head_object(bucket, key)
    client.put_object(bucket, key, make_file(b"mine"))
    assert client.head_object(bucket, normalised).size == len(b"bystander")
    assert listed(client, bucket) == [(normalised, bystander)]


def test_a_key_never_reaches_another_bucket(
    client: ObjectStoreClient, swift_store: SwiftStore, bucket: str, make_file: MakeFile
) -> None:
    other = swift_store.new_bucket()
    client.put_object(other, "k", make_file(b"bystander"))
    client.put_object(bucket, f"../{other}/k", make_file(b"mine"))
    client.put_object(bucket, f"a/../../{other}/k", make_file(b"mine"))
    assert client.head_object(other, "k").size == len(b"bystander")
    assert objects(client, other) == ["k"]
    assert sorted(objects(client, bucket)) == sorted([f"../{other}/k", f"a/../../{other}/k"])


@pytest.mark.parametrize("key", ["", "a\0b", "\ud800", "k" * 1025, "é" * 513, "a\x01b", "a\nb", "a\r\nb", "\ufffe"])
def test_a_key_that_cannot_be_sent_exactly_is_refused_and_nothing_is_there(
    client: ObjectStoreClient, bucket: str, key: str
) -> None:
    with pytest.raises(NotSent) as caught:
        client.create_multipart_upload(bucket, key)
    assert caught.value.reason is Reason.BAD_KEY
    assert listed(client, bucket) == []


@pytest.mark.parametrize("key", ["a\x01b", "a\nb", "\ufffe"])
def test_an_object_may_have_a_key_on_which_no_upload_can_be_begun(
    client: ObjectStoreClient, bucket: str, make_file: MakeFile, key: str
) -> None:
    client.put_object(bucket, key, make_file(b"x"))
    assert client.head_object(bucket, key).size == 1
    assert len(objects(client, bucket)) == 1


# Who may, and what arrives


def test_a_wrong_secret_is_about_credentials(swift_store: SwiftStore, bucket: str) -> None:
    with connect(swift_store, secret_key="wrong") as stranger, pytest.raises(Refused) as caught:
        stranger.list_multipart_uploads(bucket)
    assert (caught.value.reason, caught.value.code) == (Reason.CREDENTIALS, "SignatureDoesNotMatch")


def test_an_unknown_access_key_is_about_credentials(swift_store: SwiftStore, bucket: str) -> None:
    with connect(swift_store, access_key="nobody:here") as stranger, pytest.raises(Refused) as caught:
        stranger.list_buckets()
    assert caught.value.reason is Reason.CREDENTIALS


def test_a_wrong_region_names_the_right_one(swift_store: SwiftStore, bucket: str) -> None:
    with connect(swift_store, region="eu-west-1") as stranger, pytest.raises(Refused) as caught:
        stranger.list_multipart_uploads(bucket)
    assert (caught.value.reason, caught.value.region) == (Reason.WRONG_REGION, "us-east-1")
    assert "us-east-1" in str(caught.value)


def test_a_wrong_clock_is_about_the_clock(swift_store: SwiftStore, bucket: str) -> None:
    store = config_of(swift_store)
    late = SigV4(store.credentials, store.region, clock=lambda: datetime.now(UTC) - timedelta(minutes=30))
    transport = Transport(store, late)
    with pytest.raises(Refused) as caught:
        transport.exchange(Call("ListMultipartUploads", "GET", bucket, query={"uploads": ""}), lambda answer: answer)
    transport.close()
    assert (caught.value.reason, caught.value.code) == (Reason.CLOCK_SKEW, "RequestTimeTooSkewed")


class WrongDigest(Payload):
    """A body that says it is another one."""

    @property
    def content_md5(self) -> str:
        return Payload(b"other").content_md5


def test_the_store_checks_the_digest(swift_store: SwiftStore, bucket: str) -> None:
    store = config_of(swift_store)
    transport = Transport(store, SigV4(store.credentials, store.region))
    with pytest.raises(Refused) as caught:
        transport.exchange(Call("PutObject", "PUT", bucket, "k", payload=WrongDigest(b"abc")), lambda answer: answer)
    transport.close()
    assert (caught.value.reason, caught.value.retryable) == (Reason.DIGEST_MISMATCH, True)


def test_a_file_that_changes_between_digest_and_sending_does_not_arrive_wrong(
    client: ObjectStoreClient, bucket: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    # More than is kept in memory: read once for the digests, and again to be sent.
    path.write_bytes(b"a" * 33 * MIB)
    upload_id = client.create_multipart_upload(bucket, "k")
    changed = False

    def change(_: int) -> None:
        nonlocal changed
        if not changed:
            path.write_bytes(b"b" * 33 * MIB)
        changed = True

    sent = client.upload_part(bucket, "k", upload_id, 1, FileSlice(path, 0, 33 * MIB), on_bytes=change)
    assert sent.etag == hashlib.md5(b"b" * 33 * MIB).hexdigest()


def test_a_cut_part_leaves_nothing(client: ObjectStoreClient, bucket: str, make_file: MakeFile) -> None:
    upload_id = client.create_multipart_upload(bucket, "k")
    counted: list[int] = []

    class Cancelled(Exception):
        pass

    def cut(count: int) -> None:
        counted.append(count)
        if sum(counted) > 2 * MIB:
            raise Cancelled

    with pytest.raises(Cancelled):
        client.upload_part(bucket, "k", upload_id, 1, make_file(b"x" * 8 * MIB), on_bytes=cut)
    assert 2 * MIB < sum(counted) < 3 * MIB
    assert list(client.iter_parts(bucket, "k", upload_id)) == []


# Pages


def test_every_upload_once_at_every_page_size(client: ObjectStoreClient, bucket: str) -> None:
    keys = ["a", "a", "a", "a/b", "a/b/c", "a.csv", "a b", "a+b", "100%25", "100%", "é/1", "é/2", "z"]
    made = sorted((key, client.create_multipart_upload(bucket, key)) for key in keys)
    for size in (2, 3, 5, 13, 1000):
        assert sorted(listed(client, bucket, max_uploads=size)) == made, size
    assert sorted(listed(client, bucket, prefix="a/")) == [each for each in made if each[0].startswith("a/")]


def test_a_page_of_one_is_an_error_and_no_loop(client: ObjectStoreClient, bucket: str) -> None:
    for _ in range(2):
        client.create_multipart_upload(bucket, "k")
    assert len(client.list_multipart_uploads(bucket, max_uploads=1).uploads) == 1
    with pytest.raises(UnreadableAnswer):
        listed(client, bucket, max_uploads=1)


def test_folders_come_once(client: ObjectStoreClient, bucket: str) -> None:
    for key in ("top", "a b/1", "a b/2", "100%25/1", "c+d/1", "c+d/2", "é/1", "top2"):
        client.create_multipart_upload(bucket, key)
    for size in (2, 1000):
        pages = list(client.iter_multipart_uploads(bucket, delimiter="/", max_uploads=size))
        prefixes = [prefix for page in pages for prefix in page.common_prefixes]
        assert sorted(prefixes) == ["100%25/", "a b/", "c+d/", "é/"]
        assert sorted(upload.key for page in pages for upload in page.uploads) == ["top", "top2"]


def test_parts_over_pages(client: ObjectStoreClient, bucket: str, make_file: MakeFile) -> None:
    upload_id = client.create_multipart_upload(bucket, "k")
    numbers = [1, 2, 3, 7, 10, 100, 9999, 10_000]
    for number in numbers:
        client.upload_part(bucket, "k", upload_id, number, make_file(b"x" * (number % 7 + 1)))
    for size in (1, 3, 1000):
        assert [part.number for part in client.iter_parts(bucket, "k", upload_id, max_parts=size)] == numbers
    assert [part.number for part in client.list_parts(bucket, "k", upload_id, part_number_marker=7).parts] == [
        *(10, 100, 9999, 10_000)
    ]


# Memory


def test_memory_does_not_grow_with_the_size_of_a_part(swift_store: SwiftStore, bucket: str, tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(512 * MIB)
    where = (swift_store.endpoint_url, swift_store.region, swift_store.access_key, swift_store.secret_key)
    done = subprocess.run(
        [sys.executable, "-m", "tests.objectstore.sending", *where, bucket, str(path)],
        check=True,
        capture_output=True,
        timeout=200,
    )
    report = json.loads(done.stdout)
    assert report["sizes"] == [17 * MIB, 512 * MIB]
    small, large = report["memory"]
    assert large - small < 4 * 1024, report


def objects(client: ObjectStoreClient, bucket: str) -> list[str]:
    """The keys of a bucket's objects, which the client itself has no need to list."""
    call = Call("ListObjects", "GET", bucket, query={"encoding-type": "url"})
    body = client._transport.exchange(call, lambda answer: answer.body)
    rows = [row for name, row in parse(body, "ListBucketResult") if name == "Contents"]
    return [unquote(get(row, "Key")) for row in rows if isinstance(row, list)]
