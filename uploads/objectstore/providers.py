"""The differences between stores, as data: one profile for each provider. Sizes are bytes.

The defaults are those of S3 ("Amazon S3 multipart upload limits", "ListMultipartUploads"): parts 1 to 10,000 of 5 MiB
to 5 GiB, except the last, objects of at most 48.8 TiB, uploads ordered by key and listed strictly after the key marker.
`dashboard.shared.messages.providers` names the source of every difference. If a store check finds that a store differs
from its profile, the values that it found (`StoreConfig.overrides`) override the profile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal, cast

from uploads.objectstore.checksums import Algorithm
from uploads.objectstore.keys import (
    MAX_KEY_BYTES,
    bad_argument,
    check_key,
    check_key_size,
    check_leading,
    check_listable_key,
    check_path_key,
    check_segments,
    check_trailing_slash,
)
from uploads.objectstore.types import MAX_PART_NUMBER, Addressing, Signature, StoreConfig
from uploads.problems import Code

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB

UrlEncoding = Literal["all", "keys", "none"]
"""What a store encodes in a listing with encoding-type=url: all fields, as S3 does; only the keys of uploads; or (none)
it ignores the parameter or encodes without saying so, so that the parameter is not sent."""

Delimiter = Literal["works", "broken"]
"""Whether ListMultipartUploads groups by a delimiter, or loses uploads, so that Partway groups folders itself."""

Order = Literal["key", "key/upload-id", "key.upload-id", "upload-id", "none"]
"""The order of a listing: by key, by key and upload id joined in one text, by upload id, or no reliable order."""

MarkerPair = Literal["as-given", "key-before", "upload-id"]
"""What is sent with an upload id marker: the upload's own key as the key marker, a text just before the key, or no key
marker at all."""

ForbidOverwrite = Literal["", "x-oss-forbid-overwrite", "if-none-match"]
"""The header that forbids a store to replace an object; '' if there is none."""

Lifecycle = Literal["s3", "oss", "gcs", "none"]
"""Rules that abort old uploads: S3's DaysAfterInitiation counts from the start, OSS's Days from the last change. Those
of Google have another form, which Partway reads and does not write. `none`: the store has no rules, or drops them."""

WRITABLE: frozenset[Lifecycle] = frozenset({"s3", "oss"})
"""Where Partway writes lifecycle rules."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One kind of store."""

    name: str
    label: str

    # Access.
    addressing: Addressing = "path"
    signature: Signature = "sigv4"
    any_signature: bool = False
    """Whether a store of this kind may require the other signature."""
    region_default: str = "us-east-1"
    endpoint_hint: str = ""
    """The endpoint. REGION stands for the region, other words in capitals for what only the operator knows."""
    region_prefix: str = ""
    """A prefix that consoles show before a region, and that signatures do not contain."""
    regions_elsewhere: str = ""
    """The prefix of regions whose endpoints do not follow the hint."""

    # Parts and objects.
    min_part_size: int = 5 * MIB
    max_part_size: int = 5 * GIB
    max_parts: int = MAX_PART_NUMBER
    max_object_size: int = 50_000 * GIB
    equal_parts: bool = False
    max_key_bytes: int = MAX_KEY_BYTES
    leading_slash: bool = True
    """Whether a key may start with a slash or backslash."""
    trailing_slash: bool = True
    """Whether a key may end with a slash: some stores keep no bytes there, or keep them under another key."""
    max_segment_bytes: int = 0
    """The longest text between two slashes of a key, in bytes of UTF-8; 0 for any length."""
    keys_are_paths: bool = False
    """Whether keys are file paths, so that `a//b` or `a/../b` names the object of another key."""

    # Digests.
    etag_is_md5: bool = True
    """Whether an ETag of 32 hex digits, of a part or of PutObject, is the MD5 of the bytes unless they are encrypted
    with a key of their own. If not, ETags are not compared."""
    joined_etag: bool = True
    """Whether the ETag of a completed upload is the MD5 of its parts' MD5s, with the number of parts."""
    crc64: Algorithm = "nvme"
    """The polynomial of the CRC-64 that the store returns, if it returns one."""
    keeps_part_copies: bool = False
    """Whether ListParts names a part once for each time it was sent. The dates tell which copy is the newest."""
    requests_checksums: bool = False
    """Whether HEAD has to request an object's checksum (S3's x-amz-checksum-mode)."""

    # ListMultipartUploads.
    lists_uploads: bool = True
    """Whether this API has the operation."""
    listed_by: str = ""
    """The provider whose API lists the uploads of the same buckets, if this one does not."""
    delimiter: Delimiter = "works"
    order: Order = "key"
    rows_in_order: bool = True
    """Whether the rows of a page are in the order of the listing. If not, Partway sorts them; pages are in order."""
    marker_pair: MarkerPair = "as-given"
    loses_pages: bool = False
    """Whether uploads are missing from the pages of a listing, whatever markers are sent."""
    exact_prefix: bool = False
    """Whether a prefix finds only the uploads with exactly that key."""
    url_encoding: UrlEncoding = "all"
    prefixes_ahead: bool = False
    """Whether a page names the common prefixes of all later uploads, and later pages repeat them."""
    forgets: bool = False
    """Whether uploads may be missing from listings although their parts exist."""
    keeps_ended: bool = False
    """Whether completed or aborted uploads may stay in listings."""
    checks_upload_ids: bool = True
    """Whether the store refuses ListParts and Abort for an upload id that it does not know, or knows for another key.

    S3Proxy does not: it finds no parts, or an Abort with another key makes the upload impossible to end. Partway then
    looks for the upload in the listing first.
    """
    control_characters: bool = True
    """Whether listings work with keys that contain line feeds, or characters that XML cannot contain."""

    # Other.
    forbid_overwrite: ForbidOverwrite = ""
    dates_buckets: bool = True
    """Whether the store knows when a bucket was created. s3api of Swift names the same day of 2009 for all of them."""
    if_match: bool = False
    """Whether CompleteMultipartUpload replaces only an object with the ETag in If-Match."""
    lifecycle: Lifecycle = "s3"

    @property
    def computes_joined_etag(self) -> bool:
        """Whether the ETag of a completed upload can be computed from the ETags of its parts in ListParts."""
        return self.joined_etag and self.etag_is_md5


