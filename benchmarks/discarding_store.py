"""A store that discards bodies, for measurements without a real store: `python -m benchmarks.discarding_store`.

It has the operations that Partway needs to send: CreateMultipartUpload, UploadPart, PutObject, CompleteMultipartUpload,
AbortMultipartUpload and HeadObject, and lists made-up uploads and parts (`benchmarks/made_up.py`). It does not verify
signatures. It copies a body out of the kernel only if the request has a CRC-64/NVME, and then verifies that. The rate
of all bodies together can be limited. It prints its port.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import re
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from benchmarks import made_up
from uploads.objectstore.checksums import CRC64_HEADER, Crc64, as_store_writes_it, combine

BLOCK = 1024**2
ETAG = '"discarded"'
"""The ETag of bytes that came without Content-MD5. Clients do not take it for an MD5."""

MODIFIED = "Mon, 01 Jan 2024 00:00:00 GMT"

Headers = dict[str, str]


class RateLimit:
    """Limits the bytes per second of all connections together; 0: no limit."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._lock = threading.Lock()
        self._free_at = time.monotonic()

    def take(self, count: int) -> None:
        """Wait until `count` bytes may pass."""
        if not self._rate:
            return
        with self._lock:
            # Unused capacity is not saved: a connection does not get faster after a pause.
            self._free_at = max(self._free_at, time.monotonic()) + count / self._rate
            wait = self._free_at - time.monotonic()
        if wait > 0:
            time.sleep(wait)


class Objects:
    """The sizes, ETags and headers of objects, for HEAD, and the parts and metadata of uploads in progress.

    A part has a size, and its CRC-64 if the request had one.
    """

    def __init__(self) -> None:
        self.known: dict[str, tuple[int, str, Headers]] = {}
        self._uploads: dict[str, tuple[dict[int, tuple[int, int | None]], Headers]] = {}
        self._ids = itertools.count(1)

    def create(self, metadata: Headers) -> str:
        upload_id = f"upload-{next(self._ids)}"
        self._uploads[upload_id] = ({}, metadata)
        return upload_id

    def has(self, upload_id: str) -> bool:
        """Whether the upload is in progress; also without an upload, for PutObject."""
        return not upload_id or upload_id in self._uploads

    def put(
        self, path: str, upload_id: str, number: int, size: int, etag: str, crc64: int | None, metadata: Headers
    ) -> None:
        if upload_id:
            self._uploads[upload_id][0][number] = (size, crc64)
        else:
            self.known[path] = (size, etag, metadata | _crc64_header(crc64))

    def complete(self, path: str, upload_id: str, numbers: list[int]) -> Headers:
        """The header with the CRC-64 of the object, if those of all parts are known."""
        parts, metadata = self._uploads.pop(upload_id)
        chosen = [parts[number] for number in numbers]
        verified = [(crc64, size) for size, crc64 in chosen if crc64 is not None]
        whole = _crc64_header(combine("nvme", verified) if len(verified) == len(chosen) else None)
        self.known[path] = (sum(size for size, _ in chosen), ETAG, metadata | whole)
        return whole

    def delete(self, path: str, upload_id: str) -> bool:
        removed = self._uploads.pop(upload_id, None) if upload_id else self.known.pop(path, None)
        return removed is not None


