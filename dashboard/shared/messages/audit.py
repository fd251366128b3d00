"""Texts of the audit log: its actions, and the names of their details."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from dashboard.shared.messages.access import ROLES
from dashboard.shared.messages.people import SCOPE_NAMES
from dashboard.shared.messages.stores import SIGNATURES
from dashboard.shared.messages.types import Message
from uploads.objectstore.providers import PROVIDERS

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
    "store.tested": _("Connection to a store tested before saving"),
    "secrets.rotated": _("Stored secrets encrypted with another key"),
    "store.prices-changed": _("Prices of a store changed"),
    "store.enabled": _("Store enabled"),
    "store.disabled": _("Store disabled"),
    "store.etags-no-md5": _("ETags of a store found to be no MD5s"),
    "check.ordered": _("Store check requested"),
    "scan.ordered": _("Scan requested"),
    "check.done": _("Store check done"),
    "check.failed": _("Store check failed"),
    "scan.cancelled": _("Scan cancelled"),
    "scan.refused": _("Scan refused"),
    "inventory.changed": _("Thresholds, schedule or rates of scans changed"),
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
    "password.changed": _("Password changed"),
    "session.ended-everywhere": _("Signed out everywhere"),
    "token.created": _("Access token created"),
    "token.revoked": _("Access token revoked"),
    "token.refused": _("Access token refused"),
    "user.added": _("User added"),
    "user.changed": _("User changed"),
    "user.enabled": _("User enabled"),
    "user.disabled": _("User disabled"),
    "invitation.created": _("Link to set a password created"),
    "invitation.used": _("Password set with a link"),
    "invitation.revoked": _("Link to set a password revoked"),
    "grant.added": _("Role granted"),
    "grant.removed": _("Role taken away"),
    "group.added": _("Group added"),
    "group.deleted": _("Group deleted"),
    "group.member-added": _("Member added to a group"),
    "group.member-removed": _("Member removed from a group"),
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
    "inventory-view.saved": _("View of the inventory saved"),
    "inventory-view.renamed": _("View of the inventory renamed"),
    "inventory-view.deleted": _("View of the inventory deleted"),
    "audit.removed": _("Old entries of the audit log removed"),
    "audit.exported": _("Audit log exported"),
    "abort.refused": _("Abort refused"),
    "complete.refused": _("Completion refused"),
    "transfer.refused": _("Transfer refused, or a step of it"),
    "store.refused": _("Change of a store refused"),
    "check.refused": _("Store check refused"),
    "user.refused": _("Change of a user, a role or a token refused"),
    "request.refused": _("Request refused"),
}
"""Every action that is written, in the order of the filter. The names are stored and do not change."""

DETAILS: Mapping[str, StrPromise] = {
    "address": _("address"),
    "administrator": _("administrator"),
    "all_transfers": _("all transfers"),
    "alive_hours": _("alive for (hours)"),
    "already_gone": _("no such upload"),
    "before": _("object before"),
    "bucket": _("bucket"),
    "access_key": _("access key"),
    "addressing": _("addressing"),
    "buckets": _("named buckets"),
    "ca_bundle": _("CA bundle"),
    "code": _("code"),
    "completed_at": _("completed at"),
    "crc64": _("CRC-64"),
    "dead_days": _("dead after (days)"),
    "denied": _("denied"),
    "desired_state": _("desired state"),
    "differs": _("differs"),
    "email": _("e-mail address"),
    "enabled": _("enabled"),
    "endpoint_url": _("endpoint"),
    "entries": _("entries"),
    "error": _("error"),
    "etag": _("ETag"),
    "expected_crc64": _("expected CRC-64"),
    "expected_etag": _("expected ETag"),
    "expected_size": _("expected size"),
    "expires_at": _("expires at"),
    "failed": _("failed"),
    "fields": _("fields"),
    "filter": _("filter"),
    "forgot": _("removed overrides"),
    "format": _("format"),
    "found": _("overrides"),
    "grants": _("grants"),
    "group": _("group"),
    "groups": _("groups"),
    "head_showed": _("HEAD showed"),
    "is_staff": _("administrator of everything"),
    "issuer": _("provider"),
    "key": _("key"),
    "last_modified": _("last modified"),
    "left": _("left"),
    "members": _("members"),
    "name": _("name"),
    "not-tried": _("not tried"),
    "not_all": _("further refusals of this minute are not recorded"),
    "rotated": _("rotated"),
    "reported_crc64": _("reported CRC-64"),
    "request_id": _("request id"),
    "ok": _("ok"),
    "ordered_at": _("requested at"),
    "outcome": _("outcome"),
    "page": _("page"),
    "parts": _("parts"),
    "places": _("only in"),
    "payload_signing": _("payload signing"),
    "phase": _("phase"),
    "prefix": _("prefix"),
    "prices": _("prices"),
    "proofs": _("proved"),
    "provider": _("provider"),
    "query": _("query"),
    "reason": _("reason"),
    "refused": _("refused"),
    "region": _("region"),
    "repeats": _("requests"),
    "secret_key": _("secret key"),
    "session_token": _("session token"),
    "signature": _("signature"),
    "status": _("status"),
    "replace": _("replace"),
    "requests_in_flight": _("requests in flight"),
    "requests_per_second": _("requests per second"),
    "role": _("role"),
    "scan": _("scan"),
    "scan_minute": _("time of scans (minute of the day)"),
    "scan_weekday": _("day of scans (0: Monday)"),
    "schedule": _("schedule"),
    "scopes": _("allowed"),
    "sessions": _("sessions"),
    "shared": _("shared with all users"),
    "size": _("size"),
    "state": _("state"),
    "store": _("store"),
    "subject": _("subject at the provider"),
    "token": _("token"),
    "unanswered_at": _("without a response since"),
    "until": _("from before"),
    "upload_id": _("upload id"),
    "user": _("user"),
    "verified": _("verified"),
}
"""The names of details. A name that is not listed, such as one of an old entry, is shown as it is stored."""


THINGS: Mapping[str, StrPromise] = {
    "abort": _("All about aborts"),
    "complete": _("All about completions"),
    "transfer": _("All about transfers"),
    "store": _("All about stores"),
    "check": _("All about store checks"),
    "scan": _("All about scans"),
    "inventory": _("All about the settings of the inventory"),
    "sign-in": _("All about sign-ins"),
    "single-sign-on": _("All about single sign-on"),
    "user": _("All about users"),
    "grant": _("All about roles"),
    "token": _("All about access tokens"),
    "inventory-view": _("All about views of the inventory"),
    "audit": _("All about the audit log"),
}
"""The first words of actions that the filter offers."""

MEANS: Mapping[str, StrPromise] = {
    "page": _("page"),
    "token": _("access token"),
    "command": _("command line"),
    "schedule": _("schedule of Partway"),
}

OUTCOMES: Mapping[str, StrPromise] = {
    "ordered": _("requested"),
    "done": _("done"),
    "refused": _("refused"),
    "failed": _("failed"),
    "unknown": _("unknown"),
}

VALUES: Mapping[str, StrPromise] = {
    "run": _("run"),
    "pause": _("pause"),
    "cancel": _("cancel"),
    "receiving": _("receiving"),
    "sending": _("sending"),
    "completing": _("completing"),
    "failed": _("failed"),
    "gone": _("gone"),
    "open": _("open"),
    "suspect": _("possible orphan"),
    "completed": _("completed"),
}
"""Stored states as pages name them."""


WORDS: Mapping[str, Mapping[str, Message]] = {
    "role": {role.value: text for role, text in ROLES.items()},
    "scopes": {scope.value: text for scope, text in SCOPE_NAMES.items()},
    "provider": {name: provider.label for name, provider in PROVIDERS.items()},
    "addressing": {"path": _("path"), "virtual": _("virtual-hosted")},
    "signature": SIGNATURES,
    "payload_signing": {"signed": _("signed"), "unsigned": _("unsigned")},
}
"""Values of a detail that are stored by name, by the name of the detail."""


def action_text(action: str) -> str:
    """The text of an action, or '' for one that is no longer written."""
    return str(ACTIONS.get(action, ""))


def detail_name(name: str) -> str:
    return str(DETAILS.get(name, name))
