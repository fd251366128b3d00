"""The uploads of a bucket as JSON, under the names of the S3 API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dashboard.shared import jsonapi
from dashboard.shared.messages import text_of
from dashboard.uploads import columns
from dashboard.uploads.notes import Note, why_parts_end
from uploads.objectstore.types import ListedPart, MultipartUpload, PartsPage, UploadRef, UploadsPage, UploadsQuery
from uploads.problems import Problem
from uploads.services.browse.preflight import CompletePreflight
from uploads.services.browse.unlisted import Unlisted


def listing_json(
    bucket: str, query: UploadsQuery, page: UploadsPage, unlisted: Unlisted, notes: Sequence[Note], next_page: str
) -> dict[str, Any]:
    """`Uploads` and `CommonPrefixes` are the store's own. `Unlisted` holds uploads of ours that they leave out.

    `IsTruncated` is true only if the next page can be requested, so that a script that follows the markers ends.
    `MayBeIncomplete` and `Notes` say whether and why uploads may be missing. A store that leaves out uploads of ours
    may leave out others as well.
    """
    return {
        "Bucket": bucket,
        "Prefix": query.prefix,
        "Delimiter": query.delimiter,
        "MaxUploads": query.max_uploads,
        "KeyMarker": query.key_marker,
        "UploadIdMarker": query.upload_id_marker,
        "IsTruncated": bool(next_page),
        "NextKeyMarker": page.next_key_marker if next_page else "",
        "NextUploadIdMarker": page.next_upload_id_marker if next_page else "",
        "NextPage": next_page,
        "MayBeIncomplete": bool(unlisted.uploads or unlisted.prefixes) or any(note.may_miss for note in notes),
        "Notes": notes_json(notes),
        "CommonPrefixes": _prefixes_json(page.common_prefixes),
        "Uploads": [upload_json(upload) for upload in page.uploads],
        "Unlisted": [upload_json(each.upload) for each in unlisted.uploads],
        "UnlistedPrefixes": _prefixes_json(unlisted.prefixes),
        "UnlistedIsTruncated": unlisted.more,
    }


def notes_json(notes: Sequence[Note]) -> list[dict[str, str]]:
    return [{"Code": note.code, "Message": str(note.text)} for note in notes]


def upload_json(upload: MultipartUpload) -> dict[str, Any]:
    """The fields of the listing's columns, and the owner, who has no column."""
    return {column.field: column.value(upload) for column in columns.LISTED} | {"Owner": upload.owner}


def _prefixes_json(prefixes: Sequence[str]) -> list[dict[str, str]]:
    return [{"Prefix": prefix} for prefix in prefixes]


def detail_json(bucket: str, name: UploadRef, page: PartsPage, max_parts: int, marker: int) -> dict[str, Any]:
    """ListParts. As in `listing_json`, `IsTruncated` is true only if the next page can be requested."""
    stuck = why_parts_end(page, marker)
    return {
        "Bucket": bucket,
        "Key": name.key,
        "UploadId": name.upload_id,
        "PartNumberMarker": marker,
        "MaxParts": max_parts,
        "IsTruncated": page.is_truncated and stuck is None,
        "NextPartNumberMarker": page.onward,
        "MayBeIncomplete": stuck is not None,
        "Notes": notes_json([stuck] if stuck else []),
        "Initiator": page.initiator,
        "Owner": page.owner,
        "StorageClass": page.storage_class,
        "AbortDate": jsonapi.iso(page.abort_date),
        "AbortRuleId": page.abort_rule_id,
        "Parts": [part_json(part) for part in page.parts],
    }


def part_json(part: ListedPart) -> dict[str, Any]:
    return {
        "PartNumber": part.number,
        "Size": part.size,
        "ETag": part.etag,
        "LastModified": jsonapi.iso(part.last_modified),
    }


def preflight_json(bucket: str, preflight: CompletePreflight) -> dict[str, Any]:
    """What a completion would do. The request for it repeats `PartsSeen`, `Gaps`, and the facts of `Object`.

    `Object` is null if there is none. `ObjectKnown` is false if HEAD is not allowed.
    """
    existing = preflight.existing
    facts = existing.facts if existing else None
    replaced = facts and {
        "Size": facts.size,
        "ETag": facts.etag,
        "LastModified": jsonapi.iso(facts.last_modified),
    }
    return {
        "Bucket": bucket,
        "Key": preflight.upload.key,
        "UploadId": preflight.upload.upload_id,
        "PartsCount": preflight.part_summary.count if preflight.part_summary else 0,
        "PartsSeen": str(preflight.seen_parts),
        "Gaps": preflight.gaps,
        "Size": preflight.resulting_size,
        "ETag": preflight.expected_etag,
        "Object": replaced,
        "ObjectKnown": existing is not None and existing.refusal is None,
        "OwnedByTransfer": preflight.transfer is not None,
        "blockers": [_problem_json(each) for each in preflight.blockers],
        "warnings": [_problem_json(each) for each in preflight.warnings],
    }


def _problem_json(problem: Problem) -> dict[str, str]:
    return {"code": problem.code, "message": text_of(problem)}
