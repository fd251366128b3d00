"""The uploads of a bucket as JSON, under the names of the S3 API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dashboard.shared import jsonapi
from dashboard.uploads import columns
from uploads.objectstore.types import ListedPart, MultipartUpload, PartsPage, UploadRef, UploadsPage, UploadsQuery
from uploads.services.browse.unlisted import Unlisted


def listing_json(bucket: str, query: UploadsQuery, page: UploadsPage, unlisted: Unlisted) -> dict[str, Any]:
    """`Uploads` and `CommonPrefixes` are the store's own. `Unlisted` holds uploads of ours that they leave out."""
    return {
        "Bucket": bucket,
        "Prefix": query.prefix,
        "Delimiter": query.delimiter,
        "MaxUploads": query.max_uploads,
        "KeyMarker": query.key_marker,
        "UploadIdMarker": query.upload_id_marker,
        "IsTruncated": page.is_truncated,
        "NextKeyMarker": page.next_key_marker if page.is_truncated else "",
        "NextUploadIdMarker": page.next_upload_id_marker if page.is_truncated else "",
        "CommonPrefixes": _prefixes_json(page.common_prefixes),
        "Uploads": [upload_json(upload) for upload in page.uploads],
        "Unlisted": [upload_json(each.upload) for each in unlisted.uploads],
        "UnlistedPrefixes": _prefixes_json(unlisted.prefixes),
        "UnlistedIsTruncated": unlisted.more,
    }


def upload_json(upload: MultipartUpload) -> dict[str, Any]:
    """The fields of the listing's columns, and the owner, who has no column."""
    return {column.field: column.value(upload) for column in columns.LISTED} | {"Owner": upload.owner}


def _prefixes_json(prefixes: Sequence[str]) -> list[dict[str, str]]:
    return [{"Prefix": prefix} for prefix in prefixes]


def detail_json(bucket: str, name: UploadRef, page: PartsPage, max_parts: int, marker: int) -> dict[str, Any]:
    return {
        "Bucket": bucket,
        "Key": name.key,
        "UploadId": name.upload_id,
        "PartNumberMarker": marker,
        "MaxParts": max_parts,
        "IsTruncated": page.is_truncated,
        "NextPartNumberMarker": page.next_part_number_marker if page.is_truncated else 0,
        "Initiator": page.initiator,
        "Owner": page.owner,
        "StorageClass": page.storage_class,
        "Parts": [part_json(part) for part in page.parts],
    }


def part_json(part: ListedPart) -> dict[str, Any]:
    return {
        "PartNumber": part.number,
        "Size": part.size,
        "ETag": part.etag,
        "LastModified": jsonapi.iso(part.last_modified),
    }
