"""Loopback ports: which are free, and which process uses one."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable
from contextlib import suppress

import psutil

LOOPBACK = "127.0.0.1"

# Below the range of outgoing connections, so that none of them takes a chosen port.
_CANDIDATES = range(20_000, 32_000)


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on the port alone.

    Swift's servers bind with SO_REUSEPORT, so that a second copy would start without an error. A plain bind fails.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            # With SO_REUSEADDR, bind can succeed beside another server; listen fails then.
            probe.listen(1)
        except OSError:
            return False
    return True


def choose(count: int, keep: Iterable[int] = ()) -> list[int]:
    """`count` free ports: those of `keep` if all of them are free, otherwise new ones."""
    kept = list(keep)
    if len(kept) == count and all(is_free(port) for port in kept):
        return kept
    chosen: list[int] = []
    for port in random.sample(_CANDIDATES, k=len(_CANDIDATES)):
        if len(chosen) == count:
            break
        if is_free(port):
            chosen.append(port)
    return chosen


def is_listening(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server accepts connections on the port."""
    with suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def holder(port: int) -> str:
    """Describe the process that listens on `port`, such as `nginx (process 812)`."""
    with suppress(psutil.Error, OSError):
        for connection in psutil.net_connections(kind="tcp"):
            local = connection.laddr
            if connection.status == psutil.CONN_LISTEN and local and local.port == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    return "a process of another user"
