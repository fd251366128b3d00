"""What the server holds: buckets, objects, uploads in progress. Names in memory, bytes in files.

All of it is looked at and changed under one lock; bytes are moved outside of it. To complete an upload moves none: the
object is the files of its parts.
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
    """Upper-case hex, without quotes."""
    size: int
    crc64: int
    modified: datetime
    path: Path


@dataclass(slots=True)
class Upload:
    """A multipart upload. With `aborted` it is there only for parts that were on their way when it was aborted."""

    key: str
    upload_id: str
    initiated: datetime
    storage_class: str = "Standard"
    headers: Mapping[str, str] = field(default_factory=dict)
    parts: dict[int, Part] = field(default_factory=dict)
    on_their_way: int = 0
    aborted: bool = False


@dataclass(frozen=True, slots=True)
class Object:
    key: str
    etag: str
    size: int
    crc64: int
    modified: datetime
    pieces: tuple[Piece, ...]
    """The files that hold its bytes, in order: of a Multipart object one for each part."""
    kind: str = "Normal"
    """Normal, or Multipart."""
    content_md5: str = ""
    """Of a Normal object, in base64."""
    storage_class: str = "Standard"
    headers: Mapping[str, str] = field(default_factory=dict)
    """Content-Type and its like, and x-oss-meta-*: answered as they were sent."""


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


def utc_now() -> datetime:
    return datetime.now(UTC)


class State:
    """Everything, in a folder of its own. `clock` is what the server believes the time to be."""

    def __init__(self, folder: Path, clock: Callable[[], datetime] = utc_now) -> None:
        self.lock = threading.RLock()
        self.buckets: dict[str, Bucket] = {}
        self.now = clock
        self._files = folder / "bytes"
        self._files.mkdir(exist_ok=True)
        self._numbers: Iterator[int] = itertools.count(1)

    def new_path(self) -> Path:
        """A file that nobody else writes."""
        return self._files / f"{next(self._numbers):08}"

    def bucket(self, name: str, region: str) -> Bucket:
        """A bucket of the endpoint's region; NoSuchBucket, AccessDenied with its endpoint for one of another region."""
        bucket = self.buckets.get(name)
        if bucket is None:
            raise errors.no_bucket(name)
        if bucket.region != region:
            raise errors.other_endpoint(f"oss-{bucket.region}.aliyuncs.com")
        return bucket

    # --- Objects ------------------------------------------------------------------------------------------------------

    def put(self, bucket: Bucket, fresh: Object, *, forbid_overwrite: bool) -> None:
        """Make `fresh` the object of its key; FileAlreadyExists where that is forbidden and there is one."""
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

    def begin(self, bucket: Bucket, key: str, storage_class: str, headers: Mapping[str, str]) -> Upload:
        with self.lock:
            upload = Upload(key, secrets.token_hex(16).upper(), self.now(), storage_class, headers)
            bucket.uploads[key, upload.upload_id] = upload
            return upload

    def expect_part(self, upload: Upload) -> None:
        """A part is on its way: an abort does not reach it any more."""
        with self.lock:
            upload.on_their_way += 1

    def lose_part(self, bucket: Bucket, upload: Upload) -> None:
        """It will not arrive after all."""
        with self.lock:
            upload.on_their_way -= 1
            self._forget_if_over(bucket, upload)

    def take_part(self, bucket: Bucket, upload: Upload, number: int, digests: Digests, path: Path, ec: str) -> Part:
        """A part has arrived whole. NoSuchUpload where its upload was completed meanwhile."""
        with self.lock:
            upload.on_their_way -= 1
            if bucket.uploads.get((upload.key, upload.upload_id)) is not upload:
                path.unlink()
                raise errors.no_upload(upload.upload_id, ec)
            if replaced := upload.parts.pop(number, None):
                replaced.path.unlink()
            part = Part(number, digests.etag, digests.size, digests.crc64, self.now(), path)
            upload.parts[number] = part
            return part

    def abort(self, bucket: Bucket, upload: Upload) -> None:
        """Delete what is there. Parts on their way land afterwards, and want another abort (AbortMultipartUpload)."""
        with self.lock:
            for part in upload.parts.values():
                part.path.unlink()
            upload.parts.clear()
            upload.aborted = True
            self._forget_if_over(bucket, upload)

    def end(self, bucket: Bucket, upload: Upload, *, used: Collection[int]) -> None:
        """An upload that became an object: parts of numbers it did not use go."""
        with self.lock:
            for part in upload.parts.values():
                if part.number not in used:
                    part.path.unlink()
            del bucket.uploads[upload.key, upload.upload_id]

    def _forget_if_over(self, bucket: Bucket, upload: Upload) -> None:
        if upload.aborted and not upload.parts and not upload.on_their_way:
            bucket.uploads.pop((upload.key, upload.upload_id), None)


def refuse_overwrite(bucket: Bucket, key: str, *, forbid_overwrite: bool) -> None:
    if forbid_overwrite and key in bucket.objects:
        raise errors.object_exists(key)
