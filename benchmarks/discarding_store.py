"""A store that throws bodies away, for measuring everything but the store: `python -m benchmarks.discarding_store`.

It speaks just enough of S3 to be sent to: CreateMultipartUpload, UploadPart, PutObject, CompleteMultipartUpload,
AbortMultipartUpload, HeadObject. Signatures are not looked at, bytes are not even copied out of the kernel, and the
rate of all bodies together can be held at a number of bytes a second. It prints its port.
"""

from __future__ import annotations

import argparse
import itertools
import re
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

BLOCK = 1024**2
ETAG = '"00000000000000000000000000000000"'

Headers = dict[str, str]


class Valve:
    """Lets so many bytes a second through, over all connections; 0: as many as come."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._lock = threading.Lock()
        self._free_at = time.monotonic()

    def take(self, count: int) -> None:
        """Wait until `count` bytes may pass."""
        if not self._rate:
            return
        with self._lock:
            # What was not used is not saved up: a line does not get faster after a pause.
            self._free_at = max(self._free_at, time.monotonic()) + count / self._rate
            wait = self._free_at - time.monotonic()
        if wait > 0:
            time.sleep(wait)


class Objects:
    """What HEAD has to know: sizes and metadata of objects, and what an upload will become."""

    def __init__(self) -> None:
        self.facts: dict[str, tuple[int, Headers]] = {}
        self._uploads: dict[str, tuple[dict[int, int], Headers]] = {}
        self._ids = itertools.count(1)

    def create(self, metadata: Headers) -> str:
        upload_id = f"upload-{next(self._ids)}"
        self._uploads[upload_id] = ({}, metadata)
        return upload_id

    def put(self, path: str, upload_id: str, number: int, size: int, metadata: Headers) -> None:
        if upload_id:
            self._uploads[upload_id][0][number] = size
        else:
            self.facts[path] = (size, metadata)

    def complete(self, path: str, upload_id: str, numbers: list[int]) -> None:
        sizes, metadata = self._uploads.pop(upload_id)
        self.facts[path] = (sum(sizes[number] for number in numbers), metadata)

    def delete(self, path: str, upload_id: str) -> bool:
        known = self._uploads.pop(upload_id, None) if upload_id else self.facts.pop(path, None)
        return known is not None


class Handler(socketserver.BaseRequestHandler):
    """One connection, request after request."""

    server: Server
    request: socket.socket

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = self.request.makefile("rb", buffering=16 * 1024)
        while line := reader.readline():
            method, target, _ = line.decode("latin-1").split(" ", 2)
            headers = dict(_headers(reader))
            if headers.get("expect", "").lower() == "100-continue":
                self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            length = int(headers.get("content-length", 0))
            url = urlsplit(target)
            query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
            is_complete = method == "POST" and "uploadId" in query
            body = reader.read(length) if is_complete else b""
            if not is_complete:
                self._discard(reader, length)
            self._answer(method, *self._act(method, unquote(url.path), query, headers, length, body))

    def _discard(self, reader: Any, length: int) -> None:
        """MSG_TRUNC has the kernel drop what arrives instead of copying it here."""
        left = length - len(reader.read1(min(length, BLOCK)) if length else b"")
        nowhere = bytearray(BLOCK)
        while left > 0:
            got = self.request.recv_into(nowhere, min(left, BLOCK), socket.MSG_TRUNC)
            if not got:
                raise ConnectionError("the body ended early")
            left -= got
            self.server.valve.take(got)

    def _act(
        self, method: str, path: str, query: dict[str, str], headers: Headers, length: int, body: bytes
    ) -> tuple[int, Headers, bytes]:
        objects = self.server.objects
        metadata = {name: value for name, value in headers.items() if name.startswith("x-amz-meta-")}
        upload_id = query.get("uploadId", "")
        status, answered, xml = 404, {}, b""
        if method == "POST" and "uploads" in query:
            status, xml = 200, _xml("InitiateMultipartUploadResult", UploadId=objects.create(metadata))
        elif method == "PUT":
            objects.put(path, upload_id, int(query.get("partNumber", 0)), length, metadata)
            status, answered = 200, {"ETag": ETAG}
        elif method == "POST":
            objects.complete(path, upload_id, [int(each) for each in re.findall(rb"<PartNumber>(\d+)<", body)])
            status, xml = 200, _xml("CompleteMultipartUploadResult", ETag=ETAG)
        elif method == "DELETE":
            status = 204 if objects.delete(path, upload_id) else 404
        elif method == "HEAD" and path in objects.facts:
            size, kept = objects.facts[path]
            status, answered = 200, {"Content-Length": str(size), "ETag": ETAG, **kept}
        return status, answered, xml

    def _answer(self, method: str, status: int, headers: Headers, body: bytes) -> None:
        if method != "HEAD":
            headers = {**headers, "Content-Length": str(len(body))}
        lines = [f"HTTP/1.1 {status} -", "x-amz-request-id: discarded", *(f"{n}: {v}" for n, v in headers.items())]
        self.request.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int, rate: int) -> None:
        self.valve = Valve(rate)
        self.objects = Objects()
        super().__init__(("127.0.0.1", port), Handler)


def _headers(reader: Any) -> Iterator[tuple[str, str]]:
    while (line := reader.readline().decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        yield name.strip().lower(), value.strip()


def _xml(root: str, **fields: str) -> bytes:
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    return f'<?xml version="1.0"?><{root}>{inner}</{root}>'.encode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--rate", type=int, default=0, help="bytes a second of all bodies together; 0: no limit")
    options = parser.parse_args()
    with Server(options.port, options.rate) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
