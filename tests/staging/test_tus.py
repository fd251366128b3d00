"""The headers of tus: valid values are read exactly, all others are refused with the status of the protocol."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploads.staging import tus
from uploads.staging.tus import TusError

NAMES = st.from_regex(r"[a-z0-9_-]{1,20}", fullmatch=True)
VALUES = st.text(st.characters(codec="utf-8"), max_size=60)


def encode(metadata: dict[str, str]) -> str:
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in metadata.items())


def read(text: str, *fields: str) -> dict[str, str]:
    return tus.read_metadata({"Upload-Metadata": text}, fields)


def refusal(status: int, code: str) -> pytest.RaisesExc[TusError]:
    return pytest.raises(TusError, check=lambda error: (error.status, error.code) == (status, code))


# --- Metadata ---------------------------------------------------------------------------------------------------------


@given(st.dictionaries(NAMES, VALUES, max_size=10))
def test_metadata_round_trip(metadata: dict[str, str]) -> None:
    assert read(encode(metadata), *metadata) == metadata


@given(st.dictionaries(NAMES, VALUES, max_size=5), st.sampled_from([" , ", ", ", " ,"]))
def test_spaces_around_commas_do_not_matter(metadata: dict[str, str], comma: str) -> None:
    assert read(encode(metadata).replace(",", comma), *metadata) == metadata


@given(st.text(st.characters(codec="latin-1"), max_size=300))
def test_any_header_is_read_or_refused(text: str) -> None:
    try:
        metadata = read(text, *(pair.strip().partition(" ")[0] for pair in text.split(",")))
    except TusError as error:
        refused = (error.status, error.code)
    else:
        refused = (400, "InvalidMetadata")
        assert all("," not in name for name in metadata)
    assert refused == (400, "InvalidMetadata")


def test_metadata_value_is_optional() -> None:
    assert read("replace,key YQ==", "replace", "key") == {"replace": "", "key": "a"}
    assert tus.read_metadata({}, ["key"]) == {}


def test_names_of_the_client_itself_may_have_any_value() -> None:
    assert read("thumbnail /9j/4A==,key YQ==", "key") == {"key": "a"}
    for invalid in ("thumbnail ???", "thumbnail YQ==,thumbnail YQ=="):
        with refusal(400, "InvalidMetadata"):
            read(invalid, "key")


@pytest.mark.parametrize(
    "text",
    [
        "key a",
        "key YQ",
        "key YQ==!",
        "key ????",
        "key \x80",
        "key YQ== YQ==",
        "key /w==",
        "key YQ==,key YQ==",
        "key " + "A" * 16384,
    ],
)
def test_invalid_metadata_is_refused(text: str) -> None:
    with refusal(400, "InvalidMetadata"):
        read(text, "key")


def test_metadata_size_is_limited() -> None:
    fits = "key " + "A" * (tus.MAX_METADATA - 4)
    assert len(read(fits, "key")["key"]) > 12_000
    with refusal(400, "InvalidMetadata"):
        read(fits + "AAAA", "key")


# --- Numbers ----------------------------------------------------------------------------------------------------------


@given(st.integers(0, 10**18 - 1))
def test_numbers_of_bytes(number: int) -> None:
    assert tus.read_length({"Upload-Length": str(number)}) == number
    assert tus.read_offset({"Upload-Offset": f" {number} "}) == number
    assert tus.read_content_length({"Content-Length": str(number)}, decodes_chunks=False) == number


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", "1e3", "0x10", "٣", "²", "1_000", "1 0", "9" * 19, "many"])
def test_invalid_number_of_bytes_is_refused(text: str) -> None:
    with refusal(400, "InvalidHeader"):
        tus.read_length({"Upload-Length": text})
    with refusal(400, "InvalidHeader"):
        tus.read_offset({"Upload-Offset": text})


def test_missing_length_is_refused() -> None:
    with refusal(400, "InvalidHeader"):
        tus.read_length({})


def test_length_of_a_body_in_chunks_is_unknown() -> None:
    assert tus.read_content_length({}, decodes_chunks=True) == 0
    assert tus.read_content_length({"Transfer-Encoding": "chunked"}, decodes_chunks=True) is None
    with refusal(411, "MissingContentLength"):
        tus.read_content_length({"Transfer-Encoding": "chunked"}, decodes_chunks=False)


# --- Headers that are not offered -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Upload-Concat": "partial"}, 400, "ConcatNotSupported"),
        ({"Upload-Concat": "final;/files/1 /files/2"}, 400, "ConcatNotSupported"),
        ({"Upload-Defer-Length": "1"}, 400, "LengthRequired"),
        ({"Upload-Complete": "?1"}, 400, "HeaderNotSupported"),
        ({"Upload-Incomplete": "?0"}, 400, "HeaderNotSupported"),
        ({"Upload-Draft-Interop-Version": "6"}, 400, "HeaderNotSupported"),
        ({"Upload-Anything": ""}, 400, "HeaderNotSupported"),
        ({"Content-Range": "bytes 0-1/2"}, 400, "HeaderNotSupported"),
        ({"Content-Encoding": "gzip"}, 415, "ContentEncodingNotSupported"),
        ({"Trailer": "Expires, upload-checksum"}, 400, "InvalidHeader"),
    ],
)
def test_header_of_an_extension_that_is_not_offered_is_refused(headers: dict[str, str], status: int, code: str) -> None:
    for allowed in (tus.CREATION_HEADERS, tus.PATCH_HEADERS):
        with refusal(status, code):
            tus.check_extensions(headers, allowed)


def test_other_headers_are_allowed() -> None:
    headers = {"Upload-Offset": "0", "Upload-Length": "5", "Content-Encoding": "identity", "Trailer": "Expires"}
    for allowed in (tus.CREATION_HEADERS, tus.PATCH_HEADERS):
        tus.check_extensions(headers | {"X-Upload-Anything": "1"}, allowed)


def test_repeated_headers_are_refused_if_they_have_a_meaning_here() -> None:
    for name in ("Upload-Length", "Tus-Resumable", "X-Http-Method-Override", "Partway-Sha256"):
        with refusal(400, "InvalidHeader"):
            tus.check_repeated({name})
    tus.check_repeated({"Cookie", "X-Forwarded-For"})


def test_number_that_is_repeated_must_be_the_same() -> None:
    tus.check_unchanged({}, "Upload-Length", 5)
    tus.check_unchanged({"Upload-Length": "5"}, "Upload-Length", 5)
    for other in ("6", "", "five"):
        with refusal(400, "InvalidHeader"):
            tus.check_unchanged({"Upload-Length": other}, "Upload-Length", 5)


# --- Version and content type -----------------------------------------------------------------------------------------


def test_protocol_version_is_checked() -> None:
    tus.check_version({"Tus-Resumable": "1.0.0"})
    for headers in ({}, {"Tus-Resumable": "0.2.2"}, {"Tus-Resumable": "1.0.0, 1.0.0"}):
        with refusal(412, "WrongTusVersion") as caught:
            tus.check_version(headers)
        assert caught.value.headers == {"Tus-Version": "1.0.0"}


@pytest.mark.parametrize("text", [tus.CONTENT_TYPE, tus.CONTENT_TYPE.upper(), f"{tus.CONTENT_TYPE}; charset=x"])
def test_content_type_of_a_body(text: str) -> None:
    tus.check_content_type({"Content-Type": text})


@pytest.mark.parametrize("text", ["", "application/octet-stream", "multipart/form-data", f"{tus.CONTENT_TYPE}x"])
def test_other_content_types_are_refused(text: str) -> None:
    with refusal(415, "WrongContentType"):
        tus.check_content_type({"Content-Type": text})


# --- Checksums --------------------------------------------------------------------------------------------------------


@given(st.sampled_from(tus.CHECKSUMS), st.binary(max_size=200), st.binary(max_size=200))
def test_checksum_matches_only_its_bytes(algorithm: str, content: bytes, other: bytes) -> None:
    digest = hashlib.new(algorithm, content).digest()
    checksum = tus.read_checksum({"Upload-Checksum": f"{algorithm} {base64.b64encode(digest).decode()}"})
    assert checksum is not None
    hasher = checksum.start()
    hasher.update(content)
    checksum.check(hasher.digest())
    if other != content:
        with refusal(460, "ChecksumMismatch"):
            checksum.check(hashlib.new(algorithm, other).digest())


def test_checksum_is_optional() -> None:
    assert tus.read_checksum({}) is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("crc32 AAAAAA==", "UnsupportedChecksum"),
        ("SHA1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "UnsupportedChecksum"),
        ("", "UnsupportedChecksum"),
        ("sha1", "InvalidHeader"),
        ("sha1 ???", "InvalidHeader"),
        ("sha1 AAAA", "InvalidHeader"),
        ("sha1 \x80", "InvalidHeader"),
        ("md5 AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "InvalidHeader"),
        ("shake_128 AAAA", "UnsupportedChecksum"),
    ],
)
def test_invalid_checksum_is_refused(text: str, code: str) -> None:
    with refusal(400, code):
        tus.read_checksum({"Upload-Checksum": text})
