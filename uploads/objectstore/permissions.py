"""The permission that each operation needs, by its names in S3 and OSS policies. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class PermissionNames(NamedTuple):
    """The actions that a policy must allow for one operation."""

    s3: tuple[str, ...]
    oss: tuple[str, ...]


PERMISSIONS: Mapping[str, PermissionNames] = {
    "ListBuckets": PermissionNames(("s3:ListAllMyBuckets",), ("oss:ListBuckets",)),
    "ListMultipartUploads": PermissionNames(("s3:ListBucketMultipartUploads",), ("oss:ListMultipartUploads",)),
    "ListParts": PermissionNames(("s3:ListMultipartUploadParts",), ("oss:ListParts",)),
    "CreateMultipartUpload": PermissionNames(("s3:PutObject",), ("oss:PutObject",)),
    "UploadPart": PermissionNames(("s3:PutObject",), ("oss:PutObject",)),
    "CompleteMultipartUpload": PermissionNames(("s3:PutObject",), ("oss:PutObject",)),
    "PutObject": PermissionNames(("s3:PutObject",), ("oss:PutObject",)),
    "AbortMultipartUpload": PermissionNames(("s3:AbortMultipartUpload",), ("oss:AbortMultipartUpload",)),
    "HeadObject": PermissionNames(("s3:GetObject", "s3:ListBucket"), ("oss:GetObject",)),
    "DeleteObject": PermissionNames(("s3:DeleteObject",), ("oss:DeleteObject",)),
}
"""By the API's name of the operation. S3 user guide, "Multipart upload API and permissions"; OSS, "RAM policies"."""


def needed_by(operation: str) -> PermissionNames | None:
    """The permission that an operation needs; None for an operation that this program does not use."""
    return PERMISSIONS.get(operation)


# Transitional, for store checks. The texts are in dashboard.shared.messages.reasons.

_WITHOUT: Mapping[str, str] = {
    "ListBuckets": "The store's page shows only buckets that an administrator named.",
    "ListMultipartUploads": "The listing shows no uploads; one can still be opened by its key and upload id.",
    "ListParts": (
        "An upload's parts and sizes are not shown, and it cannot be completed from its page; the listing works."
    ),
    "CreateMultipartUpload": "Files of more than one part cannot be sent.",
    "UploadPart": "Files of more than one part cannot be sent.",
    "CompleteMultipartUpload": "Nothing can be completed: transfers fail at their end.",
    "PutObject": "Files of one part cannot be sent.",
    "AbortMultipartUpload": "Nothing can be aborted: cancelled transfers leave their uploads behind.",
    "HeadObject": "What was completed ends as “done, unverified”.",
    "DeleteObject": "Only this check deletes objects: what it makes stays behind.",
}


def permission_advice(operation: str) -> str:
    permission = PERMISSIONS.get(operation)
    if permission is None:
        return "Ask whoever runs the bucket to allow it."
    return f"Allow {' and '.join(permission.s3)} (on OSS {', '.join(permission.oss)})."


def what_goes_without(operation: str) -> str:
    return _WITHOUT.get(operation, "")
