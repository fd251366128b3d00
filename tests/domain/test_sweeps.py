"""The rules of sweeps, without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from uploads.domain.sweeps import (
    Judged,
    is_expired,
    next_time,
    should_stop,
    why_not_planned,
    why_spared,
    why_waits,
)
from uploads.domain.verdicts import Verdict
from uploads.problems import Code

NOW = datetime(2026, 1, 7, 12, 0, tzinfo=UTC)
LAST = NOW - timedelta(days=9)
DEAD = Judged(Verdict.DEAD, 2, 10, LAST, LAST)


def test_a_newer_part_spares_whatever_the_verdict_says() -> None:
    later = NOW - timedelta(days=8)
    assert why_spared(DEAD, replace(DEAD, last_part_at=later, active_at=later), ("dead",)) == Code.SPARED_ARRIVED
    assert why_spared(DEAD, replace(DEAD, parts=1, bytes=5), ("dead",)) == Code.SPARED_CHANGED
    assert why_spared(DEAD, replace(DEAD, last_part_at=LAST - timedelta(seconds=1)), ("dead",)) == Code.SPARED_CHANGED
    assert why_spared(DEAD, replace(DEAD, is_owned=True), ("dead",)) == Code.SPARED_OWNED
    assert why_spared(DEAD, DEAD, ("dead",)) is None
    assert why_spared(DEAD, DEAD, ("stalled",)) == Code.SPARED_VERDICT


@pytest.mark.parametrize("unknown", [{"parts": None}, {"bytes": None}, {"last_part_at": None}])
def test_what_is_not_known_completely_is_neither_planned_nor_aborted(unknown: dict[str, Any]) -> None:
    partly = replace(DEAD, **unknown)
    assert why_not_planned(partly, ("dead",), is_allowed=True) == Code.SPARED_INCOMPLETE
    assert why_spared(partly, partly, ("dead",)) == Code.SPARED_INCOMPLETE


def test_an_upload_without_parts_that_was_started_again_is_spared() -> None:
    empty = Judged(Verdict.DEAD, 0, 0, None, LAST)
    assert why_spared(empty, empty, ("dead",)) is None
    assert why_spared(empty, replace(empty, active_at=NOW - timedelta(days=8)), ("dead",)) == Code.SPARED_STARTED


@pytest.mark.parametrize("now", [Verdict.DEAD, Verdict.STALLED, Verdict.COMPLETABLE])
def test_what_was_superseded_is_spared_without_the_newer_object(now: Verdict) -> None:
    planned = replace(DEAD, verdict=Verdict.SUPERSEDED)
    rule = ("superseded", "dead", "completable")
    assert why_spared(planned, planned, rule) is None
    assert why_spared(planned, replace(planned, verdict=now), rule) == Code.SPARED_OBJECT
    assert why_spared(planned, replace(planned, verdict=Verdict.ALIVE), rule) == Code.SPARED_ALIVE


@pytest.mark.parametrize("verdict", Verdict)
def test_no_rule_plans_what_is_alive_or_not_judged(verdict: Verdict) -> None:
    upload = Judged(verdict, 0, 0, None, LAST)
    reason = why_not_planned(upload, [*Verdict, "empty"], is_allowed=True)
    assert (reason is None) == (verdict in (Verdict.DEAD, Verdict.STALLED, Verdict.SUPERSEDED, Verdict.COMPLETABLE))


@pytest.mark.parametrize(
    ("attempted", "failed", "stops"),
    [(9, 9, False), (10, 10, True), (19, 5, False), (20, 2, False), (20, 3, True), (1000, 100, False)],
)
def test_a_run_stops_after_a_share_of_failures(attempted: int, failed: int, stops: bool) -> None:
    assert should_stop(attempted, failed, percent=10) is stops


def test_the_share_of_failures_is_set() -> None:
    assert should_stop(20, 2, percent=5)
    assert not should_stop(20, 9, percent=50)
    assert not should_stop(20, 19, percent=100)


def test_a_repeated_plan_waits_above_its_limits() -> None:
    def code(uploads: int, size: int, *, is_approved: bool = True, is_same_rule: bool = True) -> str | None:
        problem = why_waits(
            uploads, size, is_same_rule=is_same_rule, is_approved=is_approved, max_uploads=2, max_bytes=10
        )
        return problem.code if problem else None

    assert code(2, 10) is None
    assert code(2, 10, is_same_rule=False) == Code.SWEEP_RULE_EDITED
    assert code(3, 10) == Code.SWEEP_UPLOADS_LIMIT
    assert code(2, 11) == Code.SWEEP_BYTES_LIMIT
    assert code(1, 1, is_approved=False) == Code.SWEEP_RULE_UNAPPROVED


def test_times() -> None:
    assert is_expired(NOW - timedelta(hours=25), NOW, 24)
    assert not is_expired(NOW - timedelta(hours=24), NOW, 24)
    assert next_time(NOW, "daily", 720, 0) == NOW + timedelta(days=1)
    assert next_time(NOW, "daily", 721, 0) == NOW + timedelta(minutes=1)
    assert next_time(NOW, "weekly", 0, 2) == datetime(2026, 1, 14, tzinfo=UTC)
