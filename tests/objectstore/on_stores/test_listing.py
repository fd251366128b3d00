"""ListMultipartUploads on every server, against a model of the API: a sorted list."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pytest

from tests.objectstore.on_stores.helpers import NO_UPLOAD, listed
from tests.stores.servers import Server
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import Reason, Refused
from uploads.objectstore.transport import Call
from uploads.objectstore.types import UploadsPage
from uploads.objectstore.xml import uploads_fields, uploads_page

Name = tuple[str, str]
"""Key and upload id."""

KEYS = ("a", "z", "a/b", "a", "a.csv", "a b", "a+b", "100%25", "é/2", "100%", "a/b/c", "a", "é/1")
"""In the order of creation, which is not the order of names."""

TICK = 0.02
"""Seconds after which the timestamps of a file system differ."""

BY_TIME = "orders the uploads of a key by their start"
REFUSES_MARKERS = "refuses the markers that it returns"
LOSES_UPLOADS = "leaves out uploads when a delimiter is given"
IGNORES_DELIMITER = "ignores the delimiter"
BY_ID = "orders uploads by upload id"
ID_MARKER = "returns only an upload id marker"
KEY_FILTER = "lists only the key of a key marker"
BY_SLASH = "orders uploads by key and upload id, joined by a slash"
BY_DOT = "orders uploads by key and upload id, joined by a dot"


@dataclass(frozen=True)
class Created:
    """Uploads in progress, in the order in which this server lists them."""

    bucket: str
    names: list[Name]
    place: Callable[[Name], bytes]
    """The sort key of the server's order."""

    def of(self, key: str) -> list[Name]:
        return [each for each in self.names if each[0] == key]

    def after(self, marker: Name) -> list[Name]:
        """The uploads after both markers."""
        return self.names[self.names.index(marker) + 1 :]


def place_of(server: Server, by_start: list[Name]) -> Callable[[Name], bytes]:
    if server.has(BY_SLASH):
        return lambda name: "/".join(name).encode()
    if server.has(BY_DOT):
        return lambda name: ".".join(name).encode()
    if server.has(BY_ID):
        return lambda name: name[1].encode()
    if server.has(BY_TIME):
        return lambda name: f"{name[0]}\0{by_start.index(name):04}".encode()
    return lambda name: "\0".join(name).encode()


def create(server: Server, client: ObjectStoreClient, bucket: str, keys: Iterable[str]) -> Created:
    by_start = []
    for key in keys:
        by_start.append((key, client.create_multipart_upload(bucket, key)))
        if server.has(BY_TIME):
            time.sleep(TICK)
    place = place_of(server, by_start)
    return Created(bucket, sorted(by_start, key=place), place)


@pytest.fixture
def created(server: Server, client: ObjectStoreClient, bucket: str) -> Created:
    return create(server, client, bucket, KEYS)


def names(page: UploadsPage) -> list[Name]:
    return [(upload.key, upload.upload_id) for upload in page.uploads]


def folder(key: str, prefix: str, delimiter: str) -> str:
    """The common prefix of a key; '' if there is none."""
    end = key.find(delimiter, len(prefix)) if delimiter else -1
    return key[: end + len(delimiter)] if end >= 0 else ""


# One page


def test_page_is_in_order(server: Server, client: ObjectStoreClient, created: Created) -> None:
    """A page lists all uploads, in the order of keys and upload ids"""
    page = client.list_multipart_uploads(created.bucket)
    assert names(page) == created.names
    own_orders = [quirk for quirk in (BY_SLASH, BY_DOT, BY_TIME, BY_ID) if server.does(quirk)]
    assert own_orders or created.names == sorted(created.names)
    assert not page.is_truncated


def test_page_size(server: Server, client: ObjectStoreClient, created: Created) -> None:
    """A page has as many uploads as requested, and reports whether there are more"""
    for size in range(1, len(KEYS) + 2):
        page = client.list_multipart_uploads(created.bucket, max_uploads=size)
        assert names(page) == created.names[:size]
        if size == len(KEYS) and server.does("reports a page with exactly all remaining uploads as truncated"):
            assert page.is_truncated
            following = client.list_multipart_uploads(
                created.bucket, key_marker=page.next_key_marker, upload_id_marker=page.next_upload_id_marker
            )
            assert (following.uploads, following.is_truncated) == ((), False)
        else:
            assert page.is_truncated == (size < len(KEYS))


