"""Verdicts: whether an upload in progress is still alive, judged by its last part. Pure.

What is not known never makes an upload dead: neither a part that may have arrived since the parts were read, nor a part
without a time, nor a store's clock that is slow.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from uploads.problems import Code, Problem


class Verdict(StrEnum):
    """UNCHECKED: the parts have not been read yet. UNJUDGED: the store does not allow them to be read."""

    ALIVE = "alive"
    STALLED = "stalled"
    DEAD = "dead"
    SUPERSEDED = "superseded"
    COMPLETABLE = "completable"
    UNCHECKED = "unchecked"
    UNJUDGED = "unjudged"


SILENT = frozenset({Verdict.STALLED, Verdict.DEAD, Verdict.SUPERSEDED, Verdict.COMPLETABLE})
"""Verdicts of uploads that were judged and are not alive."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """An upload is alive for `alive_after` from its last part, or from its start, and dead after `dead_after`."""

    alive_after: timedelta = timedelta(hours=24)
    dead_after: timedelta = timedelta(days=7)

    @property
    def silence(self) -> timedelta:
        """How long a dead upload has had no part: an upload that is still alive is never dead."""
        return max(self.alive_after, self.dead_after)


@dataclass(frozen=True, slots=True)
class UploadFacts:
    """What is known of an upload. Times are the store's, except `first_seen_at`, `checked_at` and `changed_after`.

    `parts` and what follows from them are None if the parts were never read, `last_part_at` also if the time of a part
    is not known. `checked_at`: when they were read. `has_small_parts`: a part before the last is too small for a
    completion; None if the size of a part is not known. `object_modified_at` is the Last-Modified of the object with
    the same key. `is_refused`: the last ListParts failed.

    `behind` is how far the store's clock was behind ours at that time, never less than zero: a clock that is ahead
    makes uploads look younger, which is safe. Something arrived after `changed_after`, whatever the store's dates say.
    """

    initiated: datetime | None
    first_seen_at: datetime
    parts: int | None = None
    last_part_at: datetime | None = None
    gaps: int | None = None
    has_small_parts: bool | None = None
    object_modified_at: datetime | None = None
    is_owned: bool = False
    is_refused: bool = False
    checked_at: datetime | None = None
    behind: timedelta = timedelta(0)
    changed_after: datetime | None = None

    @property
    def active_at(self) -> datetime:
        """By our clock: the time of the last part, or of the start: no part arrives before it, whatever stores say."""
        return active_time(
            self.initiated or self.first_seen_at,
            self.last_part_at,
            behind=self.behind,
            changed_after=self.changed_after,
        )

    @property
    def is_empty(self) -> bool:
        return self.parts == 0


def active_time(
    started_at: datetime, last_part_at: datetime | None, *, behind: timedelta, changed_after: datetime | None
) -> datetime:
    """When an upload was active last: the latest of what is known. `UploadFacts` describes the arguments."""
    times = [started_at + behind]
    if last_part_at is not None:
        times.append(last_part_at + behind)
    if changed_after is not None:
        times.append(changed_after)
    return max(times)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, why, and until when it holds; None: until the facts change.

    `base` is STALLED or DEAD where the verdict says more than that.
    """

    verdict: Verdict
    reason: Problem
    until: datetime | None = None
    is_empty: bool = False
    base: Verdict | None = None


def judge(facts: UploadFacts, thresholds: Thresholds, now: datetime) -> Judgement:
    """The verdict at `now`."""
    alive_until = facts.active_at + thresholds.alive_after
    if facts.is_owned:
        return Judgement(Verdict.ALIVE, Problem(Code.UPLOAD_OWNED), None, facts.is_empty)
    if now < alive_until:
        return Judgement(Verdict.ALIVE, _why_alive(facts, thresholds, now), alive_until, facts.is_empty)
    if facts.is_refused:
        return Judgement(Verdict.UNJUDGED, Problem(Code.UPLOAD_PARTS_REFUSED), None, facts.is_empty)
    if facts.parts is None or facts.checked_at is None:
        return Judgement(Verdict.UNCHECKED, Problem(Code.UPLOAD_PARTS_UNREAD))
    if facts.parts and facts.last_part_at is None:
        return Judgement(Verdict.UNJUDGED, Problem(Code.UPLOAD_PARTS_UNDATED))
    return _silent(facts, thresholds, now)


