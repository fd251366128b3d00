"""Texts of sweeps: why uploads are spared, why steps are refused, and a rule in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dashboard.shared.formatting import bytes_text, duration_text
from dashboard.shared.messages.types import Message
from dashboard.shared.numbers import Count
from uploads.problems import Code

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

MESSAGES: Mapping[str, Message] = {
    Code.NO_SUCH_SWEEP: gettext_lazy("There is no such sweep, or you may not see all of it."),
    Code.SWEEP_WITHOUT_VERDICT: gettext_lazy(
        "A sweep needs at least one verdict: dead, stalled, superseded or completable. Age alone says nothing, because "
        "an old upload may still receive parts."
    ),
    Code.SWEEP_VERDICT_REFUSED: gettext_lazy(
        "No sweep removes uploads with this verdict: %(verdicts)s. Allowed are dead, stalled, superseded and "
        "completable."
    ),
    Code.SWEEP_CHANGED: gettext_lazy(
        "The plan is not the one that you saw. Open the sweep again, and approve what you see there."
    ),
    Code.SWEEP_OTHER_PERSON: gettext_lazy("This plan must be approved by another user than its author."),
    Code.SWEEP_NOT_NOW: gettext_lazy("This is not possible, because the sweep is in the state “%(state)s”."),
    Code.SWEEP_EXPIRED: gettext_lazy(
        "The plan is older than %(hours)s hours. Create a new one: uploads may have changed since."
    ),
    Code.SWEEP_UPLOADS_LIMIT: gettext_lazy(
        "The plan has %(uploads)s uploads. Its rule may remove %(limit)s of them by itself, so it waits for approval."
    ),
    Code.SWEEP_BYTES_LIMIT: gettext_lazy(
        "The plan has %(plan_bytes)s. Its rule may remove %(limit_bytes)s by itself, so it waits for approval."
    ),
    Code.SWEEP_RULE_UNAPPROVED: gettext_lazy(
        "Nobody has approved the repeating rule with its limits, so each of its plans waits for approval."
    ),
    Code.SWEEP_RULE_EDITED: gettext_lazy(
        "The repeating rule was changed after this plan had been requested. The plan still has its old rule, so it "
        "waits for approval."
    ),
    Code.SWEEP_RULE_OTHER: gettext_lazy(
        "The repeating rule is not the one that you saw: somebody has changed it. Open it again to see what it is now."
    ),
    Code.SWEEP_STORE_DISABLED: gettext_lazy(
        "Uploads of the plan are in stores that are disabled: %(stores)s. The run can begin or go on once they are "
        "enabled."
    ),
    Code.SWEEP_UNCONFIRMED: gettext_lazy(
        "Nothing was aborted: confirm=on is missing. It says that the uploads of the plan may be deleted."
    ),
    Code.SWEEP_ENDED: gettext_lazy("The sweep ended before the abort of this upload was attempted again."),
    Code.SPARED_VERDICT: gettext_lazy("Its verdict is not one of those of the rule."),
    Code.SPARED_RULE: gettext_lazy("The other conditions of the rule no longer match it."),
    Code.SPARED_ALIVE: gettext_lazy("It is alive: a part arrived recently, or it was started recently."),
    Code.SPARED_OWNED: gettext_lazy("A transfer of Partway owns it."),
    Code.SPARED_ARRIVED: gettext_lazy("A part has arrived since the plan was made."),
    Code.SPARED_CHANGED: gettext_lazy("Its parts have changed since the plan was made."),
    Code.SPARED_STARTED: gettext_lazy("It was started again since the plan was made."),
    Code.SPARED_INCOMPLETE: gettext_lazy(
        "The store does not say the size and the time of all of its parts, so it cannot be judged."
    ),
    Code.SPARED_UNLISTED: gettext_lazy("The store does not list it any more, so nothing says when it was started."),
    Code.SPARED_OBJECT: gettext_lazy(
        "It was superseded by a newer object, and this object is gone or could not be looked up."
    ),
    Code.SPARED_UNREADABLE: gettext_lazy("Its parts could not be read again, so it cannot be judged."),
    Code.SPARED_UNCHECKED: gettext_lazy("Its parts have not been read yet."),
    Code.SPARED_UNJUDGED: gettext_lazy("The store does not allow its parts to be read, so it cannot be judged."),
    Code.SPARED_GONE: gettext_lazy("It was completed or aborted before."),
    Code.SPARED_NOT_ALLOWED: gettext_lazy("The user may not abort it."),
}

RULE_VERDICTS: Mapping[str, StrPromise] = {
    "dead": gettext_lazy("Dead: no part arrived for days"),
    "stalled": gettext_lazy("Stalled: neither alive nor dead"),
    "superseded": gettext_lazy("Superseded: an object with this key is newer"),
    "completable": gettext_lazy("Completable: it may be worth rescuing instead"),
}
"""The verdicts that the form of a sweep offers."""

EMPTY_VERDICT = gettext_lazy("Empty: without parts, unless it is alive")
"""An addition to the verdicts of a rule."""

NAMES: Mapping[str, StrPromise] = {
    "store": gettext_lazy("store"),
    "bucket": gettext_lazy("bucket"),
    "prefix": gettext_lazy("prefix"),
    "initiator": gettext_lazy("initiator"),
    "without": gettext_lazy("without"),
    "storage_class": gettext_lazy("storage class"),
    "verdicts": gettext_lazy("verdict"),
    "older_than": gettext_lazy("older than"),
    "younger_than": gettext_lazy("younger than"),
    "idle_for": gettext_lazy("idle for"),
    "min_bytes": gettext_lazy("at least"),
    "max_bytes": gettext_lazy("at most"),
    "min_parts": gettext_lazy("parts, at least"),
    "max_parts": gettext_lazy("parts, at most"),
    "q": gettext_lazy("contains"),
    "ids": gettext_lazy("selected uploads"),
}


WITHOUT: Mapping[str, StrPromise] = {
    "initiator": gettext_lazy("an initiator"),
    "folder": gettext_lazy("a folder below the prefix"),
}
"""What an upload may lack, by the values of the filter."""


def rule_words(rule: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The conditions of a rule, as pairs of name and value."""
    return [(str(NAMES.get(name, name)), _value(name, value)) for name, value in rule.items()]


def _value(name: str, value: Any) -> str:
    if name == "ids":
        return str(Count(len(value)))
    if name in ("older_than", "younger_than", "idle_for"):
        return duration_text(timedelta(seconds=value).total_seconds())
    if name in ("min_bytes", "max_bytes"):
        return bytes_text(value)
    if name == "without":
        return _(", ").join(str(WITHOUT.get(each, each)) for each in value)
    if isinstance(value, list):
        return _(", ").join(map(str, value))
    return str(Count(value)) if isinstance(value, int) else str(value)
