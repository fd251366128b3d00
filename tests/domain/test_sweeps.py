"""The rules of sweeps, without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from uploads.domain.sweeps import (
    Judged,
    is_expired,
    next_time,
    should_stop,
    why_not_planned,
    why_spared,
    within_limits,
)
from uploads.domain.verdicts import Verdict
from uploads.problems import Code

NOW = datetime(2026, 1, 7, 12, 0, tzinfo=UTC)
DEAD = Judged(Verdict.DEAD, 2, 10, NOW - timedelta(days=9))


def test_a_newer_part_spares_whatever_the_verdict_says() -> None:
    newer = Judged(Verdict.DEAD, 2, 10, NOW - timedelta(days=8))
    assert why_spared(DEAD, newer, ("dead",)) == Code.SPARED_ARRIVED
    assert why_spared(DEAD, Judged(Verdict.DEAD, 1, 5, DEAD.last_part_at), ("dead",)) == Code.SPARED_CHANGED
    assert why_spared(DEAD, DEAD, ("dead",)) is None
    assert why_spared(DEAD, DEAD, ("stalled",)) == Code.SPARED_VERDICT


@pytest.mark.parametrize("verdict", Verdict)
def test_no_rule_plans_what_is_alive_or_not_judged(verdict: Verdict) -> None:
    upload = Judged(verdict, 0, 0, None)
    reason = why_not_planned(upload, [*Verdict, "empty"], is_allowed=True)
    assert (reason is None) == (verdict in (Verdict.DEAD, Verdict.STALLED, Verdict.SUPERSEDED, Verdict.COMPLETABLE))


@pytest.mark.parametrize(
    ("attempted", "failed", "stops"),
    [(9, 9, False), (10, 10, True), (19, 5, False), (20, 2, False), (20, 3, True), (1000, 100, False)],
)
def test_a_run_stops_after_a_share_of_failures(attempted: int, failed: int, stops: bool) -> None:
    assert should_stop(attempted, failed) is stops


def test_bytes_that_are_not_known_exceed_every_limit() -> None:
    assert within_limits(1, 1, 10, max_uploads=1, max_bytes=10)
    assert not within_limits(2, 1, 10, max_uploads=2, max_bytes=10)


def test_times() -> None:
    assert is_expired(NOW - timedelta(hours=25), NOW, 24)
    assert not is_expired(NOW - timedelta(hours=24), NOW, 24)
    assert next_time(NOW, "daily", 720, 0) == NOW + timedelta(days=1)
    assert next_time(NOW, "daily", 721, 0) == NOW + timedelta(minutes=1)
    assert next_time(NOW, "weekly", 0, 2) == datetime(2026, 1, 14, tzinfo=UTC)
