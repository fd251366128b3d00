"""The operation of a request, and the action that a RAM policy must allow for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.stores.oss import buckets, errors, multipart, objects
from tests.stores.oss.request import Request
from tests.stores.oss.responses import Response
from tests.stores.oss.state import State


@dataclass(frozen=True, slots=True)
class Operation:
    action: str
    run: Callable[[State, Request], Response]


LIST_BUCKETS = Operation("oss:ListBuckets", buckets.list_buckets)

# By method and required parameters.
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
"""Parameters that select an operation. A request with one that is not implemented must not be served as another."""


def operation(request: Request) -> Operation:
    """The operation of a request. Raises NotImplemented or MethodNotAllowed if there is none."""
    if request.host.bucket is None:
        if request.method != "GET":
            raise errors.bad_method(request.method)
        return LIST_BUCKETS
    known = _OF_BUCKETS if request.key is None else _OF_OBJECTS
    requested = SUBRESOURCES & request.parameters.keys()
    for (method, *names), each in known.items():
        if method == request.method and requested == set(names):
            return each
    if requested:
        raise errors.not_implemented(sorted(requested)[0])
    raise errors.bad_method(request.method)
