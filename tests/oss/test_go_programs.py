"""The programs of the OSS guide in Go, with the vendor's SDK that the guide uses, against the OSS test server.

They sign with V1, V2 and V4. V4 differs from that of the vendor's client for Python: it is dated by the Date header.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import random
from pathlib import Path

import pytest

from tests.oss.guide import VERSIONS, Document, Guide, Refused
from tests.oss.test_sdk_listing import KEYS, Name, expected
from tests.oss.vendor import MIN_PART, Uploads
from tests.stores.oss import OssStore
from tests.stores.oss.accounts import Account
from tests.system.stack import wait_for

DRAW = random.Random(7)
KEY = "a folder/ü+日本 %2F&?#.bin"


@pytest.fixture(params=VERSIONS)
def guide(request: pytest.FixtureRequest, oss_store: OssStore) -> Guide:
    return Guide(oss_store, oss_store.new_bucket(), request.param)


@pytest.fixture
def uploads(oss_store: OssStore, guide: Guide) -> Uploads:
    """The vendor's client for Python, to look at the same bucket."""
    return Uploads(oss_store, guide.bucket)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that the guide's program divides into three parts."""
    path = tmp_path / "file"
    path.write_bytes(DRAW.randbytes(3 * MIN_PART + 1000))
    return path


def etag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest().upper()}"'


def names_of(pages: list[Document]) -> list[Name]:
    return [(upload["Key"], upload["UploadId"]) for page in pages for upload in page["Uploads"]]


def refusal(guide: Guide, program: str, **flags: object) -> Refused:
    with pytest.raises(Refused) as caught:
        guide.run(program, **flags)
    return caught.value


def test_three_steps(guide: Guide, uploads: Uploads, file: Path) -> None:
    """Initiate, UploadPart, Complete: the object is the file, and the SDK compared the CRC-64 of each part."""
    started, *parts, done = guide.run("upload", key=KEY, file=file)
    assert (started["Bucket"], started["Key"], done["Key"]) == (guide.bucket, KEY, KEY)
    content = file.read_bytes()
    size = len(content) // 3
    pieces = [content[:size], content[size : 2 * size], content[2 * size :]]
    assert [part["PartNumber"] for part in parts] == [1, 2, 3]
    assert [part["ETag"] for part in parts] == [etag(piece) for piece in pieces]
    assert uploads.object(KEY) == content
    assert uploads.head(KEY).etag == done["ETag"]
    assert names_of(guide.run("uploads")) == []


def test_abort(guide: Guide, uploads: Uploads) -> None:
    (aborted,) = guide.run("abort", key=KEY)
    assert uploads.listing().uploads is None
    again = refusal(guide, "abort", key=KEY, upload_id=aborted["UploadId"])
    assert again.code == (404, "NoSuchUpload")


@pytest.mark.parametrize("stop_after", range(4))
def test_killed_after_a_step(guide: Guide, uploads: Uploads, file: Path, stop_after: int) -> None:
    """After Initiate, a part, before Complete: the next program sees exactly what was sent, and completes it."""
    with guide.steps("upload", key=KEY, file=file) as steps:
        upload_id = steps.read()["UploadId"]
        sent = [steps.go_on() for _ in range(stop_after)]
    assert names_of(guide.run("uploads")) == [(KEY, upload_id)]
    listed = guide.run("parts", key=KEY, upload_id=upload_id)
    assert [(part["PartNumber"], part["ETag"], part["Size"]) for part in listed] == [
        (part["PartNumber"], part["ETag"], part["Size"]) for part in sent
    ]
    assert [part["LastModified"] for part in listed] == sorted(part["LastModified"] for part in listed)
    if not sent:
        assert refusal(guide, "complete", key=KEY, upload_id=upload_id).code == (400, "MalformedXML")
        guide.run("abort", key=KEY, upload_id=upload_id)
        assert names_of(guide.run("uploads")) == []
        return
    guide.run("complete", key=KEY, upload_id=upload_id)
    assert uploads.object(KEY) == file.read_bytes()[: sum(part["Size"] for part in sent)]


def test_parts_are_paged(guide: Guide, uploads: Uploads) -> None:
    """More than a page of 1,000 parts, by key and upload id alone."""
    upload_id = uploads.initiate(KEY)
    numbers = [1, 2, 3, *range(9_000, 10_001)]
    for number in numbers:
        uploads.part(KEY, upload_id, number, b"x")
    listed = guide.run("parts", key=KEY, upload_id=upload_id)
    assert [part["PartNumber"] for part in listed] == numbers


def has_checkpoint(path: Path) -> bool:
    """Whether the SDK has written its checkpoint completely."""
    try:
        return bool(json.loads(path.read_bytes())["UploadID"])
    except (FileNotFoundError, json.JSONDecodeError):
        return False


def test_upload_file_resumes(guide: Guide, uploads: Uploads, file: Path, tmp_path: Path) -> None:
    """A resumable upload that was killed when it sent its second part goes on with the same upload."""
    flags = {"key": KEY, "file": file, "checkpoint": tmp_path / "checkpoint", "part_size": MIN_PART}
    with guide.steps("resume", **flags) as steps:
        requests = [steps.read(), steps.go_on(), steps.go_on()]
        # The SDK writes its checkpoint while it sends the next part.
        wait_for("the checkpoint", lambda: has_checkpoint(tmp_path / "checkpoint"))
    assert [request["Method"] for request in requests] == ["POST", "PUT", "PUT"]
    ((_, upload_id),) = names_of(guide.run("uploads"))
    assert [part.part_number for part in uploads.parts(KEY, upload_id).parts] == [1]
    guide.run("resume", **flags)
    assert uploads.object(KEY) == file.read_bytes()
    assert names_of(guide.run("uploads")) == []
    assert refusal(guide, "parts", key=KEY, upload_id=upload_id).code == (404, "NoSuchUpload")


