"""Rules of sweeps: what a rule may be, when a plan expires, when a run stops, and what is spared. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from uploads.domain.inventory_filter import EMPTY
from uploads.domain.verdicts import Verdict
from uploads.problems import Code, Problem

SWEEPABLE = (Verdict.DEAD, Verdict.STALLED, Verdict.SUPERSEDED, Verdict.COMPLETABLE)
"""The verdicts that a rule may name. No other upload is ever in a plan."""

STOP_LEAST = 20
"""A run stops once a share of the uploads that it has attempted failed, and at least so many were attempted."""

FAILURES_IN_A_ROW = 10
"""A run also stops after so many failures without anything else: the store is down, or refuses everything."""

MAX_TRIES = 5
"""How often an upload is attempted in a run. An attempt of a store that does not respond counts."""

CLOCKS = timedelta(minutes=2)
"""By how much the time of an upload may differ by our clock, because the difference of the clocks is measured again."""

SPARED_CODES = {
    Verdict.ALIVE: Code.SPARED_ALIVE,
    Verdict.UNCHECKED: Code.SPARED_UNCHECKED,
    Verdict.UNJUDGED: Code.SPARED_UNJUDGED,
}


def rule_problem(verdicts: Collection[str]) -> Problem | None:
    """Why no sweep can have a rule with these verdicts; None if one can."""
    named = [verdict for verdict in verdicts if verdict != EMPTY]
    if not named:
        return Problem(Code.SWEEP_WITHOUT_VERDICT)
    refused = sorted(set(named) - set(SWEEPABLE))
    return Problem(Code.SWEEP_VERDICT_REFUSED, verdicts=refused) if refused else None


@dataclass(frozen=True, slots=True)
class Judged:
    """An upload with its verdict. Sizes are bytes, times the store's. `active_at`: its last part or its start, by our
    clock.
    """

    verdict: Verdict
    parts: int | None
    bytes: int | None
    last_part_at: datetime | None
    active_at: datetime
    is_owned: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether the store says all that identifies the parts."""
        return self.parts is not None and self.bytes is not None and (not self.parts or self.last_part_at is not None)


def why_not_planned(upload: Judged, verdicts: Collection[str], *, is_allowed: bool) -> Code | None:
    """Why an upload is not in a plan of a rule with these verdicts; None if it is."""
    if upload.is_owned:
        return Code.SPARED_OWNED
    if upload.verdict in SPARED_CODES:
        return SPARED_CODES[upload.verdict]
    if upload.verdict not in SWEEPABLE or not _is_wanted(upload, verdicts):
        return Code.SPARED_VERDICT
    if not upload.is_complete:
        return Code.SPARED_INCOMPLETE
    return None if is_allowed else Code.SPARED_NOT_ALLOWED


def _is_wanted(upload: Judged, verdicts: Collection[str]) -> bool:
    """As in the filter of the inventory: one of the verdicts suffices."""
    return upload.verdict in verdicts or (EMPTY in verdicts and upload.parts == 0)


def why_spared(planned: Judged, now: Judged, verdicts: Collection[str]) -> Code | None:
    """Why an upload is not aborted, although it is in the plan; None if it still is as it was planned.

    An upload that was superseded stays so: without the newer object, its parts may be all that is left of the data.
    """
    if now.is_owned:
        return Code.SPARED_OWNED
    if not now.is_complete:
        return Code.SPARED_INCOMPLETE
    if now.last_part_at is not None and (planned.last_part_at is None or now.last_part_at > planned.last_part_at):
        return Code.SPARED_ARRIVED
    if (now.parts, now.bytes, now.last_part_at) != (planned.parts, planned.bytes, planned.last_part_at):
        return Code.SPARED_CHANGED
    if now.active_at > planned.active_at + CLOCKS:
        return Code.SPARED_CHANGED if now.parts else Code.SPARED_STARTED
    reason = why_not_planned(now, verdicts, is_allowed=True)
    is_other = planned.verdict is Verdict.SUPERSEDED and now.verdict is not Verdict.SUPERSEDED
    return Code.SPARED_OBJECT if is_other and reason in (None, Code.SPARED_VERDICT) else reason


def is_expired(planned_at: datetime, now: datetime, hours: int) -> bool:
    return now - planned_at > timedelta(hours=hours)


def should_stop(attempted: int, failed: int, *, percent: int) -> bool:
    """`attempted` counts the uploads that have ended, `failed` those of them that failed or could not be read."""
    if failed == attempted:
        return failed >= FAILURES_IN_A_ROW
    return attempted >= STOP_LEAST and failed * 100 > percent * attempted


def needs_other_person(author_id: int, approver_id: int, *, required: bool) -> bool:
    """Whether this user may not approve, because it is the author."""
    return required and author_id == approver_id


def why_waits(
    uploads: int, total_bytes: int, *, is_same_rule: bool, is_approved: bool, max_uploads: int, max_bytes: int
) -> Problem | None:
    """Why a repeated plan does not run by itself; None if it does. The bytes of all of its uploads are known.

    `is_same_rule`: whether the plan has the rule that repeats now. Nobody has approved another one with these limits.
    """
    if not is_same_rule:
        return Problem(Code.SWEEP_RULE_EDITED)
    if not is_approved:
        return Problem(Code.SWEEP_RULE_UNAPPROVED)
    if uploads > max_uploads:
        return Problem(Code.SWEEP_UPLOADS_LIMIT, uploads=uploads, limit=max_uploads)
    if total_bytes > max_bytes:
        return Problem(Code.SWEEP_BYTES_LIMIT, plan_bytes=total_bytes, limit_bytes=max_bytes)
    return None


def next_time(after: datetime, schedule: str, minute: int, weekday: int) -> datetime:
    """The next planning after a time in UTC: `minute` of the day, and for weekly ones on `weekday`, 0 for Monday."""
    found = after.replace(hour=minute // 60, minute=minute % 60, second=0, microsecond=0)
    if schedule == "weekly":
        found += timedelta(days=(weekday - found.weekday()) % 7)
    if found <= after:
        found += timedelta(days=7 if schedule == "weekly" else 1)
    return found
