"""Texts about scans and the settings of the inventory."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _

from dashboard.shared.messages.types import Message
from uploads.domain.scan_schedule import Repeat
from uploads.problems import Code

MESSAGES: Mapping[str, Message] = {
    Code.SCAN_CANCELLED: _("The scan was cancelled. What it has read is in the inventory."),
    Code.STORE_DISABLED: _("The store %(store)s is disabled. What was read of it before is in the inventory."),
    Code.VALUE_OUT_OF_RANGE: _("Enter a whole number from %(lowest)s to %(highest)s."),
    Code.NO_SUCH_SCHEDULE: _("The schedule is one of: %(allowed)s."),
    Code.ALIVE_AFTER_DEAD: _(
        "An upload would be alive and dead at the same time. Enter fewer hours than the days of the other field have: "
        "at most %(highest)s."
    ),
}

REPEATS: Mapping[str, Message] = {
    Repeat.OFF.value: _("Off: only when somebody requests a scan"),
    Repeat.HOURLY.value: _("Every hour, at the full hour"),
    Repeat.DAILY.value: _("Every day at a set time"),
    Repeat.WEEKLY.value: _("Every week on a set day and time"),
}

WEEKDAYS: tuple[Message, ...] = (
    _("Monday"),
    _("Tuesday"),
    _("Wednesday"),
    _("Thursday"),
    _("Friday"),
    _("Saturday"),
    _("Sunday"),
)

ORIGINS: Mapping[str, Message] = {
    "schedule": _("schedule"),
    "page": _("page"),
    "command": _("command line"),
}

WHY: Mapping[str, Message] = {
    "never": _("never scanned"),
    "refused": _("refused"),
    "gone": _("deleted"),
    "unavailable": _("not available"),
    "unjudged": _("parts refused"),
}
"""Why something could not be checked."""
