"""A small tus client that sends anything: whole bodies, pieces, wrong headers, bodies that stall or are interrupted.

The bytes of every file are those of `sending.file_blocks`: each eight bytes contain their own offset.
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
COME_BACK = (408, 409, 423, 429, 503)
"""Statuses after which a client requests the offset and resumes."""


def content(start: int, end: int) -> bytes:
    return b"".join(file_blocks(start, end))


@cache
def content_digest(size: int) -> str:
    digest = hashlib.sha256()
    for block in file_blocks(0, size):
        digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of the error in JSON."""
        return str(self.json["error"]["code"])

    @property
    def offset(self) -> int:
        return int(self.headers["upload-offset"])


def metadata_header(values: Mapping[str, object]) -> str:
    pairs = [(name, base64.b64encode(str(value).encode()).decode()) for name, value in values.items()]
    return ",".join(f"{name} {value}" for name, value in pairs)


def checksum_header(algorithm: str, body: bytes) -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, body).digest()).decode()}"


def chunked(body: bytes, size: int = 64 * 1024, *, end: bool = True) -> bytes:
    """A body in chunks of `size` bytes, with or without its end."""
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    encoded = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
    return b"".join([*encoded, b"0\r\n\r\n" if end else b""])


class OpenPatch:
    """A connection with a request whose body the test sends. Leaving the block closes the connection."""

    def __init__(self, netloc: str) -> None:
        self._connection = http.client.HTTPConnection(netloc, timeout=PATIENCE)
        self._connection.connect()
        # A duplicate: http.client closes its socket if the response announces that the server will close it.
        self._socket: socket.socket = self._connection.sock.dup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hang_up()

    def send_head(self, method: str, path: str, headers: Mapping[str, str]) -> None:
        """Send the head of a request."""
        self._connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers.items():
            # A line feed separates the values of a header that is sent several times.
            for each in value.split("\n"):
                self._connection.putheader(name, each)
        self._connection.endheaders()

    def send(self, data: bytes) -> None:
        """Raises OSError if the server has closed the connection."""
        self._socket.sendall(data)

    def has_response(self) -> bool:
        return bool(select.select([self._socket], [], [], 0)[0])

    def response(self) -> Response:
        response = self._connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Response(response.status, headers, response.read())

    def hang_up(self) -> None:
        """Close the connection as a program does that ends: bytes that were sent still arrive."""
        self._connection.close()
        self._socket.close()

    def reset(self) -> None:
        """Reset the connection, as a lost network does."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.hang_up()


class Tus:
    """The tus client of an operator. Paths are those in `Location`."""

    def __init__(self, stack: Stack, operator: Operator, bucket: str) -> None:
        self.stack, self.operator, self.bucket = stack, operator, bucket
        self._netloc = urlsplit(operator.url).netloc

    # --- Requests -----------------------------------------------------------------------------------------------------

    def headers(self, **more: str | None) -> dict[str, str]:
        """The headers of every request. `Some_Header` becomes `Some-Header`; None omits a header."""
        ours: dict[str, str | None] = {
            "Tus-Resumable": "1.0.0",
            "Cookie": self.operator.cookies,
            "X-CSRFToken": self.operator.csrf_token,
        }
        ours.update({name.replace("_", "-"): value for name, value in more.items()})
        return {name: value for name, value in ours.items() if value is not None}

    def open(self, method: str, path: str, **headers: str | None) -> OpenPatch:
        sending = self.connect()
        sending.send_head(method, path, self.headers(**headers))
        return sending

    def connect(self) -> OpenPatch:
        """A connection on which nothing has been sent."""
        return OpenPatch(self._netloc)

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str | None) -> Response:
        """One request. Its length is announced if it has a body, unless another one is given."""
        if body is not None:
            headers.setdefault("Content_Length", str(len(body)))
        with self.open(method, path, **headers) as sending:
            if body:
                sending.send(body)
            return sending.response()

    def create(self, size: int, body: bytes | None = None, /, **metadata: object) -> Response:
        """POST, for the key `file` unless another one is given. `part_size` and others are names of metadata."""
        return self.create_with({}, size, body, **{"key": "file", **metadata})

    def create_with(
        self, headers: Mapping[str, str | None], size: int, body: bytes | None = None, /, **metadata: object
    ) -> Response:
        """POST with additional headers."""
        sent = self._creating(size, metadata)
        if body is not None:
            sent["Content_Type"] = OFFSET_STREAM
        return self.request("POST", "/files/", body, **{**sent, **headers})

    def open_creation(self, size: int, **metadata: object) -> OpenPatch:
        """A POST that announces the whole file and has not sent any of it."""
        sent = self._creating(size, {"key": "file", **metadata})
        return self.open("POST", "/files/", Content_Length=str(size), Content_Type=OFFSET_STREAM, **sent)

    def _creating(self, size: int, metadata: Mapping[str, object]) -> dict[str, str | None]:
        known: dict[str, object] = {"store": self.stack.store, "bucket": self.bucket, "part_size": PART, **metadata}
        fields = {name.replace("_", "-"): value for name, value in known.items() if value is not None}
        return {"Upload_Length": str(size), "Upload_Metadata": metadata_header(fields)}

    def start(self, size: int, **metadata: object) -> str:
        """The path of a new upload."""
        response = self.create(size, **metadata)
        assert response.status == 201, (response.status, response.body)
        return response.headers["location"]

    def head(self, path: str) -> Response:
        return self.request("HEAD", path)

    def offset(self, path: str) -> int:
        response = self.head(path)
        assert response.status == 200, response
        return response.offset

    def patch(self, path: str, offset: int, body: bytes, **headers: str | None) -> Response:
        return self.request("PATCH", path, body, **self._patching(offset, headers))

    def open_patch(self, path: str, offset: int, length: int, **headers: str | None) -> OpenPatch:
        """A PATCH that announces `length` bytes and has not sent any of them."""
        return self.open("PATCH", path, Content_Length=str(length), **self._patching(offset, headers))

    def open_chunked(self, path: str, offset: int, **headers: str | None) -> OpenPatch:
        """A PATCH in chunks, of which none has been sent."""
        return self.open("PATCH", path, Transfer_Encoding="chunked", **self._patching(offset, headers))

    def patch_chunked(self, path: str, offset: int, encoded: bytes, **headers: str | None) -> Response:
        with self.open_chunked(path, offset, **headers) as sending:
            sending.send(encoded)
            return sending.response()

    def _patching(self, offset: int, headers: Mapping[str, str | None]) -> dict[str, str | None]:
        return {"Content_Type": OFFSET_STREAM, "Upload_Offset": str(offset), **headers}

    def delete(self, path: str) -> Response:
        return self.request("DELETE", path)

    # --- Whole files --------------------------------------------------------------------------------------------------

    def send_rest(self, path: str, size: int, most: int = 8 * MIB) -> int:
        """Send the rest from the current offset in bodies of at most `most` bytes, and retry without end.

        Returns the number of responses after which it had to retry.
        """
        came_back = 0

        def is_sent() -> bool:
            nonlocal came_back
            offset = self.offset(path)
            while offset < size:
                response = self.patch(path, offset, content(offset, min(size, offset + most)))
                if response.status in COME_BACK:
                    came_back += 1
                    return False
                assert response.status == 204, (response.status, response.body)
                offset = response.offset
            return True

        wait_for(f"all of {path} received", is_sent)
        return came_back

    def upload(self, size: int, **metadata: object) -> str:
        """Send a whole file. Returns its path."""
        path = self.start(size, **metadata)
        self.send_rest(path, size)
        return path

    # --- Results ------------------------------------------------------------------------------------------------------

    def wait_for_state(self, path: str, *states: str) -> dict[str, Any]:
        return self.operator.wait_for_state(transfer_id(path), *states)

    def request_step(self, path: str, step: str) -> None:
        """Request pause, resume, cancel or retry."""
        response = self.operator.post(f"/transfers/{transfer_id(path)}/{step}/")
        assert response.status_code == 200, response.text

    def assert_arrived(self, path: str, size: int, key: str = "file") -> None:
        """The object exists, byte for byte, and nothing else is left anywhere."""
        self.wait_for_state(path, "done")
        assert self.stack.object_digest(self.bucket, key) == (size, content_digest(size))
        self.assert_nothing_left(path)

    def assert_cancelled(self, path: str) -> None:
        """Nothing is left, neither staged nor in the store, and the upload is gone."""
        self.wait_for_state(path, "cancelled")
        assert self.head(path).status == 410
        self.assert_nothing_left(path)
        assert "Contents" not in self.stack.s3.list_objects_v2(Bucket=self.bucket)

    def assert_nothing_left(self, path: str) -> None:
        assert self.stack.uploads_in(self.bucket) == []
        folder = self.stack.staging / transfer_id(path)
        wait_for("the removal of its folder", lambda: not folder.exists())


def transfer_id(path: str) -> str:
    """The id of the transfer in the path of an upload."""
    return path.rpartition("/")[2]
