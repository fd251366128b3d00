"""Loopback ports: which are free, and who holds one that is not."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable
from contextlib import suppress

import psutil

LOOPBACK = "127.0.0.1"

# Below the range the kernel hands out to outgoing connections, so that none of those takes a port we chose.
_CANDIDATES = range(20_000, 32_000)


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen there alone.

    Swift's servers bind with SO_REUSEPORT, so that a second copy would start without a word: a plain bind tells.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            # A bind alone succeeds beside connections in TIME_WAIT only; listening is what a second server may not.
            probe.listen(1)
        except OSError:
            return False
    return True


def choose(count: int, keep: Iterable[int] = ()) -> list[int]:
    """`count` free ports: those of `keep` if all are still free, else new ones."""
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
    """Whether something takes connections there."""
    with suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def holder(port: int) -> str:
    """Who listens on `port`, for a message: `nginx (process 812)`, or words that say it is not ours to see."""
    with suppress(psutil.Error, OSError):
        for connection in psutil.net_connections(kind="tcp"):
            local = connection.laddr
            if connection.status == psutil.CONN_LISTEN and local and local.port == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    return "another process, of another user"