_ALL = (
    Provider(
        name="aws",
        label="Amazon S3",
        regions_elsewhere="cn-",
        addressing="virtual",
        endpoint_hint="https://s3.REGION.amazonaws.com",
        requests_checksums=True,
        forbid_overwrite="if-none-match",
        if_match=True,
    ),
    Provider(
        name="oss",
        label="Aliyun OSS",
        addressing="virtual",
        signature="oss4",
        region_default="cn-hangzhou",
        region_prefix="oss-",
        endpoint_hint="https://oss-REGION.aliyuncs.com",
        min_part_size=100 * KIB,
        max_key_bytes=1023,
        leading_slash=False,
        joined_etag=False,
        crc64="ecma",
        forbid_overwrite="x-oss-forbid-overwrite",
        lifecycle="oss",
    ),
    Provider(
        name="oss-s3",
        label="Aliyun OSS (S3-compatible endpoint)",
        addressing="virtual",
        region_default="cn-hangzhou",
        region_prefix="oss-",
        endpoint_hint="https://s3.oss-REGION.aliyuncs.com",
        min_part_size=100 * KIB,
        max_key_bytes=1023,
        leading_slash=False,
        joined_etag=False,
        crc64="ecma",
        lists_uploads=False,
        listed_by="oss",
        lifecycle="oss",
    ),
    Provider(
        name="ceph",
        label="Ceph RADOS Gateway",
        region_default="default",
        endpoint_hint="https://rgw.example.org",
        delimiter="broken",
        order="key.upload-id",
        url_encoding="none",
    ),
    Provider(
        name="minio",
        label="MinIO",
        endpoint_hint="https://minio.example.org:9000",
        leading_slash=False,
        keys_are_paths=True,
        max_segment_bytes=255,
        delimiter="broken",
        order="none",
        exact_prefix=True,
        forgets=True,
        keeps_ended=True,
        forbid_overwrite="if-none-match",
        lifecycle="none",
    ),
    Provider(
        name="r2",
        label="Cloudflare R2",
        max_object_size=5 * TIB,
        equal_parts=True,
        region_default="auto",
        endpoint_hint="https://ACCOUNT.r2.cloudflarestorage.com",
    ),
    Provider(
        name="b2",
        label="Backblaze B2",
        min_part_size=5_000_000,
        max_object_size=10 * 1000**4,
        region_default="us-west-004",
        endpoint_hint="https://s3.REGION.backblazeb2.com",
    ),
    Provider(
        name="gcs",
        label="Google Cloud Storage (XML API)",
        lifecycle="gcs",
        max_object_size=5 * TIB,
        region_default="auto",
        endpoint_hint="https://storage.googleapis.com",
    ),
    Provider(
        name="wasabi",
        label="Wasabi",
        max_object_size=5 * TIB,
        endpoint_hint="https://s3.REGION.wasabisys.com",
    ),
    Provider(
        name="scaleway",
        label="Scaleway Object Storage",
        max_parts=1000,
        max_object_size=5000 * GIB,
        region_default="fr-par",
        endpoint_hint="https://s3.REGION.scw.cloud",
    ),
    Provider(
        name="seaweedfs",
        label="SeaweedFS",
        keeps_part_copies=True,
        if_match=True,
        endpoint_hint="http://seaweedfs.example.org:8333",
        leading_slash=False,
        trailing_slash=False,
        keys_are_paths=True,
        max_segment_bytes=255,
        delimiter="broken",
        order="upload-id",
        marker_pair="upload-id",
        url_encoding="none",
        forbid_overwrite="if-none-match",
    ),
    Provider(
        name="garage",
        label="Garage",
        region_default="garage",
        endpoint_hint="http://garage.example.org:3900",
        leading_slash=False,
        rows_in_order=False,
    ),
    # The smallest part is s3api's min_segment_size: 5 MiB in the store that Partway includes.
    Provider(
        name="swift",
        label="OpenStack Swift (s3api)",
        endpoint_hint="https://swift.example.org",
        order="key/upload-id",
        url_encoding="keys",
        prefixes_ahead=True,
        # Create with such a key fails with 500 but keeps the upload, and later listings that end on it fail. If its key
        # contains a line feed, the parts of an upload are listed as uploads.
        control_characters=False,
        dates_buckets=False,
        lifecycle="none",
    ),
    Provider(
        name="generic",
        label="Another S3-compatible store",
        any_signature=True,
        joined_etag=False,
        endpoint_hint="https://s3.example.org",
    ),
)

