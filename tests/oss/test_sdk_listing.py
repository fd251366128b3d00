"""Tests the OSS test server with the vendor's client: listing the uploads of a bucket, with every parameter.

The parameters are those of the guide's table (Delimiter, MaxUploads, KeyMarker, Prefix, UploadIDMarker). `expected`
implements the guide's description of the results independently of the server.
"""

from __future__ import annotations

import itertools
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import alibabacloud_oss_v2 as oss
import pytest

from tests.oss.vendor import Uploads, refusal
from tests.stores.oss import OssStore

KEYS = [
    "a",
    "a",
    "a",
    "a/1",
    "a/2",
    "a/b/3",
    "b",
    "b\x01\n\r",
    "b/1",
    "b0",
    "c c",
    "c+c",
    "c%2Fc",
    "ü",
    "ü/ö",
    "日本/語",
]

Name = tuple[str, str]


@pytest.fixture(scope="module")
def created(oss_store: OssStore) -> tuple[Uploads, list[Name]]:
    """A bucket with an upload for each of KEYS, created in another order; their names in the order of a listing."""
    uploads = Uploads(oss_store, oss_store.new_bucket())
    names = [(key, uploads.initiate(key)) for key in reversed(KEYS)]
    return uploads, sorted(names, key=lambda name: (name[0].encode(), name[1]))


def names_of(page: Any) -> list[Name]:
    return [(upload.key, upload.upload_id) for upload in page.uploads or []]


def expected(names: list[Name], *, prefix: str = "", key_marker: str = "", id_marker: str = "") -> list[Name]:
    """The uploads after the markers according to the guide, in order."""
    after = [name for name in names if name[0].encode() > key_marker.encode()]
    if key_marker and id_marker:
        after = [name for name in names if name[0] == key_marker and name[1] > id_marker] + after
    return [name for name in after if name[0].startswith(prefix)]


def test_defaults(created: tuple[Uploads, list[Name]]) -> None:
    uploads, names = created
    page = uploads.listing()
    assert names_of(page) == names
    assert (page.bucket, page.max_uploads, page.is_truncated) == (uploads.bucket, 1000, False)
    assert (page.key_marker, page.upload_id_marker, page.prefix, page.delimiter) == (None, None, None, None)
    # According to the vendor's own tests, the last page has markers too.
    assert (page.next_key_marker, page.next_upload_id_marker) == names[-1]
    assert all(upload.initiated.tzinfo is not None for upload in page.uploads)


@pytest.mark.parametrize("prefix", ["", "a", "a/", "a/b/3", "b", "ü", "c%", "nothing"])
def test_prefix(created: tuple[Uploads, list[Name]], prefix: str) -> None:
    uploads, names = created
    page = uploads.listing(prefix=prefix)
    assert names_of(page) == expected(names, prefix=prefix)
    assert (page.prefix or "") == prefix
    assert page.is_truncated is False


@pytest.mark.parametrize("limit", [1, 2, 15, 16, 17, 1000])
def test_max_uploads(created: tuple[Uploads, list[Name]], limit: int) -> None:
    """A page that contains exactly the remaining uploads is not truncated."""
    uploads, names = created
    page = uploads.listing(max_uploads=limit)
    assert names_of(page) == names[:limit]
    assert (page.max_uploads, page.is_truncated) == (limit, limit < len(names))
    assert (page.next_key_marker, page.next_upload_id_marker) == names[:limit][-1]


def test_prefix_and_max_uploads(created: tuple[Uploads, list[Name]]) -> None:
    uploads, names = created
    page = uploads.listing(prefix="a/", max_uploads=2)
    assert names_of(page) == expected(names, prefix="a/")[:2]
    assert page.is_truncated is True


@pytest.mark.parametrize("marker", ["0", "a", "a/", "a/1", "b\x01\n\r", "b\x01", "ü", "日本/語", "zz"])
def test_key_marker_alone(created: tuple[Uploads, list[Name]], marker: str) -> None:
    """Strictly greater keys: the uploads of the marker's own key are not listed."""
    uploads, names = created
    page = uploads.listing(key_marker=marker)
    assert names_of(page) == expected(names, key_marker=marker)
    assert page.key_marker == marker
    assert all(key != marker for key, _ in names_of(page))


