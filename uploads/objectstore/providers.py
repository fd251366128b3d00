"""What differs between stores, as data: one profile a provider. Sizes are bytes.

S3's own ways are the default ("Amazon S3 multipart upload limits", "ListMultipartUploads"): parts 1 to 10,000 of 5 MiB
to 5 GiB, but the last, an object of at most 48.8 TiB, uploads ordered by key and listed strictly after the key marker.
Whatever a profile has otherwise names its source in `sources`. A store check may find that a store has other ways
than its profile says: what it found (`StoreConfig.overrides`) is laid over the profile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, cast

from uploads.objectstore.checksums import Algorithm
from uploads.objectstore.keys import (
    MAX_KEY_BYTES,
    bad_argument,
    check_key,
    check_key_of_store,
    check_listable_key,
    check_path_key,
)
from uploads.objectstore.types import MAX_PART_NUMBER, Addressing, Signature, StoreConfig
from uploads.problems import Code

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB

UrlEncoding = Literal["all", "keys", "none"]
"""What a store encodes in a listing that is asked for encoding-type=url: all fields as S3 does it, only the keys of
uploads, or (none) it encodes without saying so, and is better not asked."""

Delimiter = Literal["works", "broken"]
"""Whether ListMultipartUploads groups by a delimiter, or loses what it should group: then folders are made here."""

Order = Literal["key", "key/upload-id", "key.upload-id", "none"]
"""How a listing is ordered: by key, by both joined in one text, or in no order that could be relied on."""

MarkerPair = Literal["as-given", "key-before"]
"""The key marker that goes with an upload id marker: the upload's own key, or a text just before it."""

ForbidOverwrite = Literal["", "x-oss-forbid-overwrite", "if-none-match"]
"""The header by which a store refuses to replace an object; '' where it has none."""

Lifecycle = Literal["s3", "oss", "none"]
"""Rules that end old uploads: S3's DaysAfterInitiation counts from the start, OSS's Days from the last change."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One kind of store. `etag_is_md5` speaks of a part's ETag (and a single put's) without SSE-KMS or SSE-C."""

    name: str
    label: str

    # How it is reached.
    addressing: Addressing = "path"
    signature: Signature = "sigv4"
    any_signature: bool = False
    """Whether a store of this kind may take another signature than that."""
    region_default: str = "us-east-1"
    endpoint_hint: str = ""
    """Where it is; REGION stands for the region, other capitals for what only the operator knows."""
    region_prefix: str = ""
    """What consoles write before a region, and signatures do not."""
    regions_elsewhere: str = ""
    """How regions begin that have other endpoints than the hint."""

    # Parts and objects.
    min_part_size: int = 5 * MIB
    max_part_size: int = 5 * GIB
    max_parts: int = MAX_PART_NUMBER
    max_object_size: int = 50_000 * GIB
    equal_parts: bool = False
    max_key_bytes: int = MAX_KEY_BYTES
    leading_slash: bool = True
    """Whether a key may begin with a slash or backslash."""
    keys_are_paths: bool = False
    """Whether keys become file paths: `a//b`, `a/../b` and the like would be other keys' objects."""

    # Digests.
    etag_is_md5: bool = True
    joined_etag: bool = True
    """Whether the ETag of a completed upload is the MD5 of its parts' MD5s, with their number."""
    crc64: Algorithm = "nvme"
    """The polynomial of the CRC-64 that the store returns, where it returns one."""
    checksum_headers: bool = True
    """Whether requests may carry x-amz-checksum-* headers."""
    asks_checksums: bool = False
    """Whether HEAD has to ask for an object's checksum (S3's x-amz-checksum-mode)."""

    # ListMultipartUploads.
    lists_uploads: bool = True
    """Whether the operation is part of this API at all."""
    listed_by: str = ""
    """The provider under which the same buckets can be listed, where this API has no operation for it."""
    delimiter: Delimiter = "works"
    key_marker_inclusive: bool = False
    """Whether a key marker alone lists the uploads of that very key again."""
    order: Order = "key"
    marker_pair: MarkerPair = "as-given"
    exact_prefix: bool = False
    """Whether only the uploads of exactly one key can be asked for by a prefix."""
    url_encoding: UrlEncoding = "all"
    prefixes_ahead: bool = False
    """Whether a page names the common prefixes of all uploads that follow it, and later pages name them again."""
    empty_markers: bool = False
    """Whether a truncated page may name no markers."""
    forgets: bool = False
    """Whether uploads may be missing from listings though their parts are there."""
    keeps_ended: bool = False
    """Whether uploads that were completed or aborted may stay in listings."""
    control_characters: bool = True
    """Whether listings bear uploads on keys with line feeds and with characters that XML cannot write."""

    # The rest.
    forbid_overwrite: ForbidOverwrite = ""
    lifecycle: Lifecycle = "s3"
    notes: tuple[str, ...] = ()
    """What an operator should know, in sentences."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Of each field that is not as S3 has it: where that is written, or on what it was tried."""


