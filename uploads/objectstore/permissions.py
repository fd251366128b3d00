"""What S3 and OSS call the leave for each request, and what goes without it. Pure, data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Permission(NamedTuple):
    """What S3 and OSS call the leave for a request, and what goes without it."""

    s3: str
    oss: str
    concerns: str


PERMISSIONS: Mapping[str, Permission] = {
    "ListBuckets": Permission(
        "s3:ListAllMyBuckets", "oss:ListBuckets", "The store's page shows only buckets that an administrator named."
    ),
    "ListMultipartUploads": Permission(
        "s3:ListBucketMultipartUploads",
        "oss:ListMultipartUploads",
        "The listing shows no uploads; one can still be opened by its key and upload id.",
    ),
    "ListParts": Permission(
        "s3:ListMultipartUploadParts",
        "oss:ListParts",
        "An upload's parts and sizes are not shown, and it cannot be completed from its page; the listing works.",
    ),
    "CreateMultipartUpload": Permission("s3:PutObject", "oss:PutObject", "Files of more than one part cannot be sent."),
    "UploadPart": Permission("s3:PutObject", "oss:PutObject", "Files of more than one part cannot be sent."),
    "CompleteMultipartUpload": Permission(
        "s3:PutObject", "oss:PutObject", "Nothing can be completed: transfers fail at their end."
    ),
    "PutObject": Permission("s3:PutObject", "oss:PutObject", "Files of one part cannot be sent."),
    "AbortMultipartUpload": Permission(
        "s3:AbortMultipartUpload",
        "oss:AbortMultipartUpload",
        "Nothing can be aborted: cancelled transfers leave their uploads behind.",
    ),
    "HeadObject": Permission(
        "s3:GetObject and s3:ListBucket", "oss:GetObject", "What was completed ends as “done, unverified”."
    ),
    "DeleteObject": Permission(
        "s3:DeleteObject", "oss:DeleteObject", "Only this check deletes objects: what it makes stays behind."
    ),
}
"""By the API's name of the operation. S3 user guide, "Multipart upload API and permissions"; OSS, "RAM policies"."""


def permission_advice(operation: str) -> str:
    """What to allow, in the words of policies."""
    permission = PERMISSIONS.get(operation)
    if permission is None:
        return "Ask whoever runs the bucket to allow it."
    return f"Allow {permission.s3} (on OSS {permission.oss})."


def what_goes_without(operation: str) -> str:
    """What does not work without the permission, in a sentence; '' for a request that nothing here rests on."""
    permission = PERMISSIONS.get(operation)
    return permission.concerns if permission else ""
