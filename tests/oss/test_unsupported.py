"""The OSS test server refuses what it does not implement: it never does something else than OSS without saying so.

The vendor's client knows the documented headers and parameters of every operation. Each is implemented, and named in
HONOURED, or refused with NotImplemented.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import alibabacloud_oss_v2 as oss
import pytest

from tests.oss.vendor import Uploads, refusal
from tests.oss.wire import BucketClient, Request, refused, sign
from tests.stores.oss import OssStore

OPERATIONS = {
    oss.ListBucketsRequest: ("GET", "service"),
    oss.PutBucketRequest: ("PUT", "bucket"),
    oss.GetBucketInfoRequest: ("GET", "bucket?bucketInfo"),
    oss.GetBucketLocationRequest: ("GET", "bucket?location"),
    oss.ListMultipartUploadsRequest: ("GET", "bucket?uploads"),
    oss.ListObjectsRequest: ("GET", "bucket"),
    oss.ListObjectsV2Request: ("GET", "bucket?list-type=2"),
    oss.InitiateMultipartUploadRequest: ("POST", "key?uploads"),
    oss.UploadPartRequest: ("PUT", "key?partNumber=1&uploadId=ID"),
    oss.UploadPartCopyRequest: ("PUT", "key?partNumber=1&uploadId=ID"),
    oss.CompleteMultipartUploadRequest: ("POST", "key?uploadId=ID"),
    oss.AbortMultipartUploadRequest: ("DELETE", "key?uploadId=ID"),
    oss.ListPartsRequest: ("GET", "key?uploadId=ID"),
    oss.PutObjectRequest: ("PUT", "key"),
    oss.CopyObjectRequest: ("PUT", "key"),
    oss.HeadObjectRequest: ("HEAD", "key"),
    oss.GetObjectRequest: ("GET", "key"),
    oss.DeleteObjectRequest: ("DELETE", "key"),
}

STORED_OR_COMPARED = (
    "Cache-Control Content-Disposition Content-Encoding Content-Type Expires x-oss-meta- x-oss-storage-class "
    "Content-Length Content-MD5"
)
CHANGE_THE_OPERATION = "x-oss-forbid-overwrite x-oss-complete-all Range"
SELECT = (
    "partNumber uploadId prefix delimiter encoding-type marker max-keys key-marker upload-id-marker max-uploads "
    "max-parts part-number-marker start-after continuation-token fetch-owner"
)
OPTIONAL = "Accept-Encoding"
"""The server compresses nothing, which the client must accept."""

HONOURED = frozenset(f"{STORED_OR_COMPARED} {CHANGE_THE_OPERATION} {SELECT} {OPTIONAL}".split())


def documented() -> Iterator[tuple[str, str, str, str]]:
    """Method, target, position and name of each header and parameter of the vendor's requests."""
    for model, (method, target) in OPERATIONS.items():
        for attribute in model._attribute_map.values():
            if attribute.get("position") in ("header", "query"):
                yield method, target, attribute["position"], attribute["rename"]


REFUSED = sorted({each for each in documented() if each[3] not in HONOURED})


def request_with(client: BucketClient, method: str, target: str, position: str, name: str) -> Request:
    place, _, query = target.partition("?")
    host = client.host.partition(".")[2] if place == "service" else client.host
    query = "&".join(filter(None, [query, f"{name}=value" if position == "query" else ""]))
    headers = {name: "value"} if position == "header" else {}
    path = "/key" if place == "key" else "/"
    return Request(method, f"{path}?{query}", host, headers)


@pytest.mark.parametrize(("method", "target", "position", "name"), REFUSED)
def test_documented_features_are_refused(
    client: BucketClient, method: str, target: str, position: str, name: str
) -> None:
    request = request_with(client, method, target, position, name)
    response = client.send(request, sign(request, client.owner))
    assert response.status == 400
    if method != "HEAD":
        assert refused(response) == (400, "NotImplemented")
        assert response.text("Header").lower() == name.lower()


