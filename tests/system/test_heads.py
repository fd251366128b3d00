"""HEAD on the live server: no response has a body, so that the next response on the connection is read correctly."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from typing import BinaryIO
from urllib.parse import urlsplit

import pytest

from tests.system.stack import PATIENCE, Operator, Stack

PATHS = [
    "/",
    "/login/",
    "/healthz",
    "/healthz?ready",
    "/metrics",
    "/queue/",
    "/stores/",
    "/stores/nowhere/",
    "/stores/{store}/{bucket}/uploads/",
    "/stores/{store}/{bucket}/uploads/?max-uploads=none",
    "/stores/{store}/nothing-here/uploads/",
    "/transfers/",
    "/transfers/new/",
    "/transfers/{uuid}/",
    "/transfers",
    "/audit/",
    "/files/",
    "/files/{uuid}",
    "/files/nothing",
    "/nowhere",
    "/static/nothing.css",
    "/catalog/en/0.js",
]
HOSTS = ["", "nowhere.example"]


@pytest.fixture(scope="module")
def operator(stack: Stack) -> Iterator[Operator]:
    with stack.signed_in() as operator:
        yield operator


@pytest.fixture(scope="module")
def bucket(stack: Stack) -> str:
    return stack.new_bucket()


class KeptAlive:
    """One connection, read strictly: after a response to HEAD, the next line is that of the next response."""

    def __init__(self, stack: Stack, headers: str) -> None:
        url = urlsplit(stack.url)
        self._headers = headers
        self._socket = socket.create_connection((str(url.hostname), int(url.port or 80)), timeout=PATIENCE)
        self._file: BinaryIO = self._socket.makefile("rb")

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def send(self, method: str, path: str) -> tuple[int, dict[str, str]]:
        self._socket.sendall(f"{method} {path} HTTP/1.1\r\n{self._headers}\r\n".encode())
        line = self._file.readline()
        assert line.startswith(b"HTTP/1.1 "), line
        headers = {}
        while each := self._file.readline().strip():
            name, _, value = each.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        return int(line.split()[1]), headers

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def is_closed(self) -> bool:
        return self._file.read(1) == b""


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
@pytest.mark.parametrize("signed_in", [True, False])
def test_head_has_no_body_at_any_address(
    stack: Stack, operator: Operator, bucket: str, signed_in: bool, accept: str
) -> None:
    cookie = f"Cookie: {operator.cookies}\r\n" if signed_in else ""
    statuses = set()
    for host in HOSTS:
        headers = f"Host: {host or urlsplit(stack.url).netloc}\r\nAccept: {accept}\r\nTus-Resumable: 1.0.0\r\n{cookie}"
        for pattern in PATHS:
            path = pattern.format(store=stack.store, bucket=bucket, uuid=uuid.UUID(int=7))
            connection = KeptAlive(stack, headers)
            for _ in range(3):
                status, response = connection.send("HEAD", path)
                statuses.add(status)
                if response.get("connection") == "close":
                    assert connection.is_closed(), path
                    break
            else:
                _, response = connection.send("GET", "/healthz")
                length = int(response["content-length"])
                assert len(connection.read(length)) == length
            connection.close()
    assert statuses >= ({200, 404, 405} if signed_in else {200, 401})


def test_head_of_an_upload_between_other_requests(stack: Stack, operator: Operator) -> None:
    headers = f"Host: {urlsplit(stack.url).netloc}\r\nTus-Resumable: 1.0.0\r\nCookie: {operator.cookies}\r\n"
    connection = KeptAlive(stack, headers)
    for method, path, expected in [
        ("HEAD", f"/files/{uuid.uuid4()}", 404),
        ("HEAD", "/healthz", 200),
        ("HEAD", "/files/", 405),
        ("OPTIONS", "/files/", 204),
        ("HEAD", "/transfers/new/", 200),
    ]:
        assert connection.send(method, path)[0] == expected
    status, response = connection.send("GET", "/healthz")
    assert (status, connection.read(int(response["content-length"]))) == (200, b"ok")
    connection.close()


def test_pages_respond_to_head_as_to_get(stack: Stack, operator: Operator, bucket: str) -> None:
    for pattern in PATHS:
        if pattern.startswith("/files"):
            continue
        url = stack.url + pattern.format(store=stack.store, bucket=bucket, uuid=uuid.UUID(int=7))
        head, got = (operator.session.request(method, url, allow_redirects=False) for method in ("HEAD", "GET"))
        assert (head.status_code, head.content) == (got.status_code, b""), url
        assert head.headers["Content-Type"] == got.headers["Content-Type"]
