"""A small tus client that does as it is told: whole bodies, pieces, wrong headers, bodies that stall or are cut.

The bytes of every file are those of `sending.file_blocks`: each eight of them name their own offset.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import select
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.system.sending import file_blocks
from tests.system.stack import MIB, PATIENCE, Operator, Stack, wait_for

PART = 5 * MIB
OFFSET_STREAM = "application/offset+octet-stream"
COME_BACK = (408, 409, 423, 503)
"""Answers after which a client asks for the offset and goes on."""


def content(start: int, end: int) -> bytes:
    return b"".join(file_blocks(start, end))


@cache
def content_digest(size: int) -> str:
    digest = hashlib.sha256()
    for block in file_blocks(0, size):
        digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """What our JSON calls the error."""
        return str(self.json["error"]["code"])

    @property
    def offset(self) -> int:
        return int(self.headers["upload-offset"])


def metadata_header(values: Mapping[str, object]) -> str:
    pairs = [(name, base64.b64encode(str(value).encode()).decode()) for name, value in values.items()]
    return ",".join(f"{name} {value}" for name, value in pairs)


def checksum_header(algorithm: str, body: bytes) -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, body).digest()).decode()}"


class OpenPatch:
    """A connection with a request whose body is sent as far as the test says. Leaving the block hangs up."""

    def __init__(self, netloc: str) -> None:
        self._connection = http.client.HTTPConnection(netloc, timeout=PATIENCE)
        self._connection.connect()
        # Of its own: http.client closes its socket after an answer that says that the server will.
        self._socket: socket.socket = self._connection.sock.dup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hang_up()

    def begin(self, method: str, path: str, headers: Mapping[str, str]) -> None:
        """Send a request's head."""
        self._connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers.items():
            self._connection.putheader(name, value)
        self._connection.endheaders()

    def send(self, data: bytes) -> None:
        """Raises OSError where the server has hung up."""
        self._socket.sendall(data)

    def has_answer(self) -> bool:
        return bool(select.select([self._socket], [], [], 0)[0])

    def answer(self) -> Answer:
        response = self._connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read())

    def hang_up(self) -> None:
        """Close the connection as a program does that ends: what was sent still arrives."""
        self._connection.close()
        self._socket.close()

    def cut(self) -> None:
        """A reset, as from a network that goes away."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.hang_up()


class Tus:
    """An operator's tus client. Paths are what `Location` says."""

    def __init__(self, stack: Stack, operator: Operator, bucket: str) -> None:
        self.stack, self.operator, self.bucket = stack, operator, bucket
        self._netloc = urlsplit(operator.url).netloc

    # --- Requests -----------------------------------------------------------------------------------------------------

    def headers(self, **more: str | None) -> dict[str, str]:
        """What every request has. `Some_Header` is written `Some-Header`; None takes a header away."""
        ours: dict[str, str | None] = {
            "Tus-Resumable": "1.0.0",
            "Cookie": self.operator.cookies,
            "X-CSRFToken": self.operator.csrf_token,
        }
        ours.update({name.replace("_", "-"): value for name, value in more.items()})
        return {name: value for name, value in ours.items() if value is not None}

    def open(self, method: str, path: str, **headers: str | None) -> OpenPatch:
        sending = self.connect()
        sending.begin(method, path, self.headers(**headers))
        return sending

    def connect(self) -> OpenPatch:
        """A connection that says nothing yet."""
        return OpenPatch(self._netloc)

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str | None) -> Answer:
        """One request; its length is announced where it has a body and no other is given."""
        if body is not None:
            headers.setdefault("Content_Length", str(len(body)))
        with self.open(method, path, **headers) as sending:
            if body:
                sending.send(body)
            return sending.answer()

    def create(self, size: int, body: bytes | None = None, /, **metadata: object) -> Answer:
        """POST, for the key `file` where no other is given; `part_size` and such are names of metadata."""
        return self.create_with({}, size, body, **{"key": "file", **metadata})

    def create_with(
        self, headers: Mapping[str, str | None], size: int, body: bytes | None = None, /, **metadata: object
    ) -> Answer:
        """POST with headers of one's own besides."""
        sent = self._creating(size, metadata)
        if body is not None:
            sent["Content_Type"] = OFFSET_STREAM
        return self.request("POST", "/files/", body, **{**sent, **headers})

    def open_creation(self, size: int, **metadata: object) -> OpenPatch:
        """A POST that announces all of the file, and has sent nothing of it."""
        sent = self._creating(size, {"key": "file", **metadata})
        return self.open("POST", "/files/", Content_Length=str(size), Content_Type=OFFSET_STREAM, **sent)

    def _creating(self, size: int, metadata: Mapping[str, object]) -> dict[str, str | None]:
        known: dict[str, object] = {"store": self.stack.store, "bucket": self.bucket, "part_size": PART, **metadata}
        fields = {name.replace("_", "-"): value for name, value in known.items() if value is not None}
        return {"Upload_Length": str(size), "Upload_Metadata": metadata_header(fields)}

    def begin(self, size: int, **metadata: object) -> str:
        """The path of a new upload."""
        answer = self.create(size, **metadata)
        assert answer.status == 201, (answer.status, answer.body)
        return answer.headers["location"]

    def head(self, path: str) -> Answer:
        return self.request("HEAD", path)

    def offset(self, path: str) -> int:
        answer = self.head(path)
        assert answer.status == 200, answer
        return answer.offset

    def patch(self, path: str, offset: int, body: bytes, **headers: str | None) -> Answer:
        return self.request("PATCH", path, body, **self._patching(offset, headers))

    def open_patch(self, path: str, offset: int, length: int, **headers: str | None) -> OpenPatch:
        """A PATCH that announces so many bytes, and has sent none of them."""
        return self.open("PATCH", path, Content_Length=str(length), **self._patching(offset, headers))

    def _patching(self, offset: int, headers: Mapping[str, str | None]) -> dict[str, str | None]:
        return {"Content_Type": OFFSET_STREAM, "Upload_Offset": str(offset), **headers}

    def delete(self, path: str) -> Answer:
        return self.request("DELETE", path)

    # --- Whole files --------------------------------------------------------------------------------------------------

    def send_rest(self, path: str, size: int, most: int = 8 * MIB) -> int:
        """Go on from wherever the server stands, in bodies of at most `most` bytes, as a client that never gives up
        does; the number of answers after which it had to come back."""
        came_back = 0

        def is_sent() -> bool:
            nonlocal came_back
            offset = self.offset(path)
            while offset < size:
                answer = self.patch(path, offset, content(offset, min(size, offset + most)))
                if answer.status in COME_BACK:
                    came_back += 1
                    return False
                assert answer.status == 204, (answer.status, answer.body)
                offset = answer.offset
            return True

        wait_for(f"all of {path} taken", is_sent)
        return came_back

    def upload(self, size: int, **metadata: object) -> str:
        """Send a whole file; its path."""
        path = self.begin(size, **metadata)
        self.send_rest(path, size)
        return path

    # --- What came of it ----------------------------------------------------------------------------------------------

    def wait_for_state(self, path: str, *states: str) -> dict[str, Any]:
        return self.operator.wait_for_state(transfer_id(path), *states)

    def order(self, path: str, step: str) -> None:
        """pause, resume, cancel or retry."""
        answer = self.operator.post(f"/transfers/{transfer_id(path)}/{step}/")
        assert answer.status_code == 200, answer.text

    def assert_arrived(self, path: str, size: int, key: str = "file") -> None:
        """The object is there, byte for byte, and nothing else is left anywhere."""
        self.wait_for_state(path, "done")
        assert self.stack.object_digest(self.bucket, key) == (size, content_digest(size))
        self.assert_nothing_left(path)

    def assert_cancelled(self, path: str) -> None:
        """Nothing is left: not here, not in the store; and the upload is gone for good."""
        self.wait_for_state(path, "cancelled")
        assert self.head(path).status == 410
        self.assert_nothing_left(path)
        assert "Contents" not in self.stack.s3.list_objects_v2(Bucket=self.bucket)

    def assert_nothing_left(self, path: str) -> None:
        assert self.stack.uploads_in(self.bucket) == []
        folder = self.stack.staging / transfer_id(path)
        wait_for("its folder gone", lambda: not folder.exists())


def transfer_id(path: str) -> str:
    """The transfer behind an upload's path."""
    return path.rpartition("/")[2]
