"""Names below `localhost` are this machine, also where the resolver does not know it (RFC 6761, section 6.3).

OSS is reached by the bucket's own host name, here `bucket.oss-cn-hangzhou.localhost`. Browsers and curl know such
names; glibc knows them only with systemd-resolved or nss-myhostname, which a plain Debian lacks. Nothing of the product
changes for it: Python itself imports a module of this name when it starts, so that the folder of this file on
PYTHONPATH teaches every Python process that is started with it, and `resolved()` teaches one that runs already.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LOOPBACK = "127.0.0.1"

_asked = socket.getaddrinfo
_lock = threading.Lock()
_wanted = 0


def is_local(host: object) -> bool:
    """Whether a name is below `localhost`; the name itself is in every hosts file."""
    return isinstance(host, str) and host.lower().removesuffix(".").endswith(".localhost")


def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
    """As `socket.getaddrinfo`, which it calls."""
    return _asked(LOOPBACK if is_local(host) else host, port, *args, **kwargs)


def install() -> None:
    socket.getaddrinfo = getaddrinfo


@contextmanager
def resolved() -> Iterator[None]:
    """While in here this process knows those names."""
    global _wanted  # noqa: PLW0603
    with _lock:
        _wanted += 1
        install()
    try:
        yield
    finally:
        with _lock:
            _wanted -= 1
            if not _wanted:
                socket.getaddrinfo = _asked


if __name__ == "sitecustomize":
    install()
