"""What a store sends passes one boundary: it yields clean values, "unknown", or an ObjectStoreError."""

from __future__ import annotations

import dataclasses
import gzip
import itertools
import json
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.objectstore.fault_server import XML_ERROR, Exchange, FaultServer, Step, respond
from tests.objectstore.responses import COMPLETED, CREATED, EMPTY_LISTING, PARTS
from tests.stores.s3 import S3Store
from uploads.objectstore import xml
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import ObjectStoreError, OutcomeUnknown, Reason, Refused, UnreadableResponse
from uploads.objectstore.received import EARLIEST, LATEST, time_of
from uploads.objectstore.retry import RetryPolicy
from uploads.objectstore.types import Credentials, StoreConfig
from uploads.objectstore.xml_tree import MAX_ALL_ELEMENTS, MAX_REPLACED, MAX_ROWS
from uploads.problems import Code, Problem

MIB = 1024 * 1024

# Redirects


def test_redirect_keeps_code_and_request_id_of_its_body(server: FaultServer, client: ObjectStoreClient) -> None:
    """Redirects whose body the HTTP library reads itself: the store's code, message and request id were lost."""
    server.script(respond(307, XML_ERROR % b"QuotaExceeded", {"Location": "http://elsewhere.test/"}))
    with pytest.raises(Refused) as caught:
        client.list_multipart_uploads("bucket")
    error = caught.value
    assert (error.code, error.store_message, error.request_id, error.status) == ("QuotaExceeded", "no", "r-1", 307)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 404, 500])
def test_size_limit_holds_for_every_status(server: FaultServer, client: ObjectStoreClient, status: int) -> None:
    """Bodies that were read past the limit: 400 MiB of gzip in a redirect took 836 MiB of memory."""
    bomb = gzip.compress(b" " * (200 * MIB), compresslevel=1)
    headers = {"Content-Encoding": "gzip", "Location": "http://elsewhere.test/", "x-amz-request-id": "r-7"}
    server.script(respond(status, bomb, headers))
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableResponse, match=Code.RESPONSE_TOO_LARGE) as caught:
            client.list_buckets()
        assert tracemalloc.get_traced_memory()[1] < 64 * MIB
    finally:
        tracemalloc.stop()
    assert caught.value.request_id == "r-7"


@pytest.mark.parametrize("size", [b"-1", b"-ffffffff", b"+-5", b"x", b"f" * 5000])
def test_size_limit_holds_for_strange_chunks(server: FaultServer, client: ObjectStoreClient, size: bytes) -> None:
    """Chunks of a negative size, of which all that follows was read at once, and of other invalid sizes."""

    def step(exchange: Exchange) -> None:
        exchange.connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\n")
        with suppress(OSError):
            for _ in range(100):
                exchange.connection.sendall(b" " * MIB)
        exchange.connection.shutdown(2)

    server.script(step, step, step)
    tracemalloc.start()
    try:
        with pytest.raises(OutcomeUnknown):
            client.list_buckets()
        assert tracemalloc.get_traced_memory()[1] < 64 * MIB
    finally:
        tracemalloc.stop()


# Request ids


def cut(exchange: Exchange) -> None:
    exchange.respond(200, b"<List", {"Content-Length": "500", "x-amz-request-id": "r-7"})
    exchange.connection.shutdown(2)


@pytest.mark.parametrize(
    "step",
    [
        respond(200, b"<html>Login</html>", {"x-amz-request-id": "r-7"}),
        respond(200, b"", {"x-oss-request-id": "r-7"}),
        respond(404, b"<html>nginx</html>", {"x-amz-request-id": "r-7"}),
        respond(502, b"", {"x-amz-request-id": "r-7"}),
        respond(200, b"not gzip", {"Content-Encoding": "gzip", "x-amz-request-id": "r-7"}),
        cut,
    ],
    ids=["page", "empty", "error page", "gateway", "not gzip", "cut"],
)
def test_unusable_response_keeps_request_id_of_its_header(
    server: FaultServer, client: ObjectStoreClient, step: Step
) -> None:
    """Errors other than a refusal had no request id, although the response had one in its header."""
    server.script(step, step, step)
    with pytest.raises(ObjectStoreError) as caught:
        client.list_multipart_uploads("bucket")
    assert not isinstance(caught.value, Refused)
    assert caught.value.request_id == "r-7"


