"""The words of the inventory's page: verdicts, filters, orders and groupings in the language of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from dashboard.shared.messages import sweeps, text_of, verdicts
from uploads.domain.verdicts import Judgement

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

VERDICTS: Mapping[str, StrPromise] = verdicts.VERDICTS
"""In the order of charts and of the form: what needs a decision comes first."""

FILTERED_VERDICTS: Mapping[str, StrPromise] = {**VERDICTS, "empty": _("without parts")}

MEANINGS: Mapping[str, StrPromise] = {
    "dead": _("No part has arrived for days."),
    "superseded": _("No part has arrived lately, and the key has a newer object: completing would replace newer data."),
    "completable": _("No part has arrived lately, and the parts have no gap: it may be worth completing."),
    "stalled": _("No part has arrived lately, but it is too early to call the upload dead."),
    "alive": _("A part has arrived lately, or a transfer of Partway owns the upload."),
    "unchecked": _("The parts have not been read yet."),
    "unjudged": _("The store does not allow the parts to be read."),
    "empty": _("The upload has no parts and takes no space."),
}
"""What each verdict means, in one sentence. The thresholds of a store say how long "lately" is."""

NAMES: Mapping[str, StrPromise] = {
    "store": _("Store"),
    "bucket": _("Bucket"),
    "prefix": _("Key starts with"),
    "initiator": _("Initiator"),
    "without": _("Without"),
    "class": _("Storage class"),
    "verdict": _("Verdict"),
    "older-than": _("Older than"),
    "younger-than": _("Younger than"),
    "idle-for": _("Idle for"),
    "min-bytes": _("At least"),
    "max-bytes": _("At most"),
    "min-parts": _("Parts, at least"),
    "max-parts": _("Parts, at most"),
    "q": _("Search"),
    "id": _("Selected"),
}
"""The names of filters."""

WITHOUT: Mapping[str, StrPromise] = sweeps.WITHOUT

GROUPS: Mapping[str, StrPromise] = {
    "": _("No groups"),
    "store": _("Store"),
    "bucket": _("Bucket"),
    "prefix": _("Prefix"),
    "initiator": _("Initiator"),
    "age": _("Age"),
}

DURATIONS: Mapping[str, StrPromise] = {
    "12h": _("12 hours"),
    "1d": _("1 day"),
    "7d": _("7 days"),
    "30d": _("30 days"),
    "90d": _("90 days"),
    "365d": _("1 year"),
}
SIZES: Sequence[int] = (1024**2, 100 * 1024**2, 1024**3, 10 * 1024**3, 100 * 1024**3, 1024**4)
"""What the form offers; the address of the page takes any value."""


def reason_text(judgement: Judgement) -> str:
    """Why an upload has its verdict, and whether it is dead or stalled where the verdict does not say so."""
    reason = text_of(judgement.reason)
    return reason if judgement.base is None else f"{reason} {verdicts.BASES[judgement.base]}"
