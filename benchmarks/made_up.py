"""Listings of uploads and parts that do not exist, for the store that discards bodies: of any length, at no cost.

The bucket `uploads-20000` has so many uploads, and an upload id that ends with `-parts-10000` so many parts.
"""

from __future__ import annotations

import re
from functools import lru_cache

from benchmarks.files import MIB

PAGE = 1000
PART_SIZE = 8 * MIB
INITIATED = "2026-01-02T03:04:05.000Z"
_UPLOADS = re.compile(r"uploads-(\d+)$")
_PARTS = re.compile(r"-parts-(\d+)$")


def key(number: int) -> str:
    return f"backups/2026/database/full backup {number:07}.tar.zst"


def upload_id(number: int, parts: int = 0) -> str:
    return f"{number:032x}-parts-{parts}"


def part_etag(number: int) -> str:
    return f"{number:032x}"


def uploads_page(bucket: str, key_marker: str, most: int) -> bytes:
    """A page of ListMultipartUploads after the marker. Other buckets have no uploads."""
    found = _UPLOADS.search(bucket)
    count = int(found[1]) if found else 0
    first = int(re.findall(r"\d{7}", key_marker)[-1]) + 1 if key_marker else 0
    return _uploads_page(bucket, first, min(count, first + most), count)


def parts_page(upload: str, marker: int, most: int) -> bytes | None:
    """A page of ListParts; None if there is no such upload."""
    found = _PARTS.search(upload)
    return _parts_page(upload, marker + 1, min(int(found[1]), marker + most), int(found[1])) if found else None


@lru_cache(200)
def _uploads_page(bucket: str, first: int, end: int, count: int) -> bytes:
    rows = "".join(
        f"<Upload><Key>{key(number)}</Key><UploadId>{upload_id(number)}</UploadId><Initiator><ID>backup</ID>"
        "<DisplayName>backup</DisplayName></Initiator><Owner><ID>backup</ID><DisplayName>backup</DisplayName></Owner>"
        f"<StorageClass>STANDARD</StorageClass><Initiated>{INITIATED}</Initiated></Upload>"
        for number in range(first, end)
    )
    more = str(end < count).lower()
    after = (
        f"<NextKeyMarker>{key(end - 1)}</NextKeyMarker><NextUploadIdMarker>{upload_id(end - 1)}</NextUploadIdMarker>"
    )
    head = f"<Bucket>{bucket}</Bucket>{after if end < count else ''}<MaxUploads>{PAGE}</MaxUploads>"
    return _document("ListMultipartUploadsResult", f"{head}<IsTruncated>{more}</IsTruncated>{rows}")


@lru_cache(200)
def _parts_page(upload: str, first: int, end: int, count: int) -> bytes:
    rows = "".join(
        f"<Part><PartNumber>{number}</PartNumber><LastModified>{INITIATED}</LastModified>"
        f"<ETag>&quot;{part_etag(number)}&quot;</ETag><Size>{PART_SIZE}</Size></Part>"
        for number in range(first, end + 1)
    )
    head = f"<UploadId>{upload}</UploadId><NextPartNumberMarker>{end}</NextPartNumberMarker><MaxParts>{PAGE}</MaxParts>"
    return _document("ListPartsResult", f"{head}<IsTruncated>{str(end < count).lower()}</IsTruncated>{rows}")


def _document(root: str, inner: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?><{root}>{inner}</{root}>'.encode()
