"""Each test server starts, verifies signatures, creates separate buckets, and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest
import requests
from requests_aws4auth import AWS4Auth

from tests.stores import ceph, rclone, s3proxy, seaweedfs, swift, versity
from tests.stores.running import RunningStore

Running = Callable[[Path], AbstractContextManager[RunningStore]]

STORES: dict[str, Running] = {
    "swift": swift.running,
    "ceph": ceph.running,
    "versity": versity.running,
    "seaweedfs": seaweedfs.running,
    "s3proxy": s3proxy.running,
    "rclone": rclone.running,
}

IN_ANOTHER_PROCESS = """
import sys, boto3
url, region, access_key, secret_key, bucket = sys.argv[1:]
client = boto3.client("s3", endpoint_url=url, region_name=region, aws_access_key_id=access_key,
                      aws_secret_access_key=secret_key)
upload_id = client.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
print([each["UploadId"] == upload_id for each in client.list_multipart_uploads(Bucket=bucket)["Uploads"]])
"""


def listing(store: RunningStore, bucket: str, secret_key: str) -> requests.Response:
    """List the objects. The listing of uploads does not exist on rclone in an empty bucket."""
    auth = AWS4Auth(store.access_key, secret_key, store.region, "s3")
    with requests.Session() as session:
        session.trust_env = False
        return session.get(f"{store.endpoint_url}/{bucket}?list-type=2", auth=auth, timeout=30)


@pytest.mark.parametrize("name", STORES)
def test_store_starts_and_ends(name: str, tmp_path: Path) -> None:
    before = {each.pid for each in psutil.Process().children(recursive=True)}
    with STORES[name](tmp_path) as store:
        started = [each for each in psutil.Process().children(recursive=True) if each.pid not in before]
        assert started
        listening = {at.laddr.port for each in started for at in each.net_connections() if at.status == "LISTEN"}
        folders = {Path(word).parent for each in started for word in each.cmdline() if word.startswith("/tmp/partway-")}
        bucket = store.new_bucket()
        assert store.new_bucket() != bucket
        assert listing(store, bucket, store.secret_key).status_code == 200
        refused = listing(store, bucket, "wrong")
        assert (refused.status_code, b"<Code>SignatureDoesNotMatch</Code>" in refused.content) == (403, True)
        argv = [sys.executable, "-c", IN_ANOTHER_PROCESS, store.endpoint_url, store.region]
        other = subprocess.run(
            [*argv, store.access_key, store.secret_key, bucket], capture_output=True, text=True, check=False
        )
        assert (other.stdout.strip(), other.returncode) == ("[True]", 0), other.stderr
    assert not [each for each in started if each.is_running()]
    assert not [folder for folder in folders if folder.exists()]
    assert not [path for path in Path("/tmp").glob("*.sock") for port in listening if str(port) in path.name]


@pytest.mark.parametrize("name", STORES)
def test_two_stores_run_side_by_side(name: str, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    with STORES[name](tmp_path / "one") as one, STORES[name](tmp_path / "other") as other:
        bucket = one.new_bucket()
        assert listing(one, bucket, one.secret_key).status_code == 200
        assert listing(other, bucket, other.secret_key).status_code == 404