def test_markers_of_truncated_page(server: Server, client: ObjectStoreClient, created: Created) -> None:
    """A truncated page has the markers of its last upload"""
    for size in range(1, len(KEYS)):
        page = client.list_multipart_uploads(created.bucket, max_uploads=size)
        last = created.names[size - 1]
        if server.does(ID_MARKER):
            assert page.onward == (page.next_key_marker, page.next_upload_id_marker) == ("", last[1])
        elif size == 1 and server.does("returns no markers with a page of one upload"):
            assert (page.next_key_marker, page.next_upload_id_marker) == ("", "")
            assert page.onward == last
        else:
            assert page.onward == (page.next_key_marker, page.next_upload_id_marker) == last


def test_prefix(server: Server, client: ObjectStoreClient, created: Created) -> None:
    """A prefix returns exactly the uploads whose keys start with it"""
    for prefix in ("a", "a/", "a/b", "a ", "100%", "100%2", "é/", "z", "zz", "/"):
        expected = [each for each in created.names if each[0].startswith(prefix)]
        assert names(client.list_multipart_uploads(created.bucket, prefix=prefix)) == expected, prefix
    if server.does(BY_SLASH):
        raw = listing(server, created.bucket, {"prefix": "a/"})
        assert {key for key, _ in names(raw)} == {"a", "a/b", "a/b/c"}, "There, the prefix `a/` also finds the key `a`."


def test_delimiter(server: Server, client: ObjectStoreClient, created: Created) -> None:
    """A delimiter groups uploads that share a common prefix"""
    for prefix, delimiter in itertools.product(("", "a", "a/", "é/"), ("/", "b")):
        if delimiter != "/" and server.does("refuses delimiters other than a slash"):
            with pytest.raises(Refused) as caught:
                client.list_multipart_uploads(created.bucket, prefix=prefix, delimiter=delimiter)
            assert caught.value.code == "NotImplemented"
            continue
        page = client.list_multipart_uploads(created.bucket, prefix=prefix, delimiter=delimiter)
        chosen = [each for each in created.names if each[0].startswith(prefix)]
        alone = [each for each in chosen if not folder(each[0], prefix, delimiter)]
        folders = {found for key, _ in chosen if (found := folder(key, prefix, delimiter))}
        if server.does(LOSES_UPLOADS) or server.does(IGNORES_DELIMITER):
            assert page.common_prefixes == ()
            assert set(names(page)) <= set(chosen if server.has(IGNORES_DELIMITER) else alone)
            whole = client.iter_multipart_uploads(created.bucket, prefix=prefix, delimiter=delimiter)
            assert [each for page in whole for each in names(page)] == chosen
        else:
            assert names(page) == alone
            assert sorted(page.common_prefixes) == sorted(folders)


def test_common_prefixes_count_towards_page_size(server: Server, client: ObjectStoreClient, bucket: str) -> None:
    """A common prefix counts as one row of a page"""
    created = create(server, client, bucket, ["b/1", "b/2", "c", "d", "e/1"])
    page = client.list_multipart_uploads(bucket, delimiter="/", max_uploads=2)
    shown = (page.common_prefixes, tuple(upload.key for upload in page.uploads), page.is_truncated)
    if server.does(LOSES_UPLOADS):
        assert shown[:2] == ((), ("c", "d"))
    elif server.does(IGNORES_DELIMITER):
        assert shown == ((), tuple(key for key, _ in created.names[:2]), True)
    elif server.does("returns the common prefixes of all later pages on every page"):
        assert shown == (("b/", "e/"), ("c", "d"), True)
    else:
        assert shown == (("b/",), ("c",), True)


# Markers


def test_key_marker_alone(server: Server, client: ObjectStoreClient, created: Created) -> None:
    """A key marker alone continues after all uploads of that key"""
    for marker in ("a", "a b", "a/b", "a/", "b", "100%", "é/1", "z", "zz", "0"):
        expected = [each for each in created.names if is_after(server, each, marker)]
        assert names(client.list_multipart_uploads(created.bucket, key_marker=marker)) == expected, marker
    if server.does(KEY_FILTER):
        assert names(listing(server, created.bucket, {"key-marker": "a"})) == created.of("a")


