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
    "GetBucketLifecycleConfiguration": PermissionNames(("s3:GetLifecycleConfiguration",), ("oss:GetBucketLifecycle",)),
    "PutBucketLifecycleConfiguration": PermissionNames(("s3:PutLifecycleConfiguration",), ("oss:PutBucketLifecycle",)),
    "DeleteBucketLifecycle": PermissionNames(("s3:PutLifecycleConfiguration",), ("oss:DeleteBucketLifecycle",)),
}
"""By the API's name of the operation. S3 user guide, "Multipart upload API and permissions"; OSS, "RAM policies"."""


def needed_by(operation: str) -> PermissionNames | None:
    """The permission that an operation needs; None for an operation that this program does not use."""
    return PERMISSIONS.get(operation)
