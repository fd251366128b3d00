"""AbortMultipartUpload, repeated until nothing is left: parts in flight may arrive after an abort."""

from __future__ import annotations

import time
from dataclasses import dataclass

from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.problems import Code, Problem
from uploads.services.browse.browsing import is_gone

MAX_REPEATS = 8
PAUSE_SECONDS = 0.5


class StillThere(ObjectStoreError):
    """The store still lists the upload after the last abort."""


@dataclass(frozen=True, slots=True)
class AbortOutcome:
    """How many aborts were sent, and whether the upload was gone before the first one."""

    repeats: int
    already_gone: bool


def abort_until_gone(client: ObjectStoreClient, bucket: str, key: str, upload_id: str) -> AbortOutcome:
    """Abort, and check with ListParts, until the store has no such upload. Raises ObjectStoreError."""
    for repeat in range(1, MAX_REPEATS + 1):
        # If there is nothing to abort, no more parts can arrive, though a store may still list some: Swift lists the
        # parts of completed uploads.
        existed = _abort(client, bucket, key, upload_id)
        if not existed or not _exists(client, bucket, key, upload_id):
            return AbortOutcome(repeat, already_gone=repeat == 1 and not existed)
        time.sleep(PAUSE_SECONDS)
    raise StillThere(
        Problem(Code.STILL_LISTED, count=MAX_REPEATS),
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
            # Without permission to list parts, the store's response to the abort has to suffice.
            return False
        raise
    return True
