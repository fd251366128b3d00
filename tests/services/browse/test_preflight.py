"""What blocks a completion and what an operator is warned about, as codes with parameters."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from django.utils import timezone

from uploads.domain.part_numbers import MAX_NAMED
from uploads.domain.part_summary import PartKind, PartSummary, Run, summarize_parts
from uploads.objectstore.errors import Reason, Refused
from uploads.objectstore.providers import PROVIDERS
from uploads.objectstore.types import ListedPart, ObjectFacts
from uploads.problems import Code, Problem
from uploads.services.browse.browsing import ExistingObject
from uploads.services.browse.preflight import find_blockers, find_warnings, name_runs

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
PROVIDER = replace(PROVIDERS["aws"], min_part_size=100, max_parts=5, max_object_size=1000)
FACTS = ObjectFacts(3, "etag", None)


def summary(sizes: dict[int, int], at: datetime = LONG_AGO) -> PartSummary:
    """Parts by number, each with its size."""
    return summarize_parts(
        [ListedPart(number, size, "etag", at) for number, size in sizes.items()], PROVIDER.min_part_size
    )


def run(first: int, last: int) -> Run:
    return Run(first, last, PartKind.MISSING)


def test_nothing_blocks_parts_that_the_store_accepts() -> None:
    assert find_blockers(summary({1: 100, 2: 200, 5: 1}), PROVIDER) == ()


def test_upload_without_parts_is_blocked() -> None:
    assert find_blockers(summary({}), PROVIDER) == (Problem(Code.NO_PARTS),)


def test_small_parts_are_blocked_except_the_last() -> None:
    blockers = find_blockers(summary({1: 1, 2: 2, 3: 100, 4: 9, 5: 1}), PROVIDER)
    assert blockers == (Problem(Code.PARTS_TOO_SMALL, count=3, limit_bytes=100, parts="1-2, 4"),)


def test_too_many_parts_are_blocked() -> None:
    blockers = find_blockers(summary(dict.fromkeys(range(1, 7), 100)), PROVIDER)
    assert blockers == (Problem(Code.PART_LIMIT_EXCEEDED, count=6, limit=5),)


def test_part_number_above_the_limit_is_blocked() -> None:
    blockers = find_blockers(summary({10_001: 100}), PROVIDER)
    assert blockers == (Problem(Code.PART_NUMBER_TOO_HIGH, number=10_001, limit=10_000),)


def test_parts_without_an_etag_are_blocked() -> None:
    """A completion has to name the ETag of each part."""
    parts = [ListedPart(1, 100, "etag", LONG_AGO), ListedPart(2, 100, "", LONG_AGO)]
    assert find_blockers(summarize_parts(parts, 1), PROVIDER) == (Problem(Code.PARTS_WITHOUT_ETAG, count=1),)


def test_too_large_object_is_blocked() -> None:
    assert find_blockers(summary({1: 1001}), PROVIDER) == (Problem(Code.OBJECT_TOO_LARGE, size=1001, limit=1000),)


def test_unequal_parts_are_blocked_if_the_store_requires_equal_parts() -> None:
    parts = summary({1: 100, 2: 100, 3: 150, 4: 1})
    assert find_blockers(parts, PROVIDER) == ()
    blockers = find_blockers(parts, replace(PROVIDER, equal_parts=True))
    assert blockers == (Problem(Code.PARTS_UNEQUAL, count=1, parts="3"),)


def test_all_blockers_are_found() -> None:
    codes = [each.code for each in find_blockers(summary({1: 1, 2: 1000, 3: 1}), PROVIDER)]
    assert codes == [Code.PARTS_TOO_SMALL, Code.OBJECT_TOO_LARGE]


def test_warnings() -> None:
    parts = summary({2: 100, 5: 1}, at=timezone.now() - timedelta(minutes=59))
    assert find_warnings(parts, ExistingObject(FACTS)) == (
        Problem(Code.PARTS_MISSING, count=3, parts="1, 3-4"),
        Problem(Code.PART_ARRIVED_RECENTLY),
        Problem(Code.OBJECT_WOULD_BE_REPLACED),
    )


def test_no_warning_without_a_reason() -> None:
    parts = summary({1: 100}, at=timezone.now() - timedelta(minutes=61))
    refused = Refused("no", code="AccessDenied", status=403, reason=Reason.PERMISSION)
    for existing in (None, ExistingObject(None), ExistingObject(None, refused)):
        assert find_warnings(parts, existing) == ()


def test_only_the_first_runs_are_named() -> None:
    runs = tuple(run(number, number) for number in range(1, 2 * MAX_NAMED + 2, 2))
    assert name_runs(runs[:MAX_NAMED]) == "1, 3, 5, 7, 9, 11, 13, 15, 17, 19"
    assert name_runs(runs) == "1, 3, 5, 7, 9, 11, 13, 15, 17, 19, ..."
    assert name_runs((run(1, 4), run(9, 9))) == "1-4, 9"
