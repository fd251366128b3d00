"""The names in requests, by signature: those of the S3 API, and those of OSS's own API with the same operations.

Responses need no dialect: their headers are looked up under both names (refusals.Response).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from uploads.objectstore.keys import bad_argument
from uploads.objectstore.types import Signature
from uploads.problems import Code


@dataclass(frozen=True, slots=True)
class Dialect:
    """The names that requests use."""

    prefix: str
    """Prefix of headers that are not defined by HTTP."""
    namespace: str
    """Namespace of the body of CompleteMultipartUpload; '' for none."""
    bare_flags: bool
    """Whether a parameter without a value is sent without `=`."""
    list_buckets: Mapping[str, str]
    """Parameters of the first page of ListBuckets. OSS returns 100 buckets by default."""
    bucket_region: tuple[str, Mapping[str, str]]
    """Method and parameters of the request that returns a bucket's region, and fails without access to it."""

    put_lifecycle: Mapping[str, str]
    """Headers of PutBucketLifecycle. Without this one, OSS refuses rules of one kind whose prefixes overlap, also if
    the bucket has them already ("PutBucketLifecycle")."""

    def header(self, name: str) -> str:
        return self.prefix + name


S3 = Dialect(
    prefix="x-amz-",
    namespace="http://s3.amazonaws.com/doc/2006-03-01/",
    bare_flags=False,
    list_buckets=MappingProxyType({}),
    bucket_region=("HEAD", MappingProxyType({})),
    put_lifecycle=MappingProxyType({}),
)
OSS = Dialect(
    prefix="x-oss-",
    namespace="",
    bare_flags=True,
    list_buckets=MappingProxyType({"max-keys": "1000"}),
    bucket_region=("GET", MappingProxyType({"bucketInfo": ""})),
    put_lifecycle=MappingProxyType({"x-oss-allow-same-action-overlap": "true"}),
)

_DIALECTS: Mapping[Signature, Dialect] = {"sigv4": S3, "oss4": OSS}


def dialect_of(signature: Signature) -> Dialect:
    """NotSent with BAD_ARGUMENT for a signature that does not exist."""
    if signature not in _DIALECTS:
        raise bad_argument(Code.UNKNOWN_SIGNATURE, signature=signature, known=tuple(_DIALECTS))
    return _DIALECTS[signature]
