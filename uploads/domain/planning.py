"""From a file's size to its parts. Pure; all sizes are bytes.

A plan consists of three numbers: size, part size, part count. Every part has the part size; the last has the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from uploads.problems import Code, Problem, ProblemError

MIB = 1024**2
PREFERRED_PART_SIZE = 32 * MIB
"""Large enough for few requests, small enough that a retried part costs little and progress is smooth."""


class PlanRefused(ProblemError):
    """The file cannot be sent to this store in such parts; the problem says what is allowed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a provider, reduced to what staging can hold (sizes in bytes)."""

    min_part_size: int
    max_part_size: int
    max_parts: int
    max_object_size: int
    equal_parts: bool = False
    preferred_part_size: int = PREFERRED_PART_SIZE


@dataclass(frozen=True, slots=True)
class PlannedPart:
    number: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Plan:
    """How a file of `size` bytes is split into parts. A file of one part is sent with PutObject."""

    size: int
    part_size: int
    part_count: int

    def part(self, number: int) -> PlannedPart:
        """Part `number` (from 1). IndexError if the plan has no such part."""
        if not 1 <= number <= self.part_count:
            raise IndexError(f"part {number} of {self.part_count}")
        offset = (number - 1) * self.part_size
        is_last = number == self.part_count
        return PlannedPart(number, offset, self.size - offset if is_last else self.part_size)

    def parts(self) -> Iterator[PlannedPart]:
        return (self.part(number) for number in range(1, self.part_count + 1))


def plan_parts(size: int, limits: Limits, *, part_size: int | None = None, part_count: int | None = None) -> Plan:
    """The plan for a file of `size` bytes: automatic, or with the given part size, or the given number of parts.

    A given number of parts splits the file as the OSS SDK's SplitFileByPartNum does: the last part also has the
    remainder. If the provider requires equal parts, the last part is the smaller one instead. Raises PlanRefused.
    """
    if size < 0:
        raise PlanRefused(Problem(Code.NEGATIVE_SIZE))
    if size > limits.max_object_size:
        raise PlanRefused(Problem(Code.FILE_TOO_LARGE, size=size, limit=limits.max_object_size))
    if part_size is not None and part_count is not None:
        raise PlanRefused(Problem(Code.PART_SIZE_AND_COUNT))
    if part_count is not None:
        plan = _by_count(size, part_count, limits)
    else:
        plan = _by_size(size, part_size if part_size is not None else choose_part_size(size, limits))
    _check(plan, limits)
    return plan


def choose_part_size(size: int, limits: Limits) -> int:
    """The preferred part size, doubled until the number of parts is allowed, up to the largest part of the store."""
    chosen = min(max(limits.preferred_part_size, limits.min_part_size), limits.max_part_size)
    while -(-size // chosen) > limits.max_parts and chosen < limits.max_part_size:
        chosen = min(chosen * 2, limits.max_part_size)
    return chosen


def _by_size(size: int, part_size: int) -> Plan:
    if part_size < 1:
        raise PlanRefused(Problem(Code.PART_SIZE_ZERO))
    return Plan(size, part_size, max(1, -(-size // part_size)))


def _by_count(size: int, part_count: int, limits: Limits) -> Plan:
    if not 1 <= part_count <= limits.max_parts:
        raise PlanRefused(Problem(Code.PART_COUNT_OUT_OF_RANGE, limit=limits.max_parts))
    if part_count > max(1, size):
        raise PlanRefused(Problem(Code.MORE_PARTS_THAN_BYTES, size=size, count=part_count))
    if limits.equal_parts:
        return _by_size(size, max(1, -(-size // part_count)))
    return Plan(size, max(1, size // part_count), part_count)


def _check(plan: Plan, limits: Limits) -> None:
    if plan.part_count > limits.max_parts:
        raise PlanRefused(_too_many_parts(plan, limits))
    largest = max(plan.part(1).size, plan.part(plan.part_count).size)
    if largest > limits.max_part_size:
        raise PlanRefused(Problem(Code.PART_TOO_LARGE, size=largest, limit=limits.max_part_size))
    if plan.part_count > 1 and plan.part_size < limits.min_part_size:
        raise PlanRefused(Problem(Code.PART_TOO_SMALL, size=plan.part_size, limit=limits.min_part_size))


def _too_many_parts(plan: Plan, limits: Limits) -> Problem:
    smallest = -(-plan.size // limits.max_parts)
    if smallest > limits.max_part_size:
        return Problem(
            Code.FILE_TOO_LARGE_FOR_PARTS,
            size=plan.size,
            max_parts=limits.max_parts,
            max_part_size=limits.max_part_size,
        )
    return Problem(
        Code.TOO_MANY_PARTS,
        part_size=plan.part_size,
        count=plan.part_count,
        limit=limits.max_parts,
        smallest=smallest,
    )
