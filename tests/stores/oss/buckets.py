"""GetService, PutBucket, GetBucketInfo, GetBucketLocation."""

from __future__ import annotations

import re

from tests.stores.oss import answers, bodies, errors, xml
from tests.stores.oss.answers import Answer
from tests.stores.oss.arguments import number, storage_class
from tests.stores.oss.asked import Asked
from tests.stores.oss.state import OWNER, Bucket, State

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_OWNER: xml.Node = ("Owner", [("ID", OWNER), ("DisplayName", OWNER)])


def list_buckets(state: State, asked: Asked) -> Answer:
    """All buckets, of every region. Prefix, Marker and the like come only where more follow (GetService)."""
    prefix, marker = asked.parameters.get("prefix", ""), asked.parameters.get("marker", "")
    limit = number(asked, "max-keys", default=100, lowest=1, highest=1000)
    with state.lock:
        found = sorted(name for name in state.buckets if name.startswith(prefix) and name > marker)
        shown = [state.buckets[name] for name in found[:limit]]
    paging: list[xml.Node] = []
    if len(found) > limit:
        paging = [("Prefix", prefix), ("Marker", marker), ("MaxKeys", limit), ("IsTruncated", True)]
        paging.append(("NextMarker", shown[-1].name))
    listed: xml.Node = ("Buckets", [("Bucket", [*_place(bucket), *_kind(bucket)]) for bucket in shown])
    return answers.document(("ListAllMyBucketsResult", [*paging, _OWNER, listed]))


def put_bucket(state: State, asked: Asked) -> Answer:
    """Make a bucket in the region of the endpoint that was asked."""
    text = bodies.read(asked.body, asked.headers)
    kind = storage_class(xml.parse_storage_class(text) if text.strip() else "", "Standard")
    with state.lock:
        if not _NAME.fullmatch(asked.bucket):
            raise errors.bad_bucket_name(asked.bucket)
        if asked.bucket in state.buckets:
            raise errors.bucket_exists(asked.bucket)
        state.buckets[asked.bucket] = Bucket(asked.bucket, asked.host.region, state.now(), kind)
    return Answer(200, {"Location": f"/{asked.bucket}"})


def get_bucket_info(state: State, asked: Asked) -> Answer:
    """Its owner may ask any endpoint (GetBucketInfo)."""
    bucket = state.buckets.get(asked.bucket)
    if bucket is None:
        raise errors.no_bucket(asked.bucket)
    return answers.document(
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
                        _OWNER,
                        ("AccessControlList", [("Grant", "private")]),
                        ("ServerSideEncryptionRule", [("SSEAlgorithm", "None")]),
                        ("Comment", bucket.comment),
                    ],
                )
            ],
        )
    )


def get_bucket_location(state: State, asked: Asked) -> Answer:
    bucket = state.bucket(asked.bucket, asked.host.region)
    return answers.document(("LocationConstraint", f"oss-{bucket.region}"))


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
