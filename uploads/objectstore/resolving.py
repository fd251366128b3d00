"""Looking up a host name for at most some seconds. The system's resolver has no timeout of its own that a caller sets.

The lookup runs in a thread, which a caller that gives up leaves behind. Callers for the same name wait for the same
lookup, so a resolver that hangs costs one thread for each name.
"""

from __future__ import annotations

import socket
import threading
from concurrent.futures import Future
from typing import Any

Address = tuple[Any, ...]
"""As the socket module has it: host and port, for IPv6 two more fields."""

_lock = threading.Lock()
_pending: dict[tuple[str, int], Future[list[Address]]] = {}


def look_up(host: str, port: int, seconds: float) -> list[Address]:
    """The addresses of a host. Raises TimeoutError; socket.gaierror or UnicodeError for a name that has none."""
    name = (host, port)
    with _lock:
        lookup = _pending.get(name)
        if lookup is None:
            lookup = _pending[name] = Future()
            threading.Thread(target=_run, args=[name, lookup], name=f"look up {host}", daemon=True).start()
    try:
        return lookup.result(seconds)
    except TimeoutError:
        raise TimeoutError(f"looking up {host} timed out") from None


def resolve(host: str, port: int) -> list[Address]:
    """The addresses of a host, however long the system looks for them. Raises socket.gaierror or UnicodeError."""
    return [info[4] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _run(name: tuple[str, int], lookup: Future[list[Address]]) -> None:
    try:
        found = resolve(*name)
    except Exception as error:
        _forget(name)
        lookup.set_exception(error)
    else:
        _forget(name)
        lookup.set_result(found)


def _forget(name: tuple[str, int]) -> None:
    with _lock:
        del _pending[name]
