"""AbortMultipartUpload, repeated until nothing is left: parts in flight may land after an abort."""

from __future__ import annotations

import time
from dataclasses import dataclass

from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.services.browse.browsing import is_gone

MAX_REPEATS = 8
PAUSE_SECONDS = 0.5


class StillThere(ObjectStoreError):
    """The store still lists the upload after every abort; something keeps sending to it."""


@dataclass(frozen=True, slots=True)
class AbortOutcome:
    """How often abort was asked for, and whether the upload was gone before the first."""

    repeats: int
    already_gone: bool


def abort_until_gone(client: ObjectStoreClient, bucket: str, key: str, upload_id: str) -> AbortOutcome:
    """Abort, and look by ListParts, until the store knows no such upload. Raises ObjectStoreError."""
    for repeat in range(1, MAX_REPEATS + 1):
        # Where there is nothing to abort nothing more can arrive, though a store may go on listing parts: Swift does
        # so for uploads that were completed.
        found = _abort(client, bucket, key, upload_id)
        if not found or not _exists(client, bucket, key, upload_id):
            return AbortOutcome(repeat, already_gone=repeat == 1 and not found)
        time.sleep(PAUSE_SECONDS)
    raise StillThere(
        f"After {MAX_REPEATS} aborts the store still lists parts of this upload: something keeps sending to it.",
        reason=Reason.REFUSED,
        operation="AbortMultipartUpload",
        retryable=True,
    )


def _abort(client: ObjectStoreClient, bucket: str, key: str, upload_id: str) -> bool:
    """Whether there was something to abort."""
    try:
        client.abort_multipart_upload(bucket, key, upload_id)
    except ObjectStoreError as error:
        if not is_gone(error):
            raise
        return False
    return True


def _exists(client: ObjectStoreClient, bucket: str, key: str, upload_id: str) -> bool:
    try:
        client.list_parts(bucket, key, upload_id, max_parts=1)
    except ObjectStoreError as error:
        if is_gone(error):
            return False
        if error.reason is Reason.PERMISSION:
            # Without permission to list parts the store's own word for the abort has to do.
            return False
        raise
    return True
