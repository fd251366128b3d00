"""CompleteMultipartUpload: sending it, finding its object after a lost response, and proving the object by HEAD."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from uploads import crash
from uploads.domain.proofs import Proof
from uploads.models import Store
from uploads.objectstore.errors import ObjectStoreError, Reason, Refused, certainly_not_done
from uploads.objectstore.retry import DEFAULT_RETRIES, RetryPolicy
from uploads.objectstore.types import CompletedPart, ObjectFacts, SentBytes
from uploads.problems import Code, Problem
from uploads.services.browse.browsing import ExistingObject, head_object
from uploads.services.multipart.expectation import Expectation
from uploads.services.stores.clients import client_for


@dataclass(frozen=True, slots=True)
class UploadToComplete:
    """`forbid_overwrite`: the store is told not to replace an object with this key.

    `was_requested`: an earlier CompleteMultipartUpload of this upload may have had an effect.
    `if_match`: the ETag of the only object that the store is to replace; empty if it is not told one.
    """

    store: Store
    bucket: str
    key: str
    upload_id: str
    forbid_overwrite: bool
    was_requested: bool = False
    if_match: str = ""


@dataclass(frozen=True, slots=True)
class CompletionOutcome:
    """What is known of the object after the completion.

    `facts` are from HEAD; None if HEAD is not allowed or failed (`head_error`) or found no object.
    `problem`: there is no such object, or it is not the expected one. `proofs` is all that is known to be true of it.
    `absence` is the store's response to HEAD that there is no object.
    """

    facts: ObjectFacts | None = None
    etag: str = ""
    proofs: tuple[Proof, ...] = ()
    problem: Problem | None = None
    head_error: ObjectStoreError | None = None
    absence: Refused | None = None

    @property
    def verified(self) -> bool:
        """Whether HEAD has shown the expected object. `proofs` say how much of it.

        A date alone says that an object appeared, not that it is the expected one.
        """
        return self.facts is not None and self.problem is None and not {*self.proofs} <= {Proof.DATE}

    @property
    def trouble(self) -> ObjectStoreError | None:
        """Why HEAD has to be repeated: its response was unusable, or may not show the completion yet. Otherwise None.

        A store may show an object only some time after it has confirmed its completion.
        """
        if self.head_error is not None and not self.head_error.is_denied:
            return self.head_error
        if self.problem is None or self.problem.code not in NOT_SHOWN:
            return None
        if self.absence is not None and not _is_from_store(self.absence):
            return self.absence
        return NotShown(self.problem, self.absence)


NOT_SHOWN = frozenset({Code.OBJECT_MISSING, Code.OBJECT_DIFFERS})
"""HEAD does not show the object whose completion the store has confirmed: not yet, or not any more."""


class NotShown(ObjectStoreError):
    """HEAD shows no object, or another one. `absence` is the store's response that there is none."""

    def __init__(self, problem: Problem, absence: Refused | None) -> None:
        super().__init__(problem, reason=Reason.NO_SUCH_KEY if absence else Reason.EXISTS, operation="HeadObject")
        self.not_shown = problem
        self.request_id = absence.request_id if absence else ""


def _is_from_store(absence: Refused) -> bool:
    """Whether a 404 to HEAD is the store's own. It has no body, and a proxy's has neither a code nor a request id."""
    return bool(absence.request_id) or absence.code != str(absence.status)


class CompletionUnknown(Exception):
    """Whether the upload was completed is not known; another attempt may find out.

    `error` is the last error of the store, `found` what HEAD showed; None if it showed nothing.
    """

    def __init__(self, error: ObjectStoreError, found: ExistingObject | None) -> None:
        super().__init__(str(error))
        self.error = error
        self.found = found


def complete_upload(
    upload: UploadToComplete,
    parts: Sequence[CompletedPart],
    expected: Expectation,
    on_completed: Callable[[SentBytes], None],
) -> CompletionOutcome:
    """Complete an upload and prove its object. `on_completed` is called in between: the upload is gone from then on.

    Can be repeated: if an earlier response was lost, the object is found by HEAD. Raises CompletionUnknown, and
    ObjectStoreError if the upload was certainly not completed by this or an earlier request.
    """
    try:
        response = _complete(upload, parts, expected)
    except ObjectStoreError as error:
        outcome = find_completed(upload, error, expected)
        on_completed(SentBytes(outcome.etag))
        return outcome
    on_completed(response)
    return prove_object(upload.store, upload.bucket, upload.key, response, expected)


