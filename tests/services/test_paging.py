"""A page of a listing, put right: nothing twice, nothing lost."""

from __future__ import annotations

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from uploads.objectstore.types import MultipartUpload, UploadsPage
from uploads.services.paging import Marker, tidy

KEYS = st.text(alphabet="ab/-~ü", min_size=1, max_size=4)


def upload(key: str, upload_id: str = "id") -> MultipartUpload:
    return MultipartUpload(key, upload_id, None)


def page_of(*uploads: MultipartUpload, truncated: bool = False, prefixes: tuple[str, ...] = ()) -> UploadsPage:
    return UploadsPage(uploads, prefixes, truncated, "", "")


def test_the_markers_own_upload_is_dropped_when_it_is_repeated() -> None:
    page = tidy(page_of(upload("a"), upload("b"), upload("b")), ("a", "id"), prefixes_ahead=False)
    assert page.uploads == (upload("b"),)


def test_uploads_of_the_markers_key_stay_when_no_id_was_given() -> None:
    assert tidy(page_of(upload("a", "")), ("a", ""), prefixes_ahead=False).uploads


def test_a_truncated_page_without_markers_goes_on_from_its_last_upload() -> None:
    page = tidy(page_of(upload("a", "1"), truncated=True), ("", ""), prefixes_ahead=False)
    assert (page.next_key_marker, page.next_upload_id_marker) == ("a", "1")
    assert tidy(page_of(truncated=True), ("a", "1"), prefixes_ahead=False).next_key_marker == ""


def swift_page(names: list[tuple[str, str]], after: Marker, size: int) -> UploadsPage:
    """What s3api of Swift 2.38 answers with the delimiter `/`; `names` are all uploads in its order."""
    place = f"{after[0]}/{after[1] or '~'}".encode() if after[0] else b""
    rest = [name for name in names if "/".join(name).encode() > place]
    plain = [name for name in rest if "/" not in name[0]]
    shown = plain[:size]
    last = shown[-1] if len(shown) > 1 else ("", "")
    prefixes = tuple(sorted({key[: key.index("/") + 1] for key, _ in rest if "/" in key}))
    return UploadsPage(tuple(upload(*name) for name in shown), prefixes, len(plain) >= size, *last)


@given(st.lists(KEYS, max_size=12), st.integers(1, 4))
def test_swifts_pages_hold_each_upload_and_each_prefix_once(keys: list[str], size: int) -> None:
    ids = count()
    names = sorted(((key, f"{next(ids):03}") for key in keys), key=lambda name: "/".join(name).encode())
    uploads: list[tuple[str, str]] = []
    prefixes: list[str] = []
    after: Marker = ("", "")
    while True:
        page = tidy(swift_page(names, after, size), after, prefixes_ahead=True)
        uploads += [(each.key, each.upload_id) for each in page.uploads]
        prefixes += page.common_prefixes
        if not page.is_truncated or not page.next_key_marker:
            break
        after = (page.next_key_marker, page.next_upload_id_marker)
    assert uploads == [name for name in names if "/" not in name[0]]
    assert sorted(prefixes) == sorted({key[: key.index("/") + 1] for key in keys if "/" in key})
