"""Digests in one pass, blocks in order, and correct counts."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uploads.objectstore import payload
from uploads.objectstore.checksums import Algorithm, Crc64
from uploads.objectstore.errors import NotSent, Reason
from uploads.objectstore.payload import FilePiece, InterruptedByCallback, Payload
from uploads.objectstore.types import FileSlice
from uploads.problems import Code, Problem


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=5000), st.integers(0, 5000), st.integers(0, 5000))
def test_slice_and_its_digests(tmp_path: Path, content: bytes, offset: int, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(payload, "BLOCK", 512)
        patch.setattr(payload, "CHUNK", 100)
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


def test_digests_are_those_of_the_file_when_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"first")
    body = Payload(FileSlice(path, 0, 5))
    path.write_bytes(b"other")
    assert body.md5 == hashlib.md5(b"first").digest()
    assert b"".join(map(bytes, body)) == b"other"
    body.read_digests()
    assert body.md5 == hashlib.md5(b"other").digest()


def sent(body: Payload) -> bytes:
    """What a socket receives from the pieces of a body. Its buffer is small, so that it takes a little at a time."""
    sender, receiver = socket.socketpair()
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    with receiver, ThreadPoolExecutor(1) as pool:
        received = pool.submit(lambda: b"".join(iter(lambda: receiver.recv(65536), b"")))
        with sender:
            for piece in body:
                assert isinstance(piece, FilePiece)
                while piece:
                    piece.send(sender)
        return received.result(10)


def test_kernel_sends_the_bytes_of_a_slice(tmp_path: Path) -> None:
    content = os.urandom(1_000_003)
    (tmp_path / "file").write_bytes(content)
    counts: list[int] = []
    body = Payload(FileSlice(tmp_path / "file", 5, 999_000), on_bytes=counts.append)
    assert sent(body) == content[5:999_005]
    assert (sum(counts), max(counts)) == (999_000, payload.CHUNK)


def test_full_socket_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a" * payload.CHUNK)
    sender, receiver = socket.socketpair()
    with sender, receiver:
        sender.setblocking(False)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        pieces = iter(Payload(FileSlice(tmp_path / "file", 0, payload.CHUNK)))
        piece = next(pieces)
        assert isinstance(piece, FilePiece)
        for _ in range(100):
            piece.send(sender)
        assert 0 < len(piece) < payload.CHUNK


def failing(number: int) -> Any:
    def sendfile(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return sendfile


@pytest.mark.parametrize("number", payload.NO_SENDFILE)
def test_file_system_that_the_kernel_cannot_send_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "sendfile", failing(number))
    (tmp_path / "file").write_bytes(b"a" * 300_000)
    assert sent(Payload(FileSlice(tmp_path / "file", 0, 300_000))) == b"a" * 300_000


def test_disk_that_fails_is_no_lost_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    body = Payload(FileSlice(tmp_path / "file", 0, 3))
    monkeypatch.setattr(os, "sendfile", failing(errno.EIO))
    with pytest.raises(NotSent) as caught:
        sent(body)
    assert caught.value.problem == Problem(Code.FILE_UNREADABLE, file="file", detail="Input/output error")


@pytest.mark.parametrize("send", [sent, lambda body: b"".join(map(bytes, body))], ids=["plain", "encrypted"])
def test_file_that_was_cut_since_is_refused(tmp_path: Path, send: Callable[[Payload], bytes]) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    body = Payload(FileSlice(tmp_path / "file", 0, 5))
    (tmp_path / "file").write_bytes(b"123")
    with pytest.raises(NotSent) as caught:
        send(body)
    assert caught.value.problem == Problem(Code.FILE_TOO_SHORT, file="file", missing=2, size=5, offset=0)


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


@pytest.mark.parametrize("algorithm", ["nvme", "ecma"])
def test_crc64_of_both_polynomials(algorithm: Algorithm) -> None:
    expected = Crc64(algorithm)
    expected.update(b"some bytes")
    assert Payload(b"some bytes", crc64=algorithm).crc64 == expected.value
