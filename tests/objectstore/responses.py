"""Responses of stores and files for the tests of the client."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.objectstore.fault_server import (
    Step,
    respond,
)
from uploads.objectstore.types import CompletedPart, FileSlice

EMPTY_LISTING = b"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"
CREATED = b"<InitiateMultipartUploadResult><UploadId>u-1</UploadId></InitiateMultipartUploadResult>"
COMPLETED = b'<CompleteMultipartUploadResult><ETag>"e-1"</ETag></CompleteMultipartUploadResult>'
PARTS = [CompletedPart(1, "e")]


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def stored(content: bytes) -> Step:
    """Read the whole request and respond like a store that has stored these bytes."""
    return respond(200, headers={"ETag": f'"{md5(content)}"', "x-amz-request-id": "r-9"})


def sparse(folder: Path, size: int) -> FileSlice:
    path = folder / "sparse"
    with path.open("wb") as file:
        file.truncate(size)
    return FileSlice(path, 0, size)
