"""Verdicts over generated histories of uploads, and one example of each."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.shared.messages import MESSAGES, text_of
from uploads.domain.verdicts import SILENT, Thresholds, UploadFacts, Verdict, judge

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
LIMITS = Thresholds()

times = st.integers(0, 24 * 40).map(lambda hours: START + hours * HOUR)
thresholds = st.builds(
    Thresholds,
    st.integers(1, 200).map(lambda hours: hours * HOUR),
    st.integers(1, 20).map(lambda days: timedelta(days=days)),
)
facts = st.builds(
    UploadFacts,
    initiated=st.none() | times,
    first_seen_at=times,
    parts=st.none() | st.integers(0, 3),
    last_part_at=st.none() | times,
    gaps=st.none() | st.integers(0, 1),
    has_small_parts=st.none() | st.booleans(),
    object_modified_at=st.none() | times,
    is_owned=st.booleans(),
    is_refused=st.booleans(),
    checked_at=st.none() | times,
    behind=st.sampled_from((timedelta(0), HOUR, timedelta(days=8))),
    changed_after=st.none() | times,
)
silent = st.builds(
    UploadFacts,
    initiated=st.just(START),
    first_seen_at=st.just(START),
    parts=st.integers(0, 2),
    last_part_at=st.sampled_from((START, START + HOUR)),
    gaps=st.none() | st.integers(0, 1),
    has_small_parts=st.none() | st.booleans(),
    object_modified_at=st.none() | st.sampled_from((START, START + HOUR, START + 2 * HOUR)),
    checked_at=st.sampled_from((START + timedelta(days=2), START + timedelta(days=30))),
    behind=st.sampled_from((timedelta(0), timedelta(days=25))),
)
"""What random facts rarely are: uploads whose parts are known, and none of which arrived lately."""

ORDER = {Verdict.ALIVE: 0, Verdict.UNCHECKED: 1, Verdict.UNJUDGED: 1, Verdict.STALLED: 1, Verdict.DEAD: 2}


def seen(**known: object) -> UploadFacts:
    """An upload of 30 days ago whose parts were read at START + 30 days."""
    values: dict[str, object] = {"initiated": START, "first_seen_at": START, "parts": 0, "gaps": 0}
    return UploadFacts(**{**values, "checked_at": START + timedelta(days=30), **known})  # type: ignore[arg-type]


def read_at(upload: UploadFacts, arrivals: list[datetime], at: datetime) -> UploadFacts:
    """What ListParts says of a client's upload at a time."""
    arrived = [each for each in arrivals if each <= at]
    return replace(upload, parts=len(arrived), last_part_at=max(arrived, default=None), checked_at=at)


@given(facts, thresholds, times, times)
def test_verdicts_grow_worse_with_time(upload: UploadFacts, limits: Thresholds, a: datetime, b: datetime) -> None:
    first, second = (judge(upload, limits, now) for now in sorted((a, b)))
    assert ORDER[first.base or first.verdict] <= ORDER[second.base or second.verdict]


@given(facts, thresholds, times)
def test_a_verdict_holds_exactly_until_it_says(upload: UploadFacts, limits: Thresholds, now: datetime) -> None:
    judged = judge(upload, limits, now)
    if judged.until is None:
        later = judge(upload, limits, now + timedelta(days=4000))
        assert (later.verdict, later.base) == (judged.verdict, judged.base)
        return
    assert judged.until > now
    just_before = judge(upload, limits, judged.until - timedelta(microseconds=1))
    then = judge(upload, limits, judged.until)
    assert (just_before.verdict, just_before.base) == (judged.verdict, judged.base)
    assert (then.verdict, then.base) != (judged.verdict, judged.base)


@given(facts, thresholds, times)
def test_what_is_not_known_never_makes_an_upload_dead(upload: UploadFacts, limits: Thresholds, now: datetime) -> None:
    judged = judge(upload, limits, now)
    if (judged.base or judged.verdict) is Verdict.DEAD:
        assert not upload.is_owned
        assert not upload.is_refused
        assert upload.parts is not None
        assert upload.parts == 0 or upload.last_part_at is not None
        assert upload.checked_at is not None
        assert upload.checked_at - upload.active_at >= limits.dead_after
        assert now - upload.active_at >= limits.dead_after
    if judged.verdict in (Verdict.SUPERSEDED, Verdict.COMPLETABLE):
        assert judged.base in (Verdict.STALLED, Verdict.DEAD)
        assert upload.parts != 0
    else:
        assert judged.base is None
    assert text_of(judged.reason) != str(judged.reason)


@given(st.lists(times, max_size=20), thresholds, times, times)
def test_no_upload_is_dead_while_parts_arrive(
    arrivals: list[datetime], limits: Thresholds, checked: datetime, later: datetime
) -> None:
    """However old the last check is: the truth includes what arrived since."""
    now = max(checked, later)
    upload = UploadFacts(initiated=START, first_seen_at=START)
    judged = judge(read_at(upload, arrivals, checked), limits, checked)
    known = judge(read_at(upload, arrivals, checked), limits, now)
    arrived = [each for each in arrivals if each <= checked]
    lately = any(checked - each < limits.dead_after for each in arrived)
    if lately:
        assert Verdict.DEAD not in (judged.verdict, judged.base, known.verdict, known.base)
    if any(checked - each < limits.alive_after for each in arrived):
        assert judged.verdict is Verdict.ALIVE