# --- ListMultipartUploads ---------------------------------------------------------------------------------------------


@pytest.fixture(params=VERSIONS, scope="module")
def listed(request: pytest.FixtureRequest, oss_store: OssStore) -> tuple[Guide, list[Name]]:
    """A bucket with an upload for each of KEYS, and their names in the order of a listing."""
    uploads = Uploads(oss_store, oss_store.new_bucket())
    names = [(key, uploads.initiate(key)) for key in reversed(KEYS)]
    return Guide(oss_store, uploads.bucket, request.param), sorted(names, key=lambda name: (name[0].encode(), name[1]))


def test_list_defaults(listed: tuple[Guide, list[Name]]) -> None:
    guide, names = listed
    (page,) = guide.run("uploads", all=True)
    assert names_of([page]) == names
    assert (page["Bucket"], page["MaxUploads"], page["IsTruncated"]) == (guide.bucket, 1000, False)
    assert (page["NextKeyMarker"], page["NextUploadIdMarker"]) == names[-1]


@pytest.mark.parametrize("max_uploads", [1, 3, 15, 16, 100])
def test_list_all_pages(listed: tuple[Guide, list[Name]], max_uploads: int) -> None:
    """The guide's loop: both Next markers of a page start the next one."""
    guide, names = listed
    pages = guide.run("uploads", all=True, max_uploads=max_uploads)
    assert names_of(pages) == names
    assert [len(page["Uploads"]) for page in pages[:-1]] == [max_uploads] * (len(pages) - 1)
    for page, following in itertools.pairwise(pages):
        assert (page["IsTruncated"], page["NextKeyMarker"], page["NextUploadIdMarker"]) == (
            True,
            following["KeyMarker"],
            following["UploadIdMarker"],
        )


@pytest.mark.parametrize("prefix", ["a", "a/", "c c", "c+", "c%", "ü/", "b\x01", "nothing"])
def test_list_prefix_and_max_uploads(listed: tuple[Guide, list[Name]], prefix: str) -> None:
    guide, names = listed
    (page,) = guide.run("uploads", prefix=prefix)
    assert (names_of([page]), page["Prefix"]) == (expected(names, prefix=prefix), prefix)
    (first,) = guide.run("uploads", prefix=prefix, max_uploads=1)
    assert names_of([first]) == expected(names, prefix=prefix)[:1]


def test_list_markers(listed: tuple[Guide, list[Name]]) -> None:
    """Each name as the markers, and each key alone."""
    guide, names = listed
    for key, upload_id in names:
        (page,) = guide.run("uploads", key_marker=key, upload_id_marker=upload_id)
        assert names_of([page]) == expected(names, key_marker=key, id_marker=upload_id)
        (page,) = guide.run("uploads", key_marker=key)
        assert names_of([page]) == expected(names, key_marker=key)
    (page,) = guide.run("uploads", upload_id_marker=names[5][1])
    assert names_of([page]) == names


def test_list_delimiter(listed: tuple[Guide, list[Name]]) -> None:
    """Keys with a common prefix up to the delimiter are one entry, page by page too."""
    guide, names = listed
    (page,) = guide.run("uploads", delimiter="/")
    assert names_of([page]) == [name for name in names if "/" not in name[0]]
    assert page["CommonPrefixes"] == ["a/", "b/", "ü/", "日本/"]
    pages = guide.run("uploads", delimiter="/", max_uploads=2, all=True)
    assert names_of(pages) == names_of([page])
    assert [each for one in pages for each in one["CommonPrefixes"] or []] == page["CommonPrefixes"]
    (inner,) = guide.run("uploads", delimiter="/", prefix="a/")
    assert [key for key, _ in names_of([inner])] == ["a/1", "a/2"]
    assert inner["CommonPrefixes"] == ["a/b/"]


# --- Errors -----------------------------------------------------------------------------------------------------------


def test_wrong_secret(guide: Guide) -> None:
    wrong = dataclasses.replace(guide, account=Account(guide.store.access_key, "wrong"))
    error = refusal(wrong, "uploads")
    assert error.code == (403, "SignatureDoesNotMatch")
    assert error.document["EC"] == {"v1": "0002-00000040", "v2": "0002-00000101", "v4": "0002-00000201"}[guide.version]


def test_temporary_credentials(guide: Guide) -> None:
    """The SDK sends the token of STS with every request."""
    valid = dataclasses.replace(guide, account=guide.store.new_account(temporary=True))
    assert names_of(valid.run("uploads")) == []
    expired = dataclasses.replace(guide, account=guide.store.new_account(temporary=True, expired=True))
    assert refusal(expired, "uploads").code == (403, "SecurityTokenExpired")


def test_missing_permission(guide: Guide) -> None:
    account = guide.store.new_account(denied=["oss:ListMultipartUploads"])
    assert refusal(dataclasses.replace(guide, account=account), "uploads").code == (403, "AccessDenied")


def test_missing_bucket(guide: Guide, file: Path) -> None:
    nowhere = dataclasses.replace(guide, bucket="nosuchbucket")
    assert refusal(nowhere, "upload", key=KEY, file=file).code == (404, "NoSuchBucket")


def test_invalid_key(guide: Guide, file: Path) -> None:
    assert refusal(guide, "upload", key="/key", file=file).code == (400, "InvalidObjectName")
