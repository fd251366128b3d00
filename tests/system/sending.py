"""The form of a new transfer, sent by hand over a socket: slowly, in pieces, wrongly, or never to its end."""

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
    """Everything before the file's first byte."""
    lines = []
    for name, value in fields.items():
        lines += [f"--{BOUNDARY}", f'Content-Disposition: form-data; name="{name}"', "", str(value)]
    lines += [f"--{BOUNDARY}", f'Content-Disposition: form-data; name="file"; filename="{filename}"']
    lines += ["Content-Type: application/octet-stream", "", ""]
    return "\r\n".join(lines).encode()


FORM_TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()


class SlowForm:
    """One POST of the form whose file is sent as far as the test says. Leaving the block closes the connection."""

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
        """Hang up."""
        self._connection.close()

    def send(self, count: int) -> None:
        """Send so many bytes of the file. Raises OSError where the server has hung up."""
        for block in file_blocks(self.sent, self.sent + count):
            self._connection.send(block)
            self.sent += len(block)

    def send_file(self, file: IO[bytes]) -> str:
        """Send this file instead, to its end; the transfer's id."""
        while block := file.read(MIB):
            self._connection.send(block)
        self._connection.send(FORM_TAIL)
        answer = json.load(self.answer())
        assert "id" in answer, answer
        return str(answer["id"])

    def finish(self) -> int:
        """Send what is left, and the closing boundary; the answer's status."""
        self.send(self._size - self.sent)
        self._connection.send(FORM_TAIL)
        return self.response_status()

    def response_status(self) -> int:
        return self.answer().status

    def answer(self) -> http.client.HTTPResponse:
        return self._connection.getresponse()


def file_blocks(start: int, end: int) -> Iterator[bytes]:
    """The bytes of the file that a SlowForm sends: every eight of them name their own offset."""
    while start < end:
        aligned = start - start % 8
        stop = min(end, aligned + MIB)
        block = b"".join(offset.to_bytes(8) for offset in range(aligned, stop, 8))
        yield block[start - aligned : stop - aligned]
        start = stop
