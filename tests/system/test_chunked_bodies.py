"""Bodies in chunks (Transfer-Encoding: chunked): uploads, creations and forms."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from urllib.parse import urlencode, urlsplit

import pytest

from tests.system.sending import BOUNDARY, FORM_TAIL, form_head
from tests.system.stack import MIB, PATIENCE, Operator, Stack, wait_for
from tests.system.tus import OFFSET_STREAM, PART, Response, Tus, checksum_header, chunked, content

SMALL = 10_000
CHUNKED = {"Transfer_Encoding": "chunked", "Content_Type": OFFSET_STREAM}


@pytest.fixture(scope="module")
def operator(stack: Stack) -> Iterator[Operator]:
    with stack.signed_in() as operator:
        yield operator


@pytest.fixture
def tus(stack: Stack, operator: Operator) -> Tus:
    """A client with its own bucket."""
    return Tus(stack, operator, stack.new_bucket())


def transfers_to(tus: Tus) -> int:
    [(count,)] = tus.stack.query("SELECT count(*) FROM uploads_transfer WHERE bucket = ?", tus.bucket)
    return int(count)


# --- PATCH ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk_size", [4099, 64 * 1024, 100 * MIB])
def test_file_in_chunks_of_any_size_arrives(tus: Tus, chunk_size: int) -> None:
    size = 2 * PART + 77
    path = tus.start(size)
    response = tus.patch_chunked(path, 0, chunked(content(0, size), chunk_size))
    assert (response.status, response.offset) == (204, size)
    tus.assert_arrived(path, size)


def test_patches_in_chunks_and_of_known_length_form_one_file(tus: Tus) -> None:
    path = tus.start(SMALL)
    assert tus.patch_chunked(path, 0, chunked(b"")).offset == 0
    assert tus.patch_chunked(path, 0, chunked(content(0, 100), 1)).offset == 100
    assert tus.patch(path, 100, content(100, 300)).offset == 300
    assert tus.patch_chunked(path, 300, chunked(content(300, SMALL))).offset == SMALL
    assert tus.patch_chunked(path, SMALL, chunked(b"")).status == 204
    assert tus.patch_chunked(path, SMALL, chunked(b"x")).status == 413
    assert tus.patch_chunked(path, 0, chunked(b"x")).status == 409
    tus.assert_arrived(path, SMALL)


def test_bytes_count_while_the_sender_pauses(tus: Tus) -> None:
    path = tus.start(SMALL)
    with tus.open_chunked(path, 0) as sending:
        sending.send(chunked(content(0, 100), end=False) + b"64\r\n" + content(100, 150))
        wait_for("the bytes of an unfinished chunk", lambda: tus.offset(path) == 150)
        sending.send(content(150, 200) + b"\r\n" + chunked(content(200, SMALL)))
        assert sending.response().offset == SMALL
    tus.assert_arrived(path, SMALL)


@pytest.mark.parametrize("rest", [b"", b"5\r\nab", b"5"])
def test_body_that_ends_early_keeps_every_byte(tus: Tus, rest: bytes) -> None:
    size = 2 * PART
    path = tus.start(size)
    with tus.open_chunked(path, 0) as sending:
        sending.send(chunked(content(0, PART + 777), end=False) + rest.replace(b"ab", content(PART + 777, PART + 779)))
    kept = PART + 779 if b"ab" in rest else PART + 777
    wait_for("every byte", lambda: tus.offset(path) == kept)
    tus.send_rest(path, size)
    tus.assert_arrived(path, size)


def test_file_whose_last_chunk_is_missing_is_complete(tus: Tus) -> None:
    path = tus.start(SMALL)
    with tus.open_chunked(path, 0) as sending:
        sending.send(chunked(content(0, SMALL), end=False))
    wait_for("every byte", lambda: tus.offset(path) == SMALL)
    tus.assert_arrived(path, SMALL)


def test_malformed_chunk_is_refused_and_the_bytes_before_it_are_kept(tus: Tus) -> None:
    path = tus.start(SMALL)
    response = tus.patch_chunked(path, 0, chunked(content(0, 100), end=False) + b"many\r\n")
    assert (response.status, response.code) == (400, "ChunksInvalid")
    assert tus.offset(path) == 100
    tus.send_rest(path, SMALL)
    tus.assert_arrived(path, SMALL)


@pytest.mark.parametrize("encoded", [chunked(content(0, SMALL + 1)), chunked(content(0, SMALL + PART), SMALL)])
def test_body_that_is_longer_than_the_file_does_not_complete_it(tus: Tus, encoded: bytes) -> None:
    path = tus.start(SMALL)
    response = tus.patch_chunked(path, 0, encoded)
    assert (response.status, response.code) == (413, "TooLarge")
    assert tus.offset(path) < SMALL
    assert tus.operator.transfer(path.rpartition("/")[2])["state"] == "receiving"
    tus.send_rest(path, SMALL)
    tus.assert_arrived(path, SMALL)


def test_checksum_of_a_body_in_chunks_is_verified(tus: Tus) -> None:
    size = 3 * PART
    path = tus.start(size)
    body = content(0, PART + SMALL)
    wrong = tus.patch_chunked(path, 0, chunked(body), Upload_Checksum=checksum_header("sha1", body + b"."))
    assert (wrong.status, tus.offset(path)) == (460, 0)
    right = tus.patch_chunked(path, 0, chunked(body), Upload_Checksum=checksum_header("sha1", body))
    assert (right.status, right.offset) == (204, PART + SMALL)
    tus.send_rest(path, size)
    tus.assert_arrived(path, size)


def test_body_with_a_checksum_has_a_limit(tus: Tus) -> None:
    path = tus.start(100 * MIB)
    with tus.open_chunked(path, 0, Upload_Checksum=checksum_header("sha1", b"")) as sending:
        for start in range(0, 66 * MIB, 2 * MIB):
            sending.send(chunked(content(start, start + 2 * MIB), 2 * MIB, end=False))
        assert sending.response().status == 413
    assert tus.offset(path) == 0


def test_memory_does_not_grow_with_the_body(tus: Tus) -> None:
    """All of it is one chunk."""
    size = 160 * MIB
    path = tus.start(size + PART)
    before = web_memory(tus.stack)
    with tus.open_chunked(path, 0) as sending:
        sending.send(b"%x\r\n" % (size + PART))
        for _ in range(size // (4 * MIB)):
            sending.send(bytes(4 * MIB))
        wait_for("all but the last part", lambda: tus.offset(path) == size)
        assert web_memory(tus.stack) - before < 40 * MIB
    assert tus.delete(path).status == 204


def web_memory(stack: Stack) -> int:
    return sum(process.memory_info().rss for process in stack.tree("web"))


# --- Creation ---------------------------------------------------------------------------------------------------------


def create(tus: Tus, size: int, encoded: bytes, **headers: str | None) -> Response:
    sent: dict[str, str | None] = {**tus._creating(size, {"key": "file"}), **CHUNKED, **headers}
    with tus.open("POST", "/files/", **sent) as sending:
        sending.send(encoded)
        return sending.response()


def test_creation_with_a_body_in_chunks(tus: Tus) -> None:
    size = PART + SMALL
    response = create(tus, size, chunked(content(0, SMALL), 999))
    assert (response.status, response.offset) == (201, SMALL)
    path = response.headers["location"]
    tus.send_rest(path, size)
    tus.assert_arrived(path, size)


def test_creation_with_an_empty_body_in_chunks(tus: Tus) -> None:
    for kind in (None, OFFSET_STREAM):
        response = create(tus, SMALL, chunked(b""), Content_Type=kind)
        assert (response.status, response.offset) == (201, 0)
        tus.delete(response.headers["location"])
    empty = create(tus, 0, chunked(b""))
    tus.assert_arrived(empty.headers["location"], 0)


@pytest.mark.parametrize("kind", [None, "text/plain"])
def test_creation_in_chunks_of_another_type_is_refused(tus: Tus, kind: str | None) -> None:
    assert create(tus, SMALL, chunked(b"abc"), Content_Type=kind).status == 415
    assert transfers_to(tus) == 0


@pytest.mark.parametrize("size", [0, SMALL])
def test_creation_with_more_than_was_announced_is_refused(tus: Tus, size: int) -> None:
    assert create(tus, size, chunked(content(0, size + 1))).status == 413
    wait_for("the key to be free", lambda: tus.create(SMALL).status == 201)
    assert "Contents" not in tus.stack.s3.list_objects_v2(Bucket=tus.bucket)


def test_creation_of_an_empty_file_with_a_malformed_chunk_is_refused(tus: Tus) -> None:
    response = create(tus, 0, b"zz\r\n")
    assert (response.status, response.code) == (400, "ChunksInvalid")
    wait_for("the key to be free", lambda: tus.create(SMALL).status == 201)
    assert "Contents" not in tus.stack.s3.list_objects_v2(Bucket=tus.bucket)


# --- Forms ------------------------------------------------------------------------------------------------------------


def post_chunked(tus: Tus, path: str, kind: str, body: bytes, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(tus.stack.url).netloc, timeout=PATIENCE)
    ours = {"Content-Type": kind, "Origin": tus.stack.url, "Cookie": tus.operator.cookies, **headers}
    connection.request("POST", path, iter([body[:1000], body[1000:]]), ours, encode_chunked=True)
    response = connection.getresponse()
    status, text = response.status, response.read()
    connection.close()
    return status, text


def send_form(tus: Tus, size: int, /, **fields: object) -> tuple[int, bytes]:
    known = {"csrfmiddlewaretoken": tus.operator.csrf_token, "store": tus.stack.store, "bucket": tus.bucket}
    body = form_head({**known, "key": "file", **fields}, "file.bin") + content(0, size) + FORM_TAIL
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    return post_chunked(tus, "/transfers/new/", kind, body, Accept="application/json")


def test_form_in_chunks_that_states_the_size_arrives(tus: Tus) -> None:
    for size in (0, 1, PART + SMALL):
        status, text = send_form(tus, size, size=size, replace="on")
        assert status == 201, text
        tus.assert_arrived(f"/{json.loads(text)['id']}", size)


@pytest.mark.parametrize("stated", [None, "", "many", "-1", SMALL - 1, SMALL + 1, 0])
def test_form_in_chunks_with_another_size_leaves_nothing(tus: Tus, stated: object) -> None:
    status, text = send_form(tus, SMALL, **({} if stated is None else {"size": stated}))
    assert status == 400
    assert json.loads(text)["error"]["message"]
    wait_for("the key to be free", lambda: tus.create(SMALL).status == 201)
    assert "Contents" not in tus.stack.s3.list_objects_v2(Bucket=tus.bucket)


def test_every_form_can_come_in_chunks(tus: Tus) -> None:
    """Django itself would see an empty form."""
    form = {
        "username": tus.stack.admin.username,
        "password": tus.stack.admin.password,
        "csrfmiddlewaretoken": tus.operator.csrf_token,
    }
    kind = "application/x-www-form-urlencoded"
    assert post_chunked(tus, "/login/", kind, urlencode(form).encode())[0] == 302
    boundary = f"multipart/form-data; boundary={BOUNDARY}"
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{{}}"\r\n\r\n{{}}\r\n'
    fields = "".join(part.format(name, value) for name, value in form.items())
    assert post_chunked(tus, "/login/", boundary, f"{fields}--{BOUNDARY}--\r\n".encode())[0] == 302
