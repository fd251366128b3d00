"""Which operation a request asks for, and which action a RAM policy must allow for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.stores.oss import buckets, errors, multipart, objects
from tests.stores.oss.answers import Answer
from tests.stores.oss.asked import Asked
from tests.stores.oss.state import State


@dataclass(frozen=True, slots=True)
class Operation:
    action: str
    run: Callable[[State, Asked], Answer]


LIST_BUCKETS = Operation("oss:ListBuckets", buckets.list_buckets)

# By method and the parameters that must be there; the first that fits is it.
_OF_BUCKETS = {
    ("PUT",): Operation("oss:PutBucket", buckets.put_bucket),
    ("GET", "bucketInfo"): Operation("oss:GetBucketInfo", buckets.get_bucket_info),
    ("GET", "location"): Operation("oss:GetBucketLocation", buckets.get_bucket_location),
    ("GET", "uploads"): Operation("oss:ListMultipartUploads", multipart.list_uploads),
    ("GET", "list-type"): Operation("oss:ListObjects", objects.list_objects_v2),
    ("GET",): Operation("oss:ListObjects", objects.list_objects),
}
_OF_OBJECTS = {
    ("POST", "uploads"): Operation("oss:PutObject", multipart.initiate),
    ("PUT", "partNumber", "uploadId"): Operation("oss:PutObject", multipart.upload_part),
    ("POST", "uploadId"): Operation("oss:PutObject", multipart.complete),
    ("DELETE", "uploadId"): Operation("oss:AbortMultipartUpload", multipart.abort),
    ("GET", "uploadId"): Operation("oss:ListParts", multipart.list_parts),
    ("PUT",): Operation("oss:PutObject", objects.put_object),
    ("HEAD",): Operation("oss:GetObject", objects.head_object),
    ("GET",): Operation("oss:GetObject", objects.get_object),
    ("DELETE",): Operation("oss:DeleteObject", objects.delete_object),
}

_OTHERS = (
    "acl append cname cors delete encryption inventory lifecycle live logging objectMeta policy referer replication "
    "requestPayment restore stat style symlink tagging versionId versioning versions website worm x-oss-process"
)
SUBRESOURCES = frozenset(_OTHERS.split()).union(*(names[1:] for names in (*_OF_BUCKETS, *_OF_OBJECTS)))
"""Parameters that make another operation of a request. One that is not known here must not be taken for a plain one."""


def operation(asked: Asked) -> Operation:
    """NotImplemented and MethodNotAllowed for what this server cannot do."""
    if asked.host.bucket is None:
        if asked.method != "GET":
            raise errors.bad_method(asked.method)
        return LIST_BUCKETS
    known = _OF_BUCKETS if asked.key is None else _OF_OBJECTS
    wanted = SUBRESOURCES & asked.parameters.keys()
    for (method, *names), found in known.items():
        if method == asked.method and wanted == set(names):
            return found
    if wanted:
        raise errors.not_implemented(sorted(wanted)[0])
    raise errors.bad_method(asked.method)
