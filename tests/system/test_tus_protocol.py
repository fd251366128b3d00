"""tus 1.0.0 on the live server: every method, every extension and every status."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime

import pytest

from tests.system.stack import MIB, Operator, Stack, wait_for
from tests.system.tus import (
    OFFSET_STREAM,
    PART,
    Response,
    Tus,
    checksum_header,
    content,
    content_digest,
    metadata_header,
    transfer_id,
)
from uploads.objectstore.providers import PROVIDERS

SMALL = 1000
HUGE = 1024 * MIB
"""Announced but never sent: a response arrives before these bytes are read."""


@pytest.fixture(scope="module")
def operator(stack: Stack) -> Iterator[Operator]:
    with stack.signed_in() as operator:
        yield operator


@pytest.fixture(scope="module")
def other_operator(stack: Stack) -> Iterator[Operator]:
    with stack.signed_in(stack.other_login) as operator:
        yield operator


@pytest.fixture
def tus(stack: Stack, operator: Operator) -> Tus:
    """A client with its own bucket."""
    return Tus(stack, operator, stack.new_bucket())


@pytest.fixture
def other(tus: Tus, other_operator: Operator) -> Tus:
    """Another operator, not an administrator, with the same bucket."""
    return Tus(tus.stack, other_operator, tus.bucket)


def transfers_to(tus: Tus) -> int:
    [(count,)] = tus.stack.query("SELECT count(*) FROM uploads_transfer WHERE bucket = ?", tus.bucket)
    return int(count)


def staged_bytes(tus: Tus, path: str) -> int:
    """The bytes on the disk, whether or not they count."""
    return sum(each.stat().st_size for each in (tus.stack.staging / transfer_id(path)).iterdir())


def assert_refused(response: Response, status: int, code: str) -> None:
    assert (response.status, response.code) == (status, code)
    assert response.json["error"]["message"]
    assert response.headers["tus-resumable"] == "1.0.0"


# --- OPTIONS ----------------------------------------------------------------------------------------------------------


def test_options_lists_what_is_supported(tus: Tus) -> None:
    response = tus.request("OPTIONS", "/files/", Tus_Resumable=None)
    assert response.status == 204
    assert response.headers["tus-version"] == "1.0.0"
    assert response.headers["tus-resumable"] == "1.0.0"
    extensions = set(response.headers["tus-extension"].split(","))
    assert extensions == {"creation", "creation-with-upload", "termination", "expiration", "checksum"}
    assert {"sha1", "sha256"} <= set(response.headers["tus-checksum-algorithm"].split(","))
    assert int(response.headers["tus-max-size"]) == PROVIDERS[tus.stack.kind.provider].max_object_size


def test_more_than_the_maximum_is_refused(tus: Tus) -> None:
    largest = int(tus.request("OPTIONS", "/files/").headers["tus-max-size"])
    response = tus.create(largest + 1, part_size=None)
    assert_refused(response, 413, "InvalidForm")
    assert transfers_to(tus) == 0


# --- Creation ---------------------------------------------------------------------------------------------------------


def test_creation_returns_the_address_and_the_expiry(tus: Tus) -> None:
    response = tus.create(SMALL)
    assert response.status == 201
    assert response.headers["location"].startswith("/files/")
    assert response.offset == 0
    assert response.headers["tus-resumable"] == "1.0.0"
    created, expires = (parsedate_to_datetime(response.headers[name]) for name in ("date", "upload-expires"))
    assert expires > created


def test_head_returns_offset_length_and_expiry_and_is_not_cached(tus: Tus) -> None:
    path = tus.start(SMALL)
    response = tus.head(path)
    assert (response.status, response.body) == (200, b"")
    assert (response.offset, response.headers["upload-length"]) == (0, str(SMALL))
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["upload-expires"]


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 77])
def test_files_of_critical_sizes_arrive(tus: Tus, size: int) -> None:
    path = tus.upload(size)
    tus.assert_arrived(path, size)
    assert tus.head(path).offset == size


def test_creation_with_the_whole_file(tus: Tus) -> None:
    response = tus.create(SMALL, content(0, SMALL))
    assert (response.status, response.offset) == (201, SMALL)
    tus.assert_arrived(response.headers["location"], SMALL)


def test_creation_with_the_first_bytes(tus: Tus) -> None:
    size = PART + SMALL
    response = tus.create(size, content(0, SMALL))
    assert (response.status, response.offset) == (201, SMALL)
    path = response.headers["location"]
    tus.send_rest(path, size)
    tus.assert_arrived(path, size)


def test_creation_with_more_than_was_announced_is_refused(tus: Tus) -> None:
    assert tus.create(SMALL, content(0, SMALL + 1)).status == 413
    tus.stack.s3.head_bucket(Bucket=tus.bucket)
    assert "Contents" not in tus.stack.s3.list_objects_v2(Bucket=tus.bucket)


def test_failed_creation_does_not_occupy_its_key(tus: Tus) -> None:
    """No client has received its address, so a retry would find the key in use."""
    wrong = {"Upload_Checksum": checksum_header("sha1", b"")}
    assert tus.create_with(wrong, SMALL, content(0, SMALL), key="file").status == 460
    assert tus.create(SMALL, content(0, SMALL + 1)).status == 413
    with tus.open_creation(SMALL) as sending:
        sending.send(content(0, 100))
        wait_for("the upload", lambda: transfers_to(tus) == 2)
    created: list[Response] = []

    def is_created() -> bool:
        created.append(tus.create(SMALL, content(0, SMALL)))
        return created[-1].status == 201

    wait_for("the key to be free", is_created)
    assert created[-1].offset == SMALL
    tus.assert_arrived(created[-1].headers["location"], SMALL)


def test_interrupted_creation_is_found_by_its_fingerprint(tus: Tus) -> None:
    with tus.open_creation(SMALL, fingerprint="this file") as sending:
        sending.send(content(0, 100))
        wait_for("the upload", lambda: transfers_to(tus) == 1)
    found = tus.create(SMALL, fingerprint="this file")
    assert found.status == 201
    path = found.headers["location"]
    wait_for("its bytes", lambda: tus.offset(path) == 100)
    tus.send_rest(path, SMALL)
    tus.assert_arrived(path, SMALL)


def test_creation_with_bytes_of_another_type_is_refused(tus: Tus) -> None:
    response = tus.create_with({"Content_Type": "text/plain"}, SMALL, content(0, SMALL), key="file")
    assert_refused(response, 415, "WrongContentType")
    assert transfers_to(tus) == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("store", "no-such-store"),
        ("bucket", "no/bucket"),
        ("key", ""),
        ("content-type", "no type"),
        ("storage-class", "no class"),
        ("part-size", "seven"),
        ("part-size", "1024"),
        ("part-count", "none"),
        ("metadata", "no colon"),
        ("sha256", "abc"),
        ("fingerprint", "f" * 129),
    ],
)
def test_invalid_metadata_is_refused_by_field(tus: Tus, field: str, value: str) -> None:
    response = tus.create(100 * MIB, **{"key": "file", "part_size": None, field.replace("-", "_"): value})
    assert response.status == 400
    assert response.json["fields"][field]
    assert transfers_to(tus) == 0


@pytest.mark.parametrize("header", ["key !!!", "key /w==", "key YQ==,key YQ==", "key " + "A" * 20000])
def test_unreadable_metadata_is_refused(tus: Tus, header: str) -> None:
    response = tus.create_with({"Upload_Metadata": header}, SMALL)
    assert_refused(response, 400, "InvalidMetadata")


@pytest.mark.parametrize("length", [None, "", "-1", "many", "1.5", "0x10", "9" * 19])
def test_invalid_length_is_refused(tus: Tus, length: str | None) -> None:
    assert_refused(tus.create_with({"Upload_Length": length}, SMALL, key="file"), 400, "InvalidHeader")


def test_deferred_length_is_refused(tus: Tus) -> None:
    response = tus.create_with({"Upload_Length": None, "Upload_Defer_Length": "1"}, SMALL, key="file")
    assert_refused(response, 400, "LengthRequired")


def test_existing_object_is_replaced_only_on_request(tus: Tus) -> None:
    tus.stack.s3.put_object(Bucket=tus.bucket, Key="file", Body=b"before")
    response = tus.create(SMALL)
    assert_refused(response, 409, "ObjectExists")
    assert response.json["fields"]["replace"]
    tus.assert_arrived(tus.upload(SMALL, replace="on"), SMALL)


def test_key_in_use_is_refused(tus: Tus, other: Tus) -> None:
    tus.start(SMALL)
    for response in (tus.create(SMALL), other.create(SMALL), tus.create(SMALL, fingerprint="another")):
        assert_refused(response, 409, "KeyBusy")
        assert response.json["fields"]["key"]


def test_same_file_resumes_the_same_upload(tus: Tus) -> None:
    path = tus.start(SMALL, fingerprint="this file")
    assert tus.patch(path, 0, content(0, 600)).offset == 600
    again = tus.create(SMALL, fingerprint="this file")
    assert (again.status, again.headers["location"], again.offset) == (201, path, 600)
    assert tus.create(SMALL + 1, fingerprint="this file").code == "KeyBusy"
    assert tus.create(SMALL, fingerprint="this file", key="elsewhere").headers["location"] != path
    tus.send_rest(path, SMALL)
    tus.assert_arrived(path, SMALL)


def test_same_file_of_another_operator_does_not_resume(tus: Tus, other: Tus) -> None:
    tus.start(SMALL, fingerprint="this file")
    assert_refused(other.create(SMALL, fingerprint="this file"), 409, "KeyBusy")


# --- PATCH ------------------------------------------------------------------------------------------------------------


def test_patches_of_any_length_form_one_file(tus: Tus) -> None:
    size = 2 * PART + SMALL
    path = tus.start(size)
    for start, end in [(0, 1), (1, 1), (1, PART - 1), (PART - 1, PART + 1), (PART + 1, size)]:
        response = tus.patch(path, start, content(start, end))
        assert (response.status, response.offset) == (204, end)
        assert tus.offset(path) == end
    tus.assert_arrived(path, size)


def test_wrong_offset_is_refused(tus: Tus) -> None:
    path = tus.start(SMALL)
    tus.patch(path, 0, content(0, 500))
    for wrong in (0, 499, 501, SMALL):
        response = tus.patch(path, wrong, content(wrong, SMALL))
        assert_refused(response, 409, "WrongOffset")
        assert tus.offset(path) == 500


def test_wrong_offset_is_refused_before_the_body_is_read(tus: Tus) -> None:
    path = tus.start(2 * HUGE, part_size=None)
    with tus.open_patch(path, 1, HUGE) as sending:
        assert_refused(sending.response(), 409, "WrongOffset")


@pytest.mark.parametrize("offset", [None, "-1", "none"])
def test_invalid_offset_is_refused(tus: Tus, offset: str | None) -> None:
    path = tus.start(SMALL)
    assert_refused(tus.patch(path, 0, content(0, 10), Upload_Offset=offset), 400, "InvalidHeader")


@pytest.mark.parametrize("kind", [None, "application/octet-stream", "multipart/form-data; boundary=x"])
def test_other_content_types_are_refused(tus: Tus, kind: str | None) -> None:
    path = tus.start(SMALL)
    assert_refused(tus.patch(path, 0, content(0, 10), Content_Type=kind), 415, "WrongContentType")
    assert tus.offset(path) == 0


def test_body_beyond_the_size_is_refused_before_it_is_read(tus: Tus) -> None:
    path = tus.start(SMALL)
    with tus.open_patch(path, 0, HUGE) as sending:
        assert_refused(sending.response(), 413, "TooLarge")
    assert tus.offset(path) == 0


def test_complete_file_accepts_no_more_bytes(tus: Tus) -> None:
    path = tus.upload(SMALL)
    assert tus.patch(path, SMALL, b"").status == 204
    assert_refused(tus.patch(path, 0, content(0, SMALL)), 409, "WrongOffset")
    assert_refused(tus.patch(path, SMALL, b"x"), 413, "TooLarge")
    tus.assert_arrived(path, SMALL)


@pytest.mark.parametrize("version", [None, "0.2.2", "1.0.1"])
def test_other_protocol_versions_are_refused(tus: Tus, version: str | None) -> None:
    path = tus.start(SMALL)
    for method, url in [("HEAD", path), ("PATCH", path), ("DELETE", path), ("POST", "/files/")]:
        response = tus.request(method, url, Tus_Resumable=version, Upload_Offset="0", Content_Type=OFFSET_STREAM)
        assert response.status == 412
        assert response.headers["tus-version"] == "1.0.0"
    assert tus.offset(path) == 0


@pytest.mark.parametrize("method", ["GET", "PUT", "TRACE"])
def test_other_methods_are_refused(tus: Tus, method: str) -> None:
    path = tus.start(SMALL)
    assert_refused(tus.request(method, path), 405, "MethodNotAllowed")
    assert_refused(tus.request(method, "/files/"), 405, "MethodNotAllowed")
    assert "PATCH" in tus.request(method, path).headers["allow"]


# --- Extensions that are not offered ----------------------------------------------------------------------------------

NOT_OFFERED = [
    ("Upload-Concat", "partial", 400, "ConcatNotSupported"),
    ("Upload-Concat", "final;/files/a /files/b", 400, "ConcatNotSupported"),
    ("Upload-Defer-Length", "1", 400, "LengthRequired"),
    ("Upload-Defer-Length", "", 400, "LengthRequired"),
    ("Upload-Complete", "?1", 400, "HeaderNotSupported"),
    ("Upload-Incomplete", "?0", 400, "HeaderNotSupported"),
    ("Upload-Draft-Interop-Version", "6", 400, "HeaderNotSupported"),
    ("Upload-Anything", "1", 400, "HeaderNotSupported"),
    ("Content-Range", "bytes 0-999/1000", 400, "HeaderNotSupported"),
    ("Content-Encoding", "gzip", 415, "ContentEncodingNotSupported"),
    ("Trailer", "Upload-Checksum", 400, "InvalidHeader"),
]


@pytest.mark.parametrize(("header", "value", "status", "code"), NOT_OFFERED)
def test_request_that_would_mean_another_thing_is_refused(
    tus: Tus, header: str, value: str, status: int, code: str
) -> None:
    """Otherwise a part of a file would become an object of its own, and be reported as done."""
    given = {header.replace("-", "_"): value}
    response = tus.create_with(given, SMALL, content(0, SMALL), key="file")
    assert_refused(response, status, code)
    if header != "Trailer":
        assert header in response.json["error"]["message"]
    assert transfers_to(tus) == 0
    path = tus.start(SMALL)
    assert_refused(tus.patch(path, 0, content(0, SMALL), **given), status, code)
    assert tus.offset(path) == 0


def test_draft_of_another_protocol_is_refused(tus: Tus) -> None:
    response = tus.create_with({"Tus_Resumable": None, "Upload_Draft_Interop_Version": "6"}, SMALL, key="file")
    assert_refused(response, 412, "WrongTusVersion")
    assert response.headers["tus-version"] == "1.0.0"
    assert "tus 1.0.0" in response.json["error"]["message"]


@pytest.mark.parametrize(
    "header",
    [
        "Upload-Length",
        "Upload-Metadata",
        "Upload-Checksum",
        "Upload-Offset",
        "Tus-Resumable",
        "X-HTTP-Method-Override",
        "Partway-SHA256",
    ],
)
def test_header_that_is_sent_twice_is_refused(tus: Tus, header: str) -> None:
    """Also with the same value: what follows from it would depend on who reads it."""
    value = {"Tus-Resumable": "1.0.0", "X-HTTP-Method-Override": "PATCH"}.get(header, "10")
    twice = {header.replace("-", "_"): f"{value}\n{value}"}
    assert_refused(tus.create_with(twice, SMALL, key="file"), 400, "InvalidHeader")
    assert transfers_to(tus) == 0
    path = tus.start(SMALL)
    response = tus.patch(path, 0, content(0, 10), **twice)
    assert_refused(response, 400, "InvalidHeader")
    assert "several times" in response.json["error"]["message"]
    assert tus.offset(path) == 0


def test_numbers_may_be_repeated_in_other_requests_but_not_changed(tus: Tus) -> None:
    assert tus.create_with({"Upload_Offset": "1"}, SMALL, key="file").status == 400
    response = tus.create_with({"Upload_Offset": "0"}, SMALL, key="file")
    path = response.headers["location"]
    assert_refused(tus.patch(path, 0, content(0, 10), Upload_Length=str(SMALL + 1)), 400, "InvalidHeader")
    assert tus.patch(path, 0, content(0, 10), Upload_Length=str(SMALL)).status == 204


# --- What every response has ------------------------------------------------------------------------------------------

GIVEN = [
    "store {store},bucket {bucket},key ZmlsZQ==",
    "key ZmlsZQ==,  is_confidential , thumbnail /9j/4A==,store {store},bucket  {bucket},replace",
    "bucket {bucket},,store {store},key ZmlsZQ==,na\xefve YQ==",
]


@pytest.mark.parametrize("given", GIVEN)
def test_head_returns_the_metadata_as_it_was_given(tus: Tus, given: str) -> None:
    """A MUST of the protocol, also after a restart, and when the upload is complete."""
    encode = {name: base64.b64encode(value.encode()).decode() for name, value in names(tus).items()}
    metadata = given.format(**encode)
    path = tus.create_with({"Upload_Metadata": metadata}, SMALL).headers["location"]
    assert tus.head(path).headers["upload-metadata"] == metadata
    tus.stack.kill("web")
    tus.stack.start("web")
    assert tus.head(path).headers["upload-metadata"] == metadata
    tus.send_rest(path, SMALL)
    assert tus.head(path).headers["upload-metadata"] == metadata


def names(tus: Tus) -> dict[str, str]:
    return {"store": tus.stack.store, "bucket": tus.bucket}


def test_resumed_upload_keeps_the_metadata_of_its_creation(tus: Tus) -> None:
    first = tus.create(SMALL, fingerprint="this file")
    again = tus.create(SMALL, fingerprint="this file", filename="another.txt")
    assert again.headers["location"] == first.headers["location"]
    metadata = tus.head(first.headers["location"]).headers["upload-metadata"]
    assert "filename" not in metadata


def test_every_response_to_patch_says_when_the_upload_expires(tus: Tus) -> None:
    path = tus.start(SMALL)
    responses = [
        tus.patch(path, 0, content(0, 10)),
        tus.patch(path, 5, b"x"),
        tus.patch(path, 10, bytes(SMALL)),
        tus.patch(path, 10, b"x", Content_Type="text/plain"),
        tus.patch(path, 10, b"x", Upload_Checksum=checksum_header("sha1", b"y")),
    ]
    assert [response.status for response in responses] == [204, 409, 413, 415, 460]
    assert all(response.headers["upload-expires"] for response in responses)


def test_unknown_upload_is_not_found_whatever_else_is_wrong(tus: Tus) -> None:
    path = f"/files/{uuid.uuid4()}"
    assert tus.patch(path, 0, b"x", Content_Type="text/plain", Upload_Offset=None).status == 404


def test_every_address_below_files_responds_as_a_tus_server(tus: Tus) -> None:
    for path in ("/files/nothing", f"/files/{uuid.uuid4()}/", "/files/a/b"):
        assert_refused(tus.request("PATCH", path, b"x"), 404, "NotFound")
        head = tus.head(path)
        assert (head.status, head.body) == (404, b"")
        assert head.headers["cache-control"] == "no-store"
        assert "upload-offset" not in head.headers
    assert tus.request("OPTIONS", "/files").status == 204
    response = tus.request("POST", "/files", None, **tus._creating(SMALL, {"key": "file"}))
    assert response.status == 201


def test_success_without_content_announces_no_length(tus: Tus) -> None:
    path = tus.start(SMALL)
    for response in (tus.patch(path, 0, content(0, 10)), tus.request("OPTIONS", path), tus.delete(path)):
        assert response.status == 204
        assert "content-length" not in response.headers


# --- Checksums --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_body_with_the_right_checksum_is_kept(tus: Tus, algorithm: str) -> None:
    size = PART + SMALL
    path = tus.start(size)
    for start, end in [(0, PART - 1), (PART - 1, size)]:
        body = content(start, end)
        assert tus.patch(path, start, body, Upload_Checksum=checksum_header(algorithm, body)).status == 204
    tus.assert_arrived(path, size)


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_body_with_a_wrong_checksum_is_not_kept(tus: Tus, algorithm: str) -> None:
    """Not even its whole parts are kept."""
    size = 3 * PART
    path = tus.start(size)
    tus.patch(path, 0, content(0, SMALL))
    body = content(SMALL, 2 * PART + SMALL)
    response = tus.patch(path, SMALL, body, Upload_Checksum=checksum_header(algorithm, body + b"."))
    assert_refused(response, 460, "ChecksumMismatch")
    assert tus.offset(path) == SMALL
    assert tus.stack.uploads_in(tus.bucket) == []
    tus.send_rest(path, size)
    tus.assert_arrived(path, size)


def test_nothing_is_sent_or_counted_before_the_checksum_is_verified(tus: Tus, operator: Operator) -> None:
    size = 3 * PART
    path = tus.start(size)
    body = content(0, size)
    with tus.open_patch(path, 0, size, Upload_Checksum=checksum_header("sha256", body)) as sending:
        sending.send(body[: 2 * PART + SMALL])
        wait_for("two staged parts", lambda: staged_bytes(tus, path) > 2 * PART)
        assert tus.offset(path) == 0
        assert operator.transfer(transfer_id(path))["parts"]["sent"] == 0
        assert tus.stack.uploads_in(tus.bucket) == []
        sending.send(body[2 * PART + SMALL :])
        assert sending.response().status == 204
    tus.assert_arrived(path, size)


def test_interrupted_body_with_a_checksum_does_not_count(tus: Tus) -> None:
    size = 2 * PART
    path = tus.start(size)
    tus.patch(path, 0, content(0, 10))
    body = content(10, size)
    with tus.open_patch(path, 10, len(body), Upload_Checksum=checksum_header("sha1", body)) as sending:
        sending.send(body[: PART + SMALL])
        wait_for("a staged part", lambda: staged_bytes(tus, path) > PART)
    wait_for("the end of the writer", lambda: tus.patch(path, 10, content(10, 20)).status == 204)
    tus.send_rest(path, size)
    tus.assert_arrived(path, size)


def test_body_with_a_checksum_has_a_limit(tus: Tus) -> None:
    path = tus.start(HUGE)
    with tus.open_patch(path, 0, 64 * MIB + 1, Upload_Checksum=checksum_header("sha1", b"")) as sending:
        assert_refused(sending.response(), 413, "TooLarge")


@pytest.mark.parametrize(
    ("header", "code"),
    [("crc32 AAAA", "UnsupportedChecksum"), ("sha1 !", "InvalidHeader"), ("sha1 AAAA", "InvalidHeader")],
)
def test_invalid_checksum_is_refused(tus: Tus, header: str, code: str) -> None:
    path = tus.start(SMALL)
    assert_refused(tus.patch(path, 0, content(0, 10), Upload_Checksum=header), 400, code)
    assert tus.offset(path) == 0


def test_creation_with_a_wrong_checksum_leaves_nothing(tus: Tus) -> None:
    response = tus.create_with({"Upload_Checksum": checksum_header("sha1", b"")}, SMALL, content(0, SMALL), key="file")
    assert_refused(response, 460, "ChecksumMismatch")
    assert "Contents" not in tus.stack.s3.list_objects_v2(Bucket=tus.bucket)


# --- Termination ------------------------------------------------------------------------------------------------------


def test_delete_leaves_nothing(tus: Tus) -> None:
    path = tus.start(3 * PART)
    tus.patch(path, 0, content(0, 2 * PART + SMALL))
    assert tus.delete(path).status == 204
    assert_refused(tus.patch(path, 2 * PART + SMALL, b"x"), 410, "Cancelled")
    assert_refused(tus.delete(path), 410, "Cancelled")
    tus.assert_cancelled(path)


def test_delete_of_a_done_transfer_is_refused(tus: Tus) -> None:
    path = tus.upload(SMALL)
    tus.assert_arrived(path, SMALL)
    assert_refused(tus.delete(path), 409, "StepRefused")
    tus.assert_arrived(path, SMALL)


# --- Access -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cookie", [None, "partway_session=nobody"])
def test_requests_without_a_session_are_401_in_json(tus: Tus, cookie: str | None) -> None:
    path = tus.start(SMALL)
    for method, url in [("POST", "/files/"), ("PATCH", path), ("DELETE", path), ("OPTIONS", "/files/")]:
        assert_refused(tus.request(method, url, Cookie=cookie), 401, "NotSignedIn")
    assert tus.request("HEAD", path, Cookie=cookie).status == 401
    assert tus.offset(path) == 0


def test_requests_without_the_csrf_token_change_nothing(tus: Tus) -> None:
    path = tus.start(SMALL)
    for token in (None, "x" * 32):
        assert_refused(tus.create_with({"X_CSRFToken": token}, SMALL, key="other"), 403, "CsrfFailed")
        assert_refused(tus.patch(path, 0, content(0, 10), X_CSRFToken=token), 403, "CsrfFailed")
        assert_refused(tus.request("DELETE", path, X_CSRFToken=token), 403, "CsrfFailed")
    assert tus.offset(path) == 0
    assert transfers_to(tus) == 1


def test_requests_from_another_origin_change_nothing(tus: Tus) -> None:
    path = tus.start(SMALL)
    for origin, code in (("http://elsewhere.example", "OriginUntrusted"), ("null", "OriginHidden")):
        assert_refused(tus.patch(path, 0, content(0, 10), Origin=origin), 403, code)
        assert_refused(tus.request("DELETE", path, Origin=origin), 403, code)
    assert tus.patch(path, 0, content(0, 10), Origin=tus.operator.url).status == 204


def test_csrf_token_is_checked_before_the_body_is_read(tus: Tus) -> None:
    path = tus.start(HUGE)
    with tus.open_patch(path, 0, HUGE, X_CSRFToken=None) as sending:
        assert_refused(sending.response(), 403, "CsrfFailed")


@pytest.mark.parametrize("method", ["POST", "PUT", "GET", "HEAD", "DELETE"])
def test_method_can_be_overridden(tus: Tus, method: str) -> None:
    """The method that was sent does not matter."""
    path = tus.start(SMALL)
    sent = tus.request(
        method,
        path,
        content(0, SMALL),
        X_HTTP_Method_Override="PATCH",
        Upload_Offset="0",
        Content_Type=OFFSET_STREAM,
    )
    assert (sent.status, sent.offset) == (204, SMALL)
    assert tus.request(method, path, X_HTTP_Method_Override="HEAD").offset == SMALL
    assert tus.request(method, path, X_HTTP_Method_Override="GET").status == 405


def test_override_does_not_bypass_csrf(tus: Tus) -> None:
    path = tus.start(SMALL)
    for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT"):
        for override in ("DELETE", "PATCH"):
            response = tus.request(method, path, X_HTTP_Method_Override=override, X_CSRFToken=None)
            assert response.status == 403
    for override in ("GET", "HEAD", "OPTIONS"):
        # A POST is checked even if it claims to be a safe method.
        assert tus.request("POST", path, X_HTTP_Method_Override=override, X_CSRFToken=None).status == 403
    assert tus.head(path).offset == 0


def test_header_with_underscores_does_not_count_as_one_with_hyphens(tus: Tus) -> None:
    path = tus.start(SMALL)
    headers = {**tus.headers(X_CSRFToken=None), "X_CSRFToken": tus.operator.csrf_token}
    response = tus.operator.session.delete(tus.operator.url + path, headers=headers)
    assert response.status_code == 403
    assert tus.head(path).status == 200


def test_upload_is_accessible_to_its_operator_only(tus: Tus, other: Tus) -> None:
    """Here not even an administrator can see or end the upload of another operator."""
    mine, theirs = tus.start(SMALL), other.start(SMALL, key="theirs")
    for someone, path in [(other, mine), (tus, theirs)]:
        assert someone.head(path).status == 404
        assert_refused(someone.patch(path, 0, content(0, 10)), 404, "NotFound")
        assert_refused(someone.delete(path), 404, "NotFound")
    assert tus.head(mine).offset == other.head(theirs).offset == 0


def test_unknown_upload_is_not_found(tus: Tus) -> None:
    path = f"/files/{uuid.uuid4()}"
    assert tus.head(path).status == 404
    assert_refused(tus.patch(path, 0, b"x"), 404, "NotFound")
    assert_refused(tus.delete(path), 404, "NotFound")


def test_transfer_of_the_form_is_not_found(tus: Tus, operator: Operator) -> None:
    sent = operator.send_file(tus.stack.store, tus.bucket, "form", b"from the form")
    assert tus.head(f"/files/{sent}").status == 404
    operator.wait_for_state(sent, "done")


# --- States -----------------------------------------------------------------------------------------------------------


def test_paused_upload_accepts_nothing_until_it_is_resumed(tus: Tus) -> None:
    size = 2 * PART
    path = tus.start(size)
    tus.patch(path, 0, content(0, SMALL))
    tus.request_step(path, "pause")
    assert tus.head(path).offset == SMALL
    assert_refused(tus.patch(path, SMALL, content(SMALL, size)), 423, "Paused")
    assert tus.offset(path) == SMALL
    tus.request_step(path, "resume")
    tus.send_rest(path, size)
    tus.assert_arrived(path, size)


def test_failed_upload_accepts_nothing_until_it_is_retried(tus: Tus) -> None:
    """The store refuses parts while its region is wrong."""
    size = 3 * PART
    path = tus.start(size)
    wrong = "Store.objects.update(region='nowhere-at-all')"
    right = f"Store.objects.update(region={tus.stack.server.region!r})"
    tus.stack.run_python(f"from uploads.models import Store\n{wrong}")
    try:
        tus.patch(path, 0, content(0, PART + SMALL))
        tus.wait_for_state(path, "failed")
    finally:
        tus.stack.run_python(f"from uploads.models import Store\n{right}")
    assert tus.offset(path) == PART + SMALL
    assert_refused(tus.patch(path, PART + SMALL, content(PART + SMALL, size)), 423, "Failed")
    tus.request_step(path, "retry")
    tus.send_rest(path, size)
    tus.assert_arrived(path, size)


def test_expected_digest_matches(tus: Tus) -> None:
    size = PART + SMALL
    path = tus.start(size, verify="sha256")
    tus.patch(path, 0, content(0, SMALL))
    response = tus.patch(path, SMALL, content(SMALL, size), Partway_SHA256=content_digest(size))
    assert response.status == 204
    tus.assert_arrived(path, size)


@pytest.mark.parametrize("digest", [None, "0" * 64])
def test_digest_mismatch_completes_nothing(tus: Tus, digest: str | None) -> None:
    path = tus.start(SMALL, verify="sha256")
    tus.patch(path, 0, content(0, SMALL), Partway_SHA256=digest)
    tus.wait_for_state(path, "failed")
    assert "Contents" not in tus.stack.s3.list_objects_v2(Bucket=tus.bucket)
    assert tus.delete(path).status == 204
    tus.assert_cancelled(path)


# --- Concurrency ------------------------------------------------------------------------------------------------------


def test_second_writer_is_locked_out(tus: Tus) -> None:
    size = 2 * PART
    path = tus.start(size)
    with tus.open_patch(path, 0, size) as first:
        first.send(content(0, SMALL))
        wait_for("the bytes of the first writer", lambda: tus.offset(path) == SMALL)
        with tus.open_patch(path, SMALL, size - SMALL) as second:
            assert_refused(second.response(), 423, "Locked")
        first.send(content(SMALL, size))
        assert first.response().status == 204
    tus.assert_arrived(path, size)


def test_only_one_of_many_clients_writes_at_a_time(tus: Tus) -> None:
    size = 6 * PART
    path = tus.start(size)

    def send(_: int) -> int:
        return tus.send_rest(path, size, most=PART + SMALL)

    with ThreadPoolExecutor(6) as pool:
        came_back = list(pool.map(send, range(6)))
    assert sum(came_back) > 0
    tus.assert_arrived(path, size)


def test_only_one_of_many_concurrent_creations_succeeds(tus: Tus) -> None:
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda _: tus.create(SMALL), range(8)))
    assert sorted(response.status for response in responses) == [201] + [409] * 7
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda _: tus.create(SMALL, key="same", fingerprint="same"), range(8)))
    assert len({response.headers["location"] for response in responses}) == 1


def test_metadata_is_kept_exactly(tus: Tus) -> None:
    """The object has the metadata that was given at the creation."""
    given = {"filename": "über.csv", "content-type": "text/csv", "metadata": "Owner: ops\nnote: 1 2"}
    path = tus.upload(SMALL, **given)
    tus.assert_arrived(path, SMALL)
    facts = tus.stack.s3.head_object(Bucket=tus.bucket, Key="file")
    assert facts["ContentType"] == "text/csv"
    assert facts["Metadata"] == {"owner": "ops", "note": "1 2", "partway-transfer": transfer_id(path)}


def test_key_can_have_any_characters(tus: Tus) -> None:
    key = "a folder/ÿ,=+ %2F/..é😀"
    tus.assert_arrived(tus.upload(SMALL, key=key), SMALL, key)


def test_metadata_without_a_value_is_empty(tus: Tus) -> None:
    pairs = metadata_header({"store": tus.stack.store, "bucket": tus.bucket, "key": "file"}) + ",replace,metadata"
    assert tus.create_with({"Upload_Metadata": pairs}, SMALL).status == 201
    assert base64.b64decode(pairs.split(",", maxsplit=1)[0].split(" ")[1]).decode() == tus.stack.store
