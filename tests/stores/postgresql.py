"""A real PostgreSQL for tests: the machine's own binaries, a cluster that is made anew and gone afterwards."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from local import ports
from tests.stores import processes

DEBIAN = Path("/usr/lib/postgresql")
"""Debian keeps each version's servers in a folder of its own, and none of them on PATH."""

START_SECONDS = 60
STOP_SECONDS = 10

SETTINGS = {
    "listen_addresses": ports.LOOPBACK,
    "shared_buffers": "16MB",
    # What is lost when the machine goes down matters to nobody. Processes that are killed lose nothing by it.
    "fsync": "off",
    "full_page_writes": "off",
    "log_lock_waits": "on",
}


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running server on loopback, with a superuser of a random password."""

    port: int
    password: str

    def url(self, database: str) -> str:
        return f"postgres://postgres:{self.password}@{ports.LOOPBACK}:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of a database of one's own, with nothing in it."""
        name = f"partway_{secrets.token_hex(4)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return self.url(name)


def binaries() -> Path:
    """The folder of the newest initdb and postgres."""
    found = [path.parent for path in DEBIAN.glob("*/bin/initdb") if path.with_name("postgres").exists()]
    if found:
        return max(found, key=lambda folder: float(folder.parent.name))
    initdb = shutil.which("initdb")
    if initdb is None:
        raise FileNotFoundError("The tests need PostgreSQL's server: `make postgresql` installs it.")
    return Path(initdb).resolve().parent


@contextmanager
def running(logs: Path) -> Iterator[Cluster]:
    """Make a cluster, start its server, and end both; the log stays in `logs`."""
    # Not below `logs`: folders of root's may be closed to the user who runs the server, and a socket's path is short.
    folder = Path(tempfile.mkdtemp(prefix="partway-postgresql-", dir="/tmp"))
    try:
        user = _unprivileged_user()
        if user:
            shutil.chown(folder, user.pw_uid, user.pw_gid)
        password = secrets.token_urlsafe(16)
        _make(folder, user, password)
        cluster = Cluster(ports.choose(1)[0], password)
        settings = {**SETTINGS, "port": str(cluster.port), "unix_socket_directories": str(folder)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        # Changing the user drops the tether to this test run: it is made again, and tells the server to end at once.
        argv = [*_as(user, folder), "setpriv", "--pdeathsig", "QUIT", str(binaries() / "postgres")]
        process = processes.start([*argv, "-D", str(folder / "data"), *options], logs / "postgresql.log")
        try:
            _wait_until_ready(cluster, process)
            yield cluster
        finally:
            _stop(process)
    finally:
        shutil.rmtree(folder)


def _unprivileged_user() -> pwd.struct_passwd | None:
    """Whom the server runs as where tests run as root, which it refuses; None: as we do."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _as(user: pwd.struct_passwd | None, folder: Path) -> list[str]:
    """What runs a command as that user, in a folder that it may enter."""
    change = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"] if user else []
    return [*change, "env", f"--chdir={folder}"]


def _make(folder: Path, user: pwd.struct_passwd | None, password: str) -> None:
    note = folder / "password"
    note.touch(mode=0o600)
    note.write_text(password)
    if user:
        shutil.chown(note, user.pw_uid, user.pw_gid)
    argv = [*_as(user, folder), str(binaries() / "initdb"), "--pgdata", str(folder / "data"), "--username=postgres"]
    argv += [f"--pwfile={note}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    note.unlink()


def _wait_until_ready(cluster: Cluster, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with suppress(psycopg.OperationalError), psycopg.connect(cluster.url("postgres"), connect_timeout=5):
            return
        assert processes.all_running([process]), "PostgreSQL did not start: see postgresql.log"
        assert time.monotonic() < deadline, "PostgreSQL does not answer"
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """SIGINT ends its sessions; SIGTERM would wait for them."""
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    processes.stop([process])