def _silent(facts: UploadFacts, thresholds: Thresholds, now: datetime) -> Judgement:
    """The verdict of an upload whose parts are known, and none of which arrived lately."""
    dead_from = facts.active_at + thresholds.silence
    checked_at = facts.checked_at
    is_dead = checked_at is not None and dead_from <= min(checked_at, now)
    base = Verdict.DEAD if is_dead else Verdict.STALLED
    # Parts that were read in the future, by a clock that was wrong, prove nothing until then.
    until = dead_from if not is_dead and checked_at is not None and dead_from <= checked_at else None
    if is_superseded(facts):
        return Judgement(Verdict.SUPERSEDED, _why_superseded(facts), until, base=base)
    if is_complete(facts):
        return Judgement(Verdict.COMPLETABLE, _why_completable(facts, now), until, base=base)
    reason = _why_dead(facts, thresholds, now) if is_dead else _why_stalled(facts, thresholds, now)
    return Judgement(base, reason, until, facts.is_empty)


def is_superseded(facts: UploadFacts) -> bool:
    """Whether the object is newer than the last part. Both times are the store's, in whole seconds."""
    return (
        bool(facts.parts)
        and facts.object_modified_at is not None
        and facts.last_part_at is not None
        and facts.object_modified_at > facts.last_part_at
    )


def is_complete(facts: UploadFacts) -> bool:
    """Whether the parts could be completed: there is one, no number is missing, and none is too small."""
    return bool(facts.parts) and facts.gaps == 0 and facts.has_small_parts is False


def _seconds(time: timedelta) -> int:
    return max(0, int(time.total_seconds()))


def _why_alive(facts: UploadFacts, thresholds: Thresholds, now: datetime) -> Problem:
    code = Code.UPLOAD_PART_LATELY if facts.parts else Code.UPLOAD_STARTED_LATELY
    since, limit = _seconds(now - facts.active_at), _seconds(thresholds.alive_after)
    return Problem(code, since_seconds=since, limit_seconds=limit)


def _why_dead(facts: UploadFacts, thresholds: Thresholds, now: datetime) -> Problem:
    code = Code.UPLOAD_PART_LONG_AGO if facts.parts else Code.UPLOAD_NEVER_HAD_PARTS
    since, limit = _seconds(now - facts.active_at), _seconds(thresholds.silence)
    return Problem(code, since_seconds=since, limit_seconds=limit)


def _why_stalled(facts: UploadFacts, thresholds: Thresholds, now: datetime) -> Problem:
    since, limit = _seconds(now - facts.active_at), _seconds(thresholds.silence)
    if since < limit:
        return Problem(Code.UPLOAD_STALLED, since_seconds=since, limit_seconds=limit)
    checked = _seconds(now - facts.checked_at) if facts.checked_at else 0
    return Problem(Code.UPLOAD_TO_CHECK_AGAIN, since_seconds=since, checked_seconds=checked, limit_seconds=limit)


def _why_superseded(facts: UploadFacts) -> Problem:
    if facts.object_modified_at is None or facts.last_part_at is None:
        raise ValueError("superseded without times")
    newer = _seconds(facts.object_modified_at - facts.last_part_at)
    return Problem(Code.UPLOAD_SUPERSEDED, newer_seconds=newer)


def _why_completable(facts: UploadFacts, now: datetime) -> Problem:
    return Problem(Code.UPLOAD_COMPLETABLE, count=facts.parts or 0, since_seconds=_seconds(now - facts.active_at))
