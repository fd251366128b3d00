"""A SHA-256 whose state can be saved and resumed, also by another process.

hashlib's objects cannot be saved. The library they use, OpenSSL's libcrypto, has the whole state of a SHA-256 in a
plain structure (SHA256_CTX: eight words, a count, a block of 64 bytes), and functions that work on it. It is loaded
through hashlib's own extension module, so it is the same library that Python uses.
"""

from __future__ import annotations

import ctypes
import hashlib
from functools import cache
from typing import Self

STATE_BYTES = 112
"""The size of SHA256_CTX, unchanged since OpenSSL 0.9.8."""


class Unavailable(RuntimeError):
    """The libcrypto of this Python cannot be used."""


@cache
def _libcrypto() -> ctypes.CDLL | None:
    """None if the functions are missing, or if their SHA-256 differs from hashlib's."""
    import _hashlib

    try:
        library = ctypes.CDLL(getattr(_hashlib, "__file__", None))
        library.SHA256_Init.argtypes = [ctypes.c_void_p]
        library.SHA256_Update.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
        library.SHA256_Final.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    except (OSError, AttributeError):
        return None
    return library if _agrees(library) else None


def _agrees(library: ctypes.CDLL) -> bool:
    probe = b"partway" * 100
    hasher = ResumableSha256(library)
    hasher.update(probe)
    return hasher.hexdigest() == hashlib.sha256(probe).hexdigest()


def is_available() -> bool:
    return _libcrypto() is not None


class ResumableSha256:
    """The SHA-256 of bytes in order."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._context = (ctypes.c_char * STATE_BYTES)()
        library.SHA256_Init(self._context)

    @classmethod
    def start(cls, state: bytes | None = None) -> Self:
        """Start anew, or from a saved `state`. Raises Unavailable; ValueError for an invalid state."""
        library = _libcrypto()
        if library is None:
            raise Unavailable("no usable libcrypto")
        hasher = cls(library)
        if state is not None:
            hasher.restore(state)
        return hasher

    def restore(self, state: bytes) -> None:
        if len(state) != STATE_BYTES:
            raise ValueError(f"A saved SHA-256 has {STATE_BYTES} bytes, not {len(state)}.")
        ctypes.memmove(self._context, state, STATE_BYTES)

    def update(self, block: bytes | bytearray | memoryview) -> None:
        view = memoryview(block)
        if view.readonly:
            data = view.tobytes()
            self._library.SHA256_Update(self._context, data, len(data))
        elif view:
            # No copy: arriving bytes are in one buffer that is reused.
            self._library.SHA256_Update(self._context, (ctypes.c_char * len(view)).from_buffer(view), len(view))

    def save(self) -> bytes:
        """The state, to resume from later."""
        return bytes(self._context)

    def hexdigest(self) -> str:
        """The digest of the bytes so far; more may follow."""
        copy = (ctypes.c_char * STATE_BYTES).from_buffer_copy(self._context)
        digest = (ctypes.c_char * 32)()
        self._library.SHA256_Final(digest, copy)
        return bytes(digest).hex()