S3_IF_NONE_MATCH = "S3 API reference, CompleteMultipartUpload and PutObject: If-None-Match"
OSS_LIMITS = "OSS documentation, Limits and Multipart upload: 100 KB to 5 GB, 10,000 parts, 48.8 TB"
OSS_NAMES = "OSS documentation, Object naming conventions: 1 to 1,023 bytes, no leading slash or backslash"
OSS_ETAG = "OSS API reference, CompleteMultipartUpload: the ETag is not the MD5 of the content"
OSS_HOSTS = "OSS documentation, Compatibility with Amazon S3: path style answers SecondLevelDomainForbidden"
OSS_REGIONS = "OSS documentation, Regions and endpoints: region id oss-cn-hangzhou, in signatures cn-hangzhou"
OSS_CRC = "OSS documentation, CRC-64: x-oss-hash-crc64ecma"
OSS_OVERWRITE = "OSS API reference, InitiateMultipartUpload: x-oss-forbid-overwrite"
OSS_LIFECYCLE = "OSS documentation, Lifecycle: AbortMultipartUpload, Days from the last change"
CEPH_TRIED = "tried on Ceph RADOS Gateway 16.2"
MINIO_CACHE = "minio/minio, ListMultipartUploads: without a prefix all uploads of its cache, whatever else is asked"
UNKNOWN = "nothing is known of it: a store check finds out"
SWIFT_TRIED = "tried on s3api of OpenStack Swift 2.38"

