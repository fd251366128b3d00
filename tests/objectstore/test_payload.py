"""Digests in one pass, blocks in order, and correct counts."""

from __future__ import annotations

import base64
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uploads.objectstore import payload
from uploads.objectstore.checksums import Algorithm, Crc64
from uploads.objectstore.errors import NotSent, Reason
from uploads.objectstore.payload import InterruptedByCallback, Payload
from uploads.objectstore.types import FileSlice
from uploads.problems import Code, Problem


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=5000), st.integers(0, 5000), st.integers(0, 5000), st.booleans())
def test_slice_and_its_digests(tmp_path: Path, content: bytes, offset: int, size: int, in_memory: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(payload, "BLOCK", 512)
        patch.setattr(payload, "CHUNK", 100)
        patch.setattr(payload, "IN_MEMORY", 10_000 if in_memory else 0)
        patch.setattr(payload, "_kept", payload._Kept())
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
        body.count_as_unsent()
        assert sum(counts) == 0


def test_sha256_is_computed_only_if_signed() -> None:
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


def test_file_that_is_too_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    with pytest.raises(NotSent) as caught:
        Payload(FileSlice(path, 0, 10))
    assert caught.value.reason is Reason.BAD_ARGUMENT
    assert caught.value.problem == Problem(Code.FILE_TOO_SHORT, file="file", missing=5, size=10, offset=0)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotSent) as caught:
        Payload(FileSlice(tmp_path / "gone", 0, 0))
    problem = Problem(Code.FILE_UNREADABLE, file="gone", detail="No such file or directory")
    assert caught.value.problem == problem


def test_exception_of_on_bytes_is_wrapped() -> None:
    def stop(_: int) -> None:
        raise OSError("as a lost connection would be")

    with pytest.raises(InterruptedByCallback) as caught:
        list(Payload(b"abc", on_bytes=stop))
    assert isinstance(caught.value.cause, OSError)


def test_bodies_in_one_thread_are_not_mixed_up(tmp_path: Path) -> None:
    """The buffer belongs to the last body; the one before is read from its file again."""
    bodies = {}
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(name.encode() * 1_000_000)
        bodies[name] = Payload(FileSlice(tmp_path / name, 0, 1_000_000))
    for _ in range(2):
        for name, body in bodies.items():
            assert b"".join(map(bytes, body)) == name.encode() * 1_000_000


def test_earlier_longer_body_leaves_no_bytes(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"l" * 3_000_000)
    (tmp_path / "short").write_bytes(b"s" * 5)
    Payload(FileSlice(tmp_path / "long", 0, 3_000_000))
    short = Payload(FileSlice(tmp_path / "short", 0, 5))
    assert b"".join(map(bytes, short)) == b"sssss"
    assert short.md5 == hashlib.md5(b"sssss").digest()


def test_reading_digests_again_reassigns_the_buffer(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode() * 100)
    first, second = (Payload(FileSlice(tmp_path / name, 0, 100)) for name in ("a", "b"))
    first.read_digests()
    assert b"".join(map(bytes, second)) == b"b" * 100
    assert b"".join(map(bytes, first)) == b"a" * 100


def test_bytes_and_large_bodies_do_not_use_the_buffer(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a" * 100)
    body = Payload(FileSlice(tmp_path / "a", 0, 100))
    (tmp_path / "a").write_bytes(b"x" * 100)
    Payload(b"other")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(payload, "IN_MEMORY", 0)
        Payload(FileSlice(tmp_path / "a", 0, 100))
    assert b"".join(map(bytes, body)) == b"a" * 100


def test_each_thread_has_its_own_buffer(tmp_path: Path) -> None:
    barrier = threading.Barrier(4)

    def send(number: int) -> None:
        path, content = tmp_path / str(number), bytes([number]) * 500_000
        path.write_bytes(content)
        barrier.wait(10)
        for _ in range(20):
            body = Payload(FileSlice(path, 0, len(content)))
            assert b"".join(map(bytes, body)) == content
            assert body.md5 == hashlib.md5(content).digest()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(4)))


def test_body_may_be_sent_by_another_thread(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a" * 100)
    (tmp_path / "b").write_bytes(b"b" * 100)
    body = Payload(FileSlice(tmp_path / "a", 0, 100))

    def send() -> bytes:
        Payload(FileSlice(tmp_path / "b", 0, 100))
        return b"".join(map(bytes, body))

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(send).result() == b"a" * 100


@pytest.mark.parametrize("algorithm", ["nvme", "ecma"])
def test_crc64_of_both_polynomials(algorithm: Algorithm) -> None:
    expected = Crc64(algorithm)
    expected.update(b"some bytes")
    assert Payload(b"some bytes", crc64=algorithm).crc64 == expected.value
