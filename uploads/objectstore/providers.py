"""What differs between stores, as data. Sizes are bytes. Sources stand beside the values that need one.

S3's own limits are the default ("Amazon S3 multipart upload limits"): parts 1 to 10,000 of 5 MiB to 5 GiB, but the
last, and an object of at most 48.8 TiB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from uploads.objectstore.checksums import Algorithm
from uploads.objectstore.keys import bad_argument
from uploads.objectstore.types import Addressing

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB

UrlEncoding = Literal["all", "keys", "none"]
"""What a store encodes in a listing that is asked for encoding-type=url: all fields as S3 does it, only the keys of
uploads, or (none) it encodes without saying so, and is better not asked."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One kind of store. `etag_is_md5` speaks of a part's ETag (and a single put's) without SSE-KMS or SSE-C."""

    name: str
    label: str
    addressing: Addressing = "path"
    etag_is_md5: bool = True
    min_part_size: int = 5 * MIB
    max_part_size: int = 5 * GIB
    max_parts: int = 10_000
    max_object_size: int = 50_000 * GIB
    equal_parts: bool = False
    region_default: str = "us-east-1"
    endpoint_hint: str = ""
    notes: tuple[str, ...] = ()
    url_encoding: UrlEncoding = "all"
    prefixes_ahead: bool = False
    """Whether a page names the common prefixes of all uploads that follow it, and later pages name them again."""
    crc64: Algorithm = "nvme"
    """The polynomial of the CRC-64 that the store returns, where it returns one."""
    asks_checksums: bool = False
    """Whether HEAD has to ask for an object's checksum (S3's x-amz-checksum-mode)."""
    control_characters: bool = True
    """Whether listings bear uploads on keys with line feeds and with characters that XML cannot write."""


_ALL = (
    Provider(
        name="aws",
        label="Amazon S3",
        addressing="virtual",
        asks_checksums=True,
        endpoint_hint="https://s3.REGION.amazonaws.com",
        notes=(
            "Complete can answer 200 with an error inside.",
            "An abort may need repeating: parts in flight can land after it.",
            "Directory buckets have no upload id marker.",
        ),
    ),
    # OSS documentation, "Multipart upload" and "Compatibility with Amazon S3": parts of 100 KB to 5 GB, object of at
    # most 48.8 TB, virtual-hosted only (path style answers SecondLevelDomainForbidden), no ListMultipartUploads.
    Provider(
        name="oss-s3",
        label="Aliyun OSS (S3-compatible endpoint)",
        addressing="virtual",
        crc64="ecma",
        min_part_size=100 * KIB,
        region_default="cn-hangzhou",
        endpoint_hint="https://s3.oss-REGION.aliyuncs.com",
        notes=(
            "The S3-compatible endpoint does not list multipart uploads.",
            "A gap between part numbers is accepted and makes a shorter object.",
        ),
    ),
    # Ceph RADOS Gateway 16.2, tried: encoding-type=url encodes <Key> without saying so, delimiter finds no prefixes.
    Provider(
        name="ceph",
        label="Ceph RADOS Gateway",
        region_default="default",
        endpoint_hint="https://rgw.example.org",
        url_encoding="none",
        notes=(
            "A delimiter finds no common prefixes and hides what it should have grouped.",
            "The first answer to Complete has an empty ETag.",
        ),
    ),
    # minio/minio issues 19115, 21189, 21456.
    Provider(
        name="minio",
        label="MinIO",
        endpoint_hint="https://minio.example.org:9000",
        notes=("The listing may forget uploads after a restart; their parts can still be listed.",),
    ),
    # Cloudflare documentation, "R2 multipart objects": equal parts but the last; incomplete uploads end after 7
    # days; what its parts' ETags are is not promised.
    Provider(
        name="r2",
        label="Cloudflare R2",
        etag_is_md5=False,
        max_object_size=5 * TIB,
        equal_parts=True,
        region_default="auto",
        endpoint_hint="https://ACCOUNT.r2.cloudflarestorage.com",
        notes=("Uploads in progress are aborted after 7 days.",),
    ),
    # Backblaze documentation, "S3-Compatible API": 10 TB a file; django-storages#1498 on x-amz-checksum headers.
    Provider(
        name="b2",
        label="Backblaze B2",
        max_object_size=10 * 1000**4,
        region_default="us-west-004",
        endpoint_hint="https://s3.REGION.backblazeb2.com",
    ),
    # Google Cloud documentation, "XML API multipart uploads" and "Quotas and limits": 5 TiB an object.
    Provider(
        name="gcs",
        label="Google Cloud Storage (XML API)",
        max_object_size=5 * TIB,
        region_default="auto",
        endpoint_hint="https://storage.googleapis.com",
    ),
    Provider(
        name="wasabi",
        label="Wasabi",
        endpoint_hint="https://s3.REGION.wasabisys.com",
        notes=("Parts of unfinished uploads are billed like objects.",),
    ),
    # Scaleway documentation, "Multipart uploads": at most 1,000 parts.
    Provider(
        name="scaleway",
        label="Scaleway Object Storage",
        max_parts=1000,
        max_object_size=5000 * GIB,
        region_default="fr-par",
        endpoint_hint="https://s3.REGION.scw.cloud",
    ),
    # seaweedfs/seaweedfs issues 1914 (NextPartNumberMarker missing) and 7641 (Complete of more than 1,000 parts).
    Provider(
        name="seaweedfs",
        label="SeaweedFS",
        endpoint_hint="http://seaweedfs.example.org:8333",
        notes=("Some versions fail to complete more than 1,000 parts.",),
    ),
    Provider(
        name="garage",
        label="Garage",
        region_default="garage",
        endpoint_hint="http://garage.example.org:3900",
    ),
    # s3api of Swift 2.38, tried: keys of uploads are encoded as asked, the markers and common prefixes are not. The
    # least part is s3api's min_segment_size, 5 MiB in the store that Partway brings along. Create on a key with a
    # control character answers 500, keeps the upload all the same, and listings that end on it are 500 from then on;
    # with a line feed in its key, an upload's parts are listed as uploads.
    Provider(
        name="swift",
        label="OpenStack Swift (s3api)",
        endpoint_hint="https://swift.example.org",
        url_encoding="keys",
        prefixes_ahead=True,
        control_characters=False,
        notes=("Pages of one upload give no marker to go on from.",),
    ),
    Provider(
        name="generic",
        label="Another S3-compatible store",
        etag_is_md5=False,
        endpoint_hint="https://s3.example.org",
    ),
)

PROVIDERS: Mapping[str, Provider] = MappingProxyType({each.name: each for each in _ALL})


def get_provider(name: str) -> Provider:
    """The profile of that name; NotSent with BAD_ARGUMENT if there is none."""
    if name not in PROVIDERS:
        raise bad_argument(f"There is no provider {name!r}: {', '.join(PROVIDERS)} are known.")
    return PROVIDERS[name]
