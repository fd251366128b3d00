"""Planning: for any file and limits, a plan covers the file and stays within the limits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploads.domain.planning import MIB, PREFERRED_PART_SIZE, Limits, Plan, PlanRefused, plan_parts
from uploads.problems import Code, Problem

S3 = Limits(5 * MIB, 5 * 1024 * MIB, 10_000, 50_000_000 * MIB)
R2 = Limits(5 * MIB, 5 * 1024 * MIB, 10_000, 5_000_000 * MIB, equal_parts=True)
SCALEWAY = Limits(5 * MIB, 5 * 1024 * MIB, 1_000, 5_000_000 * MIB)

limits = st.sampled_from([S3, R2, SCALEWAY])
sizes = st.one_of(st.integers(0, 200 * MIB), st.integers(0, 5_000_000 * MIB))


def check_covers(plan: Plan, size: int) -> None:
    first, last = plan.part(1), plan.part(plan.part_count)
    assert first.offset == 0
    assert last.offset + last.size == size
    assert last.size > 0 or size == 0
    for number in {1, 2, plan.part_count // 2, plan.part_count - 1} & set(range(1, plan.part_count)):
        assert plan.part(number).size == plan.part_size
        assert plan.part(number).offset + plan.part_size == plan.part(number + 1).offset


@given(sizes, limits)
def test_automatic_plan_covers_file_within_limits(size: int, allowed: Limits) -> None:
    plan = plan_parts(size, allowed)
    check_covers(plan, size)
    assert plan.part_count <= allowed.max_parts
    assert plan.part_size <= allowed.max_part_size
    assert plan.part_count == 1 or plan.part_size >= allowed.min_part_size
    assert plan.part(plan.part_count).size <= plan.part_size


@given(sizes, limits, st.integers(1, 6 * 1024 * MIB))
def test_given_part_size_is_used_or_refused(size: int, allowed: Limits, part_size: int) -> None:
    try:
        plan = plan_parts(size, allowed, part_size=part_size)
    except PlanRefused:
        return
    check_covers(plan, size)
    assert plan.part_size == part_size
    assert plan.part_count <= allowed.max_parts


@given(st.integers(1, 100_000 * MIB), limits, st.integers(1, 10_000))
def test_given_number_of_parts_splits_like_the_oss_guide(size: int, allowed: Limits, count: int) -> None:
    try:
        plan = plan_parts(size, allowed, part_count=count)
    except PlanRefused:
        return
    check_covers(plan, size)
    last = plan.part(plan.part_count).size
    if allowed.equal_parts:
        assert last <= plan.part_size
        assert plan.part_count <= count
    else:
        assert plan.part_count == count
        assert plan.part_size == size // count
        assert last == size // count + size % count


quotas = st.one_of(st.integers(1, 200 * MIB), st.integers(1, 10**15))


def under(allowed: Limits, quota: int) -> Limits:
    """A provider's limits with a staging quota of `quota` bytes, as the planning service computes them."""
    return replace(
        allowed,
        max_part_size=min(allowed.max_part_size, quota),
        preferred_part_size=min(PREFERRED_PART_SIZE, max(1, quota // 4)),
    )


@given(sizes, limits, quotas)
def test_parts_of_automatic_plan_fit_into_staging(size: int, provider: Limits, quota: int) -> None:
    allowed = under(provider, quota)
    try:
        plan = plan_parts(size, allowed)
    except PlanRefused:
        # Only if the store requires larger parts than staging holds, or a smaller number of parts.
        assert quota < provider.min_part_size or -(-size // min(quota, provider.max_part_size)) > provider.max_parts
        return
    check_covers(plan, size)
    assert max(plan.part(1).size, plan.part(plan.part_count).size) <= quota
    assert plan.part_count == 1 or plan.part_size >= provider.min_part_size
    assert plan.part_count <= provider.max_parts


@given(st.integers(0, 100_000 * MIB), limits, st.integers(20 * MIB, 10**15))
def test_several_parts_fit_into_staging_if_store_allows(size: int, provider: Limits, quota: int) -> None:
    """So that one part can be sent while the next is received."""
    plan = plan_parts(min(size, quota * provider.max_parts), under(provider, quota))
    if plan.part_count > 1 and plan.part_size > quota // 4:
        # Not larger than necessary: with half the size there would be too many parts.
        assert -(-plan.size // max(quota // 4, plan.part_size // 2)) > provider.max_parts


@given(st.integers(1, 100_000 * MIB), limits, quotas, st.integers(1, 10_000))
def test_requested_parts_fit_into_staging_or_are_refused(size: int, provider: Limits, quota: int, count: int) -> None:
    for requested in ({"part_count": count}, {"part_size": max(1, size // count)}):
        try:
            plan = plan_parts(size, under(provider, quota), **requested)
        except PlanRefused:
            continue
        check_covers(plan, size)
        assert max(plan.part(1).size, plan.part(plan.part_count).size) <= quota


@pytest.mark.parametrize(
    ("quota", "size", "part_size"),
    [
        (8 * MIB, 100 * MIB, 5 * MIB),  # The store's smallest part, more than a quarter of staging.
        (40 * MIB, 100 * MIB, 10 * MIB),
        (10**15, 1000 * MIB, PREFERRED_PART_SIZE),
        (64 * MIB, 500_000 * MIB, 64 * MIB),  # At most 10,000 parts: as large as staging allows.
        (1, 1, 1),
    ],
)
def test_plans_under_a_quota(quota: int, size: int, part_size: int) -> None:
    assert plan_parts(size, under(S3, quota)).part_size == part_size


def test_refusal_names_limit_of_staging() -> None:
    with pytest.raises(PlanRefused) as refusal:
        plan_parts(10_000 * 8 * MIB + 1, under(S3, 8 * MIB))
    too_large = Problem(
        Code.FILE_TOO_LARGE_FOR_PARTS, size=10_000 * 8 * MIB + 1, max_parts=10_000, max_part_size=8 * MIB
    )
    assert refusal.value.problem == too_large
    with pytest.raises(PlanRefused) as refusal:
        plan_parts(100 * MIB, under(S3, 8 * MIB), part_size=9 * MIB)
    assert refusal.value.problem == Problem(Code.PART_TOO_LARGE, size=9 * MIB, limit=8 * MIB)


@pytest.mark.parametrize(
    ("size", "given_values", "problem"),
    [
        (
            S3.max_object_size + 1,
            {},
            Problem(Code.FILE_TOO_LARGE, size=S3.max_object_size + 1, limit=S3.max_object_size),
        ),
        (-1, {}, Problem(Code.NEGATIVE_SIZE)),
        (100 * MIB, {"part_size": MIB}, Problem(Code.PART_TOO_SMALL, size=MIB, limit=5 * MIB)),
        (100 * MIB, {"part_size": 0}, Problem(Code.PART_SIZE_ZERO)),
        (
            100_000 * MIB,
            {"part_size": 5 * MIB},
            Problem(Code.TOO_MANY_PARTS, part_size=5 * MIB, count=20_000, limit=10_000, smallest=10_485_760),
        ),
        (
            100_000 * MIB,
            {"part_size": 6_000 * MIB},
            Problem(Code.PART_TOO_LARGE, size=6_000 * MIB, limit=S3.max_part_size),
        ),
        (100 * MIB, {"part_count": 0}, Problem(Code.PART_COUNT_OUT_OF_RANGE, limit=10_000)),
        (100 * MIB, {"part_count": 10_001}, Problem(Code.PART_COUNT_OUT_OF_RANGE, limit=10_000)),
        (100 * MIB, {"part_count": 50}, Problem(Code.PART_TOO_SMALL, size=2 * MIB, limit=5 * MIB)),
        (3, {"part_count": 4}, Problem(Code.MORE_PARTS_THAN_BYTES, size=3, count=4)),
        (100 * MIB, {"part_size": 5 * MIB, "part_count": 2}, Problem(Code.PART_SIZE_AND_COUNT)),
    ],
)
def test_impossible_plan_is_refused_with_its_numbers(size: int, given_values: dict[str, int], problem: Problem) -> None:
    with pytest.raises(PlanRefused) as refusal:
        plan_parts(size, S3, **given_values)
    assert refusal.value.problem == problem


def test_small_and_empty_files_are_one_part() -> None:
    assert plan_parts(0, S3).part_count == 1
    assert plan_parts(1, S3).part_count == 1
    assert plan_parts(32 * MIB, S3).part_count == 1
    assert plan_parts(32 * MIB + 1, S3).part_count == 2


def test_plan_has_no_other_parts() -> None:
    with pytest.raises(IndexError):
        Plan(10, 5, 2).part(3)
