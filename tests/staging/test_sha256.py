"""A SHA-256 that is saved and resumed anywhere equals the one that hashlib computes at once."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uploads.staging import sha256
from uploads.staging.sha256 import STATE_BYTES, ResumableSha256, Unavailable

RESUME = """
import sys
from uploads.staging.sha256 import ResumableSha256
hasher = ResumableSha256.start(bytes.fromhex(sys.argv[1]))
hasher.update(bytes.fromhex(sys.argv[2]))
sys.stdout.write(hasher.save().hex() + " " + hasher.hexdigest())
"""

blocks = st.lists(st.binary(max_size=200), max_size=12)


@given(blocks, st.sets(st.integers(0, 11)))
def test_save_and_resume_anywhere(pieces: list[bytes], stops: set[int]) -> None:
    hasher = ResumableSha256.start()
    for number, piece in enumerate(pieces):
        if number in stops:
            hasher = ResumableSha256.start(hasher.save())
        hasher.update(piece)
    assert hasher.hexdigest() == hashlib.sha256(b"".join(pieces)).hexdigest()


@given(blocks)
def test_hexdigest_does_not_change_the_state(pieces: list[bytes]) -> None:
    hasher, theirs = ResumableSha256.start(), hashlib.sha256()
    for piece in pieces:
        hasher.update(piece)
        theirs.update(piece)
        assert hasher.hexdigest() == hasher.hexdigest() == theirs.hexdigest()


@given(st.binary(max_size=300), st.integers(0, 300), st.integers(0, 300))
def test_readonly_and_writable_buffers_and_slices_of_them(content: bytes, start: int, end: int) -> None:
    expected = hashlib.sha256(content[start:end]).hexdigest()
    for buffer in (content, bytearray(content), memoryview(content), memoryview(bytearray(content))):
        hasher = ResumableSha256.start()
        hasher.update(buffer[start:end])
        assert hasher.hexdigest() == expected


def test_buffer_can_be_reused_after_an_update() -> None:
    buffer = bytearray(b"first")
    hasher = ResumableSha256.start()
    hasher.update(buffer)
    buffer[:] = b"longer than before"
    hasher.update(memoryview(buffer))
    assert hasher.hexdigest() == hashlib.sha256(b"firstlonger than before").hexdigest()


def test_large_blocks() -> None:
    content = bytes(range(256)) * 20_000
    hasher = ResumableSha256.start()
    hasher.update(memoryview(bytearray(content)))
    assert hasher.hexdigest() == hashlib.sha256(content).hexdigest()


@settings(max_examples=3, deadline=None)
@given(st.binary(min_size=1, max_size=200), st.binary(min_size=1, max_size=200), st.binary(max_size=200))
def test_another_process_resumes(first: bytes, second: bytes, third: bytes) -> None:
    here = ResumableSha256.start()
    here.update(first)
    argv = [sys.executable, "-c", RESUME, here.save().hex(), second.hex()]
    root = Path(__file__).parents[2]
    state, digest = subprocess.run(argv, cwd=root, check=True, capture_output=True, text=True).stdout.split()
    assert digest == hashlib.sha256(first + second).hexdigest()
    again = ResumableSha256.start(bytes.fromhex(state))
    again.update(third)
    assert again.hexdigest() == hashlib.sha256(first + second + third).hexdigest()


@pytest.mark.parametrize("size", [0, 1, STATE_BYTES - 1, STATE_BYTES + 1])
def test_invalid_state_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="112 bytes"):
        ResumableSha256.start(bytes(size))


def test_missing_libcrypto_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sha256, "_libcrypto", lambda: None)
    assert not sha256.is_available()
    with pytest.raises(Unavailable):
        ResumableSha256.start()
