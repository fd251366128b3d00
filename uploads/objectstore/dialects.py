"""How requests are worded under a signature: S3's API, and OSS's own, which has the same operations.

Answers need no dialect: what they say is looked for under both names (refusals.Response).
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
    """The wording of requests."""

    prefix: str
    """Of headers that are not HTTP's own."""
    namespace: str
    """Of the body of CompleteMultipartUpload; '' for none."""
    bare_flags: bool
    """Whether a parameter without a value goes without `=`."""
    list_buckets: Mapping[str, str]
    """The parameters of ListBuckets' first page. OSS gives 100 buckets unless asked for more."""
    bucket_region: tuple[str, Mapping[str, str]]
    """Method and parameters of the request that tells a bucket's region and whether it may be used."""

    def header(self, name: str) -> str:
        return self.prefix + name


S3 = Dialect(
    prefix="x-amz-",
    namespace="http://s3.amazonaws.com/doc/2006-03-01/",
    bare_flags=False,
    list_buckets=MappingProxyType({}),
    bucket_region=("HEAD", MappingProxyType({})),
)
OSS = Dialect(
    prefix="x-oss-",
    namespace="",
    bare_flags=True,
    list_buckets=MappingProxyType({"max-keys": "1000"}),
    bucket_region=("GET", MappingProxyType({"bucketInfo": ""})),
)

_DIALECTS: Mapping[Signature, Dialect] = {"sigv4": S3, "oss4": OSS}


def dialect_of(signature: Signature) -> Dialect:
    """NotSent with BAD_ARGUMENT for a signature that does not exist."""
    if signature not in _DIALECTS:
        raise bad_argument(Code.UNKNOWN_SIGNATURE, signature=signature, known=tuple(_DIALECTS))
    return _DIALECTS[signature]
