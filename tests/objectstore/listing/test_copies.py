"""Which of several copies of a part is the newest. The kind of fault: a stale copy is taken for the part."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from uploads.domain.part_summary import summarize_parts
from uploads.objectstore.listing.copies import newest_copies
from uploads.objectstore.providers import get_provider
from uploads.objectstore.types import ListedPart
from uploads.problems import Code
from uploads.services.browse.preflight import find_blockers, find_warnings

START = datetime(2026, 1, 1, tzinfo=UTC)


def copy(etag: str, second: int | None, *, number: int = 1, size: int = 5) -> ListedPart:
    return ListedPart(number, size, etag, None if second is None else START + timedelta(seconds=second))


@pytest.mark.parametrize(
    ("copies", "etag", "is_unclear"),
    [
        ([copy("old", 1), copy("new", 2)], "new", False),
        ([copy("new", 2), copy("old", 1)], "new", False),
        ([copy("a", 1), copy("new", 3), copy("b", 2)], "new", False),
        ([copy("a", 1), copy("b", 1)], "a", True),
        ([copy("a", 1), copy("b", 1), copy("new", 2)], "new", False),
        ([copy("new", 2), copy("a", 1), copy("b", 1)], "new", False),
        ([copy("a", None), copy("b", 2)], "a", True),
        ([copy("a", 1), copy("b", None)], "a", True),
        ([copy("a", 1), copy("b", None), copy("c", 3)], "a", True),
        ([copy("same", 1), copy("same", 1)], "same", False),
        ([copy("same", 1), copy("same", None)], "same", False),
        ([copy("same", 1), copy("same", None), copy("b", 2)], "same", True),
    ],
)
def test_newest_copy(copies: list[ListedPart], etag: str, is_unclear: bool) -> None:
    (part,) = newest_copies(copies)
    assert (part.etag, part.is_unclear) == (etag, is_unclear)


def test_bytes_of_copies_count_once() -> None:
    parts = [copy("a", 1, size=5), copy("b", 2, size=7), copy("c", 1, number=2, size=1)]
    summary = summarize_parts(parts, 0)
    assert (summary.count, summary.total_bytes) == (2, 8)
    assert [(run.first, run.last) for run in summary.copied] == [(1, 1)]
    assert [each.code for each in find_warnings(summary, None) if each.code == Code.PART_COPIES]


def test_copies_that_cannot_be_told_apart_block_a_completion() -> None:
    summary = summarize_parts([copy("a", 1), copy("b", 1)], 0)
    assert [each.code for each in find_blockers(summary, get_provider("seaweedfs"))] == [Code.PART_COPIES_UNCLEAR]
