"""What can go wrong between us and a store, and what is known of it afterwards.

ObjectStoreError
|-- NotSent            nothing reached the store: safe to try again or to change something first
|-- OutcomeUnknown     the request left, no usable answer came: look (ListParts, HEAD) before acting again
|   `-- UnreadableResponse   an answer came that is none: HTML, half an XML, a DTD, markers that loop
`-- Refused            the store said no: code, message, request id, host id, status
"""

from __future__ import annotations

from enum import StrEnum

from uploads.problems import Problem


class Reason(StrEnum):
    """Why, in the terms an operator acts on. Pages explain a failure by its reason, not by its code."""

    BAD_KEY = "bad-key"
    BAD_ARGUMENT = "bad-argument"
    UNREACHABLE = "unreachable"
    TLS = "tls"
    TIMEOUT = "timeout"
    CONNECTION_LOST = "connection-lost"
    UNREADABLE_RESPONSE = "nonsense"
    CREDENTIALS = "credentials"
    CREDENTIALS_EXPIRED = "credentials-expired"
    PERMISSION = "permission"
    CLOCK_SKEW = "clock-skew"
    WRONG_REGION = "wrong-region"
    ADDRESSING = "addressing"
    NO_SUCH_BUCKET = "no-such-bucket"
    NO_SUCH_KEY = "no-such-key"
    NO_SUCH_UPLOAD = "no-such-upload"
    EXISTS = "exists"
    DIGEST_MISMATCH = "digest-mismatch"
    THROTTLED = "throttled"
    STORE_FAULT = "store-fault"
    REFUSED = "refused"


class ObjectStoreError(Exception):
    """Anything that kept an operation from being known to have succeeded.

    `problem` is what we say of it, beyond its reason; `store_message` is the store's own message as it sent it.
    `details` are further problems that whoever handles the error adds. `retryable` says whether the same request may
    succeed later without anybody changing anything.
    """

    def __init__(self, message: Problem | str, *, reason: Reason, operation: str = "", retryable: bool = False) -> None:
        super().__init__(str(message))
        self.problem = message if isinstance(message, Problem) else None
        self.store_message = message if isinstance(message, str) else ""
        self.details: list[Problem] = []
        self.reason = reason
        self.operation = operation
        self.retryable = retryable

    @property
    def message(self) -> str:
        """Transitional: what was said in one text before problems had codes."""
        return str(self.problem or self.store_message)


class NotSent(ObjectStoreError):
    """Nothing reached the store."""


class OutcomeUnknown(ObjectStoreError):
    """The request was sent, at least in part, and no usable answer came back."""


class UnreadableResponse(OutcomeUnknown):
    """The store answered something that is not an answer of this API."""


class Refused(ObjectStoreError):
    """The store answered with an error.

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
        super().__init__(message, reason=reason, operation=operation, retryable=retryable)
        self.code = code
        self.status = status
        self.request_id = request_id
        self.host_id = host_id
        self.region = region
        self.retry_after = retry_after
