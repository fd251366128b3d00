"""One sentence for each reason of an object store error, for rows and lists. `explain` has the long form for pages."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dashboard.shared.messages.types import Message
from uploads.objectstore.errors import Reason
from uploads.objectstore.permissions import needed_by

RECORDED: Mapping[Reason, Message] = {
    Reason.UNREACHABLE: gettext_lazy("The store could not be reached."),
    Reason.NOT_AN_ENDPOINT: gettext_lazy("This is not the address of an S3 or OSS endpoint."),
    Reason.TLS: gettext_lazy("No secure connection to the store could be opened."),
    Reason.TIMEOUT: gettext_lazy("The store did not respond in time."),
    Reason.CONNECTION_LOST: gettext_lazy("The connection to the store was lost."),
    Reason.UNREADABLE_RESPONSE: gettext_lazy("The store's response is not a valid S3 or OSS response."),
    Reason.CREDENTIALS: gettext_lazy("The store does not accept the credentials."),
    Reason.CREDENTIALS_EXPIRED: gettext_lazy(
        "The temporary credentials have expired. Work resumes when new credentials are entered."
    ),
    Reason.SECRET_UNREADABLE: gettext_lazy(
        "The stored secrets of the store cannot be decrypted. Work resumes when they are entered again."
    ),
    Reason.ADDRESS_REFUSED: gettext_lazy("Partway may not connect to the address of the store."),
    Reason.PERMISSION: gettext_lazy("The credentials do not allow this request."),
    Reason.FORBIDDEN: gettext_lazy(
        "The store does not allow this request, with a code that Partway does not know. A permission may be missing, "
        "or the account or the bucket may be in a state that does not allow it."
    ),
    Reason.ACCOUNT: gettext_lazy("The account of the credentials is suspended, disabled, or not signed up."),
    Reason.STORE_FULL: gettext_lazy("The store is full, or a quota of the bucket or the account is used up."),
    Reason.CLOCK_SKEW: gettext_lazy("The clocks of this machine and of the store differ too much."),
    Reason.WRONG_REGION: gettext_lazy("The bucket is in another region."),
    Reason.NO_SUCH_BUCKET: gettext_lazy("The bucket does not exist."),
    Reason.ADDRESSING: gettext_lazy(
        "The store does not support this addressing of buckets. Change it in the store's settings."
    ),
    Reason.NO_SUCH_UPLOAD: gettext_lazy(
        "The store has no such upload: it was completed or aborted, or the key or the upload id is wrong."
    ),
    Reason.EXISTS: gettext_lazy(
        "An object with this key was created in the meantime and was not replaced. Choose another key, or send the "
        "file again with “replace”."
    ),
    Reason.KEY_NOT_ALLOWED: gettext_lazy("The store does not allow this key. Choose another one."),
    Reason.DIGEST_MISMATCH: gettext_lazy("The store repeatedly received other bytes than were sent."),
    Reason.THROTTLED: gettext_lazy("The store limits the rate of requests."),
    Reason.STORE_BUSY: gettext_lazy("Too many requests wait for the store."),
    Reason.STORE_NOT_ANSWERING: gettext_lazy("The store does not answer."),
    Reason.STORE_FAULT: gettext_lazy("The store reported an internal error."),
    Reason.REFUSED: gettext_lazy("The store refused the request."),
}

WITHOUT_PERMISSION: Mapping[str, Message] = {
    "ListBuckets": gettext_lazy("The store's page shows only the buckets that an administrator entered."),
    "ListMultipartUploads": gettext_lazy(
        "The listing shows no uploads. An upload can still be opened by its key and upload id."
    ),
    "ListParts": gettext_lazy(
        "The parts and size of an upload are not shown, and it cannot be completed from its page. The listing works."
    ),
    "CreateMultipartUpload": gettext_lazy("Files of more than one part cannot be sent."),
    "UploadPart": gettext_lazy("Files of more than one part cannot be sent."),
    "CompleteMultipartUpload": gettext_lazy("No upload can be completed: transfers fail at their last step."),
    "PutObject": gettext_lazy("Files of one part cannot be sent."),
    "AbortMultipartUpload": gettext_lazy(
        "No upload can be aborted: the uploads of cancelled transfers stay in the store."
    ),
    "HeadObject": gettext_lazy("Completed uploads end as “done, unverified”."),
    "DeleteObject": gettext_lazy("Only the store check deletes objects: the objects it creates stay in the bucket."),
}
"""What does not work without the permission for an operation, by the API's name of the operation."""


def permission_text(operation: str) -> str:
    """The permission that an operation needs, by its names in S3 and OSS policies."""
    permission = needed_by(operation)
    if permission is None:
        return _("Ask the administrator of the bucket to allow it.")
    return _("Allow %(s3)s (on OSS %(oss)s).") % {"s3": ", ".join(permission.s3), "oss": ", ".join(permission.oss)}


def without_permission_text(operation: str) -> str:
    """What does not work without the permission for an operation; empty for an operation that is not used."""
    return str(WITHOUT_PERMISSION.get(operation, ""))
