"""urllib3's connections, changed in four ways that no setting reaches.

* Sending has a stall timeout of its own, anew for every piece the socket takes. urllib3 sends under the connect
  timeout, and `sendall` counts it over the whole block.
* A request that never left is told apart from one that may have: what fails while connecting is NeverConnectedError.
* An answer whose head is cut short is a lost line.
* A store that answers before it has the whole body is heard at once (without TLS; with it, when the line breaks), and
  that connection is not used again.
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
"""Connections kept for reuse per store; more may be open, they are not kept."""


class NeverConnectedError(Exception):
    """No connection came about, so nothing was sent; the cause is chained."""


class _HeadLines:
    """An answer's bytes, with what the last line of its head was."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.last = b""

    def readline(self, *args: Any) -> bytes:
        self.last = self.raw.readline(*args)
        return self.last

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


class WholeHeadResponse(http.client.HTTPResponse):
    """http.client takes the end of the connection for the end of a head: a cut one would pass with headers missing."""

    def begin(self) -> None:
        lines: Any = _HeadLines(self.fp)
        self.fp = lines
        super().begin()
        if self.fp is lines:
            self.fp = lines.raw  # type: ignore[assignment]
        if lines.last not in (b"\r\n", b"\n"):
            raise http.client.RemoteDisconnected("the answer ended within its head")


class PatientConnection(HTTPConnection):
    """A connection that sends under a stall timeout (seconds) and listens while it sends a body."""

    response_class = WholeHeadResponse

    def __init__(self, *args: Any, stall_timeout: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stall_timeout = stall_timeout
        self._answered_early = False

    def connect(self) -> None:
        try:
            super().connect()
        except Exception as error:
            raise NeverConnectedError(str(error)) from error

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        self._answered_early = False
        super().request(method, url, *args, **kwargs)

    def send(self, data: Any) -> None:
        """Hand all of it to the socket, piece by piece. Heads come as bytes, bodies (from Payload) as memoryview."""
        if self.sock is None:
            self.connect()
        self.sock.settimeout(self._stall_timeout)
        left = memoryview(data)
        while left:
            if isinstance(data, memoryview) and self._is_answered():
                # urllib3 takes a broken pipe for what it often is, a server that answered and closed, and reads on.
                self._answered_early = True
                raise BrokenPipeError("the store answered before it had the whole body")
            left = left[self.sock.send(left) :]

    def _is_answered(self) -> bool:
        """Wait until the socket takes bytes or has some to be read, and say whether it has."""
        if isinstance(self, HTTPSConnection):
            # A readable socket may hold no more than a session ticket: there only a broken line tells.
            return False
        poll = select.poll()
        poll.register(self.sock, select.POLLIN | select.POLLOUT)
        ready = poll.poll(self._stall_timeout * 1000)
        if not ready:
            raise TimeoutError("timed out")
        return bool(ready[0][1] & select.POLLIN)

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3 has it
        response = super().getresponse()
        if self._answered_early and self.sock:
            # The rest of the body was never sent: a next request on this line would be taken for it.
            self.sock.close()
            self.sock = None
        return response


class PatientTlsConnection(PatientConnection, HTTPSConnection):
    """The same over TLS."""


class PatientAdapter(HTTPAdapter):
    """requests' adapter over these connections; never retries by itself."""

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
