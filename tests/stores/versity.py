"""A real Versity S3 Gateway for tests: one process that stores objects as files and metadata as user attributes."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local import ports
from tests.stores import processes
from tests.stores.s3 import S3Store

BINARY = Path(sys.prefix) / "bin" / "versitygw"
REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that is to run, and the one program of it."""

    store: S3Store
    argv: tuple[str, ...]
    env: Mapping[str, str]


def prepare(folder: Path, port: int, access_key: str, secret_key: str) -> Gateway:
    """Prepare a gateway with its data in a folder, which is empty or has the data of an earlier run."""
    if not BINARY.exists():
        raise FileNotFoundError("The tests need the Versity S3 Gateway: `make versity` builds it.")
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    address = f"{ports.LOOPBACK}:{port}"
    argv = (str(BINARY), "--quiet", "--keep-alive", "--region", REGION, "--port", address, "posix", str(data))
    keys = {"ROOT_ACCESS_KEY": access_key, "ROOT_SECRET_KEY": secret_key}
    return Gateway(S3Store(f"http://{address}", REGION, access_key, secret_key, folder), argv, keys)


@contextmanager
def running(folder: Path) -> Iterator[S3Store]:
    """Run a gateway in an empty folder, or in one with the data of an earlier run."""
    (port,) = ports.choose(1)
    gateway = prepare(folder, port, secrets.token_hex(8), secrets.token_urlsafe(16))
    started = [processes.start([*gateway.argv], folder / "versity.log", {**gateway.env})]
    try:
        gateway.store.wait_until_ready(started)
        yield gateway.store
    finally:
        processes.stop(started)
