"""What is read from a connection."""

from __future__ import annotations

import socket

from cheroot.makefile import StreamReader


class Input(StreamReader):
    """Cheroot's reader, to which bytes can be given back: those that were read while no thread waited for them."""

    _read_buf: bytes
    _read_pos: int

    def __init__(self, socket_: socket.socket) -> None:
        super().__init__(socket_, "rb")

    @property
    def count(self) -> int:
        """The number of bytes that were read ahead."""
        return len(self._read_buf) - self._read_pos

    def put_back(self, block: bytes) -> None:
        """The next read returns these bytes first."""
        if block:
            self._read_buf, self._read_pos = block + self._read_buf[self._read_pos :], 0

    def take(self) -> bytes:
        """All bytes that were read ahead."""
        taken, self._read_buf, self._read_pos = self._read_buf[self._read_pos :], b"", 0
        return taken
