"""CompleteMultipartUpload: sending it, finding its object after a lost response, and proving the object by HEAD."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from uploads import crash
from uploads.models import Store
from uploads.objectstore.checksums import ReportedCrc64, as_hex
from uploads.objectstore.errors import ObjectStoreError, OutcomeUnknown, Reason, Refused
from uploads.objectstore.types import CompletedPart, ObjectFacts, SentBytes
from uploads.problems import Code, Problem
from uploads.services.browse.browsing import ExistingObject, head_object
from uploads.services.stores.clients import client_for


@dataclass(frozen=True, slots=True)
class UploadToComplete:
    """`forbid_overwrite`: the store is told not to replace an object with this key."""

    store: Store
    bucket: str
    key: str
    upload_id: str
    forbid_overwrite: bool


@dataclass(frozen=True, slots=True)
class Expectation:
    """The object that a completion must create.

    `etag` and `crc64` are empty if they are not known. `metadata` is what identifies an object of ours.
    """

    size: int
    etag: str = ""
    crc64: ReportedCrc64 | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def fits(self, facts: ObjectFacts) -> bool:
        """Whether an object has the expected size and metadata."""
        return facts.size == self.size and all(
            facts.metadata.get(name) == value for name, value in self.metadata.items()
        )

    def identifies(self, facts: ObjectFacts | None) -> bool:
        """Whether an object is certainly the expected one: by its metadata, else by its ETag and CRC-64."""
        if facts is None or not self.fits(facts):
            return False
        if self.metadata:
            return True
        proofs = [facts.etag == self.etag] if self.etag else []
        if self._is_comparable(facts.crc64):
            proofs.append(facts.crc64 == self.crc64)
        return bool(proofs) and all(proofs)

    def crc64_problem(self, reported: ReportedCrc64 | None) -> Problem | None:
        """The difference between the CRC-64 that the store reports and the expected one."""
        if self.crc64 is None or reported is None or not self._is_comparable(reported) or reported == self.crc64:
            return None
        return Problem(Code.CRC64_MISMATCH, stored=as_hex(reported.value), sent=as_hex(self.crc64.value))

    def _is_comparable(self, reported: ReportedCrc64 | None) -> bool:
        """Whether both CRC-64 are known and use the same polynomial."""
        return self.crc64 is not None and reported is not None and self.crc64.algorithm == reported.algorithm


@dataclass(frozen=True, slots=True)
class CompletionOutcome:
    """What is known of the object after the completion.

    `facts` are from HEAD; None if HEAD is not allowed, failed (`head_error`) or found no object.
    `problem`: there is no such object, or it is not the expected one.
    """

    facts: ObjectFacts | None = None
    etag: str = ""
    problem: Problem | None = None
    head_error: ObjectStoreError | None = None

    @property
    def verified(self) -> bool:
        return self.facts is not None and self.problem is None


def complete_upload(
    upload: UploadToComplete,
    parts: Sequence[CompletedPart],
    expected: Expectation,
    on_completed: Callable[[], None],
) -> CompletionOutcome:
    """Complete an upload and prove its object. `on_completed` is called in between: the upload is gone from then on.

    Can be repeated: if an earlier response was lost, the object is found by HEAD. Raises ObjectStoreError.
    """
    try:
        response = _complete(upload, parts)
    except ObjectStoreError as error:
        outcome = find_completed(upload, error, expected)
        on_completed()
        return outcome
    on_completed()
    return prove_object(upload.store, upload.bucket, upload.key, response, expected)


def find_completed(upload: UploadToComplete, error: ObjectStoreError, expected: Expectation) -> CompletionOutcome:
    """The outcome of a completion that failed with `error`, if HEAD shows its object. Raises ObjectStoreError."""
    error = _explained_by_list_parts(upload, error)
    if not may_have_been_done(error):
        raise error
    existing = head_object(upload.store, upload.bucket, upload.key)
    if expected.identifies(existing.facts):
        return _outcome(SentBytes(""), existing, expected)
    if expected.metadata and existing.refusal is not None and error.reason is Reason.EXISTS:
        error.details.append(Problem(Code.OBJECT_MAY_BE_OURS))
    raise error


def prove_object(store: Store, bucket: str, key: str, response: SentBytes, expected: Expectation) -> CompletionOutcome:
    """Compare what the store reports in its response and by HEAD with what is expected."""
    try:
        existing = head_object(store, bucket, key)
    except ObjectStoreError as error:
        # The response is not sent again: what it shows counts now.
        problem = expected.crc64_problem(response.reported_crc64)
        return CompletionOutcome(etag=response.etag, problem=problem, head_error=error)
    return _outcome(response, existing, expected)


def may_have_been_done(error: ObjectStoreError) -> bool:
    """Whether a failed completion may have succeeded: now, with a lost response, or in an earlier attempt."""
    if isinstance(error, OutcomeUnknown):
        return True
    return isinstance(error, Refused) and (
        error.reason in {Reason.NO_SUCH_UPLOAD, Reason.NO_SUCH_KEY, Reason.STORE_FAULT, Reason.EXISTS}
        or error.status >= 500
    )


def _complete(upload: UploadToComplete, parts: Sequence[CompletedPart]) -> SentBytes:
    crash.point("complete.requested")
    response = client_for(upload.store).complete_multipart_upload(
        upload.bucket, upload.key, upload.upload_id, parts, forbid_overwrite=upload.forbid_overwrite
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
    facts = existing.facts
    problem = expected.crc64_problem(response.reported_crc64)
    if existing.refusal is None:
        problem = problem or _object_problem(response, facts, expected)
    return CompletionOutcome(facts, facts.etag if facts else response.etag, problem)


def _object_problem(response: SentBytes, facts: ObjectFacts | None, expected: Expectation) -> Problem | None:
    """Why the object that HEAD shows is not the expected one.

    Versity reports a missing upload as completed if an object with its key exists.
    """
    if facts is None:
        return Problem(Code.OBJECT_MISSING)
    was_replaced = bool(response.etag) and not expected.metadata and facts.etag != response.etag
    if was_replaced or not expected.fits(facts):
        return Problem(Code.OBJECT_DIFFERS, expected_size=expected.size, size=facts.size)
    return expected.crc64_problem(facts.crc64)
