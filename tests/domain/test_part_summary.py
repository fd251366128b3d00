"""The summary of an upload's parts: counts, gaps, sizes, the picture, the expected ETag."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from uploads.domain.part_summary import PartKind, Run, multipart_etag, summarize_parts
from uploads.objectstore.checksums import Crc64, ReportedCrc64
from uploads.objectstore.types import ListedPart

MIN = 100
START = datetime(2026, 1, 1, tzinfo=UTC)
numbers = st.sets(st.integers(1, 60), max_size=40)


def part(number: int, size: int = 200) -> ListedPart:
    etag = hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()
    return ListedPart(number, size, etag, START + timedelta(minutes=number))


@given(numbers, st.randoms())
def test_runs_cover_every_number_once_whatever_the_order(present: set[int], order: random.Random) -> None:
    parts = [part(number) for number in present]
    order.shuffle(parts)
    seen = summarize_parts(parts, MIN)
    covered = [number for run in seen.runs for number in range(run.first, run.last + 1)]
    assert covered == list(range(1, max(present, default=0) + 1))
    missing = {number for run in seen.missing for number in range(run.first, run.last + 1)}
    assert missing == set(range(1, max(present, default=0) + 1)) - present
    assert all(a.kind is not b.kind for a, b in zip(seen.runs, seen.runs[1:], strict=False))
    assert (seen.count, seen.total_bytes, seen.last_number) == (
        len(present),
        200 * len(present),
        max(present, default=0),
    )


def test_kinds() -> None:
    seen = summarize_parts([part(1), part(2, 50), part(4), part(5, 300), part(6), part(7, 1)], MIN)
    assert seen.runs == (
        Run(1, 1, PartKind.PRESENT),
        Run(2, 2, PartKind.TOO_SMALL),
        Run(3, 3, PartKind.MISSING),
        Run(4, 4, PartKind.PRESENT),
        Run(5, 5, PartKind.ODD_SIZED),
        Run(6, 7, PartKind.PRESENT),
    )
    assert seen.usual_size == 200
    assert seen.last_activity == START + timedelta(minutes=7)


def test_an_upload_without_parts() -> None:
    seen = summarize_parts([], MIN)
    assert (seen.count, seen.runs, seen.last_activity, seen.expected_etag) == (0, (), None, "")


def test_the_expected_etag_is_s3s() -> None:
    digests = [hashlib.md5(data, usedforsecurity=False) for data in (b"a", b"b")]
    joined = hashlib.md5(b"".join(digest.digest() for digest in digests), usedforsecurity=False).hexdigest()
    assert multipart_etag([f'"{digests[0].hexdigest().upper()}"', digests[1].hexdigest()]) == f"{joined}-2"
    assert multipart_etag([digests[0].hexdigest(), "not-an-md5"]) == ""


def crc64(content: bytes) -> ReportedCrc64:
    made = Crc64("ecma")
    made.update(content)
    return ReportedCrc64("ecma", made.value)


def test_the_crc_of_the_whole_is_combined_in_the_order_of_numbers() -> None:
    contents = {1: b"the beginning, ", 2: b"", 5: b"the end"}
    parts = [ListedPart(number, len(text), "", None, crc64(text)) for number, text in contents.items()]
    assert summarize_parts(reversed(parts), MIN).expected_crc64 == crc64(b"the beginning, the end")


def test_there_is_no_crc_of_the_whole_where_a_part_has_none_or_another_kind() -> None:
    known = ListedPart(1, 1, "", None, crc64(b"a"))
    assert summarize_parts([], MIN).expected_crc64 is None
    assert summarize_parts([known, ListedPart(2, 1, "", None)], MIN).expected_crc64 is None
    assert summarize_parts([known, ListedPart(2, 1, "", None, ReportedCrc64("nvme", 1))], MIN).expected_crc64 is None
