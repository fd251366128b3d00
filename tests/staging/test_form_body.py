"""The body of the form, split anywhere: fields and file are complete, and the file's size is known in advance."""

from __future__ import annotations

import io

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from uploads.problems import Code
from uploads.staging.body import Body, BodyEnded, Patience
from uploads.staging.form_body import MAX_FIELDS_BYTES, BadBody, FormBody

BOUNDARY = "----form-boundary"


def encode(fields: dict[str, str], data: bytes, filename: str = "f.bin", after: dict[str, str] | None = None) -> bytes:
    def text(pairs: dict[str, str]) -> bytes:
        return b"".join(
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in pairs.items()
        )

    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
    file = head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + data + b"\r\n"
    return text(fields) + file + text(after or {}) + f"--{BOUNDARY}--\r\n".encode()


def open_body(raw: bytes, sent: bytes | None = None, at_most: int = 1 << 30) -> FormBody:
    stream = Slowly(raw if sent is None else sent, at_most)
    return FormBody(body_of(stream, len(raw)), f"multipart/form-data; boundary={BOUNDARY}", "file")


def body_of(stream: io.BytesIO, length: int) -> Body:
    return Body({"wsgi.input": stream}, length, Patience(30, 0))


class Slowly(io.BytesIO):
    """Returns at most `at_most` bytes at a time."""

    def __init__(self, raw: bytes, at_most: int) -> None:
        super().__init__(raw)
        self._at_most = at_most

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        return super().read(min(size, self._at_most))


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40)
payloads = st.one_of(
    st.binary(max_size=300),
    st.sampled_from([b"\r\n", b"\r\n--", f"\r\n--{BOUNDARY[:-1]}\r\n".encode(), BOUNDARY.encode(), b"\r" * 50]),
)


@given(st.dictionaries(st.sampled_from(["key", "store", "metadata"]), words), payloads, st.integers(1, 90))
def test_result_does_not_depend_on_the_blocks(fields: dict[str, str], data: bytes, at_most: int) -> None:
    # Browsers choose a boundary that does not occur in what they send.
    assume(not any(f"--{BOUNDARY}".encode() in each for each in [data, *(value.encode() for value in fields.values())]))
    body = open_body(encode(fields, data), at_most=at_most)
    assert body.read_fields() == fields
    assert body.file_size == len(data)
    assert b"".join(body.blocks()) == data


@settings(deadline=None)
@given(payloads, st.integers(1, 90))
def test_field_states_the_size_of_a_file_in_a_body_of_unknown_length(data: bytes, at_most: int) -> None:
    assume(f"--{BOUNDARY}".encode() not in data)
    body = open_chunked(encode({"size": str(len(data))}, data), at_most)
    assert body.read_fields() == {"size": str(len(data))}
    assert body.file_size == len(data)
    assert b"".join(body.blocks()) == data


@pytest.mark.parametrize("fields", [{}, {"size": ""}, {"size": "-1"}, {"size": "1.0"}, {"size": "9" * 19}])
def test_body_of_unknown_length_needs_the_size_of_its_file(fields: dict[str, str]) -> None:
    with pytest.raises(BadBody, match=Code.FORM_SIZE_MISSING):
        open_chunked(encode(fields, b"data")).read_fields()


def open_chunked(raw: bytes, at_most: int = 1 << 30) -> FormBody:
    body = Body({"wsgi.input": Slowly(raw, at_most)}, None, Patience(30, 0))
    return FormBody(body, f"multipart/form-data; boundary={BOUNDARY}", "file")


def test_large_file_is_read_in_large_blocks() -> None:
    data = bytes(5 * 1024**2)
    body = open_body(encode({"key": "k"}, data))
    body.read_fields()
    blocks = list(body.blocks())
    assert b"".join(blocks) == data
    assert len(blocks) < 10


def test_filename_as_browsers_send_it() -> None:
    body = open_body(encode({}, b"", filename="été %22quoted%22 100%.txt"))
    body.read_fields()
    assert body.filename == 'été "quoted" 100%.txt'


@pytest.mark.parametrize("missing", [1, 10, 60, 200])
def test_connection_that_ends_early_is_reported(missing: int) -> None:
    raw = encode({"key": "k"}, bytes(100))
    body = open_body(raw, raw[:-missing])
    with pytest.raises(BodyEnded):
        body.read_fields()
        list(body.blocks())


def test_field_after_the_file_is_refused() -> None:
    body = open_body(encode({}, b"data", after={"key": "late"}))
    body.read_fields()
    with pytest.raises(BadBody, match=Code.FORM_FILE_NOT_LAST):
        list(body.blocks())


def test_form_without_a_file_is_refused() -> None:
    raw = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n--{BOUNDARY}--\r\n'.encode()
    with pytest.raises(BadBody, match=f"{Code.FORM_FILE_MISSING} field=file"):
        open_body(raw).read_fields()


def test_fields_that_are_too_large_are_refused() -> None:
    with pytest.raises(BadBody, match=f"{Code.FORM_FIELDS_TOO_LARGE} limit_bytes={MAX_FIELDS_BYTES}"):
        open_body(encode({"key": "k" * MAX_FIELDS_BYTES}, b"")).read_fields()


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data", "", "application/json"])
def test_other_content_types_are_refused(content_type: str) -> None:
    with pytest.raises(BadBody, match=Code.FORM_NOT_MULTIPART):
        FormBody(body_of(io.BytesIO(), 0), content_type, "file")


def test_garbage_is_refused() -> None:
    with pytest.raises(BadBody):
        open_body(b"garbage" * 1000).read_fields()
