"""The embedded object store: OpenStack Swift with its S3 API, as four processes on loopback that do not need root.

One folder has everything: `swift.conf` (its random hash prefix and suffix are part of the file names on disk, so it is
kept as long as the data), three rings of one device each, and a configuration for each server. Rings and
configurations are written at every start, because the ports can change.
"""

from __future__ import annotations

import configparser
import os
import pwd
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests
from requests_aws4auth import AWS4Auth

from local import ports
from local.files import write_private

SERVERS = ("account", "container", "object", "proxy")
REGION = "us-east-1"
ACCESS_KEY = "demo:demo"
LOOPBACK_URL = f"http://{ports.LOOPBACK}:{{}}"
DEVICE = "disk"
PROJECT = Path(__file__).resolve().parent.parent

PIPELINE = (
    "catch_errors gatekeeper cache listing_formats s3api tempauth bulk slo dlo versioned_writes symlink proxy-server"
)

# A part is stored as `key/upload id/part number`, so a key of 1,024 bytes needs more than Swift's default of 1,024.
MAX_OBJECT_NAME = 1024 + 128


class StoreError(Exception):
    """The embedded store cannot run. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Swift:
    """An embedded store. `ports` are those of the account, container, object and proxy server."""

    folder: Path
    ports: tuple[int, int, int, int]
    secret_key: str
    access_key: str = ACCESS_KEY

    @property
    def endpoint_url(self) -> str:
        return LOOPBACK_URL.format(self.ports[3])

    @property
    def region(self) -> str:
        return REGION


@dataclass(frozen=True, slots=True)
class Command:
    """How to run one process of the store."""

    name: str
    argv: tuple[str, ...]
    env: dict[str, str]


def prepare(folder: Path, chosen: Sequence[int], secret_key: str) -> Swift:
    """Write the configuration of the four servers. Data and hashes of an earlier start are kept."""
    store = Swift(folder, (chosen[0], chosen[1], chosen[2], chosen[3]), secret_key)
    (folder / "devices" / DEVICE).mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    _require_xattrs(folder / "devices" / DEVICE)
    for port in store.ports:
        if not ports.is_free(port):
            raise StoreError(f"Port {port} of the embedded store is in use by {ports.holder(port)}.")
    _write_swift_conf(folder / "swift.conf")
    _write_rings(store)
    for name, port in zip(SERVERS, store.ports, strict=True):
        write_private(folder / f"{name}.conf", _server_conf(store, name, port))
    return store


def commands(store: Swift) -> list[Command]:
    """The four foreground processes, each of which logs to its standard error."""
    env = {"PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"}
    return [
        Command(name, (sys.executable, "-m", "local.swift_server", name, str(store.folder / f"{name}.conf")), env)
        for name in SERVERS
    ]


def wait_until_ready(store: Swift, bucket: str, still_running: Callable[[], bool], seconds: float = 60) -> None:
    """Return when the store has accepted a signed request that creates `bucket`, which may exist."""
    deadline = time.monotonic() + seconds
    while not (all(ports.is_listening(port) for port in store.ports) and create_bucket(store, bucket)):
        if not still_running() or time.monotonic() > deadline:
            raise StoreError("The embedded store did not start.")
        time.sleep(0.05)


def create_bucket(store: Swift, bucket: str) -> bool:
    """Create a bucket with a signed request. Returns False if the store does not run yet."""
    auth = AWS4Auth(store.access_key, store.secret_key, store.region, "s3")
    with requests.Session() as session:
        session.trust_env = False
        try:
            response = session.put(f"{store.endpoint_url}/{bucket}", auth=auth, timeout=30)
        except requests.ConnectionError:
            return False
    # 409: the bucket exists. There is only one account, so it is ours.
    return response.status_code in {200, 409}


def _require_xattrs(folder: Path) -> None:
    """Swift keeps an object's metadata in user attributes of its file."""
    probe = folder / ".xattr-probe"
    probe.touch()
    try:
        os.setxattr(probe, b"user.partway.probe", b"1")
    except OSError as error:
        raise StoreError(
            f"The file system of {folder} does not support user attributes (xattrs), which the embedded store needs: "
            f"{error.strerror}. Use a checkout on ext4, XFS, Btrfs or tmpfs, or set PARTWAY_VAR to a folder on one."
        ) from error
    finally:
        probe.unlink()


def _write_swift_conf(path: Path) -> None:
    known = configparser.RawConfigParser()
    known.read(path)
    prefix = known.get("swift-hash", "swift_hash_path_prefix", fallback=secrets.token_hex(16))
    suffix = known.get("swift-hash", "swift_hash_path_suffix", fallback=secrets.token_hex(16))
    write_private(
        path,
        f"""[swift-hash]
swift_hash_path_prefix = {prefix}
swift_hash_path_suffix = {suffix}
[storage-policy:0]
name = default
default = yes
[swift-constraints]
max_object_name_length = {MAX_OBJECT_NAME}
""",
    )


def _write_rings(store: Swift) -> None:
    # In a separate process, because importing Swift imports eventlet, which changes logging and threads.
    storage_ports = [str(port) for port in store.ports[:3]]
    argv = [sys.executable, "-W", "ignore", "-m", "local.swift_rings", str(store.folder), *storage_ports]
    subprocess.run(argv, cwd=PROJECT, check=True)


def _server_conf(store: Swift, name: str, port: int) -> str:
    # workers = 0: one process that does not fork, so that nothing is left behind when it is killed.
    # log_address does not exist: Swift logs to standard error if it cannot reach syslog.
    shared = f"""[DEFAULT]
bind_ip = {ports.LOOPBACK}
bind_port = {port}
bind_timeout = 5
workers = 0
user = {pwd.getpwuid(os.getuid()).pw_name}
swift_dir = {store.folder}
devices = {store.folder / "devices"}
mount_check = false
log_address = {store.folder / "no-syslog"}
log_level = WARNING
"""
    return shared + (_proxy_conf(store) if name == "proxy" else _storage_conf(name))


def _storage_conf(name: str) -> str:
    fallocate = "disable_fallocate = true\n" if name == "object" else ""
    return f"""{fallocate}[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
replication_server = true
"""


def _proxy_conf(store: Swift) -> str:
    account, user = ACCESS_KEY.split(":")
    # shunt_inbound_x_timestamp = false: the demo data have the dates of a bucket that is months old (local/demo.py).
    # allow_async_delete = false: otherwise the bytes of deleted objects stay on the disk.
    return f"""[pipeline:main]
pipeline = {PIPELINE}
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
shunt_inbound_x_timestamp = false
[filter:cache]
paste.filter_factory = local.memcache_filter:filter_factory
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
location = {REGION}
s3_acl = false
check_bucket_owner = false
min_segment_size = 5242880
max_upload_part_num = 10000
[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{user} = {store.secret_key} .admin
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
allow_async_delete = false
max_manifest_segments = 10000
[filter:dlo]
use = egg:swift#dlo
[filter:versioned_writes]
use = egg:swift#versioned_writes
[filter:symlink]
use = egg:swift#symlink
"""
