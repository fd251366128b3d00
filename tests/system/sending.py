"""Sends the form of a new transfer over a socket: slowly, in pieces, incorrectly or incompletely."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import IO, Self
from urllib.parse import urlsplit

from tests.system.stack import MIB, PATIENCE, Operator

BOUNDARY = "----partway-test-boundary"


def form_head(fields: Mapping[str, object], filename: str) -> bytes:
    """The request body up to the first byte of the file."""
    lines = []
    for name, value in fields.items():
        lines += [f"--{BOUNDARY}", f'Content-Disposition: form-data; name="{name}"', "", str(value)]
    lines += [f"--{BOUNDARY}", f'Content-Disposition: form-data; name="file"; filename="{filename}"']
    lines += ["Content-Type: application/octet-stream", "", ""]
    return "\r\n".join(lines).encode()


FORM_TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()


class SlowForm:
    """One POST of the form. The test decides how much of the file is sent. Leaving the block closes the connection."""

    def __init__(
        self,
        operator: Operator,
        fields: Mapping[str, object],
        size: int,
        headers: Mapping[str, str] | None = None,
        filename: str = "slow.bin",
    ) -> None:
        fields = {"csrfmiddlewaretoken": operator.csrf_token, **fields}
        head = form_head(fields, filename)
        self.head_size = len(head)
        self.sent = 0
        self._size = size
        self._connection = http.client.HTTPConnection(urlsplit(operator.url).netloc, timeout=PATIENCE)
        self._connection.putrequest("POST", "/transfers/new/")
        sent_headers = {
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
            "Content-Length": str(len(head) + size + len(FORM_TAIL)),
            "Cookie": operator.cookies,
            "Origin": operator.url,
            "Accept": "application/json",
            **(headers or {}),
        }
        for name, value in sent_headers.items():
            if value:
                self._connection.putheader(name, value)
        self._connection.endheaders(head)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def send(self, count: int) -> None:
        """Send the next `count` bytes of the file. Raises OSError if the server has closed the connection."""
        for block in file_blocks(self.sent, self.sent + count):
            self._connection.send(block)
            self.sent += len(block)

    def send_file(self, file: IO[bytes]) -> str:
        """Send all of this file instead. Returns the transfer's id."""
        while block := file.read(MIB):
            self._connection.send(block)
        self._connection.send(FORM_TAIL)
        body = json.load(self.response())
        assert "id" in body, body
        return str(body["id"])

    def finish(self) -> int:
        """Send the rest and the closing boundary. Returns the status of the response."""
        self.send(self._size - self.sent)
        self._connection.send(FORM_TAIL)
        return self.response_status()

    def response_status(self) -> int:
        return self.response().status

    def response(self) -> http.client.HTTPResponse:
        return self._connection.getresponse()


def file_blocks(start: int, end: int) -> Iterator[bytes]:
    """The bytes of the file that a SlowForm sends: each group of eight bytes is its own offset."""
    while start < end:
        aligned = start - start % 8
        stop = min(end, aligned + MIB)
        block = b"".join(offset.to_bytes(8) for offset in range(aligned, stop, 8))
        yield block[start - aligned : stop - aligned]
        start = stop
