"""A real Ceph RADOS Gateway for tests: a monitor, one OSD with an in-memory store, and the gateway.

They use the binaries of the machine, without root and services. Only the gateway authenticates clients.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from local import ports
from tests.stores import processes
from tests.stores.s3 import S3Store

REGION = "default"
"""Ceph's default region. It accepts any other region as well."""

BINARIES = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")


@contextmanager
def running(logs: Path) -> Iterator[S3Store]:
    """Run a new cluster. The logs stay in `logs`."""
    missing = [name for name in BINARIES if shutil.which(name) is None]
    if missing:
        raise FileNotFoundError(f"The tests need Ceph ({', '.join(missing)} missing): `make ceph` installs it.")
    # Not in `logs`, because the path of a socket has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="partway-ceph-", dir="/tmp"))
    started: list[subprocess.Popen[bytes]] = []
    try:
        monitor, gateway = ports.choose(2)
        url = f"http://{ports.LOOPBACK}:{gateway}"
        store = S3Store(url, REGION, secrets.token_hex(8), secrets.token_urlsafe(16), logs)
        cluster = _Cluster(folder, logs, monitor, gateway)
        cluster.write_conf()
        started.append(cluster.start_monitor())
        started.append(cluster.start_osd())
        cluster.create_user(store)
        started.append(cluster.start_gateway())
        store.wait_until_ready(started)
        yield store
    finally:
        processes.kill(started)  # In an orderly stop, each would wait for the others.
        shutil.rmtree(folder)


class _Cluster:
    """Creates and starts the daemons of a cluster."""

    def __init__(self, folder: Path, logs: Path, monitor: int, gateway: int) -> None:
        self.folder = folder
        self.logs = logs
        self.monitor = monitor
        self.gateway = gateway
        self.fsid = str(uuid.uuid4())
        self.conf = folder / "ceph.conf"

    def write_conf(self) -> None:
        # ms_mon_client_mode: without it, the gateway fails with "permission denied", because it has no encryption key.
        # mon_data_avail_crit: a monitor on a disk that is almost full does not start.
        # tcp_nodelay: without it, each small response is delayed by 40 ms.
        self.conf.write_text(
            f"""[global]
fsid = {self.fsid}
mon_host = v2:{ports.LOOPBACK}:{self.monitor}
public_addr = {ports.LOOPBACK}
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_mon_client_mode = crc
ms_bind_msgr1 = false
run_dir = {self.folder}
admin_socket = {self.folder}/$name.$pid.asok
crash_dir = {self.folder}
log_file =
log_to_stderr = true
err_to_stderr = true
mon_cluster_log_file =
mon_data = {self.folder}/monitor
osd_data = {self.folder}/osd
rgw_data = {self.folder}
keyring = {self.folder}/keyring
mon_allow_pool_size_one = true
mon_data_avail_crit = 0
mon_data_avail_warn = 0
mon_warn_on_pool_no_redundancy = false
paxos_propose_interval = 0.02
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
osd_objectstore = memstore
memstore_device_bytes = 8589934592
rgw_frontends = beast endpoint={ports.LOOPBACK}:{self.gateway} tcp_nodelay=1
rgw_override_bucket_index_max_shards = 1
rgw_gc_obj_min_wait = 2
rgw_gc_processor_period = 5
"""
        )

    def start_monitor(self) -> subprocess.Popen[bytes]:
        monmap = str(self.folder / "monmap")
        address = f"[v2:{ports.LOOPBACK}:{self.monitor}]"
        self._run(["monmaptool", "--create", "--fsid", self.fsid, "--addv", "a", address, monmap])
        self._run(["ceph-mon", *self._conf("--id", "a"), "--mkfs", "--monmap", monmap])
        return self._start("ceph-mon", "--id", "a")

    def start_osd(self) -> subprocess.Popen[bytes]:
        name = str(uuid.uuid4())
        self._run(["ceph", *self._conf("--connect-timeout", "60", "osd", "new", name)])
        (self.folder / "osd").mkdir()
        self._run(["ceph-osd", *self._conf("--id", "0"), "--mkfs", "--osd-uuid", name])
        return self._start("ceph-osd", "--id", "0")

    def create_user(self, store: S3Store) -> None:
        user = ["--uid=tests", "--display-name=tests", "--max-buckets=0"]
        keys = [f"--access-key={store.access_key}", f"--secret-key={store.secret_key}"]
        self._run(["radosgw-admin", *self._conf("user", "create"), *user, *keys])

    def start_gateway(self) -> subprocess.Popen[bytes]:
        return self._start("radosgw", "--name", "client.rgw")

    def _conf(self, *arguments: str) -> list[str]:
        return ["--conf", str(self.conf), *arguments]

    def _start(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        return processes.start([program, *self._conf(*arguments), "-f"], self.logs / f"{program}.log")

    def _run(self, argv: Sequence[str]) -> None:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert done.returncode == 0, f"{argv[0]}: {done.stdout}\n{self._ends_of_logs()}"

    def _ends_of_logs(self) -> str:
        """The last lines of each daemon: a command does not know why its daemon is not there."""
        ends = {log.name: log.read_text(errors="replace").splitlines()[-10:] for log in self.logs.glob("ceph-*.log")}
        return "\n".join(f"{name}: {line}" for name, lines in ends.items() for line in lines)
