"""The client of the demo that is still sending: it adds a part to its upload every few seconds while Partway runs.

After LAST_PART it sends the same part number again and again: the new bytes replace those of the part, so that the
upload stays alive and takes no more space. The client ends with its upload, and does not start another one.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.objectstore.types import FileSlice, StoreConfig

KEY = "video/live/camera-1.mov"
PART_BYTES = 5 * 1024**2
LAST_PART = 12
PAUSE_SECONDS = 20.0

BYTES = FileSlice(Path("/dev/zero"), 0, PART_BYTES)


def begin(client: ObjectStoreClient, bucket: str) -> None:
    """Create the upload, unless it exists."""
    if _upload_id(client, bucket) is None:
        client.create_multipart_upload(bucket, KEY, content_type="video/quicktime")


def send_next(client: ObjectStoreClient, bucket: str) -> bool:
    """Send one part. Returns whether the upload exists. Raises ObjectStoreError."""
    upload_id = _upload_id(client, bucket)
    if upload_id is None:
        return False
    sent = max((part.number for part in client.iter_parts(bucket, KEY, upload_id)), default=0)
    client.upload_part(bucket, KEY, upload_id, min(sent + 1, LAST_PART), BYTES)
    return True


def _upload_id(client: ObjectStoreClient, bucket: str) -> str | None:
    page = client.list_multipart_uploads(bucket, prefix=KEY)
    return next((upload.upload_id for upload in page.uploads if upload.key == KEY), None)


class Sender:
    """Sends parts in a thread until `stop`, or until the upload has ended."""

    def __init__(self, config: StoreConfig, bucket: str) -> None:
        self._config = config
        self._bucket = bucket
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._send, name="live", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _send(self) -> None:
        # The store may be stopping: a request that fails is no news to whoever started Partway.
        logging.getLogger("uploads.objectstore").setLevel(logging.CRITICAL)
        with ObjectStoreClient(self._config) as client:
            while not self._stopped.is_set() and self._goes_on(client):
                self._stopped.wait(PAUSE_SECONDS)

    def _goes_on(self, client: ObjectStoreClient) -> bool:
        try:
            return send_next(client, self._bucket)
        except ObjectStoreError as error:
            return error.reason is not Reason.NO_SUCH_UPLOAD
