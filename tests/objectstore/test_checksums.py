"""CRC-64: published check values, combining parts, values that stores report, and comparing them."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.objectstore.conftest import MakeClient, MakeFile
from tests.objectstore.fault_server import FaultServer, Step, respond
from uploads.objectstore import xml
from uploads.objectstore.checksums import (
    Algorithm,
    Crc64,
    ReportedCrc64,
    as_hex,
    as_store_writes_it,
    combine,
    reported_crc64,
    reported_nvme,
)
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.objectstore.types import CompletedPart
from uploads.problems import Code

ALGORITHMS: tuple[Algorithm, ...] = ("nvme", "ecma")
algorithms = st.sampled_from(ALGORITHMS)
numbers = st.integers(0, 2**64 - 1)


def crc(algorithm: Algorithm, content: bytes) -> int:
    crc64 = Crc64(algorithm)
    crc64.update(content)
    return crc64.value


def written(value: int) -> str:
    return base64.b64encode(value.to_bytes(8)).decode()


# --- Values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "content", "value"),
    [
        # Catalogue of parametrised CRC algorithms: CRC-64/NVME and CRC-64/XZ.
        ("nvme", b"123456789", 0xAE8B14860A799888),
        ("ecma", b"123456789", 0x995DC9BBDF1939FA),
        # Examples of the NVM command set specification.
        ("nvme", bytes(4096), 0x6482D367EB22B64E),
        ("nvme", b"\xff" * 4096, 0xC0DDBA7302ECA3AC),
        ("nvme", b"", 0),
        ("ecma", b"", 0),
    ],
)
def test_known_values(algorithm: Algorithm, content: bytes, value: int) -> None:
    assert as_hex(crc(algorithm, content)) == as_hex(value)


@given(algorithms, st.binary(max_size=300), st.integers(0, 300))
def test_value_is_independent_of_blocks_and_buffer_types(algorithm: Algorithm, content: bytes, split: int) -> None:
    whole = crc(algorithm, content)
    pieces = Crc64(algorithm)
    pieces.update(memoryview(bytearray(content))[:split])
    pieces.update(bytearray(content[split:]))
    assert pieces.value == whole
    assert crc(algorithm, b"") == 0


@given(algorithms, st.lists(st.binary(max_size=100), max_size=12))
@example("nvme", [b""])
@example("ecma", [b"", b"a", b""])
def test_crc_of_object_is_combined_from_parts(algorithm: Algorithm, parts: list[bytes]) -> None:
    combined = combine(algorithm, ((crc(algorithm, part), len(part)) for part in parts))
    assert combined == crc(algorithm, b"".join(parts))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_combining_does_not_depend_on_the_size_of_parts(algorithm: Algorithm) -> None:
    """The number of zeroes changes the value, but 5 GiB of them take no longer than one."""
    block = crc(algorithm, bytes(1 << 20))
    doubled = [(block, 1 << 20)]
    for _ in range(4):
        doubled = [(combine(algorithm, doubled * 2), doubled[0][1] * 2)]
    assert doubled[0][0] == crc(algorithm, bytes(16 << 20))
    five_gib = 5 << 30
    value = combine(algorithm, [(1, five_gib), (2, five_gib)])
    assert value != combine(algorithm, [(2, five_gib), (1, five_gib)])


# --- Reported values --------------------------------------------------------------------------------------------------


@given(numbers)
def test_values_in_headers_are_parsed(value: int) -> None:
    assert reported_crc64({"x-amz-checksum-crc64nvme": as_store_writes_it("nvme", value)}) == ReportedCrc64(
        "nvme", value
    )
    assert reported_crc64({"x-oss-hash-crc64ecma": as_store_writes_it("ecma", value)}) == ReportedCrc64("ecma", value)
    assert int(as_hex(value), 16) == value
    assert len(as_hex(value)) == 16


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-amz-checksum-crc64nvme": ""},
        {"x-amz-checksum-crc64nvme": "AAAA"},
        {"x-amz-checksum-crc64nvme": "AAAAAAAAAAAAAAAA"},
        {"x-amz-checksum-crc64nvme": "rosUhgp5mIg"},
        {"x-amz-checksum-crc64nvme": "rosUhgp5mIg=-2"},
        {"x-amz-checksum-crc64nvme": "\xff\xfe"},
        {"x-amz-checksum-crc64nvme": "rosUhgp5mIg=", "x-amz-checksum-type": "COMPOSITE"},
        {"x-amz-checksum-crc32": "y/U6HA=="},
        {"x-oss-hash-crc64ecma": ""},
        {"x-oss-hash-crc64ecma": "-1"},
        {"x-oss-hash-crc64ecma": "٣"},
        {"x-oss-hash-crc64ecma": "995dc9bbdf1939fa"},
    ],
)
def test_headers_without_comparable_checksum(headers: dict[str, str]) -> None:
    assert reported_crc64(headers) is None


def test_checksum_of_full_object_is_read() -> None:
    headers = {"x-amz-checksum-crc64nvme": "rosUhgp5mIg="}
    assert (
        reported_crc64(headers)
        == reported_crc64(headers | {"x-amz-checksum-type": "FULL_OBJECT"})
        == ReportedCrc64("nvme", 0xAE8B14860A799888)
    )


@given(st.text(max_size=20))
def test_any_text_is_a_checksum_or_none(text: str) -> None:
    reported = reported_nvme(text)
    assert reported is None or 0 <= reported.value < 2**64


COMPLETED = "<CompleteMultipartUploadResult>{}<ETag>e</ETag></CompleteMultipartUploadResult>"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("<ChecksumCRC64NVME>rosUhgp5mIg=</ChecksumCRC64NVME>", ReportedCrc64("nvme", 0xAE8B14860A799888)),
        ("<ChecksumCRC64NVME></ChecksumCRC64NVME>", None),
        ("<ChecksumCRC64NVME>junk</ChecksumCRC64NVME>", None),
        ("<ChecksumCRC64NVME>\u00ff</ChecksumCRC64NVME>", None),
        ("<ChecksumCRC32>y/U6HA==</ChecksumCRC32>", None),
        ("", None),
    ],
)
def test_checksum_in_response_to_complete(fields: str, expected: ReportedCrc64 | None) -> None:
    assert xml.completed_crc64(COMPLETED.format(fields).encode()) == expected


# --- The client -------------------------------------------------------------------------------------------------------

CONTENT = b"bytes of a part" * 1000


def stored(content: bytes, **headers: str) -> Step:
    etag = f'"{hashlib.md5(content).hexdigest()}"'
    return respond(200, headers={"ETag": etag, **{name.replace("_", "-"): text for name, text in headers.items()}})


@pytest.fixture
def oss(server: FaultServer, make_client: MakeClient) -> ObjectStoreClient:
    return make_client(server.url, addressing="path", provider="oss-s3")


def test_crc_of_sent_bytes_is_returned(server: FaultServer, client: ObjectStoreClient, make_file: MakeFile) -> None:
    server.script(stored(CONTENT), stored(b""))
    sent = client.upload_part("bucket", "k", "u", 1, make_file(CONTENT))
    assert (sent.crc64, sent.reported_crc64) == (crc("nvme", CONTENT), None)
    assert client.put_object("bucket", "k", None).crc64 == 0


def test_each_provider_has_its_polynomial(server: FaultServer, oss: ObjectStoreClient, make_file: MakeFile) -> None:
    value = crc("ecma", CONTENT)
    server.script(stored(CONTENT, x_oss_hash_crc64ecma=str(value)))
    sent = oss.upload_part("bucket", "k", "u", 1, make_file(CONTENT))
    assert (sent.crc64, sent.reported_crc64) == (value, ReportedCrc64("ecma", value))


def test_part_with_wrong_crc_is_sent_again(server: FaultServer, oss: ObjectStoreClient, make_file: MakeFile) -> None:
    value = crc("ecma", CONTENT)
    server.script(
        stored(CONTENT, x_oss_hash_crc64ecma=str(value ^ 1)), stored(CONTENT, x_oss_hash_crc64ecma=str(value))
    )
    assert oss.upload_part("bucket", "k", "u", 1, make_file(CONTENT)).crc64 == value
    assert [each.body for each in server.received] == [CONTENT, CONTENT]


def test_persistent_wrong_crc_is_raised(server: FaultServer, client: ObjectStoreClient, make_file: MakeFile) -> None:
    wrong = stored(CONTENT, x_amz_checksum_crc64nvme=written(crc("nvme", CONTENT) ^ 1))
    server.script(wrong, wrong, wrong)
    with pytest.raises(ObjectStoreError, match=Code.CRC64_DIFFERS) as caught:
        client.upload_part("bucket", "k", "u", 1, make_file(CONTENT))
    assert caught.value.reason is Reason.DIGEST_MISMATCH


def test_crc_of_other_polynomial_is_not_compared(
    server: FaultServer, client: ObjectStoreClient, make_file: MakeFile
) -> None:
    server.script(stored(CONTENT, x_oss_hash_crc64ecma="1"))
    assert client.upload_part("bucket", "k", "u", 1, make_file(CONTENT)).reported_crc64 == ReportedCrc64("ecma", 1)


def test_complete_reports_crc_in_body_or_header(
    server: FaultServer, client: ObjectStoreClient, oss: ObjectStoreClient
) -> None:
    body = COMPLETED.format(f"<ChecksumCRC64NVME>{written(5)}</ChecksumCRC64NVME>").encode()
    plain = COMPLETED.format("").encode()
    server.script(respond(200, body), respond(200, plain, {"x-oss-hash-crc64ecma": "6"}), respond(200, plain))
    parts = [CompletedPart(1, "e")]
    assert client.complete_multipart_upload("bucket", "k", "u", parts).reported_crc64 == ReportedCrc64("nvme", 5)
    assert oss.complete_multipart_upload("bucket", "k", "u", parts).reported_crc64 == ReportedCrc64("ecma", 6)
    assert client.complete_multipart_upload("bucket", "k", "u", parts).reported_crc64 is None


def test_head_requests_checksum_if_necessary(
    server: FaultServer, client: ObjectStoreClient, oss: ObjectStoreClient
) -> None:
    server.script(
        respond(200, headers={"ETag": '"e"', "x-amz-checksum-crc64nvme": written(7)}),
        respond(200, headers={"ETag": '"e"', "x-oss-hash-crc64ecma": "8"}),
    )
    assert client.head_object("bucket", "k").crc64 == ReportedCrc64("nvme", 7)
    assert oss.head_object("bucket", "k").crc64 == ReportedCrc64("ecma", 8)
    modes = [each.headers.get("x-amz-checksum-mode") for each in server.received]
    assert modes == ["ENABLED", None]
    assert "x-amz-checksum-mode" in server.received[0].headers["authorization"]
