"""The reason of each error code and status. S3 API reference, "Error responses"; OSS API reference, "Error codes"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from uploads.objectstore.errors import Reason

_CODES: Mapping[Reason, Sequence[str]] = {
    Reason.CREDENTIALS: (
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidAccessKey",
        "AccessKeyDisabled",
        "InvalidToken",
        "InvalidTokenId",
        "UnrecognizedClientException",
        "SecurityTokenMalformed",
        "InvalidSecurity",
        "InvalidSecurityToken",
        "InvalidClientTokenId",
        "CredentialsNotSupported",
        "XAdminUserNotFound",
    ),
    Reason.CREDENTIALS_EXPIRED: (
        "ExpiredToken",
        "ExpiredTokenException",
        "TokenRefreshRequired",
        "SecurityTokenExpired",
    ),
    Reason.PERMISSION: (
        "AccessDenied",
        "AccessDeniedException",
        "AccessForbidden",
        "Forbidden",
        "UnauthorizedAccess",
    ),
    Reason.ACCOUNT: (
        "AccountProblem",
        "AccountSuspended",
        "AccountDisabled",
        "AllAccessDisabled",
        "InvalidPayer",
        "NotSignedUp",
        "UserDisable",
        "UserDisabled",
        "UserSuspended",
    ),
    Reason.STORE_FULL: (
        "QuotaExceeded",
        "BucketQuotaExceeded",
        "UserQuotaExceeded",
        "StorageQuotaExceeded",
        "StorageFull",
        "InsufficientStorage",
        "XMinioStorageFull",
        "XMinioAdminBucketQuotaExceeded",
    ),
    Reason.CLOCK_SKEW: ("RequestTimeTooSkewed", "RequestExpired", "RequestNotYetValid"),
    Reason.WRONG_REGION: (
        "PermanentRedirect",
        "TemporaryRedirect",
        "Redirect",
        "IllegalLocationConstraintException",
        "IncorrectEndpoint",
    ),
    Reason.NO_SUCH_BUCKET: ("NoSuchBucket",),
    Reason.NO_SUCH_KEY: ("NoSuchKey", "NoSuchObject"),
    Reason.NO_SUCH_UPLOAD: ("NoSuchUpload",),
    Reason.DIGEST_MISMATCH: ("BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"),
    Reason.THROTTLED: (
        "SlowDown",
        "SlowDownRead",
        "SlowDownWrite",
        "ServiceUnavailable",
        "Busy",
        "TooManyRequests",
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "BandwidthLimitExceeded",
        "QpsLimitExceeded",
        "TooManyRequestsException",
    ),
    Reason.TIMEOUT: ("RequestTimeout",),
    # Two concurrent writes to one key, one of them conditional: the outcome is still open.
    Reason.STORE_FAULT: ("InternalError", "OperationAborted", "ConditionalRequestConflict"),
    Reason.ADDRESSING: ("SecondLevelDomainForbidden",),
    Reason.EXISTS: ("FileAlreadyExists", "PreconditionFailed", "ObjectAlreadyExists"),
    # The key, not the store: SeaweedFS and MinIO allow 255 bytes between slashes, and both keep keys as paths.
    Reason.KEY_NOT_ALLOWED: (
        "KeyTooLongError",
        "KeyTooLong",
        "InvalidObjectName",
        "InvalidURI",
        "XMinioInvalidObjectName",
        "XMinioInvalidResourceName",
        "XMinioObjectExistsAsDirectory",
        "XMinioParentIsObject",
        "ExistingObjectIsDirectory",
        "ExistingObjectIsFile",
        "ObjectExistsAsDirectory",
        "ObjectParentIsFile",
    ),
    Reason.REFUSED: ("NotImplemented",),
}
REASONS: Mapping[str, Reason] = {code: reason for reason, codes in _CODES.items() for code in codes}

STATUSES: Mapping[int, Reason] = {
    301: Reason.WRONG_REGION,
    401: Reason.CREDENTIALS,
    403: Reason.PERMISSION,
    408: Reason.TIMEOUT,
    429: Reason.THROTTLED,
    503: Reason.THROTTLED,
    507: Reason.STORE_FULL,
}


def reason_of_code(code: str) -> Reason | None:
    """The reason of a code; None if it is not known. Alibaba Cloud appends details: `InvalidAccessKeyId.Inactive`."""
    return REASONS.get(code) or REASONS.get(code.split(".", maxsplit=1)[0])