def is_after(server: Server, name: Name, marker: str) -> bool:
    """Whether an upload comes after a key marker without an upload id."""
    key, upload_id = name
    if server.does(KEY_FILTER):
        return True  # The client does not send it, so that nothing is lost.
    if server.does("adds a slash to a key marker without an upload id marker"):
        return f"{key}/{upload_id}".encode() > f"{marker}/~".encode()
    if server.does("lists the uploads of the key marker's key again"):
        return f"{key}.{upload_id}".encode() > f"{marker}.".encode()
    return key.encode() > marker.encode()


def test_both_markers(server: Server, client: ObjectStoreClient, created: Created) -> None:
    """Both markers continue after that upload, also within its key"""
    for marker in created.names:
        key, upload_id = marker
        if server.does(REFUSES_MARKERS):
            with pytest.raises(Refused) as caught:
                listing(server, created.bucket, {"key-marker": key, "upload-id-marker": upload_id})
            assert (caught.value.reason, caught.value.code) == (Reason.REFUSED, "InvalidArgument")
        page = client.list_multipart_uploads(created.bucket, key_marker=key, upload_id_marker=upload_id)
        assert names(page) == created.after(marker)


def test_upload_id_marker_alone_is_ignored(server: Server, client: ObjectStoreClient, created: Created) -> None:
    """An upload id marker alone is ignored"""
    for marker in created.of("a"):
        expected = created.after(marker) if server.does("continues after an upload id marker alone") else created.names
        assert names(listing(server, created.bucket, {"upload-id-marker": marker[1]})) == expected
        assert names(client.list_multipart_uploads(created.bucket, upload_id_marker=marker[1])) == expected


@pytest.mark.parametrize("kind", ["ended", "missing"])
def test_markers_of_ended_upload(server: Server, client: ObjectStoreClient, created: Created, kind: str) -> None:
    """Both markers of an upload that ended between two pages"""
    marker = ("a b", NO_UPLOAD)
    if kind == "ended":
        marker = created.of("a")[1]
        client.abort_multipart_upload(created.bucket, *marker)
    left = [each for each in created.names if each != marker]
    if server.does(REFUSES_MARKERS):
        with pytest.raises(Refused) as caught:
            client.list_multipart_uploads(created.bucket, key_marker=marker[0], upload_id_marker=marker[1])
        assert (caught.value.reason, caught.value.code) == (Reason.REFUSED, "InvalidArgument")
        # With the key marker alone, no later upload is lost.
        after = names(client.list_multipart_uploads(created.bucket, key_marker=marker[0]))
        assert after == [each for each in left if each[0].encode() > marker[0].encode()]
    else:
        page = client.list_multipart_uploads(created.bucket, key_marker=marker[0], upload_id_marker=marker[1])
        assert names(page) == [each for each in left if created.place(each) > created.place(marker)]


# All pages


def test_all_pages_contain_each_upload_once(client: ObjectStoreClient, created: Created) -> None:
    """All pages, with page sizes from 1 to 1,000, contain each upload once"""
    for size in (1, 2, 3, 5, len(KEYS), 1000):
        assert listed(client, created.bucket, max_uploads=size) == created.names, size


def test_combinations_of_parameters(server: Server, client: ObjectStoreClient, created: Created) -> None:
    """All pages with all combinations of prefix, delimiter, page size and markers"""
    markers = [("", ""), *((key, "") for key in ("a", "a/b", "b", "é/1")), *created.of("a"), *created.of("a/b")]
    for parameters in itertools.product(("", "a", "a/", "none"), ("", "/"), (1, 3, 1000), markers):
        prefix, delimiter, size, marker = parameters
        pages = client.iter_multipart_uploads(
            created.bucket,
            prefix=prefix,
            delimiter=delimiter,
            max_uploads=size,
            key_marker=marker[0],
            upload_id_marker=marker[1],
        )
        if marker[1] and not marker[0].startswith(prefix) and server.does(REFUSES_MARKERS):
            with pytest.raises(Refused, match="uploadId marker"):
                list(pages)
        else:
            shown = list(pages)
            alone, folders = expected(server, created, prefix, delimiter, marker)
            assert [each for page in shown for each in names(page)] == alone, parameters
            assert sorted(each for page in shown for each in page.common_prefixes) == sorted(folders), parameters


