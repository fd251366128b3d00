"""Which uploads a bulk abort leaves out, because somebody may still be sending them."""

from __future__ import annotations

from uploads.models import OperationItem
from uploads.objectstore.errors import ObjectStoreError
from uploads.problems import Code, Problem
from uploads.services.browse.browsing import is_gone, summarize_upload
from uploads.services.operations.outcomes import may_have_begun


def why_spared(item: OperationItem) -> Problem | None:
    """Why an upload is not aborted; None if it is. It is read now, because a part may have arrived since the request.

    An abort that was sent once is repeated. Without a time for each part, or without permission to read them, nobody
    can say that no part arrived lately. Raises ObjectStoreError for other failures.
    """
    operation = item.operation
    if operation.spare_after is None or may_have_begun(item):
        return None
    try:
        summary = summarize_upload(operation.store, operation.bucket, item.key, item.upload_id)
    except ObjectStoreError as error:
        if is_gone(error):
            return None
        if error.is_denied:
            return Problem(Code.SPARED_UNKNOWN)
        raise
    if summary.last_activity is not None and summary.last_activity > operation.spare_after:
        return Problem(Code.SPARED_RECENT)
    return Problem(Code.SPARED_UNKNOWN) if summary.undated else None
