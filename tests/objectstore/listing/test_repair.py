"""Repairing pages of a listing: nothing twice, nothing lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploads.objectstore.keys import LAST_CHARACTER
from uploads.objectstore.listing.folders import common_prefix, fold, marker_before, narrow
from uploads.objectstore.listing.order import Span, place, span_of
from uploads.objectstore.listing.repair import tidy
from uploads.objectstore.providers import PROVIDERS, Order
from uploads.objectstore.types import Marker, MultipartUpload, UploadsPage

KEYS = st.text(alphabet="ab/-~.ü", min_size=1, max_size=4)
SWIFT, CEPH, PLAIN = PROVIDERS["swift"], PROVIDERS["ceph"], PROVIDERS["generic"]
NOWHERE: Marker = ("", "")


def upload(key: str, upload_id: str = "id") -> MultipartUpload:
    return MultipartUpload(key, upload_id, None)


def page_of(
    *uploads: MultipartUpload, truncated: bool = False, prefixes: tuple[str, ...] = (), markers: Marker = NOWHERE
) -> UploadsPage:
    return UploadsPage(uploads, prefixes, truncated, *markers)


def test_repeated_upload_of_marker_is_dropped() -> None:
    assert tidy(page_of(upload("a"), upload("b"), upload("b")), ("a", "id"), PLAIN).uploads == (upload("b"),)


def test_key_marker_alone_excludes_its_key() -> None:
    page = page_of(upload("a", "1"), upload("a", "2"), upload("ab"))
    assert tidy(page, ("a", ""), CEPH).uploads == (upload("ab"),)
    assert tidy(page, ("a", "1"), CEPH).uploads == (upload("a", "2"), upload("ab"))


def test_page_with_only_the_marker_key_keeps_the_stores_markers() -> None:
    page = tidy(page_of(upload("a", "1"), upload("a", "2"), truncated=True, markers=("a", "2")), ("a", ""), CEPH)
    assert page.uploads == ()
    assert (page.is_truncated, page.next_key_marker, page.next_upload_id_marker) == (True, "a", "2")


def test_truncated_page_without_markers_continues_after_last_upload() -> None:
    page = tidy(page_of(upload("a", "1"), truncated=True), NOWHERE, PLAIN)
    assert (page.next_key_marker, page.next_upload_id_marker) == ("a", "1")
    assert tidy(page_of(truncated=True), ("a", "1"), PLAIN).next_key_marker == ""


def test_key_marker_without_upload_id_continues_within_its_key() -> None:
    page = tidy(page_of(upload("a", "1"), upload("b", "1"), truncated=True, markers=("b", "")), NOWHERE, PLAIN)
    assert (page.next_key_marker, page.next_upload_id_marker) == ("b", "1")


def test_common_prefix_as_marker_has_no_upload_id() -> None:
    page = page_of(upload("a", "1"), truncated=True, prefixes=("b/",), markers=("b/", ""))
    page = tidy(page, NOWHERE, PLAIN)
    assert (page.next_key_marker, page.next_upload_id_marker) == ("b/", "")


# Complete listings, page by page.

Names = list[tuple[str, str]]
PageSource = Callable[[Names, Marker, int], UploadsPage]


def swift_page(names: Names, after: Marker, size: int) -> UploadsPage:
    """The response of Swift 2.38's s3api with the delimiter `/`; `names` are all uploads in its order."""
    start = place("key/upload-id", *after) if after[0] else b""
    rest = [name for name in names if place("key/upload-id", *name) > start]
    plain = [name for name in rest if "/" not in name[0]]
    shown = plain[:size]
    last = shown[-1] if len(shown) > 1 else NOWHERE
    prefixes = tuple(sorted({key[: key.index("/") + 1] for key, _ in rest if "/" in key}))
    return page_of(*(upload(*name) for name in shown), truncated=len(plain) >= size, prefixes=prefixes, markers=last)


def flat_page(names: Names, after: Marker, size: int, order: Order) -> UploadsPage:
    """The response of a store without a delimiter. A key marker alone is inclusive if the sort key contains ids."""
    start = place(order, *after) if after[0] else b""
    rest = [name for name in names if place(order, *name) > start or (name[0] == after[0] and name[1] > after[1] > "")]
    shown = rest[:size]
    return page_of(
        *(upload(*name) for name in shown),
        truncated=len(rest) > size,
        markers=shown[-1] if shown else NOWHERE,
    )


def all_pages(request_page: Callable[[Marker], UploadsPage]) -> tuple[Names, list[str], int]:
    """Uploads, prefixes and the number of pages, from the first to the last."""
    uploads: Names = []
    prefixes: list[str] = []
    after = NOWHERE
    for pages in count(1):
        page = request_page(after)
        uploads += [(each.key, each.upload_id) for each in page.uploads]
        prefixes += page.common_prefixes
        if not page.is_truncated or not page.next_key_marker:
            return uploads, prefixes, pages
        assert (page.next_key_marker, page.next_upload_id_marker) != after
        after = (page.next_key_marker, page.next_upload_id_marker)
    raise AssertionError


def in_order(keys: list[str], order: Order) -> Names:
    ids = count()
    return sorted(((key, f"{next(ids):03}") for key in keys), key=lambda name: (place(order, *name), name[1]))


@given(st.lists(KEYS, max_size=12), st.integers(1, 4))
def test_swift_pages_contain_each_upload_and_prefix_once(keys: list[str], size: int) -> None:
    names = in_order(keys, "key/upload-id")
    uploads, prefixes, _ = all_pages(lambda after: tidy(swift_page(names, after, size), after, SWIFT))
    assert uploads == [name for name in names if "/" not in name[0]]
    assert sorted(prefixes) == sorted({key[: key.index("/") + 1] for key in keys if "/" in key})


