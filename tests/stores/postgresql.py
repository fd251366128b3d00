"""A real PostgreSQL for tests: a temporary cluster with the binaries of the machine."""

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
from functools import cached_property
from pathlib import Path

import psycopg

from local import ports
from tests.migrating import kept, migrate
from tests.stores import processes

DEBIAN = Path("/usr/lib/postgresql")
"""Debian has a folder for the server of each version, outside PATH."""

START_SECONDS = 120
STOP_SECONDS = 10

SETTINGS = {
    "listen_addresses": ports.LOOPBACK,
    "shared_buffers": "16MB",
    # The data need not survive a crash of the machine. It survives processes that are killed.
    "fsync": "off",
    "full_page_writes": "off",
    "log_lock_waits": "on",
}
DURABLE = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "128MB"}


@dataclass(frozen=True)
class Cluster:
    """A running server on loopback, with a superuser and a random password."""

    port: int
    password: str

    def url(self, database: str) -> str:
        return f"postgres://postgres:{self.password}@{ports.LOOPBACK}:{self.port}/{database}"

    def new_database(self, template: str = "template0") -> str:
        """Create an empty database, or a copy of another one. Returns its URL."""
        name = f"partway_{secrets.token_hex(4)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            # Most installations compare texts by the rules of a language, which are not those of bytes.
            is_new = template == "template0" and connection.info.server_version >= 150_000
            locale = "LOCALE_PROVIDER icu ICU_LOCALE 'en-US'" if is_new else ""
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" {locale}'.encode())
        return self.url(name)

    def migrated_database(self) -> str:
        """Create a database with our tables. Returns its URL. The migrations run only if they have changed."""
        return self.new_database(self._migrated_template)

    @cached_property
    def _migrated_template(self) -> str:
        dump = kept(f"{binaries().parent.name}.sql", self._dump_migrated)
        url = self.new_database()
        _run("psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--file={dump}", url)
        return url.rpartition("/")[2]

    def _dump_migrated(self, path: Path) -> None:
        url = self.new_database()
        migrate(url)
        _run("pg_dump", f"--file={path}", url)


def binaries() -> Path:
    """The folder of the newest initdb and postgres."""
    folders = [path.parent for path in DEBIAN.glob("*/bin/initdb") if path.with_name("postgres").exists()]
    if folders:
        return max(folders, key=lambda folder: float(folder.parent.name))
    initdb = shutil.which("initdb")
    if initdb is None:
        raise FileNotFoundError("The tests need PostgreSQL's server: `make postgresql` installs it.")
    return Path(initdb).resolve().parent


def _run(program: str, *arguments: str) -> None:
    """Run a client of PostgreSQL."""
    argv = [str(binaries() / program), *arguments]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout


@contextmanager
def running(logs: Path, *, is_durable: bool = False) -> Iterator[Cluster]:
    """Run a new cluster, which for measurements writes as one that survives a crash of the machine.

    The log stays in `logs`.
    """
    # Not in `logs`: the user that runs the server may not enter folders of root, and the path of a socket is short.
    folder = Path(tempfile.mkdtemp(prefix="partway-postgresql-", dir="/tmp"))
    try:
        user = _unprivileged_user()
        if user:
            shutil.chown(folder, user.pw_uid, user.pw_gid)
        password = secrets.token_urlsafe(16)
        _create(folder, user, password)
        cluster = Cluster(ports.choose(1)[0], password)
        settings = {
            **SETTINGS,
            **(DURABLE if is_durable else {}),
            "port": str(cluster.port),
            "unix_socket_directories": str(folder),
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        # Changing the user drops pdeathsig, so it is set again. SIGQUIT makes the server end at once.
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
    """The user to run the server as if the tests run as root, which PostgreSQL refuses. None: the current user."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _as(user: pwd.struct_passwd | None, folder: Path) -> list[str]:
    """The prefix of a command that runs it as that user, in a folder that the user may enter."""
    change = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"] if user else []
    return [*change, "env", f"--chdir={folder}"]


def _create(folder: Path, user: pwd.struct_passwd | None, password: str) -> None:
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
        assert time.monotonic() < deadline, "PostgreSQL does not respond"
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """SIGINT ends all sessions, while SIGTERM would wait for them."""
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    processes.stop([process])
