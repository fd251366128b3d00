"""Sends a file, or the files of a folder, with a library as its documentation says. It runs without Partway.

`python sdk_upload.py LIBRARY ENDPOINT REGION BUCKET PATH KEY`: LIBRARY is boto3, crt (boto3 with the AWS CRT) or minio.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

THREADS = 10

Send = Callable[[Path, str], object]


def main(library: str, endpoint: str, region: str, bucket: str, path: str, key: str) -> None:
    send = SENDERS[library](endpoint, region, bucket)
    source = Path(path)
    if source.is_file():
        send(source, key)
        return
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda file: send(file, key + file.name), sorted(source.iterdir())))


def _boto3(endpoint: str, region: str, bucket: str) -> Send:
    import boto3

    client = boto3.client("s3", endpoint_url=endpoint, region_name=region)
    return lambda file, key: client.upload_file(str(file), bucket, key)


def _crt(endpoint: str, region: str, bucket: str) -> Send:
    """boto3 uses the AWS CRT with endpoints of AWS only, so this is what boto3 does there, with another endpoint."""
    import botocore.session
    from s3transfer import crt

    session = botocore.session.Session()
    credentials = crt.BotocoreCRTCredentialsWrapper(session.get_credentials()).to_crt_credentials_provider()
    secure = endpoint.startswith("https:")
    client = crt.create_s3_crt_client(region=region, use_ssl=secure, crt_credentials_provider=credentials)
    serializer = crt.BotocoreCRTRequestSerializer(session, {"region_name": region, "endpoint_url": endpoint})
    manager = crt.CRTTransferManager(client, serializer)
    return lambda file, key: manager.upload(str(file), bucket, key).result()


def _minio(endpoint: str, region: str, bucket: str) -> Send:
    from minio import Minio

    url = urlsplit(endpoint)
    keys = (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    client = Minio(url.netloc, *keys, region=region, secure=url.scheme == "https")
    return lambda file, key: client.fput_object(bucket, key, str(file))


SENDERS = {"boto3": _boto3, "crt": _crt, "minio": _minio}

if __name__ == "__main__":
    main(*sys.argv[1:])