@given(st.lists(KEYS, max_size=14), st.integers(1, 4), st.sampled_from(["", "a", "a/", "b-"]), st.sampled_from("/-."))
def test_computed_folders_are_shown_once_and_nothing_is_lost(
    keys: list[str], size: int, prefix: str, delimiter: str
) -> None:
    for order in ("key", "key.upload-id"):
        names = [name for name in in_order(keys, order) if name[0].startswith(prefix)]

        def request_page(after: Marker, names: Names = names, order: Order = order) -> UploadsPage:
            page = tidy(flat_page(names, after, size, order), after, replace(CEPH, order=order))
            return fold(page, after, prefix=prefix, delimiter=delimiter, order=order)

        uploads, prefixes, _ = all_pages(request_page)
        folders = {common_prefix(key, prefix, delimiter) for key, _ in names} - {""}
        assert uploads == [name for name in names if not common_prefix(name[0], prefix, delimiter)]
        assert set(prefixes) == folders
        # Ceph's dot sorts uploads of `a` into the folder `a.`, which may then be shown again.
        if order == "key" or delimiter == "/":
            assert len(prefixes) == len(folders)


def test_folder_that_exceeds_page_is_skipped() -> None:
    names = in_order([f"big/{number:04}" for number in range(1000)] + ["after", "zoo"], "key.upload-id")

    def request_page(after: Marker) -> UploadsPage:
        page = tidy(flat_page(names, after, 10, "key.upload-id"), after, CEPH)
        return fold(page, after, prefix="", delimiter="/", order="key.upload-id")

    uploads, prefixes, pages = all_pages(request_page)
    assert ([key for key, _ in uploads], prefixes, pages) == (["after", "zoo"], ["big/"], 2)


def test_without_order_no_folder_is_skipped() -> None:
    page = page_of(upload("a/1"), upload("b"), upload("a/2"), truncated=True, markers=("a/2", "id"))
    folded = fold(page, ("a/0", "id"), prefix="", delimiter="/", order="none")
    assert (folded.uploads, folded.common_prefixes) == ((upload("b"),), ("a/",))
    assert (folded.next_key_marker, folded.next_upload_id_marker) == ("a/2", "id")


def test_folder_with_longest_name_is_not_skipped() -> None:
    key = "x" * 1021 + "/a"
    page = page_of(upload(key), truncated=True, markers=(key, "id"))
    assert fold(page, NOWHERE, prefix="", delimiter="/", order="key").next_key_marker == key
    short = page_of(upload("x/a"), truncated=True, markers=("x/a", "id"))
    assert fold(short, NOWHERE, prefix="", delimiter="/", order="key").next_key_marker == "x/" + LAST_CHARACTER


@given(st.lists(KEYS, max_size=14), st.integers(1, 4), KEYS)
def test_computed_prefix_finds_all_matching_uploads(keys: list[str], size: int, prefix: str) -> None:
    for order in ("key", "key.upload-id", "key/upload-id"):
        names = in_order(keys, order)

        def request_page(after: Marker, names: Names = names, order: Order = order) -> UploadsPage:
            after = after if after[0] else (marker_before(prefix, order), "")
            return narrow(tidy(flat_page(names, after, size, order), after, PLAIN), prefix, order)

        uploads, _, pages = all_pages(request_page)
        having = [name for name in names if name[0].startswith(prefix)]
        assert uploads == having
        if order == "key":
            assert pages <= len(having) // size + 2


@pytest.mark.parametrize("prefix", ["", " ", "\t", "\x01", "\ue000", "a", "x" * 1021])
def test_marker_before_prefix_is_valid_and_before_it(prefix: str) -> None:
    marker = marker_before(prefix, "key")
    assert marker < prefix or not prefix
    assert len(marker.encode()) <= 1024
    assert all(character >= " " for character in marker)
    assert marker_before(prefix, "none") == ""


# Spans: what a page should contain.


@given(st.lists(KEYS, max_size=14), st.integers(1, 4), st.sampled_from(["key", "key/upload-id", "key.upload-id"]))
def test_span_contains_exactly_the_uploads_of_its_page(keys: list[str], size: int, order: Order) -> None:
    names = in_order(keys, order)
    provider = replace(PLAIN, order=order)
    counts: dict[tuple[str, str], int] = dict.fromkeys(names, 0)

    def request_page(after: Marker) -> UploadsPage:
        page = tidy(flat_page(names, after, size, order), after, provider)
        span = span_of(page, after, provider)
        assert span is not None
        listed = {(each.key, each.upload_id) for each in page.uploads}
        for name in names:
            counts[name] += span.holds(*name)
            assert name in listed or not span.holds(*name)
        return page

    all_pages(request_page)
    if order != "key":
        assert set(counts.values()) <= {1}


def test_span_by_key_is_undecided_within_a_split_key() -> None:
    span = Span("key", ("b", "5"), ("d", "5"))
    assert [key for key in "abcde" if span.holds(key, "1")] == ["c"]
    assert [key for key in "abcde" if Span("key", ("b", ""), ("d", "")).holds(key, "1")] == ["c", "d"]


def test_page_that_violates_its_order_counts_as_unordered() -> None:
    page = page_of(upload("b"), upload("a"), truncated=True, markers=("a", "id"))
    assert span_of(page, NOWHERE, PLAIN) is None
    last = span_of(replace(page, is_truncated=False), NOWHERE, PLAIN)
    assert last is not None
    assert last.holds("zzz", "id")
