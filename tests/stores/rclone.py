"""A real `rclone serve s3` for tests: one process that stores objects as files."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local import ports
from tests.stores import processes
from tests.stores.s3 import S3Store

BINARY = Path(sys.prefix) / "bin" / "rclone"
REGION = "us-east-1"


@contextmanager
def running(folder: Path) -> Iterator[S3Store]:
    """Run a server in an empty folder, or in one with the objects of an earlier run. It keeps uploads in memory."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    (port,) = ports.choose(1)
    address = f"{ports.LOOPBACK}:{port}"
    store = S3Store(f"http://{address}", REGION, secrets.token_hex(8), secrets.token_urlsafe(16), folder)
    argv = [str(BINARY), "serve", "s3", "--config=", f"--addr={address}", str(data)]
    keys = {"RCLONE_AUTH_KEY": f'"{store.access_key},{store.secret_key}"'}
    started = [processes.start(argv, folder / "rclone.log", keys)]
    try:
        store.wait_until_ready(started)
        yield store
    finally:
        processes.stop(started)