def find_completed(upload: UploadToComplete, error: ObjectStoreError, expected: Expectation) -> CompletionOutcome:
    """The outcome of a completion that failed with `error`, if HEAD shows its object. Raises as `complete_upload`."""
    # The upload may be gone because this very request has completed it.
    is_open = upload.was_requested or not certainly_not_done(error)
    error = _explained_by_list_parts(upload, error)
    if not is_open and not may_have_been_done(error):
        raise error
    try:
        existing = _head(upload.store, upload.bucket, upload.key, expected)
    except ObjectStoreError as failed:
        if is_open:
            raise CompletionUnknown(failed, None) from error
        raise
    if expected.identifies(existing.facts):
        return _outcome(SentBytes(""), existing, expected)
    if expected.metadata and existing.refusal is not None and error.reason is Reason.EXISTS:
        error.details.append(Problem(Code.OBJECT_MAY_BE_OURS))
    if is_open:
        raise CompletionUnknown(error, existing)
    raise error


def find_object(store: Store, bucket: str, key: str, expected: Expectation) -> CompletionOutcome | None:
    """The outcome of a completion whose response was lost, if HEAD shows its object. Raises nothing."""
    try:
        existing = _head(store, bucket, key, expected)
    except ObjectStoreError:
        return None
    return _outcome(SentBytes(""), existing, expected) if expected.identifies(existing.facts) else None


def prove_object(
    store: Store,
    bucket: str,
    key: str,
    response: SentBytes,
    expected: Expectation,
    retries: RetryPolicy = DEFAULT_RETRIES,
) -> CompletionOutcome:
    """Compare what the store reports in its response and by HEAD with what is expected."""
    try:
        existing = _head(store, bucket, key, expected, retries)
    except ObjectStoreError as error:
        return replace(_outcome(response, ExistingObject(None, error), expected), head_error=error)
    return _outcome(response, existing, expected)


def _head(
    store: Store, bucket: str, key: str, expected: Expectation, retries: RetryPolicy = DEFAULT_RETRIES
) -> ExistingObject:
    return head_object(store, bucket, key, retries, with_checksum=expected.requires_crc64)


def may_have_been_done(error: ObjectStoreError) -> bool:
    """Whether a failed completion may have succeeded: now, with a lost response, or in an earlier attempt."""
    if not certainly_not_done(error):
        return True
    return isinstance(error, Refused) and error.reason in {Reason.NO_SUCH_UPLOAD, Reason.NO_SUCH_KEY, Reason.EXISTS}


def _complete(upload: UploadToComplete, parts: Sequence[CompletedPart], expected: Expectation) -> SentBytes:
    crash.point("complete.requested")
    response = client_for(upload.store).complete_multipart_upload(
        upload.bucket,
        upload.key,
        upload.upload_id,
        parts,
        forbid_overwrite=upload.forbid_overwrite,
        if_match=upload.if_match,
        crc64=expected.crc64.value if expected.requires_crc64 and expected.crc64 else None,
    )
    crash.point("complete.responded")
    return response


def _explained_by_list_parts(upload: UploadToComplete, error: ObjectStoreError) -> ObjectStoreError:
    """Ceph reports an internal error for each completion of an upload that is gone; ListParts tells the two apart."""
    if error.reason is not Reason.STORE_FAULT:
        return error
    try:
        client_for(upload.store).list_parts(upload.bucket, upload.key, upload.upload_id, max_parts=1)
    except ObjectStoreError as listing:
        return listing if listing.reason is Reason.NO_SUCH_UPLOAD else error
    return error


def _outcome(response: SentBytes, existing: ExistingObject, expected: Expectation) -> CompletionOutcome:
    facts, refusal = existing.facts, existing.refusal
    problem = expected.crc64_problem(response.reported_crc64)
    if problem is None and refusal is None:
        problem = Problem(Code.OBJECT_MISSING) if facts is None else expected.problem_of(facts, response)
    return CompletionOutcome(
        facts=facts,
        etag=facts.etag if facts else response.etag,
        proofs=expected.proofs_in(facts, response.reported_crc64),
        problem=problem,
        head_error=refusal,
        absence=existing.absence,
    )
