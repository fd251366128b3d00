"""What requests to a store say about it as a whole. Pure.

Only what concerns every request counts: that the store cannot be reached, or that it refuses the credentials. A refusal
of one bucket, key or permission is an answer of a store that works.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from uploads.objectstore.errors import ObjectStoreError, Reason, Refused, UnreadableResponse


class StoreHealth(StrEnum):
    """The state of a store that pages show."""

    NEVER_TRIED = "never-tried"
    ANSWERS = "answers"
    REFUSES_CREDENTIALS = "refuses-credentials"
    SECRET_UNREADABLE = "secret-unreadable"  # noqa: S105 - a state
    ADDRESS_REFUSED = "address-refused"
    CLOCK_SKEW = "clock-skew"
    TLS = "tls"
    UNREACHABLE = "unreachable"
    NOT_ANSWERING = "not-answering"
    FAULTY = "faulty"
    DISABLED = "disabled"


LIMIT = 3
"""Failures in a row, without a success of any page or worker in between, after which a store counts as failing."""

WITHOUT_RESPONSE = frozenset(
    {StoreHealth.TLS, StoreHealth.UNREACHABLE, StoreHealth.NOT_ANSWERING, StoreHealth.ADDRESS_REFUSED}
)
"""Any response shows that the store has left these states."""

FAILING = WITHOUT_RESPONSE | {
    StoreHealth.REFUSES_CREDENTIALS,
    StoreHealth.SECRET_UNREADABLE,
    StoreHealth.CLOCK_SKEW,
    StoreHealth.FAULTY,
}

_TROUBLES: Mapping[Reason, StoreHealth] = {
    Reason.CREDENTIALS: StoreHealth.REFUSES_CREDENTIALS,
    Reason.CREDENTIALS_EXPIRED: StoreHealth.REFUSES_CREDENTIALS,
    Reason.ACCOUNT: StoreHealth.REFUSES_CREDENTIALS,
    Reason.ADDRESS_REFUSED: StoreHealth.ADDRESS_REFUSED,
    Reason.CLOCK_SKEW: StoreHealth.CLOCK_SKEW,
    Reason.TLS: StoreHealth.TLS,
    Reason.UNREACHABLE: StoreHealth.UNREACHABLE,
    Reason.CONNECTION_LOST: StoreHealth.UNREACHABLE,
    Reason.UNREADABLE_RESPONSE: StoreHealth.FAULTY,
    Reason.STORE_FAULT: StoreHealth.FAULTY,
}

_STORE_WIDE = frozenset({"ListBuckets"})
"""Requests that name no bucket: what they meet does not depend on one."""


def is_store_wide(operation: str) -> bool:
    return operation in _STORE_WIDE


def has_responded(error: ObjectStoreError | None) -> bool:
    """Whether anything came back, whatever it says."""
    return error is None or isinstance(error, Refused | UnreadableResponse)


def health_after(error: ObjectStoreError | None) -> StoreHealth | None:
    """What one request says about the store; None if it says nothing.

    A bare status may come from a proxy, and a response to HEAD has no code: neither shows whether the credentials are
    accepted. A store that limits the rate of requests says nothing about them either.
    """
    if error is None:
        return StoreHealth.ANSWERS
    if error.timed_out:
        return StoreHealth.NOT_ANSWERING
    if not isinstance(error, Refused):
        return _TROUBLES.get(error.reason)
    if not error.has_code or error.reason in (Reason.THROTTLED, Reason.STORE_BUSY, Reason.TIMEOUT):
        return None
    return _TROUBLES.get(error.reason, StoreHealth.ANSWERS)