_ALL = (
    Provider(
        name="aws",
        label="Amazon S3",
        regions_elsewhere="cn-",
        addressing="virtual",
        endpoint_hint="https://s3.REGION.amazonaws.com",
        asks_checksums=True,
        forbid_overwrite="if-none-match",
        notes=(
            "Complete can answer 200 with an error inside.",
            "An abort may need repeating: parts in flight can land after it.",
            "Directory buckets have no upload id marker.",
        ),
        sources={
            "addressing": "Amazon S3 user guide, Virtual hosting of buckets",
            "regions_elsewhere": "AWS China, Endpoints: https://s3.REGION.amazonaws.com.cn",
            "asks_checksums": "S3 API reference, HeadObject: x-amz-checksum-mode",
            "forbid_overwrite": S3_IF_NONE_MATCH,
        },
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
        checksum_headers=False,
        forbid_overwrite="x-oss-forbid-overwrite",
        lifecycle="oss",
        notes=(
            "A gap between part numbers is accepted and makes a shorter object.",
            "Parts that are too small are refused only when the upload is completed.",
            "An upload is completed even if nobody waits for the answer.",
            "In a bucket with versioning no object is kept from being replaced: a new version is made.",
        ),
        sources={
            "addressing": OSS_HOSTS,
            "region_prefix": OSS_REGIONS,
            "signature": "OSS API reference, Include a V4 signature in the header",
            "min_part_size": OSS_LIMITS,
            "max_key_bytes": OSS_NAMES,
            "leading_slash": OSS_NAMES,
            "joined_etag": OSS_ETAG,
            "crc64": OSS_CRC,
            "checksum_headers": "OSS API reference, Common request headers: none of that kind",
            "forbid_overwrite": OSS_OVERWRITE,
            "lifecycle": OSS_LIFECYCLE,
        },
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
        checksum_headers=False,
        lists_uploads=False,
        listed_by="oss",
        lifecycle="oss",
        notes=(
            "This endpoint does not list multipart uploads. The provider “Aliyun OSS”, at OSS's own endpoint, does.",
            "A gap between part numbers is accepted and makes a shorter object.",
        ),
        sources={
            "addressing": OSS_HOSTS,
            "region_prefix": OSS_REGIONS,
            "min_part_size": OSS_LIMITS,
            "max_key_bytes": OSS_NAMES,
            "leading_slash": OSS_NAMES,
            "joined_etag": OSS_ETAG,
            "crc64": OSS_CRC,
            "checksum_headers": "OSS documentation, Compatibility with Amazon S3: not among what is supported",
            "lists_uploads": "OSS documentation, Compatibility with Amazon S3: not among the operations",
            "listed_by": "OSS API reference, ListMultipartUploads",
            "lifecycle": OSS_LIFECYCLE,
        },
    ),
    Provider(
        name="ceph",
        label="Ceph RADOS Gateway",
        region_default="default",
        endpoint_hint="https://rgw.example.org",
        delimiter="broken",
        key_marker_inclusive=True,
        order="key.upload-id",
        url_encoding="none",
        notes=(
            "A delimiter finds no common prefixes and hides what it should have grouped: folders are made here.",
            "The first answer to Complete has an empty ETag.",
            "Completing an unknown upload answers 500.",
        ),
        sources={
            "delimiter": CEPH_TRIED,
            "key_marker_inclusive": CEPH_TRIED,
            "order": CEPH_TRIED,
            "url_encoding": CEPH_TRIED,
        },
    ),
    Provider(
        name="minio",
        label="MinIO",
        endpoint_hint="https://minio.example.org:9000",
        delimiter="broken",
        order="none",
        exact_prefix=True,
        forgets=True,
        keeps_ended=True,
        lifecycle="none",
        notes=(
            "The listing may forget uploads after a restart; their parts can still be listed.",
            "MinIO itself ends uploads that are a day old.",
        ),
        sources={
            "delimiter": MINIO_CACHE,
            "order": MINIO_CACHE + ", by the time they began",
            "exact_prefix": "MinIO documentation, S3 API compatibility: the prefix must be the object's name",
            "forgets": "minio/minio, ListMultipartUploads from a cache that a restart empties",
            "keeps_ended": "minio/minio issues 21189 and 21456",
            "lifecycle": "minio/minio issue 19115: the rule is taken out without a word",
        },
    ),
    Provider(
        name="r2",
        label="Cloudflare R2",
        max_object_size=5 * TIB,
        equal_parts=True,
        region_default="auto",
        endpoint_hint="https://ACCOUNT.r2.cloudflarestorage.com",
        notes=("Uploads in progress are aborted after 7 days.",),
        sources={
            "max_object_size": "Cloudflare documentation, R2 limits",
            "equal_parts": "Cloudflare documentation, R2 multipart objects",
        },
    ),
    Provider(
        name="b2",
        label="Backblaze B2",
        min_part_size=5_000_000,
        max_object_size=10 * 1000**4,
        region_default="us-west-004",
        endpoint_hint="https://s3.REGION.backblazeb2.com",
        checksum_headers=False,
        sources={
            "min_part_size": "Backblaze documentation, Large files: parts from 5 MB",
            "max_object_size": "Backblaze documentation, S3-Compatible API: 10 TB a file",
            "checksum_headers": "jschneier/django-storages issue 1498",
        },
    ),
    Provider(
        name="gcs",
        label="Google Cloud Storage (XML API)",
        max_object_size=5 * TIB,
        region_default="auto",
        endpoint_hint="https://storage.googleapis.com",
        checksum_headers=False,
        sources={
            "max_object_size": "Google Cloud documentation, Quotas and limits",
            "checksum_headers": "Google Cloud documentation, XML API headers: x-goog-hash instead",
        },
    ),
    Provider(
        name="wasabi",
        label="Wasabi",
        max_object_size=5 * TIB,
        endpoint_hint="https://s3.REGION.wasabisys.com",
        notes=("Parts of unfinished uploads are billed like objects.",),
        sources={"max_object_size": "Wasabi documentation, largest object: 5 TB"},
    ),
    Provider(
        name="scaleway",
        label="Scaleway Object Storage",
        max_parts=1000,
        max_object_size=5000 * GIB,
        region_default="fr-par",
        endpoint_hint="https://s3.REGION.scw.cloud",
        sources={
            "max_parts": "Scaleway documentation, Multipart uploads: at most 1,000 parts",
            "max_object_size": "1,000 parts of 5 GiB",
        },
    ),
    Provider(
        name="seaweedfs",
        label="SeaweedFS",
        endpoint_hint="http://seaweedfs.example.org:8333",
        notes=(
            "Some versions fail to complete more than 1,000 parts.",
            "Some versions do not list strictly after a key marker: a store check tells.",
        ),
    ),
    Provider(
        name="garage",
        label="Garage",
        region_default="garage",
        endpoint_hint="http://garage.example.org:3900",
    ),
    # The least part is s3api's min_segment_size, 5 MiB in the store that Partway brings along.
    Provider(
        name="swift",
        label="OpenStack Swift (s3api)",
        endpoint_hint="https://swift.example.org",
        order="key/upload-id",
        url_encoding="keys",
        prefixes_ahead=True,
        empty_markers=True,
        control_characters=False,
        lifecycle="none",
        notes=(
            "Pages of one upload give no marker to go on from.",
            "Parts of completed uploads can still be listed.",
        ),
        sources={
            "order": SWIFT_TRIED,
            "url_encoding": SWIFT_TRIED + ": markers and common prefixes come as they are",
            "prefixes_ahead": SWIFT_TRIED,
            "empty_markers": SWIFT_TRIED + ": with max-uploads=1",
            # Create on such a key answers 500 and keeps the upload; listings that end on it are 500 from then on. With
            # a line feed in its key, an upload's parts are listed as uploads.
            "control_characters": SWIFT_TRIED + ": 500 on Create and in listings",
            "lifecycle": SWIFT_TRIED + ": MalformedXML",
        },
    ),
    Provider(
        name="generic",
        label="Another S3-compatible store",
        any_signature=True,
        etag_is_md5=False,
        joined_etag=False,
        endpoint_hint="https://s3.example.org",
        sources={"any_signature": UNKNOWN, "etag_is_md5": UNKNOWN, "joined_etag": UNKNOWN},
    ),
)

