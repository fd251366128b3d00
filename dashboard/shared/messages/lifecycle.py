"""What became of changes of lifecycle rules, and what is known of those of a bucket, in words."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _

from dashboard.shared.messages.types import Message
from uploads.domain.lifecycle.comparing import Outcome
from uploads.selectors.lifecycle import Known

OUTCOMES: Mapping[Outcome, Message] = {
    Outcome.DONE: _("The store has the rules as they were written."),
    Outcome.DROPPED: _(
        "The store accepted the rule and dropped it: it is not among the rules that were read back. Nothing aborts "
        "these uploads."
    ),
    Outcome.OTHERS_CHANGED: _(
        "Other rules of the bucket are not as they were. The rules from before are kept below and can be restored."
    ),
    Outcome.FAILED: _("The store refused the change, or it did not arrive there. The rules are as they were."),
    Outcome.UNKNOWN: _(
        "The outcome is not known yet: the rules could not be read back, or the change may still arrive. They are read "
        "again within minutes."
    ),
}

WORDS: Mapping[Outcome, Message] = {
    Outcome.DONE: _("done"),
    Outcome.DROPPED: _("dropped"),
    Outcome.OTHERS_CHANGED: _("other rules differ"),
    Outcome.FAILED: _("failed"),
    Outcome.UNKNOWN: _("not known yet"),
}

TONES: Mapping[Outcome, str] = {
    Outcome.DONE: "good",
    Outcome.DROPPED: "bad",
    Outcome.OTHERS_CHANGED: "bad",
    Outcome.FAILED: "warn",
    Outcome.UNKNOWN: "wait",
}

KNOWN: Mapping[Known, Message] = {
    Known.NONE: _("No rule"),
    Known.PART: _("For some uploads"),
    Known.ALL: _("For the whole bucket"),
    Known.UNREADABLE: _("The rules cannot be read"),
    Known.UNSUPPORTED: _("The store has no such rules"),
    Known.UNREAD: _("Not read yet"),
}

KNOWN_TONES: Mapping[Known, str] = {
    Known.NONE: "bad",
    Known.PART: "warn",
    Known.ALL: "good",
    Known.UNREADABLE: "warn",
    Known.UNSUPPORTED: "idle",
    Known.UNREAD: "wait",
}