def test_all_features_were_found() -> None:
    """The list of the vendor's client is not empty, and no operation is left out by mistake."""
    assert len(REFUSED) > 60
    assert {("PUT", "key?partNumber=1&uploadId=ID", "header", "x-oss-copy-source-range")} <= set(REFUSED)


def test_upload_part_copy_is_refused(uploads: Uploads) -> None:
    """It is not an UploadPart with an empty body: the part with that number is unchanged."""
    uploads.put("source", b"content")
    upload_id = uploads.initiate("key")
    copy = oss.UploadPartCopyRequest(
        bucket=uploads.bucket, key="key", upload_id=upload_id, part_number=1, source_key="source"
    )
    assert refusal(lambda: uploads.client.upload_part_copy(copy)).code == "NotImplemented"
    assert uploads.parts("key", upload_id).parts is None
    uploads.part("key", upload_id, 1, b"there")
    assert refusal(lambda: uploads.client.upload_part_copy(copy)).code == "NotImplemented"
    assert [part.size for part in uploads.parts("key", upload_id).parts] == [5]


def test_copied_and_appended_objects_are_refused(uploads: Uploads) -> None:
    uploads.put("source", b"content")
    copy = oss.CopyObjectRequest(bucket=uploads.bucket, key="copy", source_key="source")
    append = oss.AppendObjectRequest(bucket=uploads.bucket, key="copy", position=0, body=b"x")
    link = oss.PutSymlinkRequest(bucket=uploads.bucket, key="copy", symlink_target="source")
    for call in (
        lambda: uploads.client.copy_object(copy),
        lambda: uploads.client.append_object(append),
        lambda: uploads.client.put_symlink(link),
    ):
        error = refusal(call)
        assert (error.status_code, error.code) == (400, "NotImplemented")
    assert refusal(lambda: uploads.head("copy")).code == "NoSuchKey"


def test_conditions_are_refused(client: BucketClient) -> None:
    """OSS does not implement them for PUT. Ignoring them would replace an object that the client wanted to keep."""
    for method, target in (("PUT", "/there"), ("POST", "/there?uploads"), ("POST", "/there?uploadId=ID")):
        for name in ("If_Match", "If_None_Match", "If_Modified_Since", "If_Unmodified_Since"):
            assert refused(client.request_signed(method, target, b"", **{name: "*"})) == (400, "NotImplemented")


def test_configuration_of_a_bucket(oss_store: OssStore, client: BucketClient) -> None:
    """A storage class is stored, local redundancy is the default, and anything else is refused."""

    def created(name: str, inner: str, **headers: str) -> tuple[int, str]:
        xml = f"<CreateBucketConfiguration>{inner}</CreateBucketConfiguration>".encode()
        fresh = BucketClient(oss_store, f"{client.bucket}-{name}")
        response = fresh.request_signed("PUT", "/", xml, **headers)
        return response.status, "" if response.status == 200 else response.text("Code")

    redundancy = "<DataRedundancyType>{}</DataRedundancyType>"
    assert created("a", f"<StorageClass>IA</StorageClass>{redundancy.format('LRS')}", x_oss_acl="private") == (200, "")
    assert created("b", redundancy.format("ZRS")) == (400, "NotImplemented")
    assert created("c", "<Other/>") == (400, "NotImplemented")
    assert created("d", "", x_oss_acl="public-read") == (400, "NotImplemented")


def test_undocumented_names_are_ignored(client: BucketClient) -> None:
    """As in OSS: the documentation's own example of a signature has the header x-oss-magic."""
    assert client.request_signed("PUT", f"/key?{quote('no name')}=1", b"", x_oss_magic="abracadabra").status == 200


def test_owner_of_listed_objects(uploads: Uploads) -> None:
    """ListObjectsV2 returns the owner on request (fetch-owner)."""
    uploads.put("key", b"x")
    pages = [
        uploads.client.list_objects_v2(oss.ListObjectsV2Request(bucket=uploads.bucket, fetch_owner=fetch))
        for fetch in (True, False)
    ]
    owners = [page.contents[0].owner for page in pages]
    assert owners[0].id == owners[0].display_name
    assert owners[1] is None
