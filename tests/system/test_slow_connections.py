"""More slow connections than the web server has threads, against the live site: it responds in the meantime."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
import requests

from dashboard.site.server import THREADS
from tests.system.stack import Operator, Stack, wait_for

HEAD = b"GET /login/ HTTP/1.1\r\nHost: slow\r\nX-Slow: "
FORM = (
    b"POST /login/ HTTP/1.1\r\nHost: slow\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 100000\r\n\r\nusername="
)
CHUNKS = FORM.replace(b"Content-Length: 100000", b"Transfer-Encoding: chunked").replace(
    b"username", b"ffff\r\nusername"
)
MANY = THREADS + 6


class Slow:
    """One connection that sends a byte now and then, and what it got."""

    def __init__(self, stack: Stack, first: bytes) -> None:
        address = urlsplit(stack.url)
        self._socket = socket.create_connection((str(address.hostname), address.port), timeout=60)
        self._socket.sendall(first)
        self._socket.setblocking(False)
        self.received = b""
        self.is_over = False

    def send(self) -> None:
        with suppress(OSError):
            self._socket.send(b"a")
        try:
            block = self._socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            block = b""
        self.received += block
        self.is_over = not block

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def slow(stack: Stack) -> Iterator[list[Slow]]:
    clients = [Slow(stack, first) for first in (HEAD, FORM, CHUNKS) for _ in range(MANY)]
    yield clients
    for client in clients:
        client.close()


@pytest.fixture
def operator(stack: Stack) -> Iterator[Operator]:
    with stack.signed_in() as operator:
        yield operator


def test_site_responds_while_slow_clients_hold_their_connections(
    stack: Stack, operator: Operator, slow: list[Slow]
) -> None:
    """Also to a sign-in, whose form is a small body too."""
    statuses: Counter[int] = Counter()

    def are_over() -> bool:
        for client in slow:
            client.send()
        statuses[requests.get(f"{stack.url}/healthz", timeout=60).status_code] += 1
        statuses[operator.session.get(f"{stack.url}/transfers/", timeout=60).status_code] += 1
        return all(client.is_over for client in slow)

    assert not are_over(), "the site responded while all of them were connected"
    with stack.signed_in():
        pass
    assert requests.get(f"{stack.url}/healthz?ready", timeout=60).text
    wait_for("the end of all slow connections", are_over)
    assert set(statuses) == {200}
    assert Counter(client.received[:13] for client in slow) == {b"HTTP/1.1 408 ": len(slow)}
