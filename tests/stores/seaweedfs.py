"""A real SeaweedFS for tests: its master, volume server, filer and S3 gateway in one process."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from local import ports
from tests.stores import processes
from tests.stores.s3 import S3Store

BINARY = Path(sys.prefix) / "bin" / "weed"
REGION = "us-east-1"
MOST_VOLUMES = 100_000
"""Every bucket has a volume of its own. The default is 8 for all buckets."""

ENVIRONMENT = {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
"""A bucket starts with one volume. The default is 7, which makes its first part slow."""


@contextmanager
def running(folder: Path) -> Iterator[S3Store]:
    """Run a new server. Its logs and data are in `folder`."""
    data = folder / "data"
    data.mkdir()
    chosen = ports.choose(8)
    url = f"http://{ports.LOOPBACK}:{chosen[0]}"
    store = S3Store(url, REGION, secrets.token_hex(8), secrets.token_urlsafe(16), folder)
    users = folder / "users.json"
    users.write_text(json.dumps({"identities": [_administrator(store)]}))
    started = [processes.start(_command(data, users, chosen), folder / "seaweedfs.log", ENVIRONMENT)]
    try:
        store.wait_until_ready(started)
        yield store
    finally:
        processes.kill(started)  # An orderly stop takes more than 10 seconds.
        _remove_sockets(chosen)


def _administrator(store: S3Store) -> dict[str, object]:
    keys = {"accessKey": store.access_key, "secretKey": store.secret_key}
    return {"name": "tests", "credentials": [keys], "actions": ["Admin"]}


def _command(data: Path, users: Path, chosen: Sequence[int]) -> list[str]:
    s3, s3_grpc, master, master_grpc, volume, volume_grpc, filer, filer_grpc = map(str, chosen)
    options = {
        "dir": str(data),
        "ip": ports.LOOPBACK,
        "ip.bind": ports.LOOPBACK,
        "master.port": master,
        "master.port.grpc": master_grpc,
        "master.telemetry": "false",
        "volume.port": volume,
        "volume.port.grpc": volume_grpc,
        "volume.max": str(MOST_VOLUMES),
        "filer.port": filer,
        "filer.port.grpc": filer_grpc,
        "s3.port": s3,
        "s3.port.grpc": s3_grpc,
        "s3.port.iceberg": "0",
        "s3.port.lance": "0",
        "s3.config": str(users),
    }
    return [str(BINARY), "-logtostderr", "server", "-s3", *(f"-{name}={value}" for name, value in options.items())]


def _remove_sockets(chosen: Sequence[int]) -> None:
    """Remove its Unix sockets, which are always in /tmp and have the numbers of its ports."""
    for port in chosen:
        for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
            path.unlink()
