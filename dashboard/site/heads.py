"""The head of a request, read strictly: what could be understood in two ways is refused.

Two programs that disagree about where a request ends, or about which of two headers counts, serve different requests.
"""

from __future__ import annotations

import re
from typing import Any

from cheroot.server import HeaderReader

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL_CHARACTER = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_LENGTH = re.compile(rb"[0-9]{1,18}")

_SINGLE = frozenset({b"Content-Length", b"Content-Type", b"Host", b"Transfer-Encoding"})
"""Headers that say what the request is and where it ends: one of them at most."""


class HeadReader(HeaderReader):
    """Reads the headers of one request.

    `repeated` are the names of headers that came several times. Their values are joined, as HTTP says.
    `expects_continue`: the client waits for the status 100 before it sends the body.
    """

    def __init__(self) -> None:
        self.repeated: set[str] = set()
        self.expects_continue = False

    def __call__(self, rfile: Any, hdict: dict[bytes, bytes] | None = None) -> dict[bytes, bytes]:
        """Add the headers to `hdict`. Raises ValueError with what is wrong."""
        headers = {} if hdict is None else hdict
        while (line := rfile.readline()) != b"\r\n":
            name, value = _parse(line)
            # In the WSGI environment they would look like those with hyphens.
            if b"_" not in name:
                self._add(headers, name, value)
        _check_length(headers)
        # Cheroot would send the status 100 at once. `bodies` sends it when the body is read.
        self.expects_continue = headers.pop(b"Expect", b"").lower() == b"100-continue"
        return headers

    def _add(self, headers: dict[bytes, bytes], name: bytes, value: bytes) -> None:
        if name in headers:
            if name in _SINGLE:
                raise ValueError(f"The header {name.decode()} is repeated.")
            self.repeated.add(name.decode())
            value = (b"; " if name == b"Cookie" else b", ").join([headers[name], value])
        headers[name] = value


def _parse(line: bytes) -> tuple[bytes, bytes]:
    if not line.endswith(b"\r\n"):
        raise ValueError("HTTP requires CRLF terminators" if line else "Illegal end of headers.")
    name, colon, value = line.removesuffix(b"\r\n").partition(b":")
    if not colon or not _NAME.fullmatch(name):
        raise ValueError("Illegal header line.")
    if _CONTROL_CHARACTER.search(value):
        raise ValueError(f"The header {name.decode()} has a control character.")
    return name.title(), value.strip(b" \t")


def _check_length(headers: dict[bytes, bytes]) -> None:
    """Check that it is clear where the body ends."""
    length, encoding = headers.get(b"Content-Length"), headers.get(b"Transfer-Encoding")
    if length is not None and encoding is not None:
        raise ValueError("A request has either Content-Length or Transfer-Encoding.")
    if length is not None and not _LENGTH.fullmatch(length):
        raise ValueError("The header Content-Length must be a number of bytes.")
    if encoding is not None and encoding.lower().count(b"chunked") > 1:
        raise ValueError("A body is chunked once.")
