"""Reading and writing XML, and rejecting hostile XML."""

from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote, quote_plus
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploads.objectstore import xml, xml_tree
from uploads.objectstore.checksums import ReportedCrc64
from uploads.objectstore.errors import NotSent, UnreadableResponse
from uploads.objectstore.types import CompletedPart, MultipartUpload, UploadsPage
from uploads.problems import Code, Problem

NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
KEYS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60)
XML_KEYS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"),
    min_size=1,
    max_size=60,
)
UPLOAD_IDS = st.text("abcXYZ0123~._-", min_size=1, max_size=30)


def listing(rows: str, **fields: str) -> bytes:
    rest = "".join(f"<{name}>{text}</{name}>" for name, text in fields.items())
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ListMultipartUploadsResult{NAMESPACE}>{rest}{rows}'
        "</ListMultipartUploadsResult>"
    ).encode("utf-8", "surrogateescape")


def row(key: str, upload_id: str = "id") -> str:
    return f"<Upload><Key>{key}</Key><UploadId>{upload_id}</UploadId></Upload>"


def prefix(text: str) -> str:
    return f"<CommonPrefixes><Prefix>{text}</Prefix></CommonPrefixes>"


def uploads_page(body: bytes, *, markers_encoded: bool = True, request_id: str = "") -> UploadsPage:
    return xml.uploads_page(xml.uploads_fields(body), markers_encoded=markers_encoded, request_id=request_id)


def is_ambiguous(body: bytes) -> bool:
    return xml.encoding_is_ambiguous(xml.uploads_fields(body))


def keys_of(page: UploadsPage) -> list[str]:
    return [upload.key for upload in page.uploads]


# Listings of uploads


def test_every_field_of_an_upload() -> None:
    page = uploads_page(
        listing(
            """
            <Upload>
              <Key>a &amp; b</Key> <UploadId>u~1</UploadId>
              <Initiator><ID>i-1</ID><DisplayName>Ina</DisplayName></Initiator>
              <Owner><ID>o-1</ID><DisplayName></DisplayName></Owner>
              <StorageClass>STANDARD_IA</StorageClass>
              <Initiated>2024-05-06T07:08:09.123Z</Initiated>
            </Upload>
            """,
            IsTruncated="true",
            NextKeyMarker="a &amp; b",
            NextUploadIdMarker="u~1",
        ),
        request_id="r",
    )
    moment = datetime(2024, 5, 6, 7, 8, 9, 123000, tzinfo=UTC)
    assert page == UploadsPage(
        uploads=(MultipartUpload("a & b", "u~1", moment, "Ina", "o-1", "STANDARD_IA"),),
        common_prefixes=(),
        is_truncated=True,
        next_key_marker="a & b",
        next_upload_id_marker="u~1",
        request_id="r",
    )


def test_owner_initiator_storage_class_and_markers_are_optional() -> None:
    page = uploads_page(listing(row("k") + "<Upload><Key>l</Key><UploadId>i</UploadId><Owner/></Upload>"))
    assert page.uploads == (MultipartUpload("k", "id", None), MultipartUpload("l", "i", None))
    assert (page.next_key_marker, page.next_upload_id_marker, page.is_truncated) == ("", "", False)


@pytest.mark.parametrize("text", ["", "yesterday", "2024-13-01T00:00:00Z"])
def test_invalid_time_is_none(text: str) -> None:
    rows = f"<Upload><Key>k</Key><UploadId>i</UploadId><Initiated>{text}</Initiated></Upload>"
    assert uploads_page(listing(rows)).uploads[0].initiated is None


def test_namespaces_and_prefixes_of_names_are_ignored() -> None:
    rows = "<s:Upload><s:Key>k</s:Key><s:UploadId>i</s:UploadId></s:Upload>"
    body = f'<s:ListMultipartUploadsResult xmlns:s="x">{rows}</s:ListMultipartUploadsResult>'.encode()
    assert keys_of(uploads_page(body)) == ["k"]


@given(st.lists(st.tuples(XML_KEYS, UPLOAD_IDS), max_size=8))
def test_keys_are_read_exactly(rows: list[tuple[str, str]]) -> None:
    page = uploads_page(listing("".join(row(escape(key), upload_id) for key, upload_id in rows)))
    assert [(upload.key, upload.upload_id) for upload in page.uploads] == rows


