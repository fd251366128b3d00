"""Digests in one pass, blocks in order, and counts that add up."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uploads.objectstore import payload
from uploads.objectstore.errors import NotSent, Reason
from uploads.objectstore.payload import Cut, Payload
from uploads.objectstore.types import FileSlice


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=5000), st.integers(0, 5000), st.integers(0, 5000), st.booleans())
def test_a_slice_and_its_digests(tmp_path: Path, content: bytes, offset: int, size: int, in_memory: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(payload, "BLOCK", 512)
        patch.setattr(payload, "MOUTHFUL", 100)
        patch.setattr(payload, "IN_MEMORY", 10_000 if in_memory else 0)
        path = tmp_path / "file"
        path.write_bytes(content)
        offset = min(offset, len(content))
        expected = content[offset : offset + size]
        counts: list[int] = []
        body = Payload(FileSlice(path, offset, len(expected)), on_bytes=counts.append)
        assert body.sha256 == hashlib.sha256(expected).hexdigest()
        assert base64.b64decode(body.content_md5) == hashlib.md5(expected).digest()
        assert b"".join(bytes(block) for block in body) == expected
        assert sum(counts) == len(expected)
        body.take_back()
        assert sum(counts) == 0


def test_no_sha256_where_it_is_not_signed() -> None:
    assert Payload(b"abc", sha256=False).sha256 is None


def test_small_bodies_are_read_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"first")
    body = Payload(FileSlice(path, 0, 5))
    path.write_bytes(b"other")
    assert b"".join(map(bytes, body)) == b"first"
    body.read_digests()
    assert body.md5 == hashlib.md5(b"other").digest()
    assert b"".join(map(bytes, body)) == b"other"


def test_a_file_that_is_too_short_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    with pytest.raises(NotSent, match="file ends 5 bytes too early: 10 bytes from 0") as caught:
        Payload(FileSlice(path, 0, 10))
    assert caught.value.reason is Reason.BAD_ARGUMENT


def test_a_file_that_is_gone_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(NotSent, match=r"gone cannot be read: No such file"):
        Payload(FileSlice(tmp_path / "gone", 0, 0))


def test_what_on_bytes_raises_is_carried_out_as_a_cut() -> None:
    def stop(_: int) -> None:
        raise OSError("as a lost connection would be")

    with pytest.raises(Cut) as caught:
        list(Payload(b"abc", on_bytes=stop))
    assert isinstance(caught.value.cause, OSError)
