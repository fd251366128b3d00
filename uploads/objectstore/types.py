"""Parameters and results of the object store client: plain, immutable dataclasses.

Names follow the S3 API (the OSS API uses the same ones). Sizes are bytes, times are aware UTC datetimes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from uploads.objectstore.addresses import AddressRules
from uploads.objectstore.checksums import ReportedCrc64
from uploads.problems import Problem

Addressing = Literal["path", "virtual"]
Signature = Literal["sigv4", "oss4"]
PayloadSigning = Literal["signed", "unsigned"]

DEFAULT_PAGE = 100
"""Uploads or parts in one page, unless the caller chooses another number."""

MAX_PAGE = 1000
"""Uploads or parts in one page: the default and maximum of the API."""

MAX_PART_NUMBER = 10_000
"""The highest part number, and the largest number of parts, of S3 and OSS."""

Marker = tuple[str, str]
"""A key marker and an upload id marker; both are empty for the first page. Some stores use an upload id alone."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials that sign requests. The repr does not contain the secrets."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """How to reach a store. `provider` is the name of a profile in providers.py.

    `overrides`: fields of the profile for which a check of this store found other values, sorted by name. `addresses`
    are the rules for the resolved addresses of the endpoint; None: all are allowed.
    """

    endpoint_url: str
    region: str
    credentials: Credentials
    provider: str = "generic"
    addressing: Addressing = "path"
    signature: Signature = "sigv4"
    payload_signing: PayloadSigning = "unsigned"
    ca_bundle: str | None = None
    connect_timeout: float = 5.0
    stall_timeout: float = 60.0
    overrides: tuple[tuple[str, object], ...] = ()
    addresses: AddressRules | None = None


@dataclass(frozen=True, slots=True)
class FileSlice:
    """The body of a request: `size` bytes of the file at `path`, from `offset`."""

    path: Path
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Bucket:
    name: str
    created: datetime | None


class Buckets(tuple[Bucket, ...]):
    """The buckets that ListBuckets names. `is_cut`: it names more than were read."""

    is_cut = False


@dataclass(frozen=True, slots=True)
class MultipartUpload:
    """One upload in progress, as ListMultipartUploads reports it."""

    key: str
    upload_id: str
    initiated: datetime | None
    initiator: str = ""
    owner: str = ""
    storage_class: str = ""


@dataclass(frozen=True, slots=True)
class UploadRef:
    """Identifies an upload in a bucket."""

    key: str
    upload_id: str


@dataclass(frozen=True, slots=True)
class UploadsQuery:
    """The parameters of ListMultipartUploads, by their names in the S3 user guide.

    `whole_key`: the prefix is a complete key. Stores that support only complete keys as a prefix then receive it.
    """

    prefix: str = ""
    delimiter: str = ""
    max_uploads: int = DEFAULT_PAGE
    key_marker: str = ""
    upload_id_marker: str = ""
    whole_key: bool = False


@dataclass(frozen=True, slots=True)
class UploadsPage:
    """One page of ListMultipartUploads; the markers are decoded, and empty if the store sent none."""

    uploads: tuple[MultipartUpload, ...]
    common_prefixes: tuple[str, ...]
    is_truncated: bool
    next_key_marker: str
    next_upload_id_marker: str
    request_id: str = ""
    notes: tuple[Problem, ...] = ()
    """What the page does not show, such as uploads whose key cannot be read exactly."""
    unshown: int = 0
    """Uploads and prefixes that the store sent in this page beyond its limit; they are left out."""

    def first(self, limit: int, more_uploads: int = 0, more_prefixes: int = 0) -> UploadsPage:
        """The page with at most `limit` uploads and prefixes; the next page starts after the last of its uploads.

        `more_uploads` and `more_prefixes` follow in the store's response, and were not read.
        """
        more_uploads += max(0, len(self.uploads) - limit)
        more_prefixes += max(0, len(self.common_prefixes) - limit)
        if not more_uploads and not more_prefixes:
            return self
        page = replace(
            self,
            uploads=self.uploads[:limit],
            common_prefixes=self.common_prefixes[:limit],
            unshown=self.unshown + more_uploads + more_prefixes,
        )
        if not more_uploads or not page.uploads:
            return page
        last = page.uploads[-1]
        by_id_alone = self.next_upload_id_marker and not self.next_key_marker
        key_marker = "" if by_id_alone else last.key
        return replace(page, is_truncated=True, next_key_marker=key_marker, next_upload_id_marker=last.upload_id)

    @property
    def onward(self) -> Marker:
        """The markers for the next page: the store's, or those of the last upload if the store left one out.

        A store that names only an upload id marker continues by it alone: with a key marker, SeaweedFS lists only the
        uploads of exactly that key.
        """
        if self.next_upload_id_marker and not self.next_key_marker:
            return "", self.next_upload_id_marker
        last = self.uploads[-1] if self.uploads else None
        named = self.next_key_marker and (
            self.next_upload_id_marker or last is None or last.key != self.next_key_marker
        )
        if named or last is None:
            return self.next_key_marker, self.next_upload_id_marker
        return last.key, last.upload_id


@dataclass(frozen=True, slots=True)
class ListedPart:
    """One part in the store, as ListParts reports it. Only OSS reports a `crc64`.

    `size` and `last_modified` are None, and `etag` (without quotes) is empty, if the store names none that is valid.
    `copies`: how many copies of this part the store lists (SeaweedFS: one for each time it was sent); this is the
    newest, unless `is_unclear`: the dates do not tell which one that is.
    """

    number: int
    size: int | None
    etag: str
    last_modified: datetime | None
    crc64: ReportedCrc64 | None = None
    copies: int = 1
    is_unclear: bool = False


@dataclass(frozen=True, slots=True)
class PartsPage:
    """One page of ListParts."""

    parts: tuple[ListedPart, ...]
    is_truncated: bool
    next_part_number_marker: int
    initiator: str = ""
    owner: str = ""
    storage_class: str = ""
    abort_date: datetime | None = None
    abort_rule_id: str = ""
    request_id: str = ""

    @property
    def onward(self) -> int:
        """The part number marker of the next page: the store's, or the last part's number if the store names none."""
        return self.next_part_number_marker or (self.parts[-1].number if self.parts else 0)


@dataclass(frozen=True, slots=True)
class CompletedPart:
    """A part in the request CompleteMultipartUpload. `crc64` (NVME) only of parts that the store verified by it."""

    number: int
    etag: str
    crc64: int | None = None


@dataclass(frozen=True, slots=True)
class SentBytes:
    """The response to UploadPart, PutObject or CompleteMultipartUpload. `etag` may be empty (Ceph's first Complete).

    `crc64` is computed from the bytes that were sent; `reported_crc64` is the store's, if it reports one.
    `etag_is_md5`: the ETag is the MD5 of the bytes.
    """

    etag: str
    request_id: str = ""
    version_id: str = ""
    crc64: int = 0
    reported_crc64: ReportedCrc64 | None = None
    etag_is_md5: bool = False


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """The response to HeadObject. Metadata names are lower case, without the prefix x-amz-meta- or x-oss-meta-.

    `is_encrypted`: with a key of its own, so that the ETag depends on more than the bytes.
    """

    size: int
    etag: str
    last_modified: datetime | None
    content_type: str = ""
    storage_class: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    version_id: str = ""
    request_id: str = ""
    crc64: ReportedCrc64 | None = None
    is_encrypted: bool = False
