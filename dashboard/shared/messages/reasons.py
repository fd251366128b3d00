"""One sentence for each reason of an object store error, for rows and lists. `explain` has the long form for pages."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _

from dashboard.shared.messages.types import Message
from uploads.objectstore.errors import Reason
from uploads.objectstore.permissions import permission_advice

RECORDED: Mapping[Reason, Message] = {
    Reason.UNREACHABLE: _("The store could not be reached."),
    Reason.TLS: _("No secure connection to the store could be made."),
    Reason.TIMEOUT: _("The store did not answer in time."),
    Reason.CONNECTION_LOST: _("The connection to the store was lost."),
    Reason.UNREADABLE_RESPONSE: _("The store answered something that is not an answer of the S3 API."),
    Reason.CREDENTIALS: _("The store does not accept the credentials."),
    Reason.CREDENTIALS_EXPIRED: _("The temporary credentials have expired: new ones are waited for."),
    Reason.PERMISSION: _("The credentials are not allowed to do this."),
    Reason.CLOCK_SKEW: _("This machine's clock and the store's differ too much."),
    Reason.WRONG_REGION: _("The bucket is in another region."),
    Reason.NO_SUCH_BUCKET: _("The bucket does not exist."),
    Reason.ADDRESSING: _("The store does not take this addressing of buckets: change it in the store's settings."),
    Reason.NO_SUCH_UPLOAD: _("The upload no longer exists in the store: it was completed or aborted."),
    Reason.EXISTS: _(
        "An object of this key came meanwhile and was not replaced: choose another key, or send the file "
        "again with “replace”."
    ),
    Reason.DIGEST_MISMATCH: _("What the store received differs from what was sent, again and again."),
    Reason.THROTTLED: _("The store asks to slow down."),
    Reason.STORE_FAULT: _("The store failed."),
    Reason.REFUSED: _("This was refused."),
}


def permission_text(operation: str) -> str:
    """Which permission an operation needs, by the names of S3 and OSS."""
    return permission_advice(operation)