def test_both_markers(created: tuple[Uploads, list[Name]]) -> None:
    """Also lists the same key with greater upload ids. The id does not have to exist."""
    uploads, names = created
    for key, upload_id in [*names, ("a", "0"), ("a", "Z"), ("a/", "0")]:
        page = uploads.listing(key_marker=key, upload_id_marker=upload_id)
        assert names_of(page) == expected(names, key_marker=key, id_marker=upload_id)
        assert (page.key_marker, page.upload_id_marker) == (key, upload_id)
    assert len([key for key, _ in names if key == "a"]) == 3


def test_upload_id_marker_alone_is_ignored(created: tuple[Uploads, list[Name]]) -> None:
    uploads, names = created
    assert names_of(uploads.listing(upload_id_marker="Z")) == names
    assert names_of(uploads.listing(upload_id_marker="Z", key_marker="")) == names


def test_combined_parameters(created: tuple[Uploads, list[Name]]) -> None:
    """All combinations of prefix, markers and limit."""
    uploads, names = created
    first = names[0]
    combinations = itertools.product(
        ["", "a", "a/"], [("", ""), ("", "Z"), ("a", ""), first, ("a/1", "")], [1, 2, 1000]
    )
    for prefix, (key, upload_id), limit in combinations:
        page = uploads.listing(prefix=prefix, key_marker=key, upload_id_marker=upload_id, max_uploads=limit)
        expected_rows = expected(names, prefix=prefix, key_marker=key, id_marker=upload_id)
        assert names_of(page) == expected_rows[:limit], (prefix, key, upload_id, limit)
        assert page.is_truncated is (len(expected_rows) > limit)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 16, 1000])
