"""What a row keeps of a failure: the store's code, message and request id, and the reason with its parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from uploads.objectstore.errors import ObjectStoreError, Reason, Refused
from uploads.problems import Code, Problem, RecordedError, without_surrogates

OWN_CODES: Mapping[Reason, str] = {
    Reason.UNREADABLE_RESPONSE: "UnreadableResponse",
    Reason.TLS: Code.TLS_FAILED,
    Reason.BAD_ARGUMENT: "InvalidArgument",
    Reason.PERMISSION: Code.ACCESS_DENIED,
    Reason.FORBIDDEN: Code.ACCESS_DENIED,
    Reason.EXISTS: Code.OBJECT_EXISTS,
}
"""Codes of reasons that other errors use too, or whose stored value is no name for a code."""


def error_code(error: ObjectStoreError) -> str:
    """The store's code, or ours in the same style if the store sent none: `Unreachable`, `AccessDenied`.

    A response to HEAD has no body, so its error has the status in place of a code.
    """
    if isinstance(error, Refused) and error.code and error.code != str(error.status):
        return error.code
    in_style = "".join(word.capitalize() for word in error.reason.value.split("-"))
    return str(OWN_CODES.get(error.reason, in_style))


def error_fields(error: ObjectStoreError, *, reason: str = "") -> dict[str, Any]:
    """The error columns of a row. `reason` replaces the error's own where another text explains it better."""
    details = [each for each in (error.problem, *error.details) if each is not None]
    return {
        "error_code": _storable(error_code(error)[:100]),
        "error_reason": reason or error.reason.value,
        "error_params": {"operation": error.operation, "details": [_storable(each.as_json()) for each in details]},
        "error_message": _storable(error.store_message),
        "error_request_id": _storable(error.request_id[:200]),
    }


def _storable(value: Any) -> Any:
    """A value without NUL characters and surrogates, which databases do not store.

    A broken response may have the former, and the name of a file the latter.
    """
    if isinstance(value, str):
        return without_surrogates(value.replace("\0", "\ufffd"))
    if isinstance(value, Mapping):
        return {name: _storable(each) for name, each in value.items()}
    return [_storable(each) for each in value] if isinstance(value, list | tuple) else value


def recorded_error(error: ObjectStoreError) -> RecordedError:
    """An error as a row would keep it."""
    return RecordedError(
        code=error_code(error),
        reason=error.reason.value,
        params={"operation": error.operation},
        details=tuple(each for each in (error.problem, *error.details) if each is not None),
        store_message=error.store_message,
        request_id=error.request_id,
    )


def problem_fields(problem: Problem, details: Sequence[Problem] = ()) -> dict[str, Any]:
    """The error columns of a row, for a failure that no store caused. `details` add to the problem."""
    params = _storable(problem.params)
    return {
        "error_code": problem.code,
        "error_reason": problem.code,
        "error_params": {**params, "details": [_storable(each.as_json()) for each in details]} if details else params,
        "error_message": "",
        "error_request_id": "",
    }


NO_ERROR: dict[str, Any] = {
    "error_code": "",
    "error_reason": "",
    "error_params": {},
    "error_message": "",
    "error_request_id": "",
}
