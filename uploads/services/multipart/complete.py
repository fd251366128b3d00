"""CompleteMultipartUpload: what a failed one may mean."""

from __future__ import annotations

from uploads.objectstore.errors import ObjectStoreError, OutcomeUnknown, Reason, Refused


def may_have_been_done(error: ObjectStoreError) -> bool:
    """Whether a failed Complete can mean that an earlier one succeeded: its answer was lost, or the store is at it."""
    if isinstance(error, OutcomeUnknown):
        return True
    return isinstance(error, Refused) and (
        error.reason in {Reason.NO_SUCH_UPLOAD, Reason.NO_SUCH_KEY, Reason.STORE_FAULT, Reason.EXISTS}
        or error.status >= 500
    )