# Texts


def listing(rows: str, encoding: str = "utf-8", declaration: str = "") -> bytes:
    whole = f"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>{rows}</ListMultipartUploadsResult>"
    return declaration.encode() + whole.encode(encoding, "surrogateescape")


def row(key: str, **fields: str) -> str:
    rest = "".join(f"<{name}>{text}</{name}>" for name, text in fields.items())
    return f"<Upload><Key>{key}</Key><UploadId>u</UploadId>{rest}</Upload>"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (listing(row("Größe"), "latin-1", '<?xml version="1.0" encoding="ISO-8859-1"?>'), ""),
        (listing(row("Größe"), "latin-1"), "application/xml; charset=ISO-8859-1"),
        (listing(row("Größe"), "utf-8", '<?xml version="1.0" encoding="UTF-8"?>'), "text/xml; charset=iso-8859-1"),
        (listing(row("Größe"), "gb18030", "<?xml version='1.0' encoding='GB18030'?>"), ""),
        (listing(row("Größe"), "utf-16"), ""),
        (listing(row("Größe")), "application/xml"),
        (listing(row("Größe")), "application/xml; charset=no-such"),
    ],
)
def test_document_is_decoded_as_it_declares(
    server: FaultServer, client: ObjectStoreClient, body: bytes, content_type: str
) -> None:
    """Documents in another encoding than UTF-8 that say so: their names were taken for damaged."""
    server.script(respond(200, body, {"Content-Type": content_type}))
    page = client.list_multipart_uploads("bucket")
    assert ([each.key for each in page.uploads], page.notes) == (["Größe"], ())


def test_damaged_texts_are_clean_and_damaged_names_are_counted(server: FaultServer, client: ObjectStoreClient) -> None:
    """NUL, lone surrogates and bytes that are not UTF-8, in names and in all other texts."""
    dirty = "a\udcff&#0;&#xD800;\0b"
    rows = row(dirty) + row("k", StorageClass=dirty, Initiator=f"<DisplayName>{dirty}</DisplayName>")
    rows += f"<NextUploadIdMarker>{dirty}</NextUploadIdMarker><NextKeyMarker>{dirty}</NextKeyMarker>"
    server.script(respond(200, listing(f"<IsTruncated>true</IsTruncated>{rows}")))
    page = client.list_multipart_uploads("bucket")
    assert page.notes == (Problem(Code.UPLOADS_NOT_READABLE, count=1),)
    [upload] = page.uploads
    assert (upload.key, upload.storage_class) == ("k", "a\ufffd\ufffd\ufffd\ufffdb")
    assert upload.initiator == upload.storage_class
    assert page.onward == ("k", "u")
    assert_clean(page)


def test_error_with_damaged_texts_is_clean(server: FaultServer, client: ObjectStoreClient) -> None:
    """Codes, messages and ids of errors, in the body and in headers."""
    body = b"<Error><Code>A\xff&#0;</Code><Message>m\xff\0&#xDFFF;</Message><RequestId>r\xff</RequestId></Error>"
    server.script(respond(400, body, {"x-amz-id-2": "h\x00\xff"}))
    with pytest.raises(Refused) as caught:
        client.list_multipart_uploads("bucket")
    assert (caught.value.code, caught.value.request_id) == ("A\ufffd\ufffd", "r\ufffd")
    assert_clean(vars(caught.value))


def test_long_texts_are_cut(server: FaultServer, client: ObjectStoreClient) -> None:
    """Texts without a limit: they went into rows, pages and logs as they were."""
    body = f"<Error><Code>{'c' * MIB}</Code><Message>{'m' * MIB}</Message><RequestId>{'r' * MIB}</RequestId></Error>"
    server.script(respond(400, body.encode()))
    with pytest.raises(Refused) as caught:
        client.list_multipart_uploads("bucket")
    error = caught.value
    assert (len(error.code), len(error.store_message), len(error.request_id)) == (100, 4000, 200)


