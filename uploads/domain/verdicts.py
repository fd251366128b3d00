"""Verdicts: whether an upload in progress is still alive, judged by its last part. Pure."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """UNCHECKED: the parts have not been read yet. UNJUDGED: the store does not allow them to be read."""

    ALIVE = "alive"
    STALLED = "stalled"
    DEAD = "dead"
    SUPERSEDED = "superseded"
    COMPLETABLE = "completable"
    UNCHECKED = "unchecked"
    UNJUDGED = "unjudged"
