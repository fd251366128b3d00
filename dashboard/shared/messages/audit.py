"""Texts of the audit log: its actions, and the names of their details."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

ACTIONS: Mapping[str, StrPromise] = {
    "abort.ordered": _("Abort requested"),
    "abort.done": _("Upload aborted"),
    "abort.failed": _("Abort failed"),
    "abort.unknown": _("Abort with unknown outcome"),
    "complete.ordered": _("Completion requested"),
    "complete.done": _("Upload completed"),
    "complete.failed": _("Completion failed"),
    "complete.unknown": _("Completion with unknown outcome"),
    "store.added": _("Store added"),
    "store.changed": _("Store changed"),
    "store.enabled": _("Store enabled"),
    "store.disabled": _("Store disabled"),
    "store.etags-no-md5": _("ETags of a store found to be no MD5s"),
    "check.ordered": _("Store check requested"),
    "check.done": _("Store check done"),
    "check.failed": _("Store check failed"),
    "check.reset": _("Overrides of a profile removed"),
    "sign-in.done": _("Signed in"),
    "sign-in.ended": _("Signed out"),
    "sign-in.failed": _("Sign-in failed"),
    "sign-in.locked": _("Sign-ins locked after failures"),
    "sign-in.unlocked": _("Lock of sign-ins lifted"),
    "single-sign-on.user-created": _("User created by single sign-on"),
    "single-sign-on.user-linked": _("User linked with single sign-on"),
    "single-sign-on.groups-changed": _("Groups taken over from single sign-on"),
    "second-factor.set-up": _("Second factor set up"),
    "second-factor.removed": _("Second factor removed"),
    "second-factor.reset": _("Second factor reset"),
    "second-factor.recovery-code-used": _("Recovery code used"),
    "second-factor.recovery-codes-renewed": _("Recovery codes renewed"),
    "user.added": _("User added"),
    "password.changed": _("Password changed"),
    "session.ended-everywhere": _("Signed out everywhere"),
    "transfer.begun": _("Transfer started"),
    "transfer.paused": _("Transfer paused"),
    "transfer.resumed": _("Transfer resumed"),
    "transfer.cancel-ordered": _("Cancellation of a transfer requested"),
    "transfer.cancelled": _("Transfer cancelled"),
    "transfer.retried": _("Transfer retried"),
    "transfer.replace-allowed": _("Replacing the object allowed"),
    "transfer.done": _("Transfer done"),
    "transfer.verified": _("Object of a transfer verified"),
    "transfer.failed": _("Transfer failed"),
    "transfer.begun-anew": _("Upload of a transfer started again"),
    "transfer.twin-aborted": _("Duplicate upload of a transfer aborted"),
    "transfer.possible-orphan": _("Possible orphan recorded"),
    "transfer.parts-replaced": _("Parts of a transfer that were replaced in the store sent again"),
    "transfer.bytes-lost": _("Staged bytes of a transfer found to be lost"),
    "transfer.orphan-dismissed": _("Possible orphan dismissed"),
    "transfer.reconciled": _("Upload of a transfer reconciled with the store"),
    "audit.removed": _("Old entries of the audit log removed"),
}
"""Every action that is written, in the order of the filter. The names are stored and do not change."""

DETAILS: Mapping[str, StrPromise] = {
    "address": _("address"),
    "administrator": _("administrator"),
    "already_gone": _("no such upload"),
    "before": _("object before"),
    "completed_at": _("completed at"),
    "crc64": _("CRC-64"),
    "denied": _("denied"),
    "differs": _("differs"),
    "endpoint_url": _("endpoint"),
    "entries": _("entries"),
    "error": _("error"),
    "etag": _("ETag"),
    "expected_crc64": _("expected CRC-64"),
    "expected_etag": _("expected ETag"),
    "expected_size": _("expected size"),
    "failed": _("failed"),
    "fields": _("fields"),
    "forgot": _("removed overrides"),
    "found": _("overrides"),
    "groups": _("groups"),
    "head_showed": _("HEAD showed"),
    "issuer": _("provider"),
    "last_modified": _("last modified"),
    "left": _("left"),
    "not-tried": _("not tried"),
    "reported_crc64": _("reported CRC-64"),
    "request_id": _("request id"),
    "ok": _("ok"),
    "ordered_at": _("requested at"),
    "outcome": _("outcome"),
    "parts": _("parts"),
    "proofs": _("proved"),
    "reason": _("reason"),
    "refused": _("refused"),
    "repeats": _("requests"),
    "replace": _("replace"),
    "size": _("size"),
    "sessions": _("sessions"),
    "state": _("state"),
    "subject": _("subject at the provider"),
    "unanswered_at": _("without a response since"),
    "until": _("from before"),
    "upload_id": _("upload id"),
    "user": _("user"),
    "verified": _("verified"),
}
"""The names of details. A name that is not listed, such as one of an old entry, is shown as it is stored."""


def action_text(action: str) -> str:
    """The text of an action, or '' for one that is no longer written."""
    return str(ACTIONS.get(action, ""))


def detail_name(name: str) -> str:
    return str(DETAILS.get(name, name))