@pytest.mark.parametrize("name", ["k" * 1025, "ß" * 513])
def test_upload_whose_names_fit_no_request_is_counted(
    server: FaultServer, client: ObjectStoreClient, name: str
) -> None:
    """Names that are longer than the API allows, with which no request can act."""
    long_id = "<Upload><Key>k</Key><UploadId>" + "u" * 1025 + "</UploadId></Upload>"
    server.script(respond(200, listing(row(name) + row("k") + long_id)))
    page = client.list_multipart_uploads("bucket")
    assert [each.key for each in page.uploads] == ["k"]
    assert page.notes == (Problem(Code.UPLOADS_NOT_READABLE, count=2),)


# Times

MOMENT = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
ODD_TIMES = [
    "0001-01-01T00:00:00+14:00",
    "0001-01-01T00:00:00Z",
    "1970-01-01T00:00:00.000Z",
    "9999-12-31T23:59:59-14:00",
    "Fri, 31 Dec 9999 23:59:59 -1400",
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "Mon, 01 Jan 0001 00:00:00 +1400",
    "2024-05-06T07:08:09+99:99",
    "Mon, 06 May 2024 07:08:09 +9999999999",
    "9" * 5000,
    "-",
    "\ud800",
]


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-06T07:08:09.000Z",
        "2024-05-06T07:08:09Z",
        "2024-05-06 07:08:09",
        "2024-05-06T09:08:09+02:00",
        "20240506T070809Z",
        "Mon, 06 May 2024 07:08:09 GMT",
        "Mon, 06 May 2024 09:08:09 +0200",
        "Monday, 06-May-24 07:08:09 GMT",
        "Mon May  6 07:08:09 2024",
    ],
)
def test_time_is_read_in_every_format_and_place(server: FaultServer, client: ObjectStoreClient, text: str) -> None:
    """Times in another format than the API's: in XML, and in headers."""
    part = f"<Part><PartNumber>1</PartNumber><LastModified>{text}</LastModified></Part>"
    server.script(
        respond(200, listing(row("k", Initiated=text))),
        respond(200, f"<ListPartsResult>{part}</ListPartsResult>".encode(), {"x-amz-abort-date": text}),
        respond(200, headers={"Last-Modified": text}),
    )
    assert client.list_multipart_uploads("bucket").uploads[0].initiated == MOMENT
    page = client.list_parts("bucket", "k", "u")
    assert (page.parts[0].last_modified, page.abort_date) == (MOMENT, MOMENT)
    assert client.head_object("bucket", "k").last_modified == MOMENT


@pytest.mark.parametrize("text", ODD_TIMES)
def test_time_that_is_none_of_an_object_store_is_unknown(text: str) -> None:
    """Times out of range, which raised OverflowError, and zero times, which are 2027 years ago."""
    assert time_of(text) is None


@given(st.text(max_size=40) | st.datetimes().map(str) | st.from_regex(r"[A-Z][a-z]{2}, \d{2} \w{3} \d{1,9} [\d:+ -]*"))
def test_any_text_is_a_time_in_range_or_unknown(text: str) -> None:
    at = time_of(text)
    assert at is None or EARLIEST <= at < LATEST


# Numbers


@pytest.mark.parametrize("size", ["9" * 400, "9" * 5000, "-1", "+1", "1e3", "", str(2**63)])
def test_invalid_number_is_unknown_or_unreadable(server: FaultServer, client: ObjectStoreClient, size: str) -> None:
    """Numbers that are out of range, negative or too long for `int`, in XML and in headers."""
    body = f"<ListPartsResult><NextPartNumberMarker>{size}</NextPartNumberMarker></ListPartsResult>"
    number = f"<ListPartsResult><Part><PartNumber>{size}</PartNumber></Part></ListPartsResult>"
    server.script(
        respond(200, body.encode()),
        respond(200, number.encode()),
        respond(200, headers={"Content-Length": size}),
        respond(503, headers={"Retry-After": size}),
        respond(200, EMPTY_LISTING),
    )
    assert client.list_parts("bucket", "k", "u").next_part_number_marker == 0
    with pytest.raises(UnreadableResponse, match=Code.RESPONSE_NUMBER_INVALID):
        client.list_parts("bucket", "k", "u")
    with pytest.raises(UnreadableResponse, match=Code.RESPONSE_WITHOUT_SIZE):
        client.head_object("bucket", "k")
    assert client.list_multipart_uploads("bucket").uploads == ()