class Handler(socketserver.BaseRequestHandler):
    """One connection with many requests."""

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
            crc64 = None
            if not is_complete:
                digest = Crc64("nvme") if CRC64_HEADER in headers else None
                self._discard(reader, length, digest)
                crc64 = digest.value if digest else None
            path = unquote(url.path)
            if crc64 is not None and headers[CRC64_HEADER] != as_store_writes_it("nvme", crc64):
                self._respond(method, 400, {}, _xml("Error", Code="BadDigest"))
            else:
                self._respond(method, *self._execute(method, path, query, headers, length, body, crc64))

    def _discard(self, reader: Any, length: int, digest: Crc64 | None) -> None:
        """Read and discard a body. With MSG_TRUNC the kernel drops the bytes instead of copying them."""
        first = reader.read1(min(length, BLOCK)) if length else b""
        if digest:
            digest.update(first)
        left = length - len(first)
        block = memoryview(bytearray(BLOCK))
        while left > 0:
            count = self.request.recv_into(block, min(left, BLOCK), 0 if digest else socket.MSG_TRUNC)
            if not count:
                raise ConnectionError("the body ended early")
            if digest:
                digest.update(block[:count])
            left -= count
            self.server.rate_limit.take(count)

    def _execute(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        headers: Headers,
        length: int,
        body: bytes,
        crc64: int | None,
    ) -> tuple[int, Headers, bytes]:
        objects = self.server.objects
        metadata = {name: value for name, value in headers.items() if name.startswith("x-amz-meta-")}
        upload_id = query.get("uploadId", "")
        status, response_headers, xml = 404, {}, b""
        if method == "GET":
            status, xml = _listing(path, query)
        elif method == "POST" and "uploads" in query:
            status, xml = 200, _xml("InitiateMultipartUploadResult", UploadId=objects.create(metadata))
        elif method == "PUT" and not objects.has(upload_id):
            # With this response, Partway knows that it may write here, and does not ask again for each file.
            xml = _xml("Error", Code="NoSuchUpload")
        elif method == "PUT":
            etag = _etag(headers)
            objects.put(path, upload_id, int(query.get("partNumber", 0)), length, etag, crc64, metadata)
            status, response_headers = 200, {"ETag": etag} | _crc64_header(crc64)
        elif method == "POST":
            numbers = [int(each) for each in re.findall(rb"<PartNumber>(\d+)<", body)]
            response_headers = objects.complete(path, upload_id, numbers)
            status, xml = 200, _xml("CompleteMultipartUploadResult", ETag=ETAG)
        elif method == "DELETE":
            status = 204 if objects.delete(path, upload_id) else 404
        elif method == "HEAD" and path in objects.known:
            size, etag, metadata_of_object = objects.known[path]
            known = {"Content-Length": str(size), "ETag": etag, "Last-Modified": MODIFIED}
            status, response_headers = 200, known | metadata_of_object
        return status, response_headers, xml

    def _respond(self, method: str, status: int, headers: Headers, body: bytes) -> None:
        if method != "HEAD":
            headers = {**headers, "Content-Length": str(len(body))}
        lines = [f"HTTP/1.1 {status} -", "x-amz-request-id: discarded", *(f"{n}: {v}" for n, v in headers.items())]
        self.request.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int, rate: int) -> None:
        self.rate_limit = RateLimit(rate)
        self.objects = Objects()
        super().__init__(("127.0.0.1", port), Handler)


def _headers(reader: Any) -> Iterator[tuple[str, str]]:
    while (line := reader.readline().decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        yield name.strip().lower(), value.strip()


def _listing(path: str, query: dict[str, str]) -> tuple[int, bytes]:
    """ListMultipartUploads, or ListParts. No other GET is known."""
    if "uploads" in query:
        most = int(query.get("max-uploads", made_up.PAGE))
        return 200, made_up.uploads_page(path.strip("/"), query.get("key-marker", ""), most)
    marker, most = int(query.get("part-number-marker", 0)), int(query.get("max-parts", made_up.PAGE))
    page = made_up.parts_page(query.get("uploadId", ""), marker, most)
    return (200, page) if page is not None else (404, _xml("Error", Code="NoSuchUpload"))


def _crc64_header(value: int | None) -> Headers:
    return {} if value is None else {CRC64_HEADER: as_store_writes_it("nvme", value)}


def _etag(headers: Headers) -> str:
    """As a store that has verified Content-MD5 would name the bytes."""
    md5 = headers.get("content-md5")
    return f'"{base64.b64decode(md5).hex()}"' if md5 else ETAG


def _xml(root: str, **fields: str) -> bytes:
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    return f'<?xml version="1.0"?><{root}>{inner}</{root}>'.encode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--rate", type=int, default=0, help="bytes per second of all bodies together; 0: no limit")
    options = parser.parse_args()
    with Server(options.port, options.rate) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
