"""Uploads that real clients leave behind, and uploads that they are sending, on two real servers.

The clients send through a proxy that holds the third part in the middle: two parts are in the store then, and the
client waits. It is killed there with SIGKILL, or Partway aborts its upload under it.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.stores.servers import Server, server_of
from tests.stores.swift import SwiftStore
from tests.system.bucket_pages import BucketPages, only_item
from tests.system.direct_store import Boto, DirectStore
from tests.system.fault_proxy import FaultProxy
from tests.system.real_clients import CLIENTS, PART, Job, sending
from tests.system.sending import file_blocks
from tests.system.stack import Operator, Stack, wait_for
from uploads.objectstore.types import UploadRef

KEY = "backups/a file.bin"
SIZE = 3 * PART + 1_234
HELD = 3
PATIENCE = 180
"""Seconds until the wait for the end of a client fails. No test measures it."""

GONE = ("NoSuchUpload", "NoSuchKey")
"""What servers say to ListParts of an upload that does not exist: Ceph says the latter."""


@pytest.fixture(scope="module")
def operator(stack: Stack) -> Iterator[Operator]:
    with stack.signed_in() as operator:
        yield operator


@pytest.fixture(params=["swift", "ceph"])
def target(request: pytest.FixtureRequest) -> Server:
    return server_of(request)


@pytest.fixture(scope="module")
def added_stores() -> dict[str, DirectStore]:
    """The added stores by the names of their servers."""
    return {}


@pytest.fixture
def direct_store(target: Server, stack: Stack, added_stores: dict[str, DirectStore]) -> DirectStore:
    """The server as a store of the dashboard."""
    if target.name not in added_stores:
        added_stores[target.name] = stack.add_store(f"of-{target.name}", target.config(), target.store.new_bucket)
    return added_stores[target.name]


@pytest.fixture
def bucket(direct_store: DirectStore) -> str:
    return direct_store.new_bucket()


@pytest.fixture
def pages(operator: Operator, direct_store: DirectStore, bucket: str) -> BucketPages:
    return BucketPages(operator, direct_store.name, bucket)


@dataclass(frozen=True)
class Truth:
    """What boto3 says about a bucket, without Partway and without the proxy."""

    s3: Any
    bucket: str

    def uploads(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self.s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        return listed

    def parts(self, upload: UploadRef) -> list[dict[str, Any]]:
        """The parts of an upload, none if there is no such upload."""
        try:
            page = self.s3.list_parts(Bucket=self.bucket, Key=upload.key, UploadId=upload.upload_id)
        except ClientError as error:
            if error.response["Error"]["Code"] not in GONE:
                raise
            return []
        parts: list[dict[str, Any]] = page.get("Parts", [])
        return parts

    def keys(self) -> list[str]:
        return [entry["Key"] for entry in self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])]


@pytest.fixture
def truth(direct_store: DirectStore, bucket: str) -> Truth:
    return Truth(Boto(direct_store.config).client, bucket)


@pytest.fixture
def proxy(target: Server) -> Iterator[FaultProxy]:
    with FaultProxy(target.store.endpoint_url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clients") / "file.bin"
    with path.open("wb") as written:
        written.writelines(file_blocks(0, SIZE))
    return path


@pytest.fixture
def job(target: Server, proxy: FaultProxy, bucket: str, file: Path, tmp_path: Path) -> Job:
    store = target.store
    host = f"127.0.0.1:{proxy.port}"
    return Job(host, store.region, store.access_key, store.secret_key, bucket, KEY, str(file), str(tmp_path))


def wait_until_held(proxy: FaultProxy, truth: Truth) -> UploadRef:
    """Wait until two parts are in the store and the third is on its way. Returns the client's upload."""
    wait_for("a part that is being sent", lambda: proxy.held)
    (listed,) = truth.uploads()
    upload = UploadRef(listed["Key"], listed["UploadId"])
    assert [part["PartNumber"] for part in truth.parts(upload)] == [1, 2]
    return upload


def comparable_uploads(uploads: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(each["Key"], each["UploadId"], _moment(each["Initiated"]), each["StorageClass"]) for each in uploads]