def test_unknown_facts_of_part_are_unknown(server: FaultServer, client: ObjectStoreClient) -> None:
    """Facts that are missing or invalid: they were 0, or an exception."""
    facts = ["", "<Size>-5</Size><LastModified>0001-01-01T00:00:00Z</LastModified><ETag>e\udcff</ETag>"]
    facts += [f"<Size>{'9' * 400}</Size><ETag>{'e' * 200}</ETag>"]
    rows = "".join(f"<Part><PartNumber>{number}</PartNumber>{each}</Part>" for number, each in enumerate(facts, 1))
    server.script(respond(200, f"<ListPartsResult>{rows}</ListPartsResult>".encode("utf-8", "surrogateescape")))
    parts = client.list_parts("bucket", "k", "u").parts
    assert [(part.number, part.size, part.last_modified, part.etag) for part in parts] == [
        (number, None, None, "") for number in (1, 2, 3)
    ]


# Limits


def repeated(body: Callable[[int], bytes]) -> Step:
    """Responds to the n-th request with the n-th body."""
    numbers = itertools.count(1)

    def step(exchange: Exchange) -> None:
        exchange.read()
        exchange.respond(200, body(next(numbers)))

    return step


def test_listing_of_buckets_ends(server: FaultServer, client: ObjectStoreClient) -> None:
    """ListBuckets whose pages never end: 3,000 requests for one page view."""

    def page(number: int) -> bytes:
        bucket = f"<Buckets><Bucket><Name>b-{number}</Name></Bucket></Buckets>"
        token = f"<ContinuationToken>{number}</ContinuationToken>"
        return f"<ListAllMyBucketsResult>{bucket}{token}</ListAllMyBucketsResult>".encode()

    server.script(*[repeated(page)] * 100)
    found = client.list_buckets()
    assert (len(found), found.is_cut, len(server.received)) == (20, True, 20)


def test_number_of_buckets_is_limited(server: FaultServer, client: ObjectStoreClient) -> None:
    """Pages with more buckets than a page of Partway can show."""
    rows = "".join(f"<Bucket><Name>b-{number}</Name></Bucket>" for number in range(10_001))
    server.script(respond(200, f"<ListAllMyBucketsResult><Buckets>{rows}</Buckets></ListAllMyBucketsResult>".encode()))
    found = client.list_buckets()
    assert (len(found), found.is_cut) == (10_000, True)


@pytest.mark.parametrize(("per_page", "requests"), [(0, 120), (1, 120), (1000, 21)])
def test_listing_of_parts_ends(server: FaultServer, client: ObjectStoreClient, per_page: int, requests: int) -> None:
    """ListParts whose pages never end: with new parts, with few, and with none although its marker advances."""

    def page(number: int) -> bytes:
        first = (number - 1) * per_page + 1
        rows = "".join(f"<Part><PartNumber>{each}</PartNumber></Part>" for each in range(first, first + per_page))
        marker = f"<NextPartNumberMarker>{number * max(per_page, 1)}</NextPartNumberMarker>"
        return f"<ListPartsResult><IsTruncated>true</IsTruncated>{marker}{rows}</ListPartsResult>".encode()

    server.script(*[repeated(page)] * 200)
    with pytest.raises(UnreadableResponse, match=Code.PARTS_WITHOUT_END):
        list(client.iter_parts("bucket", "k", "u"))
    assert len(server.received) == requests


@pytest.mark.parametrize("per_page", [0, 1])
def test_listing_of_uploads_ends(server: FaultServer, client: ObjectStoreClient, per_page: int) -> None:
    """Listings of uploads whose markers advance forever, with new uploads or none: in iterators, and in the search for
    one upload before an abort.
    """

    def page(number: int) -> bytes:
        markers = f"<NextKeyMarker>k</NextKeyMarker><NextUploadIdMarker>{number}</NextUploadIdMarker>"
        row = f"<Upload><Key>k</Key><UploadId>{number}</UploadId></Upload>" * per_page
        return listing(f"<IsTruncated>true</IsTruncated>{markers}{row}")

    server.script(*[repeated(page)] * 2100)
    with pytest.raises(UnreadableResponse, match=Code.UPLOADS_WITHOUT_END) as caught:
        client.is_listed("bucket", "k", "u")
    assert caught.value.operation == "ListMultipartUploads"
    assert len(server.received) == 2000


