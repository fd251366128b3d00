"""What is written down of a failure: the store's code and request id, and words an operator understands."""

from __future__ import annotations

from uploads.objectstore.errors import ObjectStoreError, Reason, Refused
from uploads.objectstore.permissions import permission_advice

WORDS: dict[Reason, str] = {
    Reason.UNREACHABLE: "The store could not be reached.",
    Reason.TLS: "No secure connection to the store could be made.",
    Reason.TIMEOUT: "The store did not answer in time.",
    Reason.CONNECTION_LOST: "The connection to the store was lost.",
    Reason.NONSENSE: "The store answered something that is not an answer of the S3 API.",
    Reason.CREDENTIALS: "The store does not accept the credentials.",
    Reason.CREDENTIALS_EXPIRED: "The temporary credentials have expired: new ones are waited for.",
    Reason.PERMISSION: "The credentials are not allowed to do this.",
    Reason.CLOCK_SKEW: "This machine's clock and the store's differ too much.",
    Reason.WRONG_REGION: "The bucket is in another region.",
    Reason.NO_SUCH_BUCKET: "The bucket does not exist.",
    Reason.ADDRESSING: "The store does not take this addressing of buckets: change it in the store's settings.",
    Reason.NO_SUCH_UPLOAD: "The upload no longer exists in the store: it was completed or aborted.",
    Reason.EXISTS: "An object of this key came meanwhile and was not replaced: choose another key, or send the file "
    "again with “replace”.",
    Reason.DIGEST_MISMATCH: "What the store received differs from what was sent, again and again.",
    Reason.THROTTLED: "The store asks to slow down.",
    Reason.STORE_FAULT: "The store failed.",
    Reason.REFUSED: "This was refused.",
}

NOT_COMPLETED_OVER = (
    "An object of this key came meanwhile and was not replaced: complete the upload again to replace it, or abort it."
)
"""Of an upload that an operator wanted completed: there is no file to be sent again."""


def error_code(error: ObjectStoreError) -> str:
    return error.code if isinstance(error, Refused) and error.code else error.reason.value


def request_id(error: ObjectStoreError) -> str:
    return error.request_id if isinstance(error, Refused) else ""


def error_fields(error: ObjectStoreError, words: str = "") -> dict[str, str]:
    """The error columns of a row; `words` in place of the usual ones."""
    words = words or WORDS.get(error.reason, "")
    advice = permission_advice(error.operation) if error.reason is Reason.PERMISSION else ""
    return {
        "error_code": error_code(error)[:100],
        "error_message": " ".join(filter(None, [words, error.message, advice])),
        "error_request_id": request_id(error)[:200],
    }


NO_ERROR = {"error_code": "", "error_message": "", "error_request_id": ""}
