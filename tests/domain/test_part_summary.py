"""The summary of an upload's parts: counts, gaps, sizes, runs, the expected ETag and CRC-64."""

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
def test_runs_cover_each_number_once_in_any_order(present: set[int], order: random.Random) -> None:
    parts = [part(number) for number in present]
    order.shuffle(parts)
    summary = summarize_parts(parts, MIN)
    covered = [number for run in summary.runs for number in range(run.first, run.last + 1)]
    assert covered == list(range(1, max(present, default=0) + 1))
    missing = {number for run in summary.missing for number in range(run.first, run.last + 1)}
    assert missing == set(range(1, max(present, default=0) + 1)) - present
    assert all(a.kind is not b.kind for a, b in zip(summary.runs, summary.runs[1:], strict=False))
    assert (summary.count, summary.total_bytes, summary.last_number) == (
        len(present),
        200 * len(present),
        max(present, default=0),
    )


def test_kinds() -> None:
    summary = summarize_parts([part(1), part(2, 50), part(4), part(5, 300), part(6), part(7, 1)], MIN)
    assert summary.runs == (
        Run(1, 1, PartKind.PRESENT),
        Run(2, 2, PartKind.TOO_SMALL),
        Run(3, 3, PartKind.MISSING),
        Run(4, 4, PartKind.PRESENT),
        Run(5, 5, PartKind.ODD_SIZED),
        Run(6, 7, PartKind.PRESENT),
    )
    assert summary.usual_size == 200
    assert summary.last_activity == START + timedelta(minutes=7)


def test_upload_without_parts() -> None:
    summary = summarize_parts([], MIN)
    assert (summary.count, summary.runs, summary.last_activity, summary.expected_etag) == (0, (), None, "")


def test_expected_etag_is_that_of_s3() -> None:
    digests = [hashlib.md5(data, usedforsecurity=False) for data in (b"a", b"b")]
    joined = hashlib.md5(b"".join(digest.digest() for digest in digests), usedforsecurity=False).hexdigest()
    assert multipart_etag([f'"{digests[0].hexdigest().upper()}"', digests[1].hexdigest()]) == f"{joined}-2"
    assert multipart_etag([digests[0].hexdigest(), "not-an-md5"]) == ""


def crc64(content: bytes) -> ReportedCrc64:
    checksum = Crc64("ecma")
    checksum.update(content)
    return ReportedCrc64("ecma", checksum.value)


def test_crc_of_object_is_combined_by_part_number() -> None:
    contents = {1: b"the beginning, ", 2: b"", 5: b"the end"}
    parts = [ListedPart(number, len(text), "", None, crc64(text)) for number, text in contents.items()]
    assert summarize_parts(reversed(parts), MIN).expected_crc64 == crc64(b"the beginning, the end")


def test_no_crc_of_object_if_parts_lack_it_or_differ_in_polynomial() -> None:
    known = ListedPart(1, 1, "", None, crc64(b"a"))
    assert summarize_parts([], MIN).expected_crc64 is None
    assert summarize_parts([known, ListedPart(2, 1, "", None)], MIN).expected_crc64 is None
    assert summarize_parts([known, ListedPart(2, 1, "", None, ReportedCrc64("nvme", 1))], MIN).expected_crc64 is None