@given(facts | silent, thresholds, times)
def test_verdicts_are_those_of_the_table(upload: UploadFacts, limits: Thresholds, now: datetime) -> None:
    """The table of docs/orphans.md, written down independently, with its precedence."""
    start = upload.initiated if upload.initiated is not None else upload.first_seen_at
    heard = [start + upload.behind]
    heard += [upload.last_part_at + upload.behind] if upload.last_part_at else []
    heard += [upload.changed_after] if upload.changed_after else []
    last = max(heard)
    dead = upload.checked_at is not None and min(upload.checked_at, now) - last >= limits.dead_after
    dead = dead and now - last >= limits.alive_after and upload.checked_at - last >= limits.alive_after  # type: ignore[operator]
    has_parts = upload.parts is not None and upload.parts > 0
    newer = (upload.object_modified_at or START) > (upload.last_part_at or START) and upload.last_part_at is not None
    whole = upload.gaps is not None and upload.gaps == 0 and upload.has_small_parts is not None
    table = (
        (upload.is_owned, Verdict.ALIVE),
        (now - last < limits.alive_after, Verdict.ALIVE),
        (upload.is_refused, Verdict.UNJUDGED),
        (upload.parts is None or upload.checked_at is None, Verdict.UNCHECKED),
        (has_parts and upload.last_part_at is None, Verdict.UNJUDGED),
        (has_parts and newer and upload.object_modified_at is not None, Verdict.SUPERSEDED),
        (has_parts and whole and not upload.has_small_parts, Verdict.COMPLETABLE),
        (dead, Verdict.DEAD),
        (True, Verdict.STALLED),
    )
    expected = next(verdict for is_so, verdict in table if is_so)
    judged = judge(upload, limits, now)
    assert judged.verdict is expected
    if expected in (Verdict.SUPERSEDED, Verdict.COMPLETABLE):
        assert judged.base is (Verdict.DEAD if dead else Verdict.STALLED)
        assert not judged.is_empty
    elif expected is not Verdict.UNCHECKED:
        assert judged.is_empty == (upload.parts == 0)


@given(facts, thresholds, times, st.integers(0, 500))
def test_a_slow_clock_and_changes_only_make_uploads_younger(
    upload: UploadFacts, limits: Thresholds, now: datetime, hours: int
) -> None:
    first = judge(upload, limits, now)
    slower = judge(replace(upload, behind=upload.behind + hours * HOUR), limits, now)
    changed = judge(replace(upload, changed_after=upload.changed_after or now - hours * HOUR), limits, now)
    for other in (slower, changed):
        assert ORDER[other.base or other.verdict] <= ORDER[first.base or first.verdict]


@pytest.mark.parametrize(
    ("upload", "at", "verdict", "base"),
    [
        (seen(), 30, Verdict.DEAD, None),
        (seen(initiated=START + timedelta(days=29.5)), 30, Verdict.ALIVE, None),
        (seen(parts=None, checked_at=None), 30, Verdict.UNCHECKED, None),
        (seen(parts=None, checked_at=None, is_refused=True), 30, Verdict.UNJUDGED, None),
        (seen(is_refused=True), 30, Verdict.UNJUDGED, None),
        (seen(is_owned=True), 30, Verdict.ALIVE, None),
        (seen(parts=2), 30, Verdict.UNJUDGED, None),
        (seen(parts=2, gaps=1, last_part_at=START + timedelta(days=25)), 30, Verdict.STALLED, None),
        (seen(parts=2, gaps=1, last_part_at=START + timedelta(days=25)), 90, Verdict.STALLED, None),
        (seen(parts=2, gaps=1, last_part_at=START + timedelta(days=23)), 30, Verdict.DEAD, None),
        (seen(parts=2, has_small_parts=False, last_part_at=START), 30, Verdict.COMPLETABLE, Verdict.DEAD),
        (seen(parts=2, has_small_parts=True, last_part_at=START), 30, Verdict.DEAD, None),
        (seen(parts=2, last_part_at=START, object_modified_at=START + HOUR), 30, Verdict.SUPERSEDED, Verdict.DEAD),
        (seen(parts=2, last_part_at=START, object_modified_at=START), 30, Verdict.DEAD, None),
        (
            seen(parts=2, has_small_parts=False, last_part_at=START, object_modified_at=START + HOUR),
            30,
            Verdict.SUPERSEDED,
            Verdict.DEAD,
        ),
        (seen(last_part_at=START, object_modified_at=START + HOUR), 30, Verdict.DEAD, None),
        (seen(has_small_parts=False), 30, Verdict.DEAD, None),
        (seen(parts=2, gaps=None, has_small_parts=False, last_part_at=START), 30, Verdict.DEAD, None),
        (seen(parts=2, last_part_at=START, checked_at=None), 30, Verdict.UNCHECKED, None),
        (seen(behind=timedelta(days=25)), 30, Verdict.STALLED, None),
        (
            seen(initiated=START - timedelta(days=99), parts=1, last_part_at=START, behind=timedelta(days=25)),
            30,
            Verdict.STALLED,
            None,
        ),
    ],
)
def test_examples(upload: UploadFacts, at: int, verdict: Verdict, base: Verdict | None) -> None:
    judged = judge(upload, LIMITS, START + timedelta(days=at))
    assert (judged.verdict, judged.base) == (verdict, base)
    assert (judged.verdict in SILENT) == (verdict not in (Verdict.ALIVE, Verdict.UNCHECKED, Verdict.UNJUDGED))
    assert judged.reason.code in MESSAGES
    assert judged.reason.code in MESSAGES


def test_an_upload_is_not_dead_before_it_could_be_stalled() -> None:
    """With thresholds of which the first is longer: at the time of its last check it was alive."""
    upload = seen(parts=2, gaps=1, last_part_at=START, checked_at=START + timedelta(days=2))
    judged = judge(upload, Thresholds(timedelta(days=5), timedelta(days=1)), START + timedelta(days=10))
    assert judged.verdict is Verdict.STALLED
