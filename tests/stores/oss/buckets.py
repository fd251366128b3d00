"""GetService, PutBucket, GetBucketInfo, GetBucketLocation."""

from __future__ import annotations

import re

from tests.stores.oss import bodies, errors, responses, xml
from tests.stores.oss.arguments import number, storage_class
from tests.stores.oss.request import Request
from tests.stores.oss.responses import Response
from tests.stores.oss.state import OWNER, Bucket, State

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
OWNER_NODE: xml.Node = ("Owner", [("ID", OWNER), ("DisplayName", OWNER)])


def list_buckets(state: State, request: Request) -> Response:
    """All buckets of all regions. Prefix, Marker and so on are only in a truncated response (GetService)."""
    prefix, marker = request.parameters.get("prefix", ""), request.parameters.get("marker", "")
    limit = number(request, "max-keys", default=100, lowest=1, highest=1000)
    with state.lock:
        names = sorted(name for name in state.buckets if name.startswith(prefix) and name > marker)
        shown = [state.buckets[name] for name in names[:limit]]
    paging: list[xml.Node] = []
    if len(names) > limit:
        paging = [("Prefix", prefix), ("Marker", marker), ("MaxKeys", limit), ("IsTruncated", True)]
        paging.append(("NextMarker", shown[-1].name))
    listed: xml.Node = ("Buckets", [("Bucket", [*_place(bucket), *_kind(bucket)]) for bucket in shown])
    return responses.document(("ListAllMyBucketsResult", [*paging, OWNER_NODE, listed]))


def put_bucket(state: State, request: Request) -> Response:
    """Create a bucket in the region of the endpoint."""
    text = bodies.read(request.body, request.headers)
    kind = storage_class(xml.parse_storage_class(text) if text.strip() else "", "Standard")
    with state.lock:
        if not _NAME.fullmatch(request.bucket):
            raise errors.bad_bucket_name(request.bucket)
        if request.bucket in state.buckets:
            raise errors.bucket_exists(request.bucket)
        state.buckets[request.bucket] = Bucket(request.bucket, request.host.region, state.now(), kind)
    return Response(200, {"Location": f"/{request.bucket}"})


def get_bucket_info(state: State, request: Request) -> Response:
    """The owner may use any endpoint (GetBucketInfo)."""
    bucket = state.buckets.get(request.bucket)
    if bucket is None:
        raise errors.no_bucket(request.bucket)
    return responses.document(
        (
            "BucketInfo",
            [
                (
                    "Bucket",
                    [
                        ("AccessMonitor", "Disabled"),
                        *_place(bucket),
                        ("StorageClass", bucket.storage_class),
                        ("DataRedundancyType", "LRS"),
                        ("TransferAcceleration", "Disabled"),
                        ("CrossRegionReplication", "Disabled"),
                        OWNER_NODE,
                        ("AccessControlList", [("Grant", "private")]),
                        ("ServerSideEncryptionRule", [("SSEAlgorithm", "None")]),
                        ("Comment", bucket.comment),
                    ],
                )
            ],
        )
    )


def get_bucket_location(state: State, request: Request) -> Response:
    bucket = state.bucket(request.bucket, request.host.region)
    return responses.document(("LocationConstraint", f"oss-{bucket.region}"))


def _place(bucket: Bucket) -> list[xml.Node]:
    return [
        ("CreationDate", bucket.created),
        ("ExtranetEndpoint", f"oss-{bucket.region}.aliyuncs.com"),
        ("IntranetEndpoint", f"oss-{bucket.region}-internal.aliyuncs.com"),
        ("Location", f"oss-{bucket.region}"),
        ("Name", bucket.name),
    ]


def _kind(bucket: Bucket) -> list[xml.Node]:
    return [("Region", bucket.region), ("StorageClass", bucket.storage_class)]
