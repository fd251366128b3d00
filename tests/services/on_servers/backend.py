"""A test server behind a proxy with faults, and the other programs that use the same bucket."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.stores.servers import Server
from tests.system.fault_proxy import FaultProxy
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import FileSlice, UploadRef

KEY = "a/key"
OTHER_CONTENT = b"of another program"


@dataclass(frozen=True, slots=True)
class Backend:
    """A server, the proxy in front of it, and a client that bypasses the proxy."""

    server: Server
    proxy: FaultProxy
    truth: ObjectStoreClient


@dataclass(frozen=True, slots=True)
class Others:
    """What other programs do in the bucket."""

    truth: ObjectStoreClient
    bucket: str
    folder: Path

    def put(self, content: bytes = OTHER_CONTENT) -> None:
        self.truth.put_object(self.bucket, KEY, self._file(content))

    def create_upload(self, *parts: bytes) -> UploadRef:
        """Create an upload with these parts."""
        upload_id = self.truth.create_multipart_upload(self.bucket, KEY)
        upload = UploadRef(KEY, upload_id)
        for number, content in enumerate(parts, 1):
            self.send_part(upload, number, content)
        return upload

    def send_part(self, upload: UploadRef, number: int, content: bytes) -> None:
        self.truth.upload_part(self.bucket, upload.key, upload.upload_id, number, self._file(content))

    def uploads(self) -> list[str]:
        pages = self.truth.iter_multipart_uploads(self.bucket)
        return [upload.upload_id for page in pages for upload in page.uploads]

    def size(self) -> int:
        return self.truth.head_object(self.bucket, KEY).size

    def _file(self, content: bytes) -> FileSlice:
        path = self.folder / "others"
        path.write_bytes(content)
        return FileSlice(path, 0, len(content))
