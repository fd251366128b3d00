"""What to do with the uploads of one key: which of them to complete, and which to abort. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Advice(StrEnum):
    """What an operator should do with one of several uploads of a key.

    COMPLETE: it has the most bytes of those without a gap, and nobody sends any of them. ABORT: it has no parts, or not
    more bytes than the one to complete. WAIT: a part arrived lately. WAIT_FOR_OTHER: it could be completed, but another
    upload of the key is still sent. LOOK: nothing can be said. OWNED: by a transfer. GONE: it has ended.
    """

    COMPLETE = "complete"
    ABORT = "abort"
    WAIT = "wait"
    WAIT_FOR_OTHER = "wait-for-other"
    LOOK = "look"
    OWNED = "owned"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An upload as the advice sees it. `parts` is None if they cannot be listed, `size` (bytes) if it is not known.

    `is_whole`: no gap, and nothing that the store would refuse. `is_recent`: a part arrived lately, or may have.
    """

    parts: int | None
    size: int | None
    last_activity: datetime | None
    is_whole: bool
    is_recent: bool
    is_owned: bool = False
    is_gone: bool = False


def advise(candidates: Sequence[Candidate]) -> list[Advice]:
    """The advice for each upload, in the same order. At most one is to be completed."""
    live = [each for each in candidates if not each.is_gone]
    is_sent = any(each.is_recent or each.is_owned for each in live)
    best = max(filter(_may_complete, live), key=lambda each: (each.size or 0, _time(each)), default=None)
    return [_advice(each, best, is_sent=is_sent) for each in candidates]


def _may_complete(each: Candidate) -> bool:
    return each.is_whole and bool(each.parts) and each.size is not None and not (each.is_recent or each.is_owned)


def _time(each: Candidate) -> float:
    return each.last_activity.timestamp() if each.last_activity else 0.0


def _advice(each: Candidate, best: Candidate | None, *, is_sent: bool) -> Advice:
    if each.is_gone or each.is_owned:
        return Advice.GONE if each.is_gone else Advice.OWNED
    if each.is_recent:
        return Advice.WAIT
    if each is best:
        return Advice.WAIT_FOR_OTHER if is_sent else Advice.COMPLETE
    if each.parts == 0:
        return Advice.ABORT
    is_less = best is not None and each.size is not None and each.size <= (best.size or 0)
    return Advice.ABORT if is_less and not is_sent else Advice.LOOK
