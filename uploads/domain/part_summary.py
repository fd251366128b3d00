"""The summary of an upload's parts in the store: gaps, sizes, last activity, the expected ETag. Pure."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import pairwise

from uploads.domain.part_numbers import runs_of
from uploads.objectstore.checksums import ReportedCrc64, combine
from uploads.objectstore.listing.copies import newest_copies
from uploads.objectstore.types import ListedPart

MD5_ETAG = re.compile(r"[0-9a-f]{32}\Z")


class PartKind(StrEnum):
    """The state of a part number in the picture of an upload."""

    PRESENT = "present"
    MISSING = "missing"
    TOO_SMALL = "too-small"
    ODD_SIZED = "odd-sized"


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive part numbers of one kind; both ends are included."""

    first: int
    last: int
    kind: PartKind

    @property
    def count(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class PartSummary:
    """The totals of an upload's parts. Sizes are bytes; `total_bytes` is None if the size of any part is not known.

    `usual_size` is the most common size of the parts before the last. A part is too small if it is below the
    provider's minimum and not the last, and odd-sized if it has another size than usual and is not the last.
    `expected_etag` is empty if a part's ETag is not an MD5, `expected_crc64` None if a part has no CRC-64.
    `copied` are the parts of which the store lists several copies, and `unclear` those whose newest copy is not known.
    `unsized`, `undated` and `without_etag` count the parts for which the store names no valid size, time or ETag.
    """

    count: int
    total_bytes: int | None
    last_number: int
    last_activity: datetime | None
    usual_size: int
    runs: tuple[Run, ...]
    expected_etag: str
    expected_crc64: ReportedCrc64 | None
    unsized: int
    undated: int
    without_etag: int
    copied: tuple[Run, ...] = ()
    unclear: tuple[Run, ...] = ()
    first_activity: datetime | None = None

    @property
    def first_number(self) -> int:
        """The lowest part number; 0 if there are no parts."""
        return next((run.first for run in self.runs if run.kind is not PartKind.MISSING), 0)

    def numbers_of(self, kind: PartKind) -> int:
        return sum(run.count for run in self.runs if run.kind is kind)

    def runs_of(self, kind: PartKind) -> tuple[Run, ...]:
        return tuple(run for run in self.runs if run.kind is kind)

    @property
    def missing(self) -> tuple[Run, ...]:
        return self.runs_of(PartKind.MISSING)

    @property
    def too_small(self) -> tuple[Run, ...]:
        return self.runs_of(PartKind.TOO_SMALL)

    @property
    def odd_sized(self) -> tuple[Run, ...]:
        return self.runs_of(PartKind.ODD_SIZED)


def summarize_parts(parts: Iterable[ListedPart], min_part_size: int) -> PartSummary:
    """Summarise all parts, in any order; `min_part_size` is the provider's, in bytes.

    Of several copies of a part the newest counts.
    """
    ordered = sorted(newest_copies(parts), key=lambda part: part.number)
    usual = _usual_size(ordered)
    dates = [part.last_modified for part in ordered if part.last_modified is not None]
    sizes = [part.size for part in ordered if part.size is not None]
    return PartSummary(
        count=len(ordered),
        total_bytes=sum(sizes) if len(sizes) == len(ordered) else None,
        last_number=ordered[-1].number if ordered else 0,
        last_activity=max(dates, default=None),
        usual_size=usual,
        runs=_runs(ordered, usual, min_part_size),
        expected_etag=multipart_etag([part.etag for part in ordered]),
        expected_crc64=_whole_crc64(ordered),
        unsized=len(ordered) - len(sizes),
        undated=len(ordered) - len(dates),
        without_etag=sum(not part.etag for part in ordered),
        copied=_runs_of(part.number for part in ordered if part.copies > 1),
        unclear=_runs_of(part.number for part in ordered if part.is_unclear),
        first_activity=min(dates, default=None),
    )


def multipart_etag(part_etags: Sequence[str]) -> str:
    """The ETag that S3 gives to an object of these parts: the MD5 of the parts' MD5s, a hyphen, their number."""
    etags = [etag.strip('"').lower() for etag in part_etags]
    if not etags or not all(MD5_ETAG.match(etag) for etag in etags):
        return ""
    digest = hashlib.md5(bytes.fromhex("".join(etags)), usedforsecurity=False).hexdigest()
    return f"{digest}-{len(etags)}"


def _whole_crc64(ordered: Sequence[ListedPart]) -> ReportedCrc64 | None:
    """The CRC-64 of an object of these parts, if the store reports that of each."""
    named = [(part.crc64, part.size) for part in ordered if part.crc64 is not None and part.size is not None]
    algorithms = {reported.algorithm for reported, _ in named}
    if len(named) < len(ordered) or len(algorithms) != 1:
        return None
    (algorithm,) = algorithms
    return ReportedCrc64(algorithm, combine(algorithm, ((reported.value, size) for reported, size in named)))


def _usual_size(ordered: Sequence[ListedPart]) -> int:
    sizes = Counter(part.size for part in (ordered[:-1] or ordered) if part.size is not None)
    return sizes.most_common(1)[0][0] if sizes else 0


def _kind(part: ListedPart, is_last: bool, usual: int, min_part_size: int) -> PartKind:
    if is_last or part.size is None:
        return PartKind.PRESENT
    if part.size < min_part_size:
        return PartKind.TOO_SMALL
    return PartKind.PRESENT if part.size == usual else PartKind.ODD_SIZED


def _runs(ordered: Sequence[ListedPart], usual: int, min_part_size: int) -> tuple[Run, ...]:
    single: list[Run] = []
    previous = 0
    for index, part in enumerate(ordered):
        if part.number > previous + 1:
            single.append(Run(previous + 1, part.number - 1, PartKind.MISSING))
        is_last = index == len(ordered) - 1
        single.append(Run(part.number, part.number, _kind(part, is_last, usual, min_part_size)))
        previous = part.number
    return _merged(single)


def _runs_of(numbers: Iterable[int]) -> tuple[Run, ...]:
    """Ascending part numbers as runs."""
    return tuple(Run(first, last, PartKind.PRESENT) for first, last in runs_of(numbers))


def _merged(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Adjacent runs of one kind, merged."""
    starts = [0, *(index + 1 for index, (a, b) in enumerate(pairwise(runs)) if a.kind is not b.kind)]
    ends = [*starts[1:], len(runs)]
    return tuple(
        Run(runs[start].first, runs[end - 1].last, runs[start].kind)
        for start, end in zip(starts, ends, strict=True)
        if end > start
    )
