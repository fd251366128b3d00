"""What operators should know about each provider, and the source of every difference from S3 in its profile.

Keys are names of providers (`uploads.objectstore.providers`) and of the fields of a profile. Tests check that every
difference has a source.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

NOTES: Mapping[str, tuple[Promise, ...]] = {
    "aws": (
        _("Complete can respond with status 200 and an error in its body."),
        _("An abort may have to be repeated: parts that are still being sent can arrive after it."),
        _("Directory buckets have no upload id marker."),
    ),
    "oss": (
        _("A gap between part numbers is accepted and makes a shorter object."),
        _("Parts that are too small are refused only when the upload is completed."),
        _("An upload is completed even if the client does not wait for the response."),
        _("In a bucket with versioning, replacing an object cannot be prevented: a new version is created."),
    ),
    "oss-s3": (
        _("This endpoint does not list multipart uploads. The provider “Aliyun OSS”, at OSS's own endpoint, does."),
        _("A gap between part numbers is accepted and makes a shorter object."),
    ),
    "ceph": (
        _("A delimiter finds no common prefixes and hides the uploads in them. Partway groups folders itself."),
        _("The first response to Complete has an empty ETag."),
        _("Completing an unknown upload fails with status 500."),
    ),
    "minio": (
        _("The listing may forget uploads after a restart. Their parts can still be listed."),
        _("The page size and markers of a listing may be ignored."),
        _("MinIO aborts uploads that are a day old."),
    ),
    "r2": (_("Uploads in progress are aborted after 7 days."),),
    "wasabi": (_("Parts of unfinished uploads are billed like objects."),),
    "seaweedfs": (
        _("Some versions fail to complete more than 1,000 parts."),
        _("A key marker lists only the uploads with exactly that key. Partway sends upload id markers alone."),
    ),
    "swift": (
        _("Pages of one upload have no marker for the next page."),
        _("Parts of completed uploads can still be listed."),
    ),
}

_IF_NONE_MATCH = _("S3 API reference, CompleteMultipartUpload and PutObject: If-None-Match")
_OSS_LIMITS = _("OSS documentation, Limits and Multipart upload: 100 KB to 5 GB, 10,000 parts, 48.8 TB")
_OSS_NAMES = _("OSS documentation, Object naming conventions: 1 to 1,023 bytes, no leading slash or backslash")
_OSS_ETAG = _("OSS API reference, CompleteMultipartUpload: the ETag is not the MD5 of the content")
_OSS_HOSTS = _("OSS documentation, Compatibility with Amazon S3: path style fails with SecondLevelDomainForbidden")
_OSS_REGIONS = _("OSS documentation, Regions and endpoints: region id oss-cn-hangzhou, in signatures cn-hangzhou")
_OSS_CRC = _("OSS documentation, CRC-64: x-oss-hash-crc64ecma")
_OSS_LIFECYCLE = _("OSS documentation, Lifecycle: AbortMultipartUpload, Days from the last change")
_CEPH_TEST = _("tested with Ceph RADOS Gateway 16.2")
_MINIO_CACHE = _("minio/minio, ListMultipartUploads: without a prefix all cached uploads, ignoring other parameters")
_SWIFT_TEST = _("tested with s3api of OpenStack Swift 2.38")
_SEAWEEDFS_TEST = _("tested with SeaweedFS 4.48")
_SEAWEEDFS_FOLDER = _("tested with SeaweedFS 4.48: PutObject keeps no bytes, Complete writes another key")
_FILE_NAMES = _("tested with SeaweedFS 4.48: PutObject fails with KeyTooLongError, Complete with InternalError")
_GARAGE_TEST = _("tested with Garage 2.5")
_MINIO_TEST = _("tested with MinIO of February 2026")
_UNKNOWN = _("not known; a store check detects it")

SOURCES: Mapping[str, Mapping[str, Promise]] = {
    "aws": {
        "addressing": _("Amazon S3 user guide, Virtual hosting of buckets"),
        "regions_elsewhere": _("AWS China, Endpoints: https://s3.REGION.amazonaws.com.cn"),
        "requests_checksums": _("S3 API reference, HeadObject: x-amz-checksum-mode"),
        "forbid_overwrite": _IF_NONE_MATCH,
        "if_match": _("S3 API reference, CompleteMultipartUpload: If-Match"),
    },
    "oss": {
        "addressing": _OSS_HOSTS,
        "region_prefix": _OSS_REGIONS,
        "signature": _("OSS API reference, Include a V4 signature in the header"),
        "min_part_size": _OSS_LIMITS,
        "max_key_bytes": _OSS_NAMES,
        "leading_slash": _OSS_NAMES,
        "joined_etag": _OSS_ETAG,
        "crc64": _OSS_CRC,
        "forbid_overwrite": _("OSS API reference, InitiateMultipartUpload: x-oss-forbid-overwrite"),
        "lifecycle": _OSS_LIFECYCLE,
    },
    "oss-s3": {
        "addressing": _OSS_HOSTS,
        "region_prefix": _OSS_REGIONS,
        "min_part_size": _OSS_LIMITS,
        "max_key_bytes": _OSS_NAMES,
        "leading_slash": _OSS_NAMES,
        "joined_etag": _OSS_ETAG,
        "crc64": _OSS_CRC,
        "lists_uploads": _("OSS documentation, Compatibility with Amazon S3: not among the operations"),
        "listed_by": _("OSS API reference, ListMultipartUploads"),
        "lifecycle": _OSS_LIFECYCLE,
    },
    "ceph": {"delimiter": _CEPH_TEST, "order": _CEPH_TEST, "url_encoding": _CEPH_TEST},
    "minio": {
        "leading_slash": _MINIO_TEST,
        "keys_are_paths": _MINIO_TEST,
        "max_segment_bytes": _MINIO_TEST,
        "forbid_overwrite": _MINIO_TEST,
        "delimiter": _MINIO_CACHE,
        "order": _("minio/minio, ListMultipartUploads: ordered by the time of creation"),
        "exact_prefix": _("MinIO documentation, S3 API compatibility: the prefix must be the object's name"),
        "forgets": _("minio/minio, ListMultipartUploads: lists a cache that a restart empties"),
        "keeps_ended": _("minio/minio issues 21189 and 21456"),
        "lifecycle": _("minio/minio issue 19115: the rule is removed without an error"),
    },
    "r2": {
        "max_object_size": _("Cloudflare documentation, R2 limits"),
        "equal_parts": _("Cloudflare documentation, R2 multipart objects"),
    },
    "b2": {
        "min_part_size": _("Backblaze documentation, Large files: parts from 5 MB"),
        "max_object_size": _("Backblaze documentation, S3-Compatible API: 10 TB per file"),
    },
    "gcs": {
        "max_object_size": _("Google Cloud documentation, Quotas and limits"),
        "lifecycle": _("Google Cloud documentation, Object Lifecycle Management: AbortIncompleteMultipartUpload"),
    },
    "wasabi": {"max_object_size": _("Wasabi documentation, largest object: 5 TB")},
    "scaleway": {
        "max_parts": _("Scaleway documentation, Multipart uploads: at most 1,000 parts"),
        "max_object_size": _("1,000 parts of 5 GiB"),
    },
    "seaweedfs": {
        "leading_slash": _SEAWEEDFS_TEST,
        "trailing_slash": _SEAWEEDFS_FOLDER,
        "keys_are_paths": _SEAWEEDFS_TEST,
        "max_segment_bytes": _FILE_NAMES,
        "delimiter": _SEAWEEDFS_TEST,
        "order": _SEAWEEDFS_TEST,
        "marker_pair": _SEAWEEDFS_TEST,
        "url_encoding": _SEAWEEDFS_TEST,
        "forbid_overwrite": _SEAWEEDFS_TEST,
        "if_match": _SEAWEEDFS_TEST,
        "keeps_part_copies": _SEAWEEDFS_TEST,
    },
    "garage": {"leading_slash": _GARAGE_TEST, "rows_in_order": _GARAGE_TEST},
    "swift": {
        "order": _SWIFT_TEST,
        "url_encoding": _("tested with s3api of OpenStack Swift 2.38: markers and common prefixes are not encoded"),
        "prefixes_ahead": _SWIFT_TEST,
        "control_characters": _("tested with s3api of OpenStack Swift 2.38: 500 on Create and in listings"),
        "dates_buckets": _("tested with s3api of OpenStack Swift 2.38: 2009-02-03 for every bucket"),
        "lifecycle": _("tested with s3api of OpenStack Swift 2.38: MalformedXML"),
    },
    "generic": {"any_signature": _UNKNOWN, "joined_etag": _UNKNOWN},
}


def notes_on(provider: str) -> list[str]:
    """What operators should know about a provider."""
    return [str(note) for note in NOTES.get(provider, ())]


def sources_of(provider: str) -> dict[str, str]:
    """Where each field of a profile that differs from S3 is documented, or what it was tested with."""
    return {name: str(source) for name, source in SOURCES.get(provider, {}).items()}