def comparable_parts(parts: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [
        (part["PartNumber"], part["Size"], part["ETag"].strip('"'), _moment(part["LastModified"])) for part in parts
    ]


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def assert_same(pages: BucketPages, truth: Truth, upload: UploadRef) -> None:
    """Partway shows what boto3 lists."""
    assert comparable_uploads(pages.uploads()) == comparable_uploads(truth.uploads())
    assert comparable_parts(pages.parts(upload)) == comparable_parts(truth.parts(upload))


def assert_nothing_left(pages: BucketPages, truth: Truth, upload: UploadRef) -> None:
    """Neither the upload nor a part nor an object."""
    assert truth.uploads() == pages.uploads() == []
    assert truth.parts(upload) == []
    assert pages.status(upload) == 404
    assert truth.keys() == []


def segments(target: Server, bucket: str) -> list[str]:
    """What Swift keeps of a bucket's parts; nothing on other servers, which have no such container."""
    return target.store.segments(bucket) if isinstance(target.store, SwiftStore) else []


@pytest.mark.parametrize("client", CLIENTS)
def test_killed_client_leaves_an_upload_that_is_shown_and_aborted(
    client: str, job: Job, proxy: FaultProxy, truth: Truth, pages: BucketPages, target: Server
) -> None:
    """SIGKILL in the middle of a part: what Partway shows of the rest equals boto3's ListParts, and it is aborted."""
    with proxy.holding_parts(HELD), sending(client, job) as process:
        upload = wait_until_held(proxy, truth)
        process.send_signal(signal.SIGKILL)
        process.wait()
        wait_for("the end of the connection", lambda: not proxy.held)
    assert upload.key == KEY
    assert_same(pages, truth, upload)
    assert [part["Size"] for part in truth.parts(upload)] == [PART, PART]
    assert "recent" in pages.facts(upload)
    item = only_item(pages.ask("abort", upload).submit())
    assert (item["state"], item["error"]) == ("done", None)
    assert_nothing_left(pages, truth, upload)
    assert segments(target, truth.bucket) == []


@pytest.mark.parametrize("half_way", [False, True], ids=["before a part", "during a part"])
@pytest.mark.parametrize("client", CLIENTS)
def test_upload_of_a_live_client_is_marked_and_aborted(
    client: str, half_way: bool, job: Job, proxy: FaultProxy, truth: Truth, pages: BucketPages, target: Server
) -> None:
    """Partway warns that a program may be sending. The abort succeeds, the client fails, and nothing is left.

    Swift keeps a part that was on its way during the abort, where no request of the S3 API finds it (docs/stores.md).
    """
    with sending(client, job) as process:
        with proxy.holding_parts(HELD, half_way=half_way):
            upload = wait_until_held(proxy, truth)
            assert_same(pages, truth, upload)
            assert "recent" in pages.facts(upload)
            asked = pages.ask("abort", upload)
            assert "Another program may still be sending this upload." in asked.text
            item = only_item(asked.submit())
            assert (item["state"], item["error"]) == ("done", None)
            assert process.poll() is None
        assert process.wait(PATIENCE) != 0
    assert_nothing_left(pages, truth, upload)
    late = [name.rpartition("/")[2] for name in segments(target, truth.bucket)]
    assert late == ([str(HELD)] if half_way and target.name == "swift" else [])


@pytest.mark.parametrize("client", CLIENTS)
def test_client_that_is_not_disturbed_completes(
    client: str, job: Job, proxy: FaultProxy, truth: Truth, pages: BucketPages, direct_store: DirectStore, file: Path
) -> None:
    """Looking at a live upload changes nothing: the client goes on and completes it."""
    with sending(client, job) as process:
        with proxy.holding_parts(HELD):
            upload = wait_until_held(proxy, truth)
            assert_same(pages, truth, upload)
            assert "within the last hour" in pages.ask("complete", upload).text
        assert process.wait(PATIENCE) == 0
    assert truth.uploads() == pages.uploads() == []
    assert direct_store.object_digest(truth.bucket, KEY)[0] == file.stat().st_size
