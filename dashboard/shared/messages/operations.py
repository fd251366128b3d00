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
    Code.PREFLIGHT_FAILED: _("The upload was not completed, because the store would refuse it."),
    Code.GAP_NOT_ALLOWED: _("Part numbers are missing, and completing with missing parts was not confirmed."),
    Code.UPLOAD_NOT_LISTED: _("The store lists no upload with this key and upload id."),
    Code.STILL_LISTED: ngettext_lazy(
        "After %(count)s abort the store still lists parts of this upload. Something keeps sending to it.",
        "After %(count)s aborts the store still lists parts of this upload. Something keeps sending to it.",
        "count",
    ),
    Code.OBJECT_APPEARED: _(
        "An object with this key appeared in the meantime and was not replaced. Complete the upload again to replace "
        "it, or abort the upload."
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
    Code.PART_ARRIVED_RECENTLY: _("A part arrived within the last hour. Someone may still be sending."),
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

MESSAGES: Mapping[str, Message] = {**REFUSALS, **BLOCKERS, **WARNINGS, **CLEANUP, **FINDINGS}