@pytest.mark.parametrize("prefix", ["", "a"])
def test_all_pages(created: tuple[Uploads, list[Name]], limit: int, prefix: str) -> None:
    """With the vendor's paginator: each upload exactly once, in order, without superfluous pages."""
    uploads, names = created
    request = oss.ListMultipartUploadsRequest(bucket=uploads.bucket, prefix=prefix)
    pages = list(uploads.client.list_multipart_uploads_paginator(limit=limit).iter_page(request))
    expected_rows = expected(names, prefix=prefix)
    assert [name for page in pages for name in names_of(page)] == expected_rows
    assert len(pages) == -(-len(expected_rows) // limit)


def test_more_than_one_page(oss_store: OssStore) -> None:
    """1,000 is the default and the maximum; 1,001 uploads are two pages."""
    uploads = Uploads(oss_store, oss_store.new_bucket())
    names = sorted((f"key-{number:04}", uploads.initiate(f"key-{number:04}")) for number in range(1001))
    page = uploads.listing()
    assert (names_of(page), page.is_truncated) == (names[:1000], True)
    rest = uploads.listing(key_marker=page.next_key_marker, upload_id_marker=page.next_upload_id_marker)
    assert (names_of(rest), rest.is_truncated) == (names[1000:], False)


@pytest.mark.parametrize("limit", [0, -1, 1001, "x"])
def test_max_uploads_out_of_range(created: tuple[Uploads, list[Name]], limit: Any) -> None:
    uploads, _ = created
    error = refusal(lambda: grouped_page(uploads, {"max-uploads": str(limit)}))
    assert (error.status_code, error.code) == (400, "InvalidArgument")
    assert error.error_fileds["ArgumentName"] == "max-uploads"


def test_unknown_encoding(created: tuple[Uploads, list[Name]]) -> None:
    uploads, _ = created
    error = refusal(lambda: grouped_page(uploads, {"encoding-type": "base64"}))
    assert (error.status_code, error.code) == (400, "InvalidArgument")


# --- Delimiter: the vendor's client sends it, but does not read CommonPrefixes ----------------------------------------


def grouped_page(uploads: Uploads, parameters: dict[str, str]) -> ET.Element:
    """The unparsed response to a ListMultipartUploads of the vendor's client."""
    request = oss.OperationInput(
        op_name="ListMultipartUploads", method="GET", bucket=uploads.bucket, parameters={"uploads": "", **parameters}
    )
    return ET.fromstring(uploads.client.invoke_operation(request).http_response.content)


def rows_of(page: ET.Element) -> tuple[list[str], list[str]]:
    """The decoded keys and common prefixes."""
    keys = [unquote(each.findtext("Key") or "") for each in page.findall("Upload")]
    return keys, [unquote(each.findtext("Prefix") or "") for each in page.findall("CommonPrefixes")]


def fold(names: list[Name], prefix: str, delimiter: str) -> list[tuple[str, str]]:
    """Each key, or its common prefix, once and in order: (kind, text)."""
    found = []
    for key, _ in names:
        head, mark, _ = key[len(prefix) :].partition(delimiter)
        entry = ("prefix", prefix + head + mark) if mark else ("key", key)
        if not (entry[0] == "prefix" and entry in found):
            found.append(entry)
    return found


@pytest.mark.parametrize("prefix", ["", "a", "a/", "b", "ü/"])
@pytest.mark.parametrize("delimiter", ["/", "b", "/b/", "%"])
def test_delimiter(created: tuple[Uploads, list[Name]], prefix: str, delimiter: str) -> None:
    uploads, names = created
    page = grouped_page(uploads, {"prefix": prefix, "delimiter": delimiter, "encoding-type": "url"})
    expected_rows = fold(expected(names, prefix=prefix), prefix, delimiter)
    keys, prefixes = rows_of(page)
    assert keys == [text for kind, text in expected_rows if kind == "key"]
    assert prefixes == [text for kind, text in expected_rows if kind == "prefix"]
    assert unquote(page.findtext("Delimiter") or "") == delimiter


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize("prefix", ["", "a/", "b"])
def test_all_pages_with_delimiter(created: tuple[Uploads, list[Name]], limit: int, prefix: str) -> None:
    """Each key and each common prefix exactly once and in order. A common prefix counts as one row of a page."""
    uploads, names = created
    markers: dict[str, str] = {}
    listed: list[tuple[str, str]] = []
    for _ in range(len(names) + 1):
        parameters = {"prefix": prefix, "delimiter": "/", "max-uploads": str(limit), "encoding-type": "url", **markers}
        page = grouped_page(uploads, parameters)
        keys, prefixes = rows_of(page)
        assert len(keys) + len(prefixes) <= limit
        listed += sorted(
            [("key", key) for key in keys] + [("prefix", each) for each in prefixes], key=lambda each: each[1]
        )
        if page.findtext("IsTruncated") == "false":
            break
        assert len(keys) + len(prefixes) == limit
        markers = {"key-marker": unquote(page.findtext("NextKeyMarker") or "")}
        markers["upload-id-marker"] = page.findtext("NextUploadIdMarker") or ""
    assert listed == fold(expected(names, prefix=prefix), prefix, "/")


def test_key_marker_inside_a_common_prefix(created: tuple[Uploads, list[Name]]) -> None:
    """Remaining uploads make the common prefix appear. A marker equal to the common prefix excludes all of them."""
    uploads, _ = created
    inside = rows_of(grouped_page(uploads, {"delimiter": "/", "key-marker": "a/1", "prefix": "a"}))
    assert inside == ([], ["a/"])
    after = rows_of(grouped_page(uploads, {"delimiter": "/", "key-marker": "a/", "prefix": "a"}))
    assert after == ([], [])


# --- Encoding ---------------------------------------------------------------------------------------------------------


def test_control_characters_require_encoding(created: tuple[Uploads, list[Name]]) -> None:
    """XML 1.0 cannot contain them: without encoding-type, a page with such a key is not valid XML."""
    uploads, _ = created
    with pytest.raises(ET.ParseError):
        grouped_page(uploads, {"prefix": "b"})
    assert rows_of(grouped_page(uploads, {"prefix": "ü"})) == (["ü", "ü/ö"], [])
    assert "b\x01\n\r" in rows_of(grouped_page(uploads, {"prefix": "b", "encoding-type": "url"}))[0]


def test_encoded_fields(created: tuple[Uploads, list[Name]]) -> None:
    """Delimiter, KeyMarker, Prefix, NextKeyMarker and Key; a space is %20 and a plus %2B."""
    uploads, names = created
    parameters = {"prefix": "c", "delimiter": "/", "key-marker": "b/1", "max-uploads": "2", "encoding-type": "url"}
    page = grouped_page(uploads, parameters)
    texts = {
        name: page.findtext(name) for name in ("EncodingType", "KeyMarker", "Delimiter", "NextKeyMarker", "Prefix")
    }
    assert texts == {
        "EncodingType": "url",
        "KeyMarker": "b%2F1",
        "Delimiter": "%2F",
        "NextKeyMarker": "c%252Fc",
        "Prefix": "c",
    }
    assert [each.findtext("Key") for each in page.findall("Upload")] == ["c%20c", "c%252Fc"]
    plain = grouped_page(uploads, {"prefix": "c"})
    assert plain.find("EncodingType") is None
    assert [each.findtext("Key") for each in plain.findall("Upload")] == ["c c", "c%2Fc", "c+c"]
    assert ("c+c", plain.findtext("NextUploadIdMarker")) in names