def expected(
    server: Server, created: Created, prefix: str, delimiter: str, marker: Name
) -> tuple[list[Name], set[str]]:
    """The result according to the API: uploads without a common prefix, and the common prefixes of the others."""
    if delimiter and (server.does(LOSES_UPLOADS) or server.does(IGNORES_DELIMITER)):
        delimiter = ""  # The client does not send it, so that nothing is lost.
    after = created.names
    if marker[1]:
        after = created.after(marker)
    elif marker[0]:
        after = [each for each in created.names if is_after(server, each, marker[0])]
    chosen = [each for each in after if each[0].startswith(prefix)]
    alone = [each for each in chosen if not folder(each[0], prefix, delimiter)]
    return alone, {found for key, _ in chosen if (found := folder(key, prefix, delimiter))}


def test_folders_are_listed_once(server: Server, client: ObjectStoreClient, bucket: str) -> None:
    """A folder that spans pages is listed once"""
    created = create(server, client, bucket, ("top", "a b/1", "a b/2", "100%25/1", "c+d/1", "c+d/2", "é/1", "top2"))
    for size in (1, 2, 3, 1000):
        pages = list(client.iter_multipart_uploads(bucket, delimiter="/", max_uploads=size))
        prefixes = sorted(prefix for page in pages for prefix in page.common_prefixes)
        keys = sorted(upload.key for page in pages for upload in page.uploads)
        if server.does(LOSES_UPLOADS) or server.does(IGNORES_DELIMITER):
            assert (prefixes, keys) == ([], sorted(key for key, _ in created.names))
        else:
            assert (prefixes, keys) == (["100%25/", "a b/", "c+d/", "é/"], ["top", "top2"])


def test_more_uploads_of_one_key_than_fit_on_a_page(server: Server, client: ObjectStoreClient, bucket: str) -> None:
    """More uploads of one key than fit on a page"""
    created = create(server, client, bucket, ["k"] * 7 + ["l"] + ["k"] * 4)
    for size in (1, 2, 4):
        assert listed(client, bucket, max_uploads=size) == created.names, size


# Encoding


def test_keys_and_markers_are_exact(server: Server, client: ObjectStoreClient, bucket: str) -> None:
    """Keys, prefixes and markers with encoded characters are exact"""
    keys = ["100%/1", "100%25/1", "a b", "a%20b", "a+b", "a&b", "é", "日本/1", "😀", "~", "'"]
    created = create(server, client, bucket, keys)
    assert sorted(listed(client, bucket, max_uploads=2)) == sorted(created.names)
    body = server.send(Call("ListMultipartUploads", "GET", bucket, query={"uploads": "", "encoding-type": "url"})).body
    if server.does("encodes keys without reporting the encoding"):
        assert (b"<EncodingType>" in body, b"a%20b" in body) == (False, True)
    elif server.does("declares an encoding and does not encode"):
        assert (b"<EncodingType>url</EncodingType>" in body, b"<Key>a b</Key>" in body) == (True, True)
    elif server.does("ignores encoding-type"):
        assert (b"<EncodingType>" in body, b"<Key>a b</Key>" in body) == (False, True)
    elif server.does("encodes keys, but not markers and prefixes"):
        query = {"uploads": "", "encoding-type": "url", "prefix": "100%", "max-uploads": "2"}
        body = server.send(Call("ListMultipartUploads", "GET", bucket, query=query)).body
        assert b"<Key>100%2525/1</Key>" in body
        assert b"<NextKeyMarker>100%25/1</NextKeyMarker>" in body
    else:
        assert b"<EncodingType>url</EncodingType>" in body


def listing(server: Server, bucket: str, query: dict[str, str]) -> UploadsPage:
    """A page as the server returns it, without repairs."""
    call = Call("ListMultipartUploads", "GET", bucket, query={"uploads": "", **query})
    return uploads_page(uploads_fields(server.send(call).body))
