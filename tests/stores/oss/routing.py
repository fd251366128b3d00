"""The operation of a request, and the action that a RAM policy must allow for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.stores.oss import buckets, errors, lifecycle, multipart, objects, unsupported
from tests.stores.oss.request import Request
from tests.stores.oss.responses import Response
from tests.stores.oss.state import State


@dataclass(frozen=True, slots=True)
class Operation:
    action: str
    run: Callable[[State, Request], Response]


_Operations = Mapping[tuple[str, ...], Operation]
"""By method and required parameters."""

_OF_THE_SERVICE: _Operations = {("GET",): Operation("oss:ListBuckets", buckets.list_buckets)}
_OF_BUCKETS: _Operations = {
    ("PUT",): Operation("oss:PutBucket", buckets.put_bucket),
    ("GET", "bucketInfo"): Operation("oss:GetBucketInfo", buckets.get_bucket_info),
    ("GET", "location"): Operation("oss:GetBucketLocation", buckets.get_bucket_location),
    ("PUT", "lifecycle"): Operation("oss:PutBucketLifecycle", lifecycle.put),
    ("GET", "lifecycle"): Operation("oss:GetBucketLifecycle", lifecycle.get),
    ("DELETE", "lifecycle"): Operation("oss:DeleteBucketLifecycle", lifecycle.delete),
    ("GET", "uploads"): Operation("oss:ListMultipartUploads", multipart.list_uploads),
    ("GET", "list-type"): Operation("oss:ListObjects", objects.list_objects_v2),
    ("GET",): Operation("oss:ListObjects", objects.list_objects),
}
_OF_OBJECTS: _Operations = {
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


def operation(request: Request) -> Operation:
    """The operation of a request. Raises NotImplemented or MethodNotAllowed if there is none."""
    unsupported.refuse_headers(request)
    requested = unsupported.PARAMETERS & request.parameters.keys()
    known = _known(request)
    for (method, *names), each in known.items():
        if method == request.method and requested == set(names):
            return each
    if requested:
        raise errors.not_implemented(sorted(requested)[0])
    raise errors.bad_method(request.method)


def _known(request: Request) -> _Operations:
    if request.host.bucket is None:
        return _OF_THE_SERVICE
    return _OF_BUCKETS if request.key is None else _OF_OBJECTS
