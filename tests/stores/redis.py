"""A real Redis or Valkey for tests, started by the code of `make run`."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local import ports, redis
from tests.stores import processes


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run a server in `folder`. Yields its URL."""
    server = redis.prepare(folder, ports.choose(1)[0], secrets.token_urlsafe(16))
    process = processes.start(redis.command(server), folder / "redis.log")
    try:
        redis.wait_until_ready(server.url, lambda: processes.all_running([process]))
        yield server.url
    finally:
        processes.stop([process])
