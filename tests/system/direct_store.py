"""Direct access to a store, without Partway: with our client, and with the vendors' clients to compare with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Protocol

from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import FileSlice, StoreConfig

MIB = 1024**2


class OtherClient(Protocol):
    """What the tests need of a client that is not ours."""

    def put_object(self, bucket: str, key: str, body: bytes) -> None: ...

    def blocks(self, bucket: str, key: str) -> Iterable[bytes]:
        """The bytes of an object."""

    def uploads(self, bucket: str) -> Iterator[tuple[str, str]]:
        """The key and upload id of every upload in progress."""


class Boto:
    """Amazon's client, for S3."""

    def __init__(self, config: StoreConfig) -> None:
        import boto3
        from botocore.config import Config

        self.client = boto3.client(
            "s3",
            endpoint_url=config.endpoint_url,
            region_name=config.region,
            aws_access_key_id=config.credentials.access_key,
            aws_secret_access_key=config.credentials.secret_key,
            config=Config(s3={"addressing_style": "path"}, proxies={}),
        )

    def put_object(self, bucket: str, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=bucket, Key=key, Body=body)

    def blocks(self, bucket: str, key: str) -> Iterable[bytes]:
        blocks: Iterable[bytes] = self.client.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(MIB)
        return blocks

    def uploads(self, bucket: str) -> Iterator[tuple[str, str]]:
        for page in self.client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
            yield from ((upload["Key"], upload["UploadId"]) for upload in page.get("Uploads", []))


class Vendor:
    """Aliyun's client, for OSS."""

    def __init__(self, config: StoreConfig) -> None:
        import alibabacloud_oss_v2 as oss

        self._oss = oss
        keys = oss.credentials.StaticCredentialsProvider(config.credentials.access_key, config.credentials.secret_key)
        options = {"region": config.region, "endpoint": config.endpoint_url, "retry_max_attempts": 1}
        self.client = oss.Client(oss.Config(credentials_provider=keys, **options))

    def put_object(self, bucket: str, key: str, body: bytes) -> None:
        self.client.put_object(self._oss.PutObjectRequest(bucket=bucket, key=key, body=body))

    def blocks(self, bucket: str, key: str) -> Iterable[bytes]:
        response = self.client.get_object(self._oss.GetObjectRequest(bucket=bucket, key=key))
        blocks: Iterable[bytes] = response.body.iter_bytes(block_size=MIB)
        return blocks

    def uploads(self, bucket: str) -> Iterator[tuple[str, str]]:
        request = self._oss.ListMultipartUploadsRequest(bucket=bucket)
        for page in self.client.list_multipart_uploads_paginator().iter_page(request):
            yield from ((upload.key, upload.upload_id) for upload in page.uploads or [])


class DirectStore:
    """A store. `name` is its name in the dashboard."""

    def __init__(self, name: str, config: StoreConfig, new_bucket: Callable[[], str]) -> None:
        self.name = name
        self.config = config
        self.new_bucket = new_bucket

    @cached_property
    def client(self) -> ObjectStoreClient:
        """Our client."""
        return ObjectStoreClient(self.config)

    @cached_property
    def other_client(self) -> OtherClient:
        """The vendor's client, to compare with."""
        return Vendor(self.config) if self.config.signature == "oss4" else Boto(self.config)

    def object_digest(self, bucket: str, key: str) -> tuple[int, str]:
        """The size and SHA-256 of an object's bytes, read in blocks with the vendor's client."""
        digest, size = hashlib.sha256(), 0
        for block in self.other_client.blocks(bucket, key):
            digest.update(block)
            size += len(block)
        return size, digest.hexdigest()

    def uploads_in(self, bucket: str) -> list[tuple[str, str]]:
        """The key and upload id of every upload in progress, as the vendor's client lists them."""
        return list(self.other_client.uploads(bucket))

    def create_upload(self, bucket: str, key: str, parts: dict[int, int], scratch: Path) -> str:
        """Create an upload with parts of these sizes by number, with bytes of `part_bytes`. Returns its upload id."""
        upload_id = self.client.create_multipart_upload(bucket, key)
        for number, size in parts.items():
            scratch.write_bytes(part_bytes(number, size))
            self.client.upload_part(bucket, key, upload_id, number, FileSlice(scratch, 0, size))
        return upload_id


def part_bytes(number: int, size: int) -> bytes:
    """The bytes of a part. Parts with different numbers have different bytes."""
    pattern = hashlib.sha256(str(number).encode()).digest() * 32
    return (pattern * (size // len(pattern) + 1))[:size]
