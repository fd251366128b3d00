"""What the test servers for S3 have in common: an endpoint, credentials, and empty buckets on request."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import requests
from requests_aws4auth import AWS4Auth

from tests.stores import processes
from tests.stores.naming import new_bucket_name

START_SECONDS = 120


@dataclass(frozen=True, slots=True)
class S3Store:
    """A running store that verifies signatures, with path-style addressing on loopback."""

    endpoint_url: str
    region: str
    access_key: str
    secret_key: str
    folder: Path
    """The folder of its logs and data."""

    def new_bucket(self) -> str:
        """Create an empty bucket with a unique name."""
        bucket = new_bucket_name()
        status = self._put(bucket)
        assert status == 200, f"The store did not create the bucket {bucket}: {status}"
        return bucket

    def wait_until_ready(self, started: Sequence[subprocess.Popen[bytes]], bucket: str = "ready") -> None:
        """Return when the store has accepted a signed request that creates a bucket, which may exist.

        `started` are its processes.
        """
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                status = self._put(bucket)
            except requests.ConnectionError:
                status = 0
            # 409: an earlier run has created it.
            if status in (200, 409):
                return
            assert processes.all_running(started), f"The store did not start: see the logs in {self.folder}"
            assert time.monotonic() < deadline, f"The store does not respond ({status}): see the logs in {self.folder}"
            time.sleep(0.05)

    def _put(self, bucket: str) -> int:
        auth = AWS4Auth(self.access_key, self.secret_key, self.region, "s3")
        with requests.Session() as session:
            session.trust_env = False
            return session.put(f"{self.endpoint_url}/{bucket}", auth=auth, timeout=30).status_code
