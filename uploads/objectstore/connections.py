"""urllib3's connections, with eight changes for which there is no setting.

* Sending has its own stall timeout, which starts again for every chunk that the socket accepts. urllib3 sends with the
  connect timeout, and `sendall` applies it to the whole block.
* A connection is opened to an address that the rules allow, and to no other that the name has a moment later.
* An error before the connection is open is a NeverConnectedError: the request was certainly not sent.
* A response with truncated headers is a lost connection.
* So is one with a chunk of a negative size.
* A response that arrives before the whole body was sent is read at once (with TLS: when the connection breaks), and
  the connection is not used again.
* A connection that was idle for longer than LONGEST_IDLE is opened again before the next request. Stores close idle
  connections, and a request that meets the close is lost: nobody knows whether it was carried out.
* Whatever waits (looking up the name, connecting, TLS, sending, each read) ends with the budget of the page, so that a
  store that sends a byte per second does not extend it.
"""

from __future__ import annotations

import errno
import http.client
import io
import os
import select
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import BaseHTTPResponse, HTTPResponse
from urllib3.util import Timeout
from urllib3.util.connection import create_connection

from uploads.objectstore import budget
from uploads.objectstore.addresses import AddressRules
from uploads.objectstore.budget import BudgetUsedUp, bounded
from uploads.objectstore.payload import FilePiece
from uploads.objectstore.resolving import look_up, resolve

POOL_SIZE = 16
"""Connections per store that are kept for reuse. More may be open, but they are not kept."""

LONGEST_IDLE = 4.0
"""Seconds after which an idle connection is not used again. Many servers close one after 5 s, S3Proxy after 30 s."""


class NeverConnectedError(Exception):
    """No connection was opened, so nothing was sent; the cause is chained."""


class _HeadLines:
    """The bytes of a response; keeps the last line of its headers."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.last = b""

    def readline(self, *args: Any) -> bytes:
        self.last = self.raw.readline(*args)
        return self.last

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


class _BoundedReads(io.RawIOBase):
    """The bytes that a socket receives, each read with what is left of the page's budget as its timeout.

    Only the connections of a page need this: the timeout of a socket holds for one read, not for a response.
    """

    def __init__(self, connection: Any, raw: Any) -> None:
        self._connection = connection
        self._raw = raw
        self._timeout: float = connection.gettimeout()

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self._raw.fileno())

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(bounded(self._timeout))
        return int(self._raw.readinto(buffer))

    def close(self) -> None:
        self._raw.close()
        super().close()


class WholeHeadResponse(http.client.HTTPResponse):
    """Detects truncated headers. http.client treats the end of the connection as the end of the headers."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        if budget.current() is not None:
            raw: Any = self.fp.detach()
            self.fp = io.BufferedReader(_BoundedReads(sock, raw))

    def begin(self) -> None:
        lines: Any = _HeadLines(self.fp)
        self.fp = lines
        super().begin()
        if self.fp is lines:
            self.fp = lines.raw  # type: ignore[assignment]
        if lines.last not in (b"\r\n", b"\n"):
            raise http.client.RemoteDisconnected("truncated response headers")

    def _read_next_chunk_size(self) -> int:
        """The size of a chunk; ValueError for a negative one, with which http.client would read without a limit."""
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]
        if size < 0:
            raise ValueError("negative chunk size")
        return size


def _with_timeout(connected: socket.socket, seconds: float) -> socket.socket:
    """The socket, with what is left of these seconds for the page as its timeout."""
    try:
        connected.settimeout(bounded(seconds))
    except BudgetUsedUp:
        connected.close()
        raise
    return connected


