"""Resolves names that end with `.localhost` to this machine (RFC 6761, section 6.3).

A bucket in OSS has its own host name, here `bucket.oss-cn-hangzhou.localhost`. Browsers and curl resolve such names.
glibc does so only with systemd-resolved or nss-myhostname, which Debian does not install by default. Python imports a
module with the name of this file at its start: every Python process with this folder on PYTHONPATH resolves the names.
`resolved()` does the same in a running process.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LOOPBACK = "127.0.0.1"

_original = socket.getaddrinfo
_lock = threading.Lock()
_uses = 0


def is_local(host: object) -> bool:
    """Whether a name ends with `.localhost`. The name `localhost` itself is in every hosts file."""
    return isinstance(host, str) and host.lower().removesuffix(".").endswith(".localhost")


def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
    """As `socket.getaddrinfo`."""
    return _original(LOOPBACK if is_local(host) else host, port, *args, **kwargs)


def install() -> None:
    socket.getaddrinfo = getaddrinfo


@contextmanager
def resolved() -> Iterator[None]:
    """Resolve these names in this process."""
    global _uses  # noqa: PLW0603
    with _lock:
        _uses += 1
        install()
    try:
        yield
    finally:
        with _lock:
            _uses -= 1
            if not _uses:
                socket.getaddrinfo = _original


if __name__ == "sitecustomize":
    install()
