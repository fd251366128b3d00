"""Many uploads with hostile keys, and what the inventory has of them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import FileSlice

THREADS = 8
PREFIXES = ("plain/", "a//b ", "ü/日本/", "+%?#&<>/", "e\u0301")

Facts = dict[tuple[str, str, str], tuple[int | None, int | None]]
"""Parts and bytes by bucket, key and upload id."""


def create(
    client: ObjectStoreClient, buckets: list[str], count: int, body: FileSlice, prefixes: Sequence[str]
) -> Facts:
    """Each tenth upload has a part."""

    def one(number: int) -> tuple[tuple[str, str, str], tuple[int, int]]:
        bucket, key = buckets[number % len(buckets)], f"{prefixes[number % len(prefixes)]}{number}"
        upload_id = client.create_multipart_upload(bucket, key)
        if number % 10 == 0:
            client.upload_part(bucket, key, upload_id, 1 + number % 3, body)
        return (bucket, key, upload_id), (int(number % 10 == 0), body.size * (number % 10 == 0))

    with ThreadPoolExecutor(THREADS) as threads:
        return dict(threads.map(one, range(count)))