class PatientConnection(HTTPConnection):
    """A connection that sends with a stall timeout (seconds), and reads while it sends a body."""

    response_class = WholeHeadResponse

    def __init__(self, *args: Any, stall_timeout: float, addresses: AddressRules | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._addresses = addresses
        self._stall_timeout = stall_timeout
        self._responded_early = False

    def connect(self) -> None:
        try:
            super().connect()
        except Exception as error:
            raise NeverConnectedError(str(error)) from error

    def _new_conn(self) -> socket.socket:
        """The connected socket, before TLS. Its timeout is that of the TLS handshake."""
        longest = float(self.timeout or 0)
        failure: OSError | None = None
        for host, port in self._resolved(longest):
            try:
                if self._addresses is not None:
                    self._addresses.check(host, port)
                connected = create_connection((host, port), bounded(longest), socket_options=self.socket_options)
            except OSError as error:
                failure = error
            else:
                sys.audit("http.client.connect", self, self.host, self.port)
                return _with_timeout(connected, longest)
        raise failure or OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))

    def _resolved(self, longest: float) -> list[tuple[str, int]]:
        """The addresses of the host. Only a page limits the time of the lookup."""
        host = self._dns_host.strip("[]")
        found = look_up(host, self.port, bounded(longest)) if budget.current() else resolve(host, self.port)
        return [(each[0], each[1]) for each in found]

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        self._responded_early = False
        super().request(method, url, *args, **kwargs)

    def send(self, data: Any) -> None:
        """Send all data, as much at a time as the socket takes. Headers are bytes, bodies are pieces of a Payload."""
        if self.sock is None:
            self.connect()
        if isinstance(data, FilePiece) and not isinstance(self, HTTPSConnection):
            while data:
                self._wait(is_body=True)
                data.send(self.sock)
            return
        left = memoryview(bytes(data) if isinstance(data, FilePiece) else data)
        while left:
            self._wait(is_body=not isinstance(data, bytes))
            left = left[self.sock.send(left) :]

    def _wait(self, *, is_body: bool) -> None:
        """Start the stall timeout again, and wait until a part of a body can be sent."""
        self.sock.settimeout(bounded(self._stall_timeout))
        if is_body and self._has_response():
            # On a broken pipe urllib3 assumes that the server responded and closed, and reads the response.
            self._responded_early = True
            raise BrokenPipeError("early response")

    def _has_response(self) -> bool:
        """Wait until the socket is writable or readable; return whether it is readable."""
        if isinstance(self, HTTPSConnection):
            # A readable socket may contain only a session ticket, so TLS connections detect it when they break.
            return False
        poll = select.poll()
        poll.register(self.sock, select.POLLIN | select.POLLOUT)
        ready = poll.poll(bounded(self._stall_timeout) * 1000)
        if not ready:
            raise TimeoutError("timed out")
        return bool(ready[0][1] & select.POLLIN)

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # The signature of urllib3.
        response = super().getresponse()
        if self._responded_early and self.sock:
            # The rest of the body was not sent: the server would read the next request as part of it.
            self.sock.close()
            self.sock = None
        return response


class PatientTlsConnection(PatientConnection, HTTPSConnection):
    """The same over TLS."""


class _FreshPool(HTTPConnectionPool):
    """A pool that opens connections again that were idle for too long."""

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.idle_since = time.monotonic()
        super()._put_conn(conn)

    def _get_conn(self, timeout: float | None = None) -> Any:
        conn: Any = super()._get_conn(timeout)
        if time.monotonic() - getattr(conn, "idle_since", time.monotonic()) > LONGEST_IDLE:
            conn.close()
        return conn


class _FreshTlsPool(_FreshPool, HTTPSConnectionPool):
    """The same over TLS."""


class PatientAdapter(HTTPAdapter):
    """The adapter of requests with these connections; it does not retry."""

    def __init__(self, stall_timeout: float, addresses: AddressRules | None = None) -> None:
        self._options: dict[str, Any] = {"stall_timeout": stall_timeout, "addresses": addresses}
        super().__init__(pool_maxsize=POOL_SIZE, max_retries=0)

    @contextmanager
    def opened(
        self, request: PreparedRequest, timeouts: tuple[float, float], verify: str | bool
    ) -> Iterator[BaseHTTPResponse]:
        """Send a request and give its response, whose body is not read yet. As `send`, which takes as long again.

        `timeouts` are those for connecting and reading, in seconds. Raises NeverConnectedError, urllib3's errors,
        OSError, and what the body of the request raises.
        """
        pool: Any = self.get_connection_with_tls_context(request, verify)
        self.cert_verify(pool, request.url, verify, None)  # type: ignore[no-untyped-call]
        url = urlsplit(request.url or "")
        response = pool.urlopen(
            request.method or "",
            f"{url.path}?{url.query}" if url.query else url.path,
            request.body,
            request.headers,
            redirect=False,
            assert_same_host=False,
            preload_content=False,
            decode_content=False,
            retries=self.max_retries,
            timeout=Timeout(connect=timeouts[0], read=timeouts[1]),
        )
        try:
            yield response
        finally:
            response.close()
            response.release_conn()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        plain = partial(PatientConnection, **self._options)
        tls = partial(PatientTlsConnection, **self._options)
        self.poolmanager.pool_classes_by_scheme = {
            "http": type("PatientPool", (_FreshPool,), {"ConnectionCls": plain}),
            "https": type("PatientTlsPool", (_FreshTlsPool,), {"ConnectionCls": tls}),
        }