PROVIDERS: Mapping[str, Provider] = MappingProxyType({each.name: each for each in _ALL})

OVERRIDABLE: Mapping[str, tuple[object, ...]] = MappingProxyType(
    {
        "etag_is_md5": (True, False),
        "joined_etag": (True, False),
        "keys_are_paths": (True, False),
        "leading_slash": (True, False),
        "lists_uploads": (True, False),
        "delimiter": ("works", "broken"),
        "order": ("key", "key/upload-id", "key.upload-id", "upload-id", "none"),
        "rows_in_order": (True, False),
        "marker_pair": ("as-given", "key-before", "upload-id"),
        "loses_pages": (True, False),
        "exact_prefix": (True, False),
        "url_encoding": ("all", "keys", "none"),
        "prefixes_ahead": (True, False),
        "keeps_ended": (True, False),
        "checks_upload_ids": (True, False),
        "forbid_overwrite": ("", "x-oss-forbid-overwrite", "if-none-match"),
        "if_match": (True, False),
        "keeps_part_copies": (True, False),
        "lifecycle": ("s3", "oss", "gcs", "none"),
    }
)
"""The fields of a profile that a store check can determine, with the values that they may have."""


def get_provider(name: str) -> Provider:
    """The profile of that name; NotSent with BAD_ARGUMENT if there is none."""
    if name not in PROVIDERS:
        raise bad_argument(Code.UNKNOWN_PROVIDER, provider=name, known=tuple(PROVIDERS))
    return PROVIDERS[name]


def profile_of(config: StoreConfig) -> Provider:
    """The provider's profile with the overrides of this store; NotSent as for `get_provider`."""
    return with_overrides(get_provider(config.provider), config.overrides)


def check_new_key(provider: Provider, key: str, *, multipart: bool) -> None:
    """Refuse a key that such a store does not support, before anything is sent; NotSent with BAD_KEY."""
    check_key(key)
    check_own_key(provider, key)
    check_key_size(key, provider.max_key_bytes)
    check_segments(key, provider.max_segment_bytes)
    if multipart and not provider.control_characters:
        check_listable_key(key)


def check_own_key(provider: Provider, key: str) -> None:
    """Refuse a key that such a store takes for another one, whose object would be written; NotSent with BAD_KEY."""
    if not provider.leading_slash:
        check_leading(key)
    if not provider.trailing_slash:
        check_trailing_slash(key)
    if provider.keys_are_paths:
        check_path_key(key)


def with_overrides(provider: Provider, overrides: Iterable[tuple[str, object]]) -> Provider:
    """The profile with the overrides. Unknown fields and values, such as those of another version, are ignored."""
    known = {name: value for name, value in overrides if _is_override(name, value)}
    return replace(provider, **cast("dict[str, Any]", known)) if known else provider


def _is_override(name: str, value: object) -> bool:
    return any(value == allowed and type(value) is type(allowed) for allowed in OVERRIDABLE.get(name, ()))