PROVIDERS: Mapping[str, Provider] = MappingProxyType({each.name: each for each in _ALL})

OVERRIDABLE: Mapping[str, tuple[object, ...]] = MappingProxyType(
    {
        "etag_is_md5": (True, False),
        "joined_etag": (True, False),
        "keys_are_paths": (True, False),
        "lists_uploads": (True, False),
        "delimiter": ("works", "broken"),
        "key_marker_inclusive": (True, False),
        "order": ("key", "key/upload-id", "key.upload-id", "none"),
        "marker_pair": ("as-given", "key-before"),
        "exact_prefix": (True, False),
        "url_encoding": ("all", "keys", "none"),
        "prefixes_ahead": (True, False),
        "empty_markers": (True, False),
        "keeps_ended": (True, False),
        "forbid_overwrite": ("", "x-oss-forbid-overwrite", "if-none-match"),
    }
)
"""What a store check can find, and so overrule: field names, each with the values it may have."""


def get_provider(name: str) -> Provider:
    """The profile of that name; NotSent with BAD_ARGUMENT if there is none."""
    if name not in PROVIDERS:
        raise bad_argument(Code.UNKNOWN_PROVIDER, provider=name, known=tuple(PROVIDERS))
    return PROVIDERS[name]


def profile_of(config: StoreConfig) -> Provider:
    """The provider's profile with what a check of this store found laid over it; NotSent as `get_provider`."""
    return with_overrides(get_provider(config.provider), config.overrides)


def check_new_key(provider: Provider, key: str, *, multipart: bool) -> None:
    """Refuse a key on which nothing can be begun in such a store, before a byte is sent; NotSent with BAD_KEY."""
    check_key(key)
    check_key_of_store(key, max_bytes=provider.max_key_bytes, leading_slash=provider.leading_slash)
    if provider.keys_are_paths:
        check_path_key(key)
    if multipart and not provider.control_characters:
        check_listable_key(key)


def with_overrides(provider: Provider, overrides: Iterable[tuple[str, object]]) -> Provider:
    """What no check can find, or with a value that makes no sense (a later version's), is left out."""
    known = {name: value for name, value in overrides if _is_findable(name, value)}
    return replace(provider, **cast("dict[str, Any]", known)) if known else provider


def _is_findable(name: str, value: object) -> bool:
    return any(value == allowed and type(value) is type(allowed) for allowed in OVERRIDABLE.get(name, ()))
