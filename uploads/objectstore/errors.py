"""The errors of the object store client, by what is known about the effect of the request.

ObjectStoreError
|-- NotSent            nothing reached the store: safe to retry
|-- OutcomeUnknown     the request was sent, no usable response came: check (ListParts, HEAD) before a retry
|   `-- UnreadableResponse   the response is not one of this API: HTML, truncated XML, a DTD, markers that loop
`-- Refused            the store responded with an error: code, message, request id, host id, status
"""

from __future__ import annotations

from enum import StrEnum

from uploads.problems import Code, Param, Problem


class Reason(StrEnum):
    """The cause of a failure, by what an operator can do about it. Pages explain failures by their reason."""

    BAD_KEY = "bad-key"
    BAD_ARGUMENT = "bad-argument"
    UNREACHABLE = "unreachable"
    NOT_AN_ENDPOINT = "not-an-endpoint"
    TLS = "tls"
    TIMEOUT = "timeout"
    CONNECTION_LOST = "connection-lost"
    UNREADABLE_RESPONSE = "nonsense"
    CREDENTIALS = "credentials"
    CREDENTIALS_EXPIRED = "credentials-expired"
    SECRET_UNREADABLE = "secret-unreadable"  # noqa: S105 - a reason
    ADDRESS_REFUSED = "address-refused"
    PERMISSION = "permission"
    FORBIDDEN = "forbidden"
    ACCOUNT = "account"
    STORE_FULL = "store-full"
    CLOCK_SKEW = "clock-skew"
    WRONG_REGION = "wrong-region"
    ADDRESSING = "addressing"
    NO_SUCH_BUCKET = "no-such-bucket"
    NO_SUCH_KEY = "no-such-key"
    NO_SUCH_UPLOAD = "no-such-upload"
    EXISTS = "exists"
    KEY_NOT_ALLOWED = "key-not-allowed"
    DIGEST_MISMATCH = "digest-mismatch"
    THROTTLED = "throttled"
    STORE_BUSY = "store-busy"
    STORE_NOT_ANSWERING = "store-not-answering"
    STORE_FAULT = "store-fault"
    REFUSED = "refused"


class ObjectStoreError(Exception):
    """An operation failed, or its outcome is not known.

    `problem` is our own description, `store_message` the store's own message as it was sent. `details` add to either.
    `retryable` says whether the same request may succeed later without a change, and `retry_after` after how many
    seconds, if that is known. `timed_out`: the store was waited for, and did not answer. `request_id` is the store's;
    '' if no response arrived or it has none.
    """

    timed_out = False
    retry_after: float | None = None

    def __init__(
        self,
        message: Problem | str,
        *,
        reason: Reason,
        operation: str = "",
        retryable: bool = False,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.problem = message if isinstance(message, Problem) else None
        self.store_message = message if isinstance(message, str) else ""
        self.details: list[Problem] = []
        self.reason = reason
        self.operation = operation
        self.retryable = retryable
        self.request_id = request_id

    @property
    def is_denied(self) -> bool:
        """Whether the store does not allow the request, while others may still work.

        FORBIDDEN is a 403 with a code that is not known: a missing permission, or a state of the account or bucket.
        """
        return self.reason in (Reason.PERMISSION, Reason.FORBIDDEN)

    def __str__(self) -> str:
        """For logs: our codes with their parameters, then the store's message."""
        own = [str(each) for each in (self.problem, *self.details) if each is not None]
        return " ".join([*own, *filter(None, [self.store_message])])


class NotSent(ObjectStoreError):
    """Nothing reached the store."""


class OutcomeUnknown(ObjectStoreError):
    """The request was sent, at least in part, and no usable response arrived."""


class UnreadableResponse(OutcomeUnknown):
    """The response is not one of this API."""


class Refused(ObjectStoreError):
    """The store responded with an error.

    `region` is the bucket's region where the store names it (PermanentRedirect, AuthorizationHeaderMalformed).
    """

    def __init__(
        self,
        message: Problem | str,
        *,
        code: str,
        status: int,
        reason: Reason,
        request_id: str = "",
        host_id: str = "",
        region: str = "",
        retry_after: float | None = None,
        operation: str = "",
        retryable: bool = False,
    ) -> None:
        super().__init__(message, reason=reason, operation=operation, retryable=retryable, request_id=request_id)
        self.code = code
        self.status = status
        self.host_id = host_id
        self.region = region
        self.retry_after = retry_after

    @property
    def has_code(self) -> bool:
        """Whether the response has an error code. Without one, it may come from a proxy, after the store has acted."""
        return self.code != str(self.status)

    @property
    def is_throttled_by_store(self) -> bool:
        """Whether the store itself limits the rate of requests, and so did not act on this one."""
        return self.reason is Reason.THROTTLED and self.has_code

    def __str__(self) -> str:
        return f"{self.code} {super().__str__()}"


def certainly_not_done(error: ObjectStoreError) -> bool:
    """Whether the store certainly did not act on the request: nothing was sent, or it refused with a readable error.

    A redirect, HTML or a bare status may come from a proxy, after the store has acted.
    """
    if isinstance(error, NotSent):
        return True
    return isinstance(error, Refused) and error.status < 500 and error.has_code


def unreadable(code: Code, **params: Param) -> UnreadableResponse:
    return UnreadableResponse(Problem(code, **params), reason=Reason.UNREADABLE_RESPONSE)
