"""Path converters for the names of stores and buckets."""

from __future__ import annotations

BUCKET = r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}"
"""Bucket names of S3 and OSS, including old long ones. Browsers and proxies do not change any of them."""


class BucketConverter:
    regex = BUCKET

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class StoreConverter(BucketConverter):
    regex = r"[a-z0-9][a-z0-9-]{0,62}"
