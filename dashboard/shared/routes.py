"""What may stand in a URL's path as the name of a store or a bucket."""

from __future__ import annotations

BUCKET = r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}"
"""Bucket names of S3 and OSS, the old long ones included; none of them is changed by a browser or a proxy."""


class BucketConverter:
    regex = BUCKET

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class StoreConverter(BucketConverter):
    regex = r"[a-z0-9][a-z0-9-]{0,62}"
