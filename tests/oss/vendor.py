"""The vendor's client, connected to a test server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import alibabacloud_oss_v2 as oss
import pytest

from tests.stores.oss import OssStore
from tests.stores.oss.accounts import Account

MIN_PART = 100 * 1024


def client(store: OssStore, account: Account | None = None, **settings: Any) -> Any:
    """A client that does not retry requests."""
    owner = account or Account(store.access_key, store.secret_key)
    provider = oss.credentials.StaticCredentialsProvider(owner.access_key, owner.secret_key, owner.token or None)
    values = {"region": store.region, "endpoint": store.endpoint_url, "retry_max_attempts": 1, **settings}
    return oss.Client(oss.Config(credentials_provider=provider, **values))


def refusal(call: Callable[[], object]) -> Any:
    """The error that the service returns for a call."""
    with pytest.raises(oss.exceptions.OperationError) as caught:
        call()
    error = caught.value.unwrap()
    assert isinstance(error, oss.exceptions.ServiceError), error
    return error


class Uploads:
    """Shortcuts for the operations on multipart uploads in one bucket."""

    def __init__(self, store: OssStore, bucket: str, account: Account | None = None, **settings: Any) -> None:
        self.client = client(store, account, **settings)
        self.bucket = bucket

    def initiate(self, key: str, **fields: Any) -> str:
        """Create an upload and return its id."""
        request = oss.InitiateMultipartUploadRequest(bucket=self.bucket, key=key, **fields)
        response = self.client.initiate_multipart_upload(request)
        assert (response.bucket, response.key) == (self.bucket, key)
        upload_id: str = response.upload_id
        return upload_id

    def part(self, key: str, upload_id: str, number: int, body: Any, **fields: Any) -> Any:
        request = oss.UploadPartRequest(
            bucket=self.bucket, key=key, upload_id=upload_id, part_number=number, body=body, **fields
        )
        return self.client.upload_part(request)

    def complete(self, key: str, upload_id: str, parts: list[tuple[int, str]], **fields: Any) -> Any:
        listed = [oss.UploadPart(part_number=number, etag=etag) for number, etag in parts]
        request = oss.CompleteMultipartUploadRequest(
            bucket=self.bucket,
            key=key,
            upload_id=upload_id,
            complete_multipart_upload=oss.CompleteMultipartUpload(parts=listed),
            **fields,
        )
        return self.client.complete_multipart_upload(request)

    def abort(self, key: str, upload_id: str) -> Any:
        request = oss.AbortMultipartUploadRequest(bucket=self.bucket, key=key, upload_id=upload_id)
        return self.client.abort_multipart_upload(request)

    def parts(self, key: str, upload_id: str, **fields: Any) -> Any:
        request = oss.ListPartsRequest(bucket=self.bucket, key=key, upload_id=upload_id, **fields)
        return self.client.list_parts(request)

    def listing(self, **fields: Any) -> Any:
        return self.client.list_multipart_uploads(oss.ListMultipartUploadsRequest(bucket=self.bucket, **fields))

    def object(self, key: str) -> bytes:
        response = self.client.get_object(oss.GetObjectRequest(bucket=self.bucket, key=key))
        content: bytes = response.body.content
        return content

    def head(self, key: str) -> Any:
        return self.client.head_object(oss.HeadObjectRequest(bucket=self.bucket, key=key))

    def put(self, key: str, body: Any = b"", **fields: Any) -> Any:
        return self.client.put_object(oss.PutObjectRequest(bucket=self.bucket, key=key, body=body, **fields))
