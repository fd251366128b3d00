"""Iterating over pages: with both markers, each upload once, and without endless loops."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.objectstore.conftest import MakeClient
from tests.objectstore.fault_server import Exchange, FaultServer, Step, respond
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import UnreadableResponse
from uploads.objectstore.types import Credentials, StoreConfig
from uploads.problems import Code


def page(*uploads: tuple[str, str], markers: tuple[str, str] | None = None, prefixes: tuple[str, ...] = ()) -> Step:
    """A page of ListMultipartUploads, truncated if there are markers."""
    rows = "".join(f"<Upload><Key>{key}</Key><UploadId>{each}</UploadId></Upload>" for key, each in uploads)
    rows += "".join(f"<CommonPrefixes><Prefix>{prefix}</Prefix></CommonPrefixes>" for prefix in prefixes)
    key, upload_id = markers or ("", "")
    return respond(
        200,
        f"<ListMultipartUploadsResult><IsTruncated>{str(markers is not None).lower()}</IsTruncated>"
        f"<NextKeyMarker>{key}</NextKeyMarker><NextUploadIdMarker>{upload_id}</NextUploadIdMarker>{rows}"
        "</ListMultipartUploadsResult>".encode(),
    )


def parts(*numbers: int, marker: int | None = None) -> Step:
    """A page of ListParts, truncated if there is a marker."""
    rows = "".join(f"<Part><PartNumber>{number}</PartNumber><Size>1</Size></Part>" for number in numbers)
    next_marker = "" if marker is None else f"<NextPartNumberMarker>{marker}</NextPartNumberMarker>"
    truncated = str(marker is not None).lower()
    return respond(
        200, f"<ListPartsResult><IsTruncated>{truncated}</IsTruncated>{next_marker}{rows}</ListPartsResult>".encode()
    )


def queries(server: FaultServer) -> list[dict[str, str]]:
    return [
        {name: texts[0] for name, texts in parse_qs(urlsplit(each.target).query, keep_blank_values=True).items()}
        for each in server.received
    ]


def iterate(client: ObjectStoreClient) -> list[tuple[str, str]]:
    return [(each.key, each.upload_id) for page in client.iter_multipart_uploads("bucket") for each in page.uploads]


def test_both_markers_are_sent_and_repeats_dropped(server: FaultServer, client: ObjectStoreClient) -> None:
    server.script(
        page(("a", "1"), ("a", "2"), markers=("a", "2"), prefixes=("p/",)),
        page(("a", "2"), ("a", "3"), markers=("a", "3"), prefixes=("p/", "q/")),
        page(("a", "3"), ("ab", "1")),
    )
    pages = list(client.iter_multipart_uploads("bucket", prefix="a", delimiter="/", max_uploads=2))
    assert [[upload.upload_id for upload in each.uploads] for each in pages] == [["1", "2"], ["3"], ["1"]]
    assert [each.common_prefixes for each in pages] == [("p/",), ("q/",), ()]
    sent = queries(server)
    assert [(each.get("key-marker"), each.get("upload-id-marker")) for each in sent] == [
        (None, None),
        ("a", "2"),
        ("a", "3"),
    ]
    assert all((each["prefix"], each["delimiter"], each["max-uploads"]) == ("a", "/", "2") for each in sent)


@pytest.mark.parametrize(
    "steps",
    [
        [page(markers=("", ""))],
        [page(markers=("", "1")), page(markers=("", "1"))],
        [page(("a", "1"), markers=("a", "1")), page(("a", "1"), markers=("a", "1"))],
        [page(markers=("a", "")), page(markers=("b", "")), page(markers=("a", ""))],
    ],
    ids=["empty", "the same upload id alone", "the same pair", "a pair from before"],
)
def test_markers_without_progress_are_an_error(
    server: FaultServer, client: ObjectStoreClient, steps: list[Step]
) -> None:
    server.script(*steps)
    with pytest.raises(UnreadableResponse, match=Code.LISTING_WITHOUT_END) as caught:
        iterate(client)
    assert caught.value.operation == "ListMultipartUploads"
    assert len(server.received) == len(steps)


def test_pages_before_the_error_are_returned(server: FaultServer, client: ObjectStoreClient) -> None:
    server.script(page(("a", "1"), markers=("", "")))
    assert next(client.iter_multipart_uploads("bucket")).uploads[0].key == "a"


def test_missing_markers_are_those_of_last_upload(server: FaultServer, client: ObjectStoreClient) -> None:
    server.script(
        page(("a", "1"), ("b", "1"), markers=("", "")),
        page(("b", "2"), ("b", "3"), markers=("b", "")),
        page(("b", "4"), ("c", "1")),
    )
    assert iterate(client) == [("a", "1"), ("b", "1"), ("b", "2"), ("b", "3"), ("b", "4"), ("c", "1")]
    sent = [(each.get("key-marker"), each.get("upload-id-marker")) for each in queries(server)]
    assert sent == [(None, None), ("b", "1"), ("b", "3")]


def test_delimiter_is_not_sent_to_store_with_broken_grouping(server: FaultServer, make_client: MakeClient) -> None:
    server.script(page(("a/b", "1")))
    pages = list(make_client(server.url, provider="ceph").iter_multipart_uploads("bucket", delimiter="/"))
    assert [each.key for found in pages for each in found.uploads] == ["a/b"]
    assert "delimiter" not in queries(server)[0]


def test_marker_may_be_smaller_than_the_last(server: FaultServer, client: ObjectStoreClient) -> None:
    # Swift orders by key/uploadid, so `report.csv` comes before `report`.
    server.script(
        page(("report.csv", "1"), markers=("report.csv", "1")), page(("report", "1"), markers=("report", "1")), page()
    )
    assert iterate(client) == [("report.csv", "1"), ("report", "1")]


def test_empty_last_page_ends_iteration(server: FaultServer, client: ObjectStoreClient) -> None:
    server.script(page(("a", "1"), ("b", "1"), markers=("b", "1")), page())
    assert iterate(client) == [("a", "1"), ("b", "1")]


def markers_sent(server: FaultServer) -> list[tuple[str | None, str | None]]:
    return [(each.get("key-marker"), each.get("upload-id-marker")) for each in queries(server)]


def test_upload_id_marker_alone_is_followed_if_the_store_names_no_other(
    server: FaultServer, client: ObjectStoreClient
) -> None:
    """Markers that are not a pair: the page that follows must be the one that the store means."""
    server.script(page(("c", "1"), ("a", "2"), markers=("", "2")), page(("b", "3"), markers=("", "3")), page())
    assert iterate(client) == [("c", "1"), ("a", "2"), ("b", "3")]
    assert markers_sent(server) == [(None, None), (None, "2"), (None, "3")]


def test_key_marker_is_not_sent_to_store_that_continues_by_upload_id(
    server: FaultServer, make_client: MakeClient
) -> None:
    server.script(page(("a", "2")), page(("a", "1")), page(("k", "1"), markers=("k", "1")), page(("a", "3")))
    client = make_client(server.url, provider="seaweedfs")
    client.list_multipart_uploads("bucket", key_marker="k", upload_id_marker="1")
    client.list_multipart_uploads("bucket", key_marker="k")
    assert markers_sent(server) == [(None, "1"), (None, None)]
    found = client.iter_multipart_uploads("bucket", key_marker="k", upload_id_marker="0")
    assert [upload.upload_id for each in found for upload in each.uploads] == ["1", "3"]


def test_rows_are_sorted_if_only_pages_are_in_order(server: FaultServer, make_client: MakeClient) -> None:
    """Garage sorts the rows of a page by upload id. The last row by key is then the marker, if the store names none."""
    server.script(page(("b", "1"), ("a", "2"), ("b", "0"), markers=("", "")), page(("d", "1"), ("c", "2")))
    client = make_client(server.url, provider="garage")
    assert iterate(client) == [("a", "2"), ("b", "0"), ("b", "1"), ("c", "2"), ("d", "1")]
    assert markers_sent(server) == [(None, None), ("b", "1")]


def test_one_page_is_one_request(server: FaultServer, client: ObjectStoreClient) -> None:
    server.script(page(("a", "1"), markers=("a", "1")))
    client.list_multipart_uploads("bucket")
    assert len(server.received) == 1


def test_encoding_is_not_requested_again_if_store_encodes_without_saying_so(
    server: FaultServer, client: ObjectStoreClient
) -> None:
    def like_ceph(exchange: Exchange) -> None:
        key = "a b%" if "encoding-type" not in exchange.received.target else quote("a b%")
        page((key, "1"))(exchange)

    server.script(like_ceph, like_ceph, like_ceph)
    assert iterate(client) == iterate(client) == [("a b%", "1")]
    assert ["encoding-type" in each for each in queries(server)] == [True, False, False]


def test_uploads_without_prefix_are_removed(server: FaultServer, make_client: MakeClient) -> None:
    # Swift stores uploads as key/uploadid, so the prefix `a/` finds the uploads of `a`.
    server.script(page(("a", "1"), ("a/b", "1"), markers=("a/b", "1")))
    found = make_client(server.url, provider="swift").list_multipart_uploads("bucket", prefix="a/")
    assert [upload.key for upload in found.uploads] == ["a/b"]
    assert (found.next_key_marker, found.is_truncated) == ("a/b", True)


def test_page_without_matching_uploads_has_markers(server: FaultServer, make_client: MakeClient) -> None:
    server.script(page(("a", "1"), markers=("", "")))
    found = make_client(server.url, provider="swift").list_multipart_uploads("bucket", prefix="a/", max_uploads=1)
    assert (found.uploads, found.next_key_marker, found.next_upload_id_marker) == ((), "a", "1")


def test_encoding_is_not_requested_from_ceph(server: FaultServer, make_client: MakeClient) -> None:
    server.script(page(("a%20b", "1")))
    assert iterate(make_client(server.url, provider="ceph")) == [("a%20b", "1")]
    assert "encoding-type" not in queries(server)[0]


def test_parts_are_iterated_with_marker_and_repeats_dropped(server: FaultServer, client: ObjectStoreClient) -> None:
    server.script(parts(1, 2, marker=2), parts(2, 5, marker=5), parts(7))
    assert [part.number for part in client.iter_parts("bucket", "k", "u", max_parts=2)] == [1, 2, 5, 7]
    assert [each.get("part-number-marker") for each in queries(server)] == [None, "2", "5"]


@pytest.mark.parametrize("steps", [[parts(1, marker=0)], [parts(1, marker=1), parts(1, marker=1)], [parts(marker=-1)]])
def test_part_markers_without_progress_are_an_error(
    server: FaultServer, client: ObjectStoreClient, steps: list[Step]
) -> None:
    server.script(*steps)
    with pytest.raises(UnreadableResponse, match=Code.LISTING_WITHOUT_END):
        list(client.iter_parts("bucket", "k", "u"))
    assert len(server.received) == len(steps)


def test_abort_date_of_lifecycle_rule(server: FaultServer, client: ObjectStoreClient) -> None:
    headers = {"x-amz-abort-date": "Mon, 01 Jan 2024 00:00:00 GMT", "x-amz-abort-rule-id": "rule"}
    server.script(respond(200, b"<ListPartsResult/>", headers))
    found = client.list_parts("bucket", "k", "u")
    assert found.abort_date is not None
    assert (found.abort_date.year, found.abort_rule_id) == (2024, "rule")


KEYS = st.text("ab/%+ é", min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(KEYS, st.text("12", min_size=1, max_size=2)), unique=True, max_size=12), st.integers(1, 5))
def test_any_listing_is_iterated_completely(uploads: list[tuple[str, str]], size: int) -> None:
    ordered = sorted(uploads)

    def store(exchange: Exchange) -> None:
        """Lists like S3: strictly after the markers, with all fields encoded."""
        query = {name: texts[0] for name, texts in parse_qs(urlsplit(exchange.received.target).query).items()}
        after = (query.get("key-marker", ""), query.get("upload-id-marker", ""))
        rest = [each for each in ordered if each > after]
        rows = "".join(
            f"<Upload><Key>{quote(key)}</Key><UploadId>{each}</UploadId></Upload>" for key, each in rest[:size]
        )
        last = rest[:size][-1] if rest else ("", "")
        fields = {"EncodingType": "url", "NextKeyMarker": quote(last[0]), "NextUploadIdMarker": last[1]}
        fields["IsTruncated"] = str(len(rest) > size).lower()
        rows += "".join(f"<{name}>{text}</{name}>" for name, text in fields.items())
        exchange.respond(200, f"<ListMultipartUploadsResult>{rows}</ListMultipartUploadsResult>".encode())

    with FaultServer(*[store] * 20) as server:
        config = StoreConfig(server.url, "us-east-1", Credentials("AK", "S"), provider="aws")
        with ObjectStoreClient(config) as client:
            assert iterate(client) == ordered
