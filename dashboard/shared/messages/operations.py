"""Texts of codes about operations, cleanup and reconciliation."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from dashboard.shared.messages.types import Message
from uploads.problems import Code

REFUSALS: Mapping[str, Message] = {
    Code.OWNED_BY_TRANSFER: _("A transfer in progress owns this upload. Cancel the transfer instead."),
    Code.ALREADY_ORDERED: _("Another operation is already working on this upload."),
    Code.OPERATION_NOT_NOW: _("The operation has ended, is being stopped, or is run by a sweep."),
    Code.SPARED_RECENT: _(
        "The upload was not aborted, because a part arrived lately: somebody may still be sending it."
    ),
    Code.SPARED_UNKNOWN: _(
        "The upload was not aborted, because it is not known when its last part arrived: somebody may still be "
        "sending it."
    ),
    Code.PREFLIGHT_FAILED: _("The upload was not completed, because the store would refuse it."),
    Code.UPLOAD_NOT_LISTED: _("The store lists no upload with this key and upload id."),
    Code.GAP_NOT_ALLOWED: _("Part numbers are missing, and completing with exactly these gaps was not confirmed."),
    Code.CONFIRMATION_MISSING: _(
        "Nothing was requested: parts-seen is missing. Request this address as JSON with GET, and repeat PartsSeen as "
        "parts-seen. To allow gaps, repeat Gaps as gaps. To replace an object, send replace=on and its ETag as "
        "replace-etag."
    ),
    Code.CONFIRMATION_INVALID: _("Nothing was requested: %(name)s is not valid. Repeat it as it was shown."),
    Code.REPLACE_ETAG_MISSING: _(
        "Nothing was requested: replace is given without replace-etag, the ETag of the object to be replaced. Repeat "
        "the ETag of Object, or send * if HEAD is not allowed."
    ),
    Code.CHANGED_SINCE_CONFIRMED: _(
        "The upload was not completed, because something has changed since it was confirmed. Open the upload again, "
        "and confirm what you see there."
    ),
    Code.OBJECT_NOT_TO_REPLACE: _(
        "The upload was not completed, because an object with this key exists and replacing it was not confirmed. To "
        "replace it, complete the upload again: select the replacement on the page, or send replace=on with its ETag "
        "as replace-etag."
    ),
    Code.OBJECT_NOT_COMPARABLE: _(
        "The upload was not completed, because the store refuses HEAD: it is not known whether an object would be "
        "replaced. To replace any object with this key, complete the upload again: select the replacement on the page, "
        "or send replace=on with replace-etag=*."
    ),
    Code.STILL_LISTED: ngettext_lazy(
        "After %(count)s abort the store still lists parts of this upload. Something keeps sending to it.",
        "After %(count)s aborts the store still lists parts of this upload. Something keeps sending to it.",
        "count",
    ),
    Code.ABORT_NOT_VERIFIED: _(
        "The store accepted the abort of the upload, but Partway could not check that no parts are left."
    ),
    Code.BUCKET_GONE: _("The store says that the bucket does not exist, so nothing of the upload is left there."),
    Code.OBJECT_APPEARED: _(
        "An object with this key appeared in the meantime and was not replaced. Complete the upload again to replace "
        "it, or abort the upload."
    ),
}

CHANGES: Mapping[str, Message] = {
    Code.PARTS_ARRIVED: ngettext_lazy(
        "%(count)s part has arrived since: %(parts)s.", "%(count)s parts have arrived since: %(parts)s.", "count"
    ),
    Code.PARTS_SENT_AGAIN: ngettext_lazy(
        "%(count)s part has been replaced since: %(parts)s.",
        "%(count)s parts have been replaced since: %(parts)s.",
        "count",
    ),
    Code.PARTS_VANISHED: ngettext_lazy(
        "%(count)s part is no longer there: %(parts)s.", "%(count)s parts are no longer there: %(parts)s.", "count"
    ),
    Code.PARTS_NOT_AS_SEEN: _("The parts are not those that were confirmed."),
    Code.OBJECT_WOULD_BE_LOST: _(
        "The object there now has %(size_bytes)s, the ETag %(etag)s and the date %(modified)s."
    ),
    Code.OBJECT_REPLACED_MEANWHILE: _(
        "The object that was shown is not the one there now. Shown: %(seen_size_bytes)s, ETag %(seen_etag)s, "
        "%(seen_modified)s. Now: %(size_bytes)s, ETag %(etag)s, %(modified)s."
    ),
}

BLOCKERS: Mapping[str, Message] = {
    Code.NO_PARTS: _("No part has been uploaded, so there is nothing to complete."),
    Code.PARTS_TOO_SMALL: ngettext_lazy(
        "%(count)s part is below this store's minimum of %(limit_bytes)s, which only the last part may be: %(parts)s.",
        "%(count)s parts are below this store's minimum of %(limit_bytes)s, which only the last part may be: "
        "%(parts)s.",
        "count",
    ),
    Code.PARTS_UNEQUAL: ngettext_lazy(
        "This store requires all parts except the last to have the same size, and %(count)s part differs: %(parts)s.",
        "This store requires all parts except the last to have the same size, and %(count)s parts differ: %(parts)s.",
        "count",
    ),
    Code.PART_COPIES_UNCLEAR: ngettext_lazy(
        "The store lists several copies of %(count)s part (%(parts)s), and their dates do not tell which one is the "
        "newest. Send this part again, then open this page again.",
        "The store lists several copies of %(count)s parts (%(parts)s), and their dates do not tell which one is the "
        "newest. Send these parts again, then open this page again.",
        "count",
    ),
    Code.PART_LIMIT_EXCEEDED: ngettext_lazy(
        "The store accepts at most %(limit)s parts. This upload has %(count)s part.",
        "The store accepts at most %(limit)s parts. This upload has %(count)s parts.",
        "count",
    ),
    Code.PART_NUMBER_TOO_HIGH: _("Part numbers go up to %(limit)s. This upload has part %(number)s."),
    Code.OBJECT_TOO_LARGE: _("The object would have %(size)s bytes. The store accepts at most %(limit)s bytes."),
}

WARNINGS: Mapping[str, Message] = {
    Code.PARTS_MISSING: ngettext_lazy(
        "%(count)s part number is missing (%(parts)s). The object would be built from the parts present and may be too "
        "short.",
        "%(count)s part numbers are missing (%(parts)s). The object would be built from the parts present and may be "
        "too short.",
        "count",
    ),
    Code.PART_COPIES: ngettext_lazy(
        "%(count)s part was sent more than once (%(parts)s), and the store lists all of its copies. The object is "
        "built from the newest one.",
        "%(count)s parts were sent more than once (%(parts)s), and the store lists all of their copies. The object is "
        "built from the newest ones.",
        "count",
    ),
    Code.PART_ARRIVED_RECENTLY: _("A part arrived within the last hour. Someone may still be sending."),
    Code.PART_TIMES_UNKNOWN: ngettext_lazy(
        "The store names no valid time for %(count)s part, so whether someone is still sending cannot be judged.",
        "The store names no valid time for %(count)s parts, so whether someone is still sending cannot be judged.",
        "count",
    ),
    Code.PART_SIZES_UNKNOWN: ngettext_lazy(
        "The store names no valid size for %(count)s part. The size of the object is not known, and neither the size "
        "limits nor the completed object can be checked by it.",
        "The store names no valid size for %(count)s parts. The size of the object is not known, and neither the size "
        "limits nor the completed object can be checked by it.",
        "count",
    ),
    Code.PARTS_WITHOUT_ETAG: ngettext_lazy(
        "The store names no valid ETag for %(count)s part. A completion needs the ETag of each part.",
        "The store names no valid ETag for %(count)s parts. A completion needs the ETag of each part.",
        "count",
    ),
    Code.OBJECT_WOULD_BE_REPLACED: _("An object with this key exists and would be replaced."),
}

CLEANUP: Mapping[str, Message] = {
    Code.EXPIRED: _("Nothing arrived from the browser for %(silent_seconds)s, so the staged bytes were removed."),
    Code.STAGED_PART_LOST: _(
        "Part %(number)s cannot be sent, because its staged bytes are gone. Discard this transfer and send the file "
        "again."
    ),
    Code.SENT_PART_LOST: _(
        "Part %(number)s cannot be sent again: the store no longer has it as it was sent, and its staged bytes are "
        "gone. Discard this transfer and send the file again."
    ),
}

FINDINGS: Mapping[str, Message] = {
    Code.UPLOAD_NOT_CHECKED: _("Upload %(upload_id)s of %(object)s could not be checked."),
    Code.UPLOAD_GONE: _("Upload %(upload_id)s of %(object)s is gone from the store."),
    Code.UPLOAD_LEFT_OPEN: _("Upload %(upload_id)s of %(object)s is open, although transfer %(transfer)s has ended."),
    Code.UPLOAD_MAY_BE_ORPHAN: _(
        "Upload %(upload_id)s of %(object)s may be an orphan of transfer %(transfer)s. Decide on its page."
    ),
    Code.CREATED_UPLOAD_UNKNOWN: _(
        "Transfer %(transfer)s: the store may have created an upload whose id did not arrive."
    ),
    Code.PART_DIFFERS: _("Transfer %(transfer)s: part %(number)s is not in the store as it was sent."),
    Code.STAGED_PART_MISSING: _("Transfer %(transfer)s: the staged bytes of part %(number)s are gone."),
    Code.QUOTA_NOT_RELEASED: _("Transfer %(transfer)s has ended and still occupies the staging quota."),
}
"""What `manage.py reconcile` reports."""

MESSAGES: Mapping[str, Message] = {**REFUSALS, **CHANGES, **BLOCKERS, **WARNINGS, **CLEANUP, **FINDINGS}
