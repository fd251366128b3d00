"""urllib3's connections, with four changes for which there is no setting.

* Sending has its own stall timeout, which starts again for every chunk that the socket accepts. urllib3 sends with the
  connect timeout, and `sendall` applies it to the whole block.
* An error before the connection is open is a NeverConnectedError: the request was certainly not sent.
* A response with truncated headers is a lost connection.
* A response that arrives before the whole body was sent is read at once (with TLS: when the connection breaks), and
  the connection is not used again.
"""

from __future__ import annotations

import http.client
import select
from functools import partial
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import HTTPResponse

POOL_SIZE = 16
"""Connections per store that are kept for reuse. More may be open, but they are not kept."""


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


class WholeHeadResponse(http.client.HTTPResponse):
    """Detects truncated headers. http.client treats the end of the connection as the end of the headers."""

    def begin(self) -> None:
        lines: Any = _HeadLines(self.fp)
        self.fp = lines
        super().begin()
        if self.fp is lines:
            self.fp = lines.raw  # type: ignore[assignment]
        if lines.last not in (b"\r\n", b"\n"):
            raise http.client.RemoteDisconnected("truncated response headers")


class PatientConnection(HTTPConnection):
    """A connection that sends with a stall timeout (seconds), and reads while it sends a body."""

    response_class = WholeHeadResponse

    def __init__(self, *args: Any, stall_timeout: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stall_timeout = stall_timeout
        self._responded_early = False

    def connect(self) -> None:
        try:
            super().connect()
        except Exception as error:
            raise NeverConnectedError(str(error)) from error

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        self._responded_early = False
        super().request(method, url, *args, **kwargs)

    def send(self, data: Any) -> None:
        """Send all data, chunk by chunk. Headers are bytes, bodies (from Payload) are memoryviews."""
        if self.sock is None:
            self.connect()
        self.sock.settimeout(self._stall_timeout)
        left = memoryview(data)
        while left:
            if isinstance(data, memoryview) and self._has_response():
                # On a broken pipe urllib3 assumes that the server responded and closed, and reads the response.
                self._responded_early = True
                raise BrokenPipeError("early response")
            left = left[self.sock.send(left) :]

    def _has_response(self) -> bool:
        """Wait until the socket is writable or readable; return whether it is readable."""
        if isinstance(self, HTTPSConnection):
            # A readable socket may contain only a session ticket, so TLS connections detect it when they break.
            return False
        poll = select.poll()
        poll.register(self.sock, select.POLLIN | select.POLLOUT)
        ready = poll.poll(self._stall_timeout * 1000)
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


class PatientAdapter(HTTPAdapter):
    """The adapter of requests with these connections; it does not retry."""

    def __init__(self, stall_timeout: float) -> None:
        self._stall_timeout = stall_timeout
        super().__init__(pool_maxsize=POOL_SIZE, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        plain = partial(PatientConnection, stall_timeout=self._stall_timeout)
        tls = partial(PatientTlsConnection, stall_timeout=self._stall_timeout)
        self.poolmanager.pool_classes_by_scheme = {
            "http": type("PatientPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
            "https": type("PatientTlsPool", (HTTPSConnectionPool,), {"ConnectionCls": tls}),
        }
