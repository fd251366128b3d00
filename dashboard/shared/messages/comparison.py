"""The advice for one of several uploads of a key, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from django.utils.translation import gettext_lazy as _

from uploads.domain.comparison import Advice

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise


class AdviceText(NamedTuple):
    """The tone of its dot, the advice, and why."""

    tone: str
    text: StrPromise
    reason: StrPromise


ADVICE: Mapping[Advice, AdviceText] = {
    Advice.COMPLETE: AdviceText(
        "good", _("Complete this one"), _("It has the most bytes of those without a gap, and nobody is sending.")
    ),
    Advice.ABORT: AdviceText(
        "bad", _("Abort this one"), _("It has no parts, or not more bytes than the one to complete.")
    ),
    Advice.WAIT: AdviceText(
        "warn", _("Wait"), _("A part arrived within the last hour, or may have: another program may still be sending.")
    ),
    Advice.WAIT_FOR_OTHER: AdviceText(
        "warn", _("Wait for the other"), _("It could be completed, but another upload of this key is still sent.")
    ),
    Advice.LOOK: AdviceText(
        "wait", _("Decide yourself"), _("It has a gap, or it is not known whether another one is better.")
    ),
    Advice.OWNED: AdviceText("busy", _("Leave it"), _("A transfer of this site is sending it.")),
    Advice.GONE: AdviceText("idle", _("Nothing to do"), _("It was completed or aborted in the meantime.")),
}
