"""A test server with the API of Aliyun OSS, which is not available offline.

It verifies OSS V4 and V1 signatures in the header and in the URL, and V2 in the header. tests/oss verifies the server
in two ways: with the vendor's clients, and with the examples of the vendor's API reference. Like OSS, it has
virtual-hosted addressing only: the endpoint is `http://oss-cn-hangzhou.localhost:PORT`, and a bucket is at
`http://BUCKET.oss-cn-hangzhou.localhost:PORT`. While a store runs, this process resolves such names. Another process
does so if it is started with the store's `environment` (names/sitecustomize.py). The endpoint of another region has the
buckets that were created there.

    with oss.running(folder) as store:
        bucket = store.new_bucket()
        reader = store.new_account(denied=["oss:ListMultipartUploads"])

It has GetService, PutBucket, GetBucketInfo, GetBucketLocation, the six operations of multipart uploads, PutObject,
HeadObject, GetObject, DeleteObject, ListObjects and ListObjectsV2. It refuses what else is documented with
NotImplemented (unsupported.py): versions, ACLs, encryption, copies, callbacks, conditional requests and so on. It loses
all data when it ends.

Where the documentation says nothing, it assumes: common prefixes count towards max-uploads; the marker of a page that
ends with a common prefix is that prefix, without an upload id; parts that are being received when their upload is
aborted arrive afterwards, so that the upload exists again until another abort; an STS key without its token is
InvalidAccessKeyId.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from local import ports
from tests.stores import processes
from tests.stores.naming import new_bucket_name
from tests.stores.oss.accounts import Account, Accounts
from tests.stores.oss.names import sitecustomize

PROJECT = Path(__file__).parents[3]
NAMES = Path(__file__).parent / "names"
START_SECONDS = 120

EXPIRED = 1.0
"""The expiry of an expired token, in seconds since 1970."""


def environment() -> dict[str, str]:
    """The environment with which another process resolves the host names of buckets."""
    paths = [str(NAMES), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths)}


class OssStore:
    """A running store: an endpoint, credentials, and empty buckets on request."""

    region = "cn-hangzhou"

    def __init__(self, folder: Path, port: int, account: Account, pid: int) -> None:
        self.folder = folder
        self.port = port
        self.pid = pid
        self.endpoint_url = f"http://oss-{self.region}.localhost:{port}"
        self.access_key = account.access_key
        self.secret_key = account.secret_key
        self._accounts = Accounts(folder)

    @property
    def environment(self) -> dict[str, str]:
        return environment()

    def new_bucket(self, region: str = region) -> str:
        """Create an empty bucket with a unique name, in the store's region or another."""
        import alibabacloud_oss_v2 as vendor

        bucket = new_bucket_name()
        provider = vendor.credentials.StaticCredentialsProvider(self.access_key, self.secret_key)
        endpoint = f"http://oss-{region}.localhost:{self.port}"
        config = vendor.Config(region=region, endpoint=endpoint, credentials_provider=provider)
        vendor.Client(config).put_bucket(vendor.PutBucketRequest(bucket=bucket))
        return bucket

    def new_account(self, *, denied: Iterable[str] = (), temporary: bool = False, expired: bool = False) -> Account:
        """Add an access key with denied RAM actions, and with `temporary` a valid or expired STS token."""
        name = secrets.token_hex(8)
        account = Account(
            access_key=f"STS.{name}" if temporary else f"LTAI{name}",
            secret_key=secrets.token_urlsafe(24),
            token=secrets.token_urlsafe(48) if temporary else "",
            expires=EXPIRED if expired else None,
            denied=tuple(denied),
        )
        self._accounts.save(account)
        return account


@contextmanager
def running(folder: Path) -> Iterator[OssStore]:
    """Run a store in an empty folder as a separate process."""
    owner = Account(f"LTAI{secrets.token_hex(8)}", secrets.token_urlsafe(24))
    Accounts(folder).save(owner)
    port = ports.choose(1)[0]
    argv = [sys.executable, "-m", "tests.stores.oss", str(folder), str(port)]
    process = processes.start(argv, folder / "oss.log", {"PYTHONPATH": str(PROJECT)})
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ports.is_listening(port):
            assert processes.all_running([process]), (folder / "oss.log").read_text()
            assert time.monotonic() < deadline, "the OSS test server does not listen"
            time.sleep(0.02)
        with sitecustomize.resolved():
            yield OssStore(folder, port, owner, process.pid)
    finally:
        processes.stop([process])
