"""What a store's failure means to an operator, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from dashboard.shared.messages import store_error_text
from uploads.objectstore.errors import NotSent, ObjectStoreError, OutcomeUnknown, Reason, Refused
from uploads.objectstore.permissions import permission_advice


class Words(NamedTuple):
    """`http_status` is the status of our own answer."""

    title: str
    meaning: str
    advice: str
    icon: str
    http_status: int


WORDS: dict[Reason, Words] = {
    Reason.BAD_KEY: Words(
        "This key cannot be sent exactly",
        "Something on the way to the store would turn this key into another one, so nothing was sent.",
        "Use a tool that runs beside the store for this key, or name the upload by another key.",
        "file-alert",
        400,
    ),
    Reason.BAD_ARGUMENT: Words(
        "The store does not accept this request",
        "One of the values is outside what the store allows.",
        "Check the values named below against the store's limits.",
        "adjustments-exclamation",
        400,
    ),
    Reason.UNREACHABLE: Words(
        "The store cannot be reached",
        "No connection to the endpoint could be opened: its name does not resolve, or nothing answers at its port.",
        "Check the endpoint URL of the store, and that this machine may connect to it (firewall, proxy, DNS).",
        "plug-connected-x",
        502,
    ),
    Reason.TLS: Words(
        "No secure connection to the store",
        "The TLS handshake failed, so nothing was sent: the certificate is not trusted, expired or for another name.",
        "If its authority is a private one, name the CA bundle in the store's settings; else renew the certificate.",
        "lock-exclamation",
        502,
    ),
    Reason.TIMEOUT: Words(
        "The store did not answer in time",
        "The request was sent, and then no byte came for too long.",
        "Try again in a moment; if it stays so, look at the store's load and at proxies between it and this machine.",
        "clock-exclamation",
        504,
    ),
    Reason.CONNECTION_LOST: Words(
        "The connection to the store broke",
        "The connection ended before the answer was complete.",
        "Try again; if it happens every time, look for a proxy or load balancer that cuts connections.",
        "plug-connected-x",
        502,
    ),
    Reason.UNREADABLE_RESPONSE: Words(
        "The answer is not one of this API",
        "Something answered, but not with a usable S3 or OSS answer. It was not taken for a success.",
        "Check that the endpoint URL is the store's API, not its web console, and that no proxy answers in its place.",
        "message-question",
        502,
    ),
    Reason.CREDENTIALS: Words(
        "The store does not accept the credentials",
        "The access key is unknown, or the signature made with the secret key does not match.",
        "Enter access key and secret key again in the store's settings; a session token may have expired.",
        "key",
        502,
    ),
    Reason.CREDENTIALS_EXPIRED: Words(
        "The temporary credentials have expired",
        "The store knows these credentials, and their session token is no longer valid.",
        "Enter new credentials with their session token in the store's settings; transfers then go on by themselves.",
        "clock-exclamation",
        502,
    ),
    Reason.PERMISSION: Words(
        "The credentials do not allow this",
        "The store knows these credentials, but they lack the permission for this request.",
        "What is allowed still works here.",
        "lock",
        403,
    ),
    Reason.CLOCK_SKEW: Words(
        "The clocks differ too much",
        "The store refuses requests whose time is more than about 15 minutes from its own.",
        "Set the clock of the machine that runs Partway (NTP), then try again.",
        "clock-x",
        502,
    ),
    Reason.WRONG_REGION: Words(
        "The bucket is in another region",
        "The request went to, or was signed for, a region that does not hold this bucket.",
        "Add a store with the right region and endpoint, or change this one's.",
        "world-pin",
        502,
    ),
    Reason.ADDRESSING: Words(
        "The store does not take this addressing",
        "It wants the bucket in the host name (virtual-hosted addressing), not in the path.",
        "Set the store's addressing to virtual-hosted, and check that the endpoint URL names no bucket.",
        "sitemap",
        502,
    ),
    Reason.NO_SUCH_BUCKET: Words(
        "There is no such bucket",
        "The store has no bucket of this name, or has deleted it.",
        "Check the name (buckets are case-sensitive), or pick one from the list of buckets.",
        "bucket-off",
        404,
    ),
    Reason.NO_SUCH_KEY: Words(
        "There is no such key",
        "The store has no object or upload of this key: it was completed, aborted or deleted in the meantime.",
        "Go back to the list of uploads: it shows what is there now.",
        "file-x",
        404,
    ),
    Reason.NO_SUCH_UPLOAD: Words(
        "Already completed or aborted",
        "The store has no upload with this id any more: somebody, or a lifecycle rule, completed or aborted it.",
        "Go back to the list of uploads: it shows what is there now.",
        "circle-check",
        404,
    ),
    Reason.EXISTS: Words(
        "There is an object of this key already",
        "The store was asked not to replace one, and has not.",
        "Choose another key, or allow that the object is replaced.",
        "copy-off",
        409,
    ),
    Reason.DIGEST_MISMATCH: Words(
        "The bytes did not arrive as they were sent",
        "The digest of what the store received differs from what was sent. The upload was left as it is.",
        "Try again: the part is sent anew. If it repeats, suspect memory, disk or a proxy that changes bodies.",
        "fingerprint-off",
        502,
    ),
    Reason.THROTTLED: Words(
        "The store asks to slow down",
        "There are too many requests for it just now.",
        "Wait a little and try again; work in the background does so by itself.",
        "hourglass",
        503,
    ),
    Reason.STORE_FAULT: Words(
        "The store has a fault of its own",
        "It answered with an internal error.",
        "Try again in a moment; if it stays so, give the request id to whoever runs the store.",
        "server-bolt",
        502,
    ),
    Reason.REFUSED: Words(
        "The store refused",
        "It answered with an error that Partway does not know more about.",
        "Its code and message below say why; its documentation says more.",
        "ban",
        502,
    ),
}
"""One entry a reason; a test holds this complete."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A failure as pages show it. `certainty` says what is known of the request's effect."""

    reason: Reason
    title: str
    meaning: str
    advice: str
    icon: str
    http_status: int
    message: str
    certainty: str
    operation: str = ""
    code: str = ""
    status: int = 0
    request_id: str = ""
    host_id: str = ""


def explain(error: ObjectStoreError) -> Explanation:
    """What `error` means, with the store's own code and request id where it gave them."""
    words = WORDS[error.reason]
    refused = error if isinstance(error, Refused) else None
    return Explanation(
        reason=error.reason,
        title=words.title,
        meaning=words.meaning,
        advice=_advice(words, error),
        icon=words.icon,
        http_status=words.http_status,
        message=store_error_text(error),
        certainty=_certainty(error),
        operation=error.operation,
        code=refused.code if refused else "",
        status=refused.status if refused else 0,
        request_id=refused.request_id if refused else "",
        host_id=refused.host_id if refused else "",
    )


def _advice(words: Words, error: ObjectStoreError) -> str:
    if isinstance(error, Refused) and error.region:
        return f"The store names the region {error.region}. {words.advice}"
    if error.reason is Reason.PERMISSION:
        return f"{permission_advice(error.operation)} {words.advice}"
    return words.advice


def _certainty(error: ObjectStoreError) -> str:
    if isinstance(error, NotSent):
        return "Nothing reached the store."
    if isinstance(error, OutcomeUnknown):
        return "The request left; whether it had an effect is not known."
    return "The store refused it: nothing changed."
