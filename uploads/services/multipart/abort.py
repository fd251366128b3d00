"""AbortMultipartUpload, repeated until nothing is left: parts in flight may arrive after an abort."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import Enum, auto

from uploads.domain.states import EndedHow
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import ObjectStoreError, Reason, certainly_not_done
from uploads.problems import Code, Problem
from uploads.services.browse.browsing import is_gone

MAX_REPEATS = 8
PAUSE_SECONDS = 0.5

MAX_FAILED_CHECKS = 3
"""Checks after an abort that may fail before the outcome is `not_verified`. The client repeats each of them as well."""


class StillThere(ObjectStoreError):
    """The store still lists the upload after the last abort."""


@dataclass(frozen=True, slots=True)
class AbortOutcome:
    """How many aborts were sent, and whether the store had no such upload before the first one.

    `no_bucket`: the store says that the bucket does not exist. `not_verified`: the store accepted the abort, but the
    check that nothing is left failed with this error. `response_lost`: the store has no such upload, and the only abort
    that may have removed it had no usable response. `request_id`: the store's, of the last abort that it accepted.
    """

    repeats: int
    already_gone: bool
    no_bucket: ObjectStoreError | None = None
    not_verified: ObjectStoreError | None = None
    response_lost: bool = False
    request_id: str = ""

    @property
    def ended_how(self) -> EndedHow | None:
        """How an upload of our own has ended; None if nothing has shown that it is gone.

        If it was gone before the first abort, an earlier attempt has removed it, which died before it wrote so.
        """
        if self.not_verified is not None:
            return None
        return EndedHow.ELSEWHERE if self.no_bucket is not None else EndedHow.ABORTED


def abort_until_gone(
    client: ObjectStoreClient,
    bucket: str,
    key: str,
    upload_id: str,
    turn: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> AbortOutcome:
    """Abort, and check with ListParts, until the store has no such upload. Each of them is inside a context of `turn`.

    Raises ObjectStoreError if no abort succeeded, or if the store lists the upload after the last one. An abort that
    the store accepted is not a failure if only the check fails: the outcome is `not_verified` then.
    """
    failed_checks = 0
    request_id = ""
    for repeat in range(1, MAX_REPEATS + 1):
        # If there is nothing to abort, no more parts can arrive, though a store may still list some: Swift lists the
        # parts of completed uploads.
        try:
            with turn():
                found, accepted = _abort(client, bucket, key, upload_id)
            request_id = accepted or request_id
            if found is not _Found.UPLOAD or not _exists(client, bucket, key, upload_id, turn):
                return AbortOutcome(
                    repeat,
                    already_gone=repeat == 1 and found is _Found.NOTHING,
                    response_lost=repeat == 1 and found is _Found.GONE_SINCE,
                    request_id=request_id,
                )
        except _CheckFailed as failure:
            failed_checks += 1
            if not failure.error.retryable or failed_checks == MAX_FAILED_CHECKS:
                return AbortOutcome(repeat, False, not_verified=failure.error, request_id=request_id)
        except ObjectStoreError as error:
            if repeat > 1 and failed_checks:
                return AbortOutcome(repeat - 1, False, not_verified=error, request_id=request_id)
            if error.reason is Reason.NO_SUCH_BUCKET:
                return AbortOutcome(repeat, already_gone=repeat == 1, no_bucket=error)
            raise
        time.sleep(PAUSE_SECONDS)
    raise StillThere(
        Problem(Code.STILL_LISTED, count=MAX_REPEATS),
        reason=Reason.REFUSED,
        operation="AbortMultipartUpload",
        retryable=True,
    )


class _Found(Enum):
    """What an abort found. GONE_SINCE: nothing, but an attempt of it whose response was lost may have removed it."""

    UPLOAD = auto()
    NOTHING = auto()
    GONE_SINCE = auto()


class _CheckFailed(Exception):
    """ListParts after an abort failed, for another reason than that the upload is gone."""

    def __init__(self, error: ObjectStoreError) -> None:
        super().__init__(str(error))
        self.error = error


def _abort(client: ObjectStoreClient, bucket: str, key: str, upload_id: str) -> tuple[_Found, str]:
    """Send an abort. Returns the store's request id too, if it accepted the abort.

    The client repeats it, so that "no such upload" may be the response to an abort that succeeded."""
    errors: list[ObjectStoreError] = []
    try:
        return _Found.UPLOAD, client.abort_multipart_upload(bucket, key, upload_id, errors.append)
    except ObjectStoreError as error:
        if not is_gone(error):
            raise
        return _Found.NOTHING if all(certainly_not_done(each) for each in errors) else _Found.GONE_SINCE, ""


def _exists(
    client: ObjectStoreClient, bucket: str, key: str, upload_id: str, turn: Callable[[], AbstractContextManager[None]]
) -> bool:
    try:
        with turn():
            client.list_parts(bucket, key, upload_id, max_parts=1)
    except ObjectStoreError as error:
        if is_gone(error):
            return False
        raise _CheckFailed(error) from error
    return True
