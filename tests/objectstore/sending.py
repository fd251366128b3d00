"""Runs in its own process: sends parts of increasing size and prints its peak memory (KiB) after each."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import Credentials, FileSlice, StoreConfig


def main(endpoint_url: str, region: str, access_key: str, secret_key: str, bucket: str, path: str) -> None:
    config = StoreConfig(endpoint_url, region, Credentials(access_key, secret_key), provider="swift")
    memory = []
    with ObjectStoreClient(config) as client:
        upload_id = client.create_multipart_upload(bucket, "big")
        for number, mebibytes in enumerate((17, 512), start=1):
            client.upload_part(bucket, "big", upload_id, number, FileSlice(Path(path), 0, mebibytes * 1024 * 1024))
            memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        sizes = [part.size for part in client.iter_parts(bucket, "big", upload_id)]
        client.abort_multipart_upload(bucket, "big", upload_id)
    sys.stdout.write(json.dumps({"memory": memory, "sizes": sizes}))


if __name__ == "__main__":
    main(*sys.argv[1:])
