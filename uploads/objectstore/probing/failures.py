"""An error as a finding, and as what a leftover records. Pure."""

from __future__ import annotations

from uploads.objectstore.errors import NotSent, ObjectStoreError, Reason, Refused
from uploads.objectstore.probing.codes import FindingCode
from uploads.objectstore.probing.results import Finding, Verdict
from uploads.problems import Problem, RecordedError


def finding_of(error: ObjectStoreError, code: FindingCode | None = None, verdict: Verdict = Verdict.FAILED) -> Finding:
    """An error as the outcome of a check; a missing permission as such. `code` replaces the code of other errors."""
    if error.is_denied:
        code, verdict = FindingCode.PERMISSION_MISSING, Verdict.DENIED
    return Finding(
        verdict=verdict,
        observed=Problem(
            code or _code_of(error), operation=error.operation, reason=error.reason.value, code=_store_code(error)
        ),
        details=_details(error),
        code=_store_code(error),
        request_id=error.request_id,
        store_message=error.store_message,
    )


def is_fault(error: ObjectStoreError) -> bool:
    """Whether the store, or the way to it, failed: this says nothing about what the request tested."""
    faults = {Reason.STORE_FAULT, Reason.THROTTLED, Reason.TIMEOUT, Reason.CONNECTION_LOST, Reason.UNREACHABLE}
    return error.reason in faults


def recorded(error: ObjectStoreError) -> RecordedError:
    return RecordedError(
        code=_store_code(error),
        reason=error.reason.value,
        params={"operation": error.operation},
        details=_details(error),
        store_message=error.store_message,
        request_id=error.request_id,
    )


def _code_of(error: ObjectStoreError) -> FindingCode:
    if isinstance(error, Refused):
        return FindingCode.REQUEST_REFUSED
    return FindingCode.NOTHING_SENT if isinstance(error, NotSent) else FindingCode.NO_USABLE_RESPONSE


def _store_code(error: ObjectStoreError) -> str:
    return error.code if isinstance(error, Refused) else ""


def _details(error: ObjectStoreError) -> tuple[Problem, ...]:
    return tuple(problem for problem in (error.problem, *error.details) if problem is not None)
