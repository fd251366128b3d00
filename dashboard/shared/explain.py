"""What a store's failure means to an operator, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dashboard.shared.messages import own_error_text, store_error_text
from dashboard.shared.messages.reasons import permission_text
from dashboard.shared.messages.types import Message
from uploads.objectstore.errors import NotSent, ObjectStoreError, Reason, Refused, certainly_not_done


class ReasonText(NamedTuple):
    """The texts of a reason. `http_status` is the status of our own response."""

    title: Message
    meaning: Message
    advice: Message
    icon: str
    http_status: int


REASON_TEXTS: Mapping[Reason, ReasonText] = {
    Reason.BAD_KEY: ReasonText(
        gettext_lazy("This key cannot be sent exactly"),
        gettext_lazy("The store, or something on the way to it, would change this key, so nothing was sent."),
        gettext_lazy("Choose another key, or use a tool that runs next to the store."),
        "file-alert",
        400,
    ),
    Reason.BAD_ARGUMENT: ReasonText(
        gettext_lazy("The store does not accept this request"),
        gettext_lazy("A value is outside what the store allows."),
        gettext_lazy("Check the values named below against the store's limits."),
        "adjustments-exclamation",
        400,
    ),
    Reason.UNREACHABLE: ReasonText(
        gettext_lazy("The store cannot be reached"),
        gettext_lazy(
            "No connection to the endpoint could be opened: its name does not resolve, or its port is closed."
        ),
        gettext_lazy(
            "Check the endpoint URL of the store, and that this machine may connect to it (firewall, proxy, DNS)."
        ),
        "plug-connected-x",
        502,
    ),
    Reason.NOT_AN_ENDPOINT: ReasonText(
        gettext_lazy("This is not an S3 endpoint"),
        gettext_lazy(
            "No S3 or OSS endpoint responds at this address and port: nothing listens there, something else does, or "
            "something on the way does not let the request pass."
        ),
        gettext_lazy(
            "Check the scheme, host and port of the endpoint URL, and that this machine may connect to it (firewall, "
            "DNS). The log of the web server says what happened."
        ),
        "plug-connected-x",
        502,
    ),
    Reason.TLS: ReasonText(
        gettext_lazy("No secure connection to the store"),
        gettext_lazy(
            "The TLS handshake failed, so nothing was sent: the certificate is not trusted, has expired, or is for "
            "another name."
        ),
        gettext_lazy(
            "If a private certificate authority signed it, enter the CA bundle in the store's settings. Otherwise "
            "renew the certificate."
        ),
        "lock-exclamation",
        502,
    ),
    Reason.TIMEOUT: ReasonText(
        gettext_lazy("The store did not respond in time"),
        gettext_lazy("The response was not complete in the time that Partway waits for it."),
        gettext_lazy(
            "Try again in a moment. If the error persists, check the load of the store and the proxies in front of it."
        ),
        "clock-exclamation",
        504,
    ),
    Reason.CONNECTION_LOST: ReasonText(
        gettext_lazy("The connection to the store was lost"),
        gettext_lazy("The connection ended before the response was complete."),
        gettext_lazy("Try again. If the error persists, look for a proxy or load balancer that closes connections."),
        "plug-connected-x",
        502,
    ),
    Reason.UNREADABLE_RESPONSE: ReasonText(
        gettext_lazy("The store's response cannot be read"),
        gettext_lazy("The response is not a valid S3 or OSS response. It does not count as a success."),
        gettext_lazy(
            "Check that the endpoint URL is the store's API, not its web console, and that no proxy responds in its "
            "place."
        ),
        "message-question",
        502,
    ),
    Reason.CREDENTIALS: ReasonText(
        gettext_lazy("The store does not accept the credentials"),
        gettext_lazy("The access key is unknown, or the signature made with the secret key does not match."),
        gettext_lazy(
            "Enter the access key and the secret key again in the store's settings. A session token may have expired."
        ),
        "key",
        502,
    ),
    Reason.CREDENTIALS_EXPIRED: ReasonText(
        gettext_lazy("The temporary credentials have expired"),
        gettext_lazy("The store knows these credentials, but their session token is no longer valid."),
        gettext_lazy(
            "Enter new credentials with their session token in the store's settings. Transfers then resume "
            "automatically."
        ),
        "clock-exclamation",
        502,
    ),
    Reason.SECRET_UNREADABLE: ReasonText(
        gettext_lazy("The stored secrets of this store cannot be decrypted"),
        gettext_lazy("None of the keys in CREDENTIALS_KEYS decrypts them, so nothing was sent."),
        gettext_lazy(
            "Add the key that encrypted them to CREDENTIALS_KEYS, or enter the secrets again in the store's settings. "
            "Transfers then resume automatically."
        ),
        "key-off",
        502,
    ),
    Reason.ADDRESS_REFUSED: ReasonText(
        gettext_lazy("Partway may not connect to this address"),
        gettext_lazy(
            "The host of the endpoint has an address that is not open to stores, such as one of this machine, so "
            "nothing was sent."
        ),
        gettext_lazy(
            "Check the endpoint URL and what its host name resolves to. If a store is there, allow its address with "
            "the setting that is named below."
        ),
        "shield-lock",
        502,
    ),
    Reason.PERMISSION: ReasonText(
        gettext_lazy("The credentials do not allow this"),
        gettext_lazy("The store knows these credentials, but they lack the permission for this request."),
        gettext_lazy("Everything else that the credentials allow still works."),
        "lock",
        403,
    ),
    Reason.FORBIDDEN: ReasonText(
        gettext_lazy("The store does not allow this"),
        gettext_lazy(
            "The store refused the request with a code that Partway does not know. A permission may be missing, or the "
            "account or the bucket may be in a state that does not allow it."
        ),
        gettext_lazy("The documentation of the store says what its code means."),
        "lock",
        403,
    ),
    Reason.ACCOUNT: ReasonText(
        gettext_lazy("The account cannot be used"),
        gettext_lazy(
            "The store knows these credentials, but their account is suspended, disabled, or not signed up. A "
            "permission does not change that."
        ),
        gettext_lazy("Ask the operator of the store about the account, for example about unpaid bills."),
        "user-off",
        502,
    ),
    Reason.STORE_FULL: ReasonText(
        gettext_lazy("The store is full"),
        gettext_lazy("A quota of the bucket or the account is used up, or the store has no space left."),
        gettext_lazy(
            "Delete objects or abort uploads that are no longer needed, or raise the quota. Transfers are retried for "
            "an hour, and keep their bytes when they fail."
        ),
        "database-exclamation",
        502,
    ),
    Reason.CLOCK_SKEW: ReasonText(
        gettext_lazy("The clocks differ too much"),
        gettext_lazy("The store refuses requests whose time differs from its own by more than about 15 minutes."),
        gettext_lazy("Set the clock of the machine that runs Partway (NTP), then try again."),
        "clock-x",
        502,
    ),
    Reason.WRONG_REGION: ReasonText(
        gettext_lazy("The bucket is in another region"),
        gettext_lazy("The request was sent to, or signed for, a region that does not have this bucket."),
        gettext_lazy("Add a store with the right region and endpoint, or change this one's."),
        "world-pin",
        502,
    ),
    Reason.ADDRESSING: ReasonText(
        gettext_lazy("The store does not support this addressing"),
        gettext_lazy("It requires the bucket in the host name (virtual-hosted addressing), not in the path."),
        gettext_lazy(
            "Set the store's addressing to virtual-hosted, and check that the endpoint URL contains no bucket."
        ),
        "sitemap",
        502,
    ),
    Reason.NO_SUCH_BUCKET: ReasonText(
        gettext_lazy("There is no such bucket"),
        gettext_lazy("The store has no bucket with this name. It may have been deleted."),
        gettext_lazy("Check the name (bucket names are case-sensitive), or select a bucket from the list."),
        "bucket-off",
        404,
    ),
    Reason.NO_SUCH_KEY: ReasonText(
        gettext_lazy("There is no such key"),
        gettext_lazy(
            "The store has no object or upload with this key: it was completed, aborted or deleted in the meantime."
        ),
        gettext_lazy("Go back to the list of uploads. It shows the current uploads."),
        "file-x",
        404,
    ),
    Reason.NO_SUCH_UPLOAD: ReasonText(
        gettext_lazy("No such upload"),
        gettext_lazy(
            "The store has no upload with this key and upload id: it was completed or aborted, or one of them is wrong."
        ),
        gettext_lazy("Compare the key and the upload id with the list of uploads. It shows the current uploads."),
        "circle-check",
        404,
    ),
    Reason.EXISTS: ReasonText(
        gettext_lazy("An object with this key exists already"),
        gettext_lazy("The request did not allow the store to replace an object, so nothing was written."),
        gettext_lazy("Choose another key, or allow the object to be replaced."),
        "copy-off",
        409,
    ),
    Reason.DIGEST_MISMATCH: ReasonText(
        gettext_lazy("The store received other bytes than were sent"),
        gettext_lazy("The digest of what the store received differs from what was sent. The upload is unchanged."),
        gettext_lazy(
            "Try again: the part is sent once more. If the error persists, check memory, disks, and proxies that "
            "change request bodies."
        ),
        "fingerprint-off",
        502,
    ),
    Reason.THROTTLED: ReasonText(
        gettext_lazy("The store limits the rate of requests"),
        gettext_lazy("The store receives too many requests at the moment."),
        gettext_lazy("Wait a little and try again. Work in the background is retried automatically."),
        "hourglass",
        503,
    ),
    Reason.STORE_BUSY: ReasonText(
        gettext_lazy("Too many requests wait for the store"),
        gettext_lazy("The store answers slowly or not at all, so only a few pages wait for it at the same time."),
        gettext_lazy("Try again in a moment. If the error persists, check the load of the store."),
        "hourglass",
        503,
    ),
    Reason.STORE_NOT_ANSWERING: ReasonText(
        gettext_lazy("The store does not answer"),
        gettext_lazy(
            "Its last requests timed out, so pages no longer wait for it. Partway tries it again in the background, "
            "and work in the queue continues when it answers."
        ),
        gettext_lazy("Check that the store runs and that this machine can reach it, then try again."),
        "plug-connected-x",
        503,
    ),
    Reason.STORE_FAULT: ReasonText(
        gettext_lazy("Internal error in the store"),
        gettext_lazy("The store reported an internal error."),
        gettext_lazy(
            "Try again in a moment. If the error persists, give the request id to the administrator of the store."
        ),
        "server-bolt",
        502,
    ),
    Reason.KEY_NOT_ALLOWED: ReasonText(
        gettext_lazy("The store does not allow this key"),
        gettext_lazy("The store refused the key: the key, or a segment of it, is too long or not allowed there."),
        gettext_lazy("Choose another key. Other keys are not affected."),
        "file-alert",
        400,
    ),
    Reason.REFUSED: ReasonText(
        gettext_lazy("The store refused the request"),
        gettext_lazy("The store responded with an error code that Partway does not know."),
        gettext_lazy("The store's code and message are below. The documentation of the store says more."),
        "ban",
        502,
    ),
}
"""One entry for each reason; a test checks that it is complete."""


_READS = ("List", "Head", "Get")
"""How the names of operations begin that change nothing in the store."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A failure as pages show it. `certainty` says whether the request had an effect.

    `message` is `own_text` with `store_message`, the store's own message, which is marked as such.
    """

    reason: Reason
    title: str
    meaning: str
    advice: str
    icon: str
    http_status: int
    message: str
    own_text: str
    store_message: str
    certainty: str
    operation: str = ""
    code: str = ""
    status: int = 0
    request_id: str = ""
    host_id: str = ""
    retry_after: int | None = None
    """Seconds after which another attempt makes sense, if that is known."""


def explain(error: ObjectStoreError) -> Explanation:
    """What `error` means, with the store's own code and request id where it sent them."""
    text = REASON_TEXTS[error.reason]
    refused = error if isinstance(error, Refused) else None
    return Explanation(
        reason=error.reason,
        title=str(text.title),
        meaning=str(text.meaning),
        advice=_advice(text, error),
        icon=text.icon,
        http_status=text.http_status,
        message=store_error_text(error),
        own_text=own_error_text(error),
        store_message=error.store_message,
        certainty=_certainty(error),
        operation=error.operation,
        code=refused.code if refused else "",
        status=refused.status if refused else 0,
        request_id=error.request_id,
        host_id=refused.host_id if refused else "",
        retry_after=None if error.retry_after is None else max(1, ceil(error.retry_after)),
    )


def _advice(text: ReasonText, error: ObjectStoreError) -> str:
    sentences = [str(text.advice)]
    if isinstance(error, Refused) and error.region:
        sentences.insert(0, _("According to the store, the region is %(region)s.") % {"region": error.region})
    elif error.reason is Reason.PERMISSION:
        sentences.insert(0, permission_text(error.operation))
    elif error.reason is Reason.FORBIDDEN:
        sentences.append(_("If a permission is missing: %(advice)s") % {"advice": permission_text(error.operation)})
    return " ".join(sentences)


def _certainty(error: ObjectStoreError) -> str:
    if isinstance(error, NotSent):
        return _("Nothing reached the store.")
    if error.operation.startswith(_READS):
        return _("The request only reads: nothing changed.")
    if certainly_not_done(error) or (isinstance(error, Refused) and error.is_throttled_by_store):
        return _("The store refused the request: nothing changed.")
    return _("The request was sent. Whether it had an effect is not known.")
