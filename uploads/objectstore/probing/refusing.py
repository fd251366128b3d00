"""A refusal as a finding: which permission it wants, or what to do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from uploads.objectstore.errors import NotSent, ObjectStoreError, Reason, Refused
from uploads.objectstore.probing.results import Finding, Verdict


class Permission(NamedTuple):
    """What S3 and OSS call the leave for a request, and what goes without it."""

    s3: str
    oss: str
    concerns: str


PERMISSIONS: Mapping[str, Permission] = {
    "ListBuckets": Permission(
        "s3:ListAllMyBuckets", "oss:ListBuckets", "The store's page shows only buckets that an administrator named."
    ),
    "ListMultipartUploads": Permission(
        "s3:ListBucketMultipartUploads",
        "oss:ListMultipartUploads",
        "The listing shows no uploads; one can still be opened by its key and upload id.",
    ),
    "ListParts": Permission(
        "s3:ListMultipartUploadParts",
        "oss:ListParts",
        "An upload's parts and sizes are not shown, and it cannot be completed from its page; the listing works.",
    ),
    "CreateMultipartUpload": Permission("s3:PutObject", "oss:PutObject", "Files of more than one part cannot be sent."),
    "UploadPart": Permission("s3:PutObject", "oss:PutObject", "Files of more than one part cannot be sent."),
    "CompleteMultipartUpload": Permission(
        "s3:PutObject", "oss:PutObject", "Nothing can be completed: transfers fail at their end."
    ),
    "PutObject": Permission("s3:PutObject", "oss:PutObject", "Files of one part cannot be sent."),
    "AbortMultipartUpload": Permission(
        "s3:AbortMultipartUpload",
        "oss:AbortMultipartUpload",
        "Nothing can be aborted: cancelled transfers leave their uploads behind.",
    ),
    "HeadObject": Permission(
        "s3:GetObject and s3:ListBucket", "oss:GetObject", "What was completed ends as “done, unverified”."
    ),
    "DeleteObject": Permission(
        "s3:DeleteObject", "oss:DeleteObject", "Only this check deletes objects: what it makes stays behind."
    ),
}
"""By the API's name of the operation. S3 user guide, "Multipart upload API and permissions"; OSS, "RAM policies"."""

ADVICE: Mapping[Reason, str] = {
    Reason.UNREACHABLE: "Check the endpoint URL, and that this machine may connect to it (firewall, proxy, DNS).",
    Reason.TLS: "Name the CA bundle of a private authority in the store's settings, or renew the certificate.",
    Reason.TIMEOUT: "Run the check again; if it stays so, look at the store's load and at proxies before it.",
    Reason.CONNECTION_LOST: "Run the check again; if it stays so, look for a proxy that cuts connections.",
    Reason.NONSENSE: "Check that the endpoint URL is the store's API, not its web console, and that no proxy answers.",
    Reason.CREDENTIALS: "Enter access key and secret key again in the store's settings.",
    Reason.CREDENTIALS_EXPIRED: "Enter new credentials with their session token in the store's settings.",
    Reason.CLOCK_SKEW: "Set the clock of the machine that runs Partway (NTP).",
    Reason.WRONG_REGION: "Set the store's region and endpoint to the bucket's, or add another store for it.",
    Reason.ADDRESSING: "Set the store's addressing to virtual-hosted.",
    Reason.NO_SUCH_BUCKET: "Check the bucket's name: case counts.",
    Reason.THROTTLED: "Run the check again when the store has less to do.",
    Reason.STORE_FAULT: "Give the request id to whoever runs the store.",
    Reason.BAD_ARGUMENT: "Check the store's settings.",
    Reason.BAD_KEY: "Nothing: such keys are not sent.",
}

REFUSED_ADVICE = "The store's documentation says more about this code."


def finding_of(error: ObjectStoreError, advice: str = "") -> Finding:
    """A failure as what a check found."""
    code = error.code if isinstance(error, Refused) else ""
    request_id = error.request_id if isinstance(error, Refused) else ""
    if error.reason is Reason.PERMISSION:
        return Finding(Verdict.DENIED, *_denied(error.operation), code=code, request_id=request_id)
    if isinstance(error, Refused):
        said = f"{error.operation} was refused with {error.code}: {error.message}"
    else:
        certainty = "Nothing reached the store" if isinstance(error, NotSent) else "No usable answer came"
        said = f"{certainty}: {error.message}"
    return Finding(Verdict.FAILED, said, advice or ADVICE.get(error.reason, REFUSED_ADVICE), None, code, request_id)


def _denied(operation: str) -> tuple[str, str]:
    permission = PERMISSIONS.get(operation)
    if permission is None:
        return f"These credentials do not allow {operation}.", "Ask whoever runs the bucket to allow it."
    return (
        f"These credentials do not allow {operation}. {permission.concerns}",
        f"Allow {permission.s3} (on OSS {permission.oss}).",
    )
