"""A real Versity S3 Gateway for tests: one process that stores objects as files and metadata as user attributes."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local import ports
from tests.stores import processes
from tests.stores.s3 import S3Store

BINARY = Path(sys.prefix) / "bin" / "versitygw"
REGION = "us-east-1"


@contextmanager
def running(folder: Path) -> Iterator[S3Store]:
    """Run a gateway in an empty folder, or in one with the data of an earlier run."""
    if not BINARY.exists():
        raise FileNotFoundError("The tests need the Versity S3 Gateway: `make versity` builds it.")
    data = folder / "data"
    data.mkdir(exist_ok=True)
    (port,) = ports.choose(1)
    url = f"http://{ports.LOOPBACK}:{port}"
    store = S3Store(url, REGION, secrets.token_hex(8), secrets.token_urlsafe(16), folder)
    argv = [str(BINARY), "--quiet", "--keep-alive", "--region", REGION, "--port", f"{ports.LOOPBACK}:{port}"]
    keys = {"ROOT_ACCESS_KEY": store.access_key, "ROOT_SECRET_KEY": store.secret_key}
    started = [processes.start([*argv, "posix", str(data)], folder / "versity.log", keys)]
    try:
        store.wait_until_ready(started)
        yield store
    finally:
        processes.stop(started)
