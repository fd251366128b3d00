"""The state of the server: buckets, objects and uploads in memory, bytes in files.

One lock protects the state. Bytes are written outside of the lock. Completing an upload copies no bytes: the object
consists of the files of its parts.
"""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.stores.oss import errors
from tests.stores.oss.bodies import Digests

OWNER = "1305433695277957"
"""The id of the account that owns every bucket."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A file and its size in bytes."""

    path: Path
    size: int


@dataclass(frozen=True, slots=True)
class Part:
    number: int
    etag: str
    """Upper-case hexadecimal digits without quotes."""
    size: int
    crc64: int
    modified: datetime
    path: Path


@dataclass(slots=True)
class Upload:
    """A multipart upload. An aborted one exists until the parts that were being received have arrived."""

    key: str
    upload_id: str
    initiated: datetime
    storage_class: str = "Standard"
    headers: Mapping[str, str] = field(default_factory=dict)
    parts: dict[int, Part] = field(default_factory=dict)
    arriving: int = 0
    aborted: bool = False


@dataclass(frozen=True, slots=True)
class Object:
    key: str
    etag: str
    size: int
    crc64: int
    modified: datetime
    pieces: tuple[Piece, ...]
    """The files of its bytes in order: one for each part of a Multipart object."""
    kind: str = "Normal"
    """Normal, or Multipart."""
    content_md5: str = ""
    """In base64, for a Normal object."""
    storage_class: str = "Standard"
    headers: Mapping[str, str] = field(default_factory=dict)
    """Content-Type and similar headers, and x-oss-meta-*, as they were sent."""


@dataclass(slots=True)
class Bucket:
    name: str
    region: str
    created: datetime
    storage_class: str = "Standard"
    comment: str = ""
    objects: dict[str, Object] = field(default_factory=dict)
    uploads: dict[tuple[str, str], Upload] = field(default_factory=dict)
    """By key and upload id."""
    lifecycle: bytes | None = None
    """The document of its lifecycle rules."""


def utc_now() -> datetime:
    return datetime.now(UTC)


class State:
    """The state, with its files in a folder. `clock` returns the server's time."""

    def __init__(self, folder: Path, clock: Callable[[], datetime] = utc_now) -> None:
        self.lock = threading.RLock()
        self.buckets: dict[str, Bucket] = {}
        self.now = clock
        self._files = folder / "bytes"
        self._files.mkdir(exist_ok=True)
        self._numbers: Iterator[int] = itertools.count(1)

    def new_path(self) -> Path:
        """The path of a new file."""
        return self._files / f"{next(self._numbers):08}"

    def bucket(self, name: str, region: str) -> Bucket:
        """A bucket. Raises NoSuchBucket, or AccessDenied with the endpoint if the bucket is in another region."""
        bucket = self.buckets.get(name)
        if bucket is None:
            raise errors.no_bucket(name)
        if bucket.region != region:
            raise errors.other_endpoint(f"oss-{bucket.region}.aliyuncs.com")
        return bucket

    # --- Objects ------------------------------------------------------------------------------------------------------

    def put(self, bucket: Bucket, fresh: Object, *, forbid_overwrite: bool) -> None:
        """Store an object. Raises FileAlreadyExists if there is one and overwriting is forbidden."""
        with self.lock:
            refuse_overwrite(bucket, fresh.key, forbid_overwrite=forbid_overwrite)
            self.delete(bucket, fresh.key)
            bucket.objects[fresh.key] = fresh

    def delete(self, bucket: Bucket, key: str) -> None:
        with self.lock:
            if gone := bucket.objects.pop(key, None):
                for piece in gone.pieces:
                    piece.path.unlink()

    # --- Uploads ------------------------------------------------------------------------------------------------------

    def create_upload(self, bucket: Bucket, key: str, storage_class: str, headers: Mapping[str, str]) -> Upload:
        with self.lock:
            upload = Upload(key, secrets.token_hex(16).upper(), self.now(), storage_class, headers)
            bucket.uploads[key, upload.upload_id] = upload
            return upload

    def register_part(self, upload: Upload) -> None:
        """Register a part that is being received: it arrives even if the upload is aborted."""
        with self.lock:
            upload.arriving += 1

    def unregister_part(self, bucket: Bucket, upload: Upload) -> None:
        """Unregister a part that was not received."""
        with self.lock:
            upload.arriving -= 1
            self._remove_if_ended(bucket, upload)

    def add_part(self, bucket: Bucket, upload: Upload, number: int, digests: Digests, path: Path, ec: str) -> Part:
        """Add a part that was received. Raises NoSuchUpload if the upload was completed in the meantime."""
        with self.lock:
            upload.arriving -= 1
            if bucket.uploads.get((upload.key, upload.upload_id)) is not upload:
                path.unlink()
                raise errors.no_upload(upload.upload_id, ec)
            if replaced := upload.parts.pop(number, None):
                replaced.path.unlink()
            part = Part(number, digests.etag, digests.size, digests.crc64, self.now(), path)
            upload.parts[number] = part
            return part

    def abort(self, bucket: Bucket, upload: Upload) -> None:
        """Delete all parts. Parts that are being received arrive later; abort again then (AbortMultipartUpload)."""
        with self.lock:
            for part in upload.parts.values():
                part.path.unlink()
            upload.parts.clear()
            upload.aborted = True
            self._remove_if_ended(bucket, upload)

    def end(self, bucket: Bucket, upload: Upload, *, used: Collection[int]) -> None:
        """Remove an upload that became an object, and the parts that it did not use."""
        with self.lock:
            for part in upload.parts.values():
                if part.number not in used:
                    part.path.unlink()
            del bucket.uploads[upload.key, upload.upload_id]

    def _remove_if_ended(self, bucket: Bucket, upload: Upload) -> None:
        if upload.aborted and not upload.parts and not upload.arriving:
            bucket.uploads.pop((upload.key, upload.upload_id), None)


def refuse_overwrite(bucket: Bucket, key: str, *, forbid_overwrite: bool) -> None:
    if forbid_overwrite and key in bucket.objects:
        raise errors.object_exists(key)