@given(st.lists(KEYS, min_size=1, max_size=8), KEYS, st.sampled_from([quote, quote_plus]))
def test_declared_encoding_is_decoded_once(keys: list[str], folder: str, encode: Callable[[str], str]) -> None:
    body = listing(
        "".join(row(encode(key)) for key in keys) + prefix(encode(folder)),
        EncodingType="url",
        NextKeyMarker=encode(keys[-1]),
    )
    page = uploads_page(body)
    assert keys_of(page) == keys
    assert page.common_prefixes == (folder,)
    assert page.next_key_marker == keys[-1]


@given(st.lists(XML_KEYS, min_size=1, max_size=8), XML_KEYS)
def test_markers_and_prefixes_of_a_store_that_encodes_only_keys(keys: list[str], folder: str) -> None:
    body = listing(
        "".join(row(quote(key)) for key in keys) + prefix(escape(folder)),
        EncodingType="url",
        NextKeyMarker=escape(keys[-1]),
    )
    page = uploads_page(body, markers_encoded=False)
    assert (keys_of(page), page.common_prefixes, page.next_key_marker) == (keys, (folder,), keys[-1])


@pytest.mark.parametrize("key", ["100%25", "a+b", "a%2Fb"])
def test_marker_equal_to_last_key_was_not_encoded(key: str) -> None:
    page = uploads_page(listing(row(quote(key)), EncodingType="url", NextKeyMarker=key))
    assert page.next_key_marker == key


@pytest.mark.parametrize("key", ["100%25", "a+b", "%2F"])
def test_undeclared_encoding_is_not_decoded(key: str) -> None:
    body = listing(row(key) + prefix(key), NextKeyMarker=key)
    page = uploads_page(body)
    assert (keys_of(page), page.common_prefixes, page.next_key_marker) == ([key], (key,), key)
    assert is_ambiguous(body)


def test_encoding_is_not_ambiguous_if_declared_or_nothing_could_be_encoded() -> None:
    assert not is_ambiguous(listing(row("a%20b"), EncodingType="url"))
    assert not is_ambiguous(listing(row("a b")))


# Characters that XML cannot contain


def test_page_with_control_character_reference_is_read_exactly() -> None:
    page = uploads_page(listing(row("a") + row("b&#x01;c") + row("d&#1;&#xfffe;") + row("e"), NextKeyMarker="&#x1;"))
    assert keys_of(page) == ["a", "b\x01c", "d\x01\ufffe", "e"]
    assert page.next_key_marker == "\x01"
    assert not page.notes


def test_raw_control_character_is_read_exactly() -> None:
    assert keys_of(uploads_page(listing(row("a\x01\x1f") + row("b")))) == ["a\x01\x1f", "b"]


@given(st.lists(KEYS, min_size=1, max_size=6), st.booleans())
def test_keys_written_as_by_ceph_are_read_exactly(keys: list[str], as_references: bool) -> None:
    def written(key: str) -> str:
        text = escape(key, {"\r": "&#xD;"})
        if not as_references:
            return text
        return "".join(f"&#x{ord(each):02X};" if each < " " or each > "\ufffd" else each for each in text)

    assert keys_of(uploads_page(listing("".join(map(row, map(written, keys)))))) == keys


def test_replacement_of_illegal_character_does_not_occur_in_text() -> None:
    keys = ["\ue000000001", "&#xe001;000001", "b&#x01;"]
    assert keys_of(uploads_page(listing("".join(map(row, keys))))) == ["\ue000000001", "\ue001000001", "b\x01"]


@pytest.mark.parametrize("dirty", ["a&#0;", "a&#xD800;", "a&#x110000;", "a\0", "a\udcff", "a&#99999999;"])
def test_key_that_is_not_exact_is_left_out_and_noted(dirty: str) -> None:
    page = uploads_page(listing(row("a") + row(dirty) + row("b"), IsTruncated="false"))
    assert keys_of(page) == ["a", "b"]
    assert page.notes == (Problem(Code.UPLOADS_NOT_READABLE, count=1),)