def test_listing_of_uploads_ends_after_too_many(
    server: FaultServer, client: ObjectStoreClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of as many uploads and prefixes as are read of one: what is remembered of them is bounded."""
    monkeypatch.setattr("uploads.objectstore.client_listing.MAX_UPLOADS", 25)

    def page(number: int) -> bytes:
        rows = "".join(
            f"<Upload><Key>k{number}</Key><UploadId>{each}</UploadId></Upload>"
            f"<CommonPrefixes><Prefix>p{number}-{each}/</Prefix></CommonPrefixes>"
            for each in range(5)
        )
        marker = f"<NextKeyMarker>k{number}</NextKeyMarker><NextUploadIdMarker>4</NextUploadIdMarker>"
        return listing(f"<IsTruncated>true</IsTruncated>{marker}{rows}")

    server.script(*[repeated(page)] * 10)
    with pytest.raises(UnreadableResponse, match=Code.UPLOADS_WITHOUT_END):
        list(client.iter_multipart_uploads("bucket"))
    assert len(server.received) == 3


def test_page_with_too_many_rows_takes_bounded_memory(server: FaultServer, client: ObjectStoreClient) -> None:
    """60,000 uploads for max-uploads=10 took 787 MiB, and made a page of 94 MiB."""
    rows = "".join(
        f"<Upload><Key>key-{number:06}</Key><UploadId>{number}</UploadId><Initiated>2024-05-06T07:08:09Z</Initiated>"
        "<Owner><ID>o</ID></Owner></Upload>"
        for number in range(60_000)
    )
    prefixes = "<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>" * 20_000
    server.script(respond(200, listing(rows + prefixes + "<IsTruncated>false</IsTruncated>")))
    tracemalloc.start()
    try:
        page = client.list_multipart_uploads("bucket", max_uploads=10)
        assert tracemalloc.get_traced_memory()[1] < 128 * MIB
    finally:
        tracemalloc.stop()
    assert (len(page.uploads), page.unshown, page.is_truncated) == (10_000, 60_000, True)
    assert page.onward == ("key-009999", "9999")
    shown = page.first(1000)
    assert (len(shown.uploads), shown.unshown, shown.onward) == (1000, 78_000, ("key-000999", "999"))


def test_page_with_too_many_parts_continues_after_the_last(server: FaultServer, client: ObjectStoreClient) -> None:
    """More parts in one page than an upload can have."""
    rows = "".join(f"<Part><PartNumber>{number}</PartNumber></Part>" for number in range(1, 30_001))
    server.script(respond(200, f"<ListPartsResult>{rows}</ListPartsResult>".encode()))
    page = client.list_parts("bucket", "k", "u", max_parts=10)
    # Part 10,000 is listed again on the next page: on some stores, such a marker leaves out parts.
    assert (len(page.parts), page.is_truncated, page.next_part_number_marker) == (9_999, True, 9_999)


@pytest.mark.parametrize(
    "body",
    [
        b"\x01" * (4 * MIB),
        b"&#1;" * MIB,
        "".join(map(chr, range(0xE000, 0xF8FF))).encode() * 100 + b"\x01",
        b"<Upload " + b"".join(b"a%d='' " % number for number in range(200_000)) + b"/>",
        b"<a/>" * MIB,
        b"<a>" * MIB,
        b"<Upload/>" * MIB,
        b"&#x" + b"0" * (4 * MIB),
        b"<!--" * MIB,
        b"<Upload><Key>" + b"%41" * MIB + b"</Key><UploadId>u</UploadId></Upload>",
    ],
    ids=["raw", "references", "private", "attributes", "elements", "deep", "rows", "zeros", "comments", "long"],
)
def test_hostile_document_takes_bounded_memory(body: bytes) -> None:
    """Documents that are large to read: illegal characters, attributes, elements, nesting, long names."""
    whole = b"<ListMultipartUploadsResult><EncodingType>url</EncodingType>" + body + b"</ListMultipartUploadsResult>"
    tracemalloc.start()
    try:
        with suppress(UnreadableResponse):
            xml.uploads_page(xml.uploads_fields(whole))
        assert tracemalloc.get_traced_memory()[1] < 128 * MIB
    finally:
        tracemalloc.stop()


def test_number_of_replaced_characters_is_limited() -> None:
    """Illegal characters cost a fixed time per page: at the limit the page is read, beyond it is refused."""
    for piece in ("\x01", "&#1;"):
        body = listing(row("k", Owner="<ID>" + piece * MAX_REPLACED + "</ID>"))
        assert len(xml.uploads_page(xml.uploads_fields(body)).uploads) == 1
        with pytest.raises(UnreadableResponse, match=Code.RESPONSE_TOO_COMPLEX):
            xml.uploads_fields(body.replace(b"<ID>", b"<ID>\x01"))


def test_number_of_elements_is_limited() -> None:
    """Rows that are not kept cost time too: at the limit they are counted, beyond it the page is refused."""
    rows = "<Upload/>" * (MAX_ALL_ELEMENTS - 2)
    page = xml.uploads_page(xml.uploads_fields(listing(rows)))
    assert page.unshown == MAX_ALL_ELEMENTS - 2 - MAX_ROWS
    with pytest.raises(UnreadableResponse, match=Code.RESPONSE_TOO_COMPLEX):
        xml.uploads_fields(listing(rows + "<Upload/>"))


# Names of roots


def test_root_with_another_name_is_accepted_if_its_fields_prove_it(
    server: FaultServer, client: ObjectStoreClient
) -> None:
    """Roots that SDKs accept: rclone's `InitiateMultipartUpload`, and any other name around the right fields."""
    server.script(
        respond(200, b"<InitiateMultipartUpload><UploadId>u-9</UploadId></InitiateMultipartUpload>"),
        respond(200, b"<ListUploads><MaxUploads>1000</MaxUploads></ListUploads>"),
        respond(200, b"<Parts><Part><PartNumber>1</PartNumber></Part></Parts>"),
        respond(200, b"<CompleteMultipartUpload><Key>k</Key><ETag>e</ETag></CompleteMultipartUpload>"),
        respond(200, b"<Result><Buckets><Bucket><Name>bucket</Name></Bucket></Buckets></Result>"),
    )
    assert client.create_multipart_upload("bucket", "k") == "u-9"
    assert client.list_multipart_uploads("bucket").uploads == ()
    assert [part.number for part in client.list_parts("bucket", "k", "u").parts] == [1]
    assert client.complete_multipart_upload("bucket", "k", "u", PARTS).etag == "e"
    assert [bucket.name for bucket in client.list_buckets()] == ["bucket"]


@pytest.mark.parametrize(
    "body",
    [
        b"<InitiateMultipartUpload/>",
        b"<html><UploadId/></html>",
        b"<ListPartsResult><UploadId>u</UploadId></ListPartsResult>",
        b"<html><body>Login</body></html>",
    ],
)
def test_root_that_proves_nothing_is_unreadable(server: FaultServer, client: ObjectStoreClient, body: bytes) -> None:
    """Successful responses that could be of any server, or of another operation."""
    server.script(respond(200, body))
    with pytest.raises(UnreadableResponse):
        client.create_multipart_upload("bucket", "k")


def test_listing_of_objects_is_not_one_of_uploads(server: FaultServer, client: ObjectStoreClient) -> None:
    """A server that ignores the parameter `uploads` lists objects: that is no empty listing of uploads."""
    server.script(respond(200, b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"))
    with pytest.raises(UnreadableResponse):
        client.list_multipart_uploads("bucket")


def test_bucket_without_uploads_may_list_as_no_such_upload(server: FaultServer, client: ObjectStoreClient) -> None:
    """rclone's response for a bucket without uploads. Other errors remain errors."""
    server.script(respond(404, XML_ERROR % b"NoSuchUpload"), respond(404, XML_ERROR % b"NoSuchBucket"))
    page = client.list_multipart_uploads("bucket")
    assert (page.uploads, page.is_truncated) == ((), False)
    with pytest.raises(Refused) as caught:
        client.list_multipart_uploads("bucket")
    assert caught.value.reason is Reason.NO_SUCH_BUCKET


@pytest.mark.parametrize("body", [b"", b"<Error/>", b"<Error><Message>no</Message></Error>"])
@pytest.mark.parametrize(
    "request_",
    [
        lambda client: client.create_multipart_upload("bucket", "k"),
        lambda client: client.list_parts("bucket", "k", "u"),
        lambda client: client.complete_multipart_upload("bucket", "k", "u", PARTS),
        lambda client: client.abort_multipart_upload("bucket", "k", "u"),
        lambda client: client.put_object("bucket", "k", None),
        lambda client: client.delete_object("bucket", "k"),
        lambda client: client.list_multipart_uploads("bucket"),
        lambda client: client.list_buckets(),
    ],
    ids=["create", "parts", "complete", "abort", "put", "delete", "uploads", "buckets"],
)
def test_404_without_a_code_proves_no_absence(
    server: FaultServer, client: ObjectStoreClient, request_: Callable[[ObjectStoreClient], object], body: bytes
) -> None:
    """A 404 that may be a proxy's: it was taken for the store's statement that the upload, key or bucket is gone."""
    server.script(respond(404, body, {"x-request-id": "r-7"}))
    with pytest.raises(UnreadableResponse):
        request_(client)
    assert len(server.received) == 1


# Anything

UPLOADS = listing(
    "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextKeyMarker>b</NextKeyMarker>"
    "<NextUploadIdMarker>2</NextUploadIdMarker><CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>"
    + row(
        "a%20b",
        Initiated="2024-05-06T07:08:09.000Z",
        StorageClass="STANDARD",
        Owner="<ID>o</ID><DisplayName>Ö</DisplayName>",
    )
)
LISTED_PARTS = (
    b"<ListPartsResult><IsTruncated>false</IsTruncated><NextPartNumberMarker>2</NextPartNumberMarker><Owner><ID>o</ID>"
    b"</Owner><Part><PartNumber>1</PartNumber><ETag>&quot;e&quot;</ETag><Size>5</Size><HashCrc64ecma>7</HashCrc64ecma>"
    b"<LastModified>2024-05-06T07:08:09Z</LastModified></Part></ListPartsResult>"
)
BUCKETS = (
    b"<ListAllMyBucketsResult><Buckets><Bucket><Name>bucket</Name><CreationDate>2024-01-01T00:00:00.000Z"
    b"</CreationDate></Bucket></Buckets></ListAllMyBucketsResult>"
)
HEADERS = {
    "ETag": '"e"',
    "Date": "Mon, 06 May 2024 07:08:09 GMT",
    "Last-Modified": "Mon, 06 May 2024 07:08:09 GMT",
    "x-amz-request-id": "r-1",
    "x-amz-id-2": "h-1",
    "x-amz-meta-name": "value",
    "x-amz-abort-date": "Mon, 06 May 2024 07:08:09 GMT",
    "x-amz-abort-rule-id": "rule",
    "x-amz-version-id": "v",
    "x-amz-storage-class": "STANDARD",
    "x-amz-checksum-crc64nvme": "AAAAAAAAAAA=",
    "x-oss-hash-crc64ecma": "0",
    "x-amz-bucket-region": "eu-west-1",
    "Retry-After": "1",
    "Content-Type": "application/xml; charset=utf-8",
    "Location": "http://elsewhere.test/",
}
OPERATIONS: dict[str, tuple[bytes, Callable[[ObjectStoreClient], object]]] = {
    "buckets": (BUCKETS, lambda client: client.list_buckets()),
    "bucket": (b"", lambda client: client.head_bucket("bucket")),
    "uploads": (UPLOADS, lambda client: client.list_multipart_uploads("bucket")),
    "parts": (LISTED_PARTS, lambda client: client.list_parts("bucket", "k", "u")),
    "create": (CREATED, lambda client: client.create_multipart_upload("bucket", "k")),
    "complete": (COMPLETED, lambda client: client.complete_multipart_upload("bucket", "k", "u", PARTS)),
    "put": (b"", lambda client: client.put_object("bucket", "k", None)),
    "head": (b"", lambda client: client.head_object("bucket", "k")),
    "abort": (b"", lambda client: client.abort_multipart_upload("bucket", "k", "u")),
    "error": (XML_ERROR % b"AccessDenied", lambda client: client.delete_object("bucket", "k")),
}
NASTY = st.sampled_from(
    [
        *(text.encode("utf-8", "surrogatepass") for text in ODD_TIMES),
        *(b"\xff", b"\0", b"&#0;", b"&#xD800;", b"&#x1;", b"\xed\xa0\x80", b"%00", b"%FF", b"-1", b"9" * 400),
        *(
            b"9" * 5000,
            b"<",
            b">",
            b"</",
            b"<Error>",
            b"<a>" * 20,
            b'encoding="latin-1"',
            b"\xef\xbb\xbf",
            b"",
            b"true",
        ),
        *("\ue000000001".encode(), b"<!--", b"<![CDATA[", b"?>", b"=\"'", b"&#xe000;", b"x" * 5000),
    ]
)


@st.composite
def mutated(draw: st.DrawFn, original: bytes) -> bytes:
    """The bytes with a few pieces replaced, inserted or removed."""
    found = original
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(found)))
        end = draw(st.integers(start, min(len(found), start + 40)))
        found = found[:start] + draw(NASTY | st.binary(max_size=8)) + found[end:]
    return found


def assert_clean(value: Any) -> None:
    """All texts can be stored and shown, all numbers and times are in range."""
    for each in values_in(value):
        if isinstance(each, str):
            assert "\0" not in each
            json.dumps(each, ensure_ascii=False).encode()
        elif isinstance(each, datetime):
            assert EARLIEST <= each < LATEST
        elif isinstance(each, int):
            assert -1 <= each < 2**64


def values_in(value: Any) -> Iterator[Any]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield name
            yield from values_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from values_in(each)
    else:
        yield value


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[tuple[FaultServer, ObjectStoreClient]]:
    with FaultServer() as server:
        config = StoreConfig(
            server.url, "us-east-1", Credentials("AK", "S"), provider="aws", connect_timeout=5.0, stall_timeout=0.5
        )
        with ObjectStoreClient(config, retries=RetryPolicy(attempts=1)) as client:
            yield server, client


@pytest.mark.parametrize("operation", OPERATIONS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_response_is_clean_or_an_error_of_the_store(
    fuzzed: tuple[FaultServer, ObjectStoreClient], operation: str, data: st.DataObject
) -> None:
    """Bytes of real responses that are replaced, inserted and removed, in the body and in headers."""
    server, client = fuzzed
    body, call = OPERATIONS[operation]
    body = data.draw(mutated(body))
    name = data.draw(st.sampled_from(list(HEADERS)))
    value = data.draw(mutated(HEADERS[name].encode())).translate(None, b"\r\n")
    status = data.draw(st.sampled_from([200, 200, 200, 204, 206, 301, 400, 403, 404, 412, 500, 503]))

    def step(exchange: Exchange) -> None:
        exchange.read()
        lines = {each: text.encode() for each, text in HEADERS.items()} | {name: value}
        lines["Content-Length"] = str(len(body)).encode()
        head = b"".join(each.encode() + b": " + text + b"\r\n" for each, text in lines.items())
        sent = b"" if exchange.received.method == "HEAD" or status == 204 else body
        exchange.connection.sendall(b"HTTP/1.1 %d Whatever\r\n%s\r\n%s" % (status, head, sent))

    server.script(step, step)
    try:
        assert_clean(call(client))
    except ObjectStoreError as error:
        assert_clean(vars(error))
        assert_clean(str(error))


# A real server


def test_rclone_creates_lists_and_aborts(rclone_store: S3Store) -> None:
    """`rclone serve s3`, whose root of Create has another name, and which reports NoSuchUpload for an empty bucket."""
    credentials = Credentials(rclone_store.access_key, rclone_store.secret_key)
    bucket = rclone_store.new_bucket()
    with ObjectStoreClient(StoreConfig(rclone_store.endpoint_url, rclone_store.region, credentials)) as client:
        assert client.list_multipart_uploads(bucket).uploads == ()
        upload_id = client.create_multipart_upload(bucket, "k")
        assert [each.upload_id for each in client.list_multipart_uploads(bucket).uploads] == [upload_id]
        client.abort_multipart_upload(bucket, "k", upload_id)
        assert client.list_multipart_uploads(bucket).uploads == ()