@pytest.mark.parametrize("rows", ["<Upload><Key>k</Key></Upload>", row(""), row("k", ""), row("%FF"), row("%00")])
def test_upload_without_name_is_left_out_and_noted(rows: str) -> None:
    page = uploads_page(listing(rows + row("b"), EncodingType="url"))
    assert keys_of(page) == ["b"]
    assert page.notes


# Unreadable documents

BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;">]>
<ListMultipartUploadsResult><Upload><Key>&lol2;</Key></Upload></ListMultipartUploadsResult>"""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  \n",
        b"\xff\xfe\x00",
        b"not xml",
        b"{}",
        b"<html><body>Hello</body></html>",
        b"<!DOCTYPE html><html><br></html>",
        BOMB,
        BOMB.decode().encode("utf-16"),
        b"<?xml version='1.0'?><!DOCTYPE a SYSTEM 'file:///etc/passwd'><ListMultipartUploadsResult/>",
        b"<ListMultipartUploadsResult>&undefined;</ListMultipartUploadsResult>",
        b"<ListMultipartUploadsResult><IsTruncated>false",
        b"<ListMultipartUploadsResult></ListMultipartUploadsResult><more/>",
        b"<ListPartsResult/>",
        b"<ListMultipartUploadsResult>" + b"<a>" * 100,
        b"<ListMultipartUploadsResult>" + b"<a/>" * 300_000,
    ],
)
def test_invalid_documents_are_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableResponse):
        uploads_page(body)


@given(st.binary(max_size=200) | st.text("<>/!?a&#x;[]\"' ", max_size=200).map(str.encode))
def test_any_bytes_are_read_or_unreadable(body: bytes) -> None:
    with contextlib.suppress(UnreadableResponse):
        xml_tree.parse_any(body)


@given(st.integers(0, 400), st.sampled_from(["\x01", "&#x01;", "\udcff", "x"]))
def test_truncated_response_is_unreadable(length: int, inside: str) -> None:
    whole = listing(row("a" + inside) + row("b"), IsTruncated="false")
    if length < len(whole):
        with pytest.raises(UnreadableResponse):
            uploads_page(whole[:length])


def test_many_elements_do_not_exhaust_memory() -> None:
    body = b"<ListMultipartUploadsResult>" + b"<a/>" * 4_000_000
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableResponse):
            uploads_page(body)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(body)
    finally:
        tracemalloc.stop()


# Other responses


def test_parts() -> None:
    body = b"""<ListPartsResult><PartNumberMarker>0</PartNumberMarker><NextPartNumberMarker>7</NextPartNumberMarker>
    <IsTruncated>true</IsTruncated><StorageClass>STANDARD</StorageClass><Owner><ID>o</ID></Owner>
    <Part><PartNumber>2</PartNumber><ETag>&quot;abc&quot;</ETag><Size>5</Size>
    <LastModified>2024-01-01T00:00:00+01:00</LastModified><HashCrc64ecma>18446744073709551615</HashCrc64ecma></Part>
    <Part><PartNumber>7</PartNumber><ETag>def</ETag></Part></ListPartsResult>"""
    page = xml.parts_page(xml.parts_fields(body), abort_date=None, abort_rule_id="", request_id="r")
    assert [(part.number, part.size, part.etag) for part in page.parts] == [(2, 5, "abc"), (7, None, "def")]
    assert page.parts[0].last_modified == datetime(2023, 12, 31, 23, tzinfo=UTC)
    assert [part.crc64 for part in page.parts] == [ReportedCrc64("ecma", 2**64 - 1), None]
    assert (page.is_truncated, page.next_part_number_marker, page.owner, page.initiator) == (True, 7, "o", "")


def test_missing_part_number_marker_is_last_number() -> None:
    body = b"<ListPartsResult><IsTruncated>true</IsTruncated><Part><PartNumber>9</PartNumber></Part></ListPartsResult>"
    assert (
        xml.parts_page(xml.parts_fields(body), abort_date=None, abort_rule_id="", request_id="").next_part_number_marker
        == 9
    )


@pytest.mark.parametrize("text", ["", "-1", "0x1", "\u0661", str(2**64), "9" * 5000])
def test_invalid_crc_of_part_is_none(text: str) -> None:
    part = f"<Part><PartNumber>1</PartNumber><HashCrc64ecma>{text}</HashCrc64ecma></Part>"
    body = f"<ListPartsResult>{part}</ListPartsResult>".encode()
    [found] = xml.parts_page(xml.parts_fields(body), abort_date=None, abort_rule_id="", request_id="").parts
    assert found.crc64 is None


@pytest.mark.parametrize("number", ["", "one", "1.5"])
def test_part_without_number_is_unreadable(number: str) -> None:
    body = f"<ListPartsResult><Part><PartNumber>{number}</PartNumber></Part></ListPartsResult>".encode()
    with pytest.raises(UnreadableResponse):
        xml.parts_page(xml.parts_fields(body), abort_date=None, abort_rule_id="", request_id="")


def test_buckets() -> None:
    body = b"""<ListAllMyBucketsResult><Owner/><Buckets><Bucket><Name>a</Name>
    <CreationDate>2024-01-01T00:00:00.000Z</CreationDate></Bucket><Bucket><Name>b</Name></Bucket></Buckets>
    </ListAllMyBucketsResult>"""
    listed, _ = xml.buckets(body)
    assert [(bucket.name, bucket.created) for bucket in listed] == [
        ("a", datetime(2024, 1, 1, tzinfo=UTC)),
        ("b", None),
    ]
    assert xml.buckets(b"<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>") == ((), {})


def test_response_without_upload_id_is_unreadable() -> None:
    assert (
        xml.upload_id(b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>") == "u"
    )
    with pytest.raises(UnreadableResponse):
        xml.upload_id(b"<InitiateMultipartUploadResult/>")


def test_etag_of_completed_object_may_be_missing() -> None:
    assert (
        xml.completed_etag(b'<CompleteMultipartUploadResult><ETag>"a-2"</ETag></CompleteMultipartUploadResult>')
        == "a-2"
    )
    assert xml.completed_etag(b"\n \n<CompleteMultipartUploadResult/>") == ""


def test_error_is_found_after_keep_alive_whitespace() -> None:
    body = b'<?xml version="1.0"?>\n' + b" " * 5000 + b"<Error><Code>InternalError</Code><Message/></Error>"
    assert xml.error_fields(body) == {"Code": "InternalError", "Message": ""}
    assert xml.error_fields(b"<Other/>") is None
    assert xml.error_fields(b"text") is None


# Writing


@given(
    st.dictionaries(
        st.integers(1, 10_000), st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)
    ).filter(lambda parts: parts and all(etag.strip('"') for etag in parts.values()))
)
def test_body_of_complete_is_read_back(parts: dict[int, str]) -> None:
    expected = [CompletedPart(number, xml.unquoted(etag)) for number, etag in sorted(parts.items())]
    tree = ElementTree.fromstring(xml.complete_body([part for part in expected if part.etag] or expected))
    rows = [(int(part[0].text or ""), part[1].text) for part in tree]
    assert rows == [(part.number, f'"{part.etag}"') for part in expected if part.etag]


@pytest.mark.parametrize("numbers", [[], [2, 1], [1, 1]])
def test_complete_requires_ascending_numbers(numbers: list[int]) -> None:
    with pytest.raises(NotSent):
        xml.complete_body([CompletedPart(number, "e") for number in numbers])


@pytest.mark.parametrize("etag", ["", "a\x01"])
def test_complete_requires_etags(etag: str) -> None:
    with pytest.raises(NotSent):
        xml.complete_body([CompletedPart(1, etag)])


def test_markers_mean_that_more_follow_if_the_store_does_not_state_it() -> None:
    """A page that does not say whether it is the last must not be taken for the last."""
    assert uploads_page(listing(row("a"), NextUploadIdMarker="1")).is_truncated
    assert uploads_page(listing(row("a"), NextKeyMarker="a", NextUploadIdMarker="1")).is_truncated
    assert not uploads_page(listing(row("a"), NextKeyMarker="a", IsTruncated="false")).is_truncated
    silent = uploads_page(listing(row("a")))
    assert (silent.is_truncated, silent.notes) == (False, (Problem(Code.LISTING_END_NOT_STATED),))
    assert uploads_page(listing("")).notes == ()
