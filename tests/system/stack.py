"""A live Partway for tests and benchmarks: the processes of `make run`, with the same commands, on free ports.

Redis, a store, the web server, the workers and beat are real processes. A test can kill, stop, freeze and start each of
them. There is no supervisor: a process that a test kills stays dead until the test starts it.

The store is one that responds faster than the Swift of `make run` and has one process (tests/stores/any_store.py). That
is a large part of the time of the tests. A stack that is `embedded` has Swift.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import psutil
import psycopg
import requests

from local import installation, launcher, ports, redis, site, supervision, swift
from tests.migrating import KEPT, migrated_sqlite
from tests.stores import processes, versity
from tests.stores.running import RunningStore
from tests.stores.servers import ANY, KINDS, Kind
from tests.stores.swift import SwiftStore
from tests.system.direct_store import Boto, DirectStore
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import Credentials, StoreConfig

T = TypeVar("T")

MIB = 1024**2
STATIC_FILES = KEPT / "static"
"""Shared by all stacks and kept, because collecting the files takes half of the time of a start."""

PATIENCE = 120
"""Seconds until a wait fails. No test measures it."""


@dataclass(frozen=True, slots=True)
class Login:
    username: str
    password: str


DISK_ID = ".partway-disk"


def files_below(folder: Path) -> Iterator[Path]:
    """Every file of transfers in a staging folder that may change at the same time; not the id of the disk."""
    for inner, _, names in os.walk(folder):
        yield from (Path(inner) / name for name in names if name != DISK_ID)


def staged_bytes(staging: Path) -> int:
    """The bytes of all files in staging. A file that disappears in the meantime is not counted."""
    total = 0
    for path in files_below(staging):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def wait_for(what: str, check: Callable[[], T | None], seconds: float = PATIENCE) -> T:
    """Call `check` until it returns something true, and return that."""
    deadline = time.monotonic() + seconds
    while not (result := check()):
        if time.monotonic() > deadline:
            raise AssertionError(f"timed out waiting for {what}; the last result was {result!r}")
        time.sleep(0.05)
    return result


STORE_PROCESS = "store"
"""The name of the store's process, unless the stack is `embedded`."""


class Stack:
    """The running processes. `store` is the name of its store in the dashboard."""

    store = installation.STORE
    admin = Login(site.ADMIN, "the password of the admin")

    def __init__(self, plan: launcher.LaunchPlan, gateway: versity.Gateway | None) -> None:
        self.url = plan.url.rstrip("/")
        self.staging = Path(plan.env["STAGING_DIR"])
        self.database = "sqlite" if plan.env["DATABASE_URL"].startswith("sqlite:") else "postgresql"
        self.server: RunningStore = gateway.store if gateway else SwiftStore(plan.store)
        """Its store."""
        self._gateway = gateway
        self._plan = plan
        self._commands = {process.name: process for process in plan.processes}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    # --- Processes ----------------------------------------------------------------------------------------------------

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the processes."""
        return self._plan.env

    @property
    def process_names(self) -> list[str]:
        """The names in the order of their start."""
        return sorted(self._commands, key=lambda name: self._commands[name].priority)

    def start(self, name: str) -> None:
        """Start a process. The web server, Redis and the store respond when this returns."""
        self._launch(name)
        self._wait_until_up(name)

    def kill(self, name: str) -> None:
        """Send SIGKILL to a process and its children, as the kernel does when memory runs out."""
        self._signal(name, signal.SIGKILL)
        self._processes.pop(name).wait()

    def stop(self, name: str) -> None:
        """Send SIGTERM and wait until the process has ended."""
        self.terminate(name)
        self.wait_for_end(name)

    def terminate(self, name: str) -> None:
        self._processes[name].terminate()

    def wait_for_end(self, name: str) -> None:
        self._processes.pop(name).wait(PATIENCE)

    def is_running(self, name: str) -> bool:
        """Whether a process was started and neither stopped nor killed since."""
        return name in self._processes

    def freeze(self, name: str) -> None:
        """Suspend a process, so that requests to it wait."""
        self._signal(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Continue a process. A process that is not frozen or is dead is left alone."""
        if name in self._processes:
            self._signal(name, signal.SIGCONT)

    def tree(self, name: str) -> list[psutil.Process]:
        """The process and its descendants."""
        root = psutil.Process(self._processes[name].pid)
        return [root, *root.children(recursive=True)]

    def log(self, name: str) -> str:
        return (self._plan.var.logs / f"{name}.log").read_text(errors="replace")

    def _launch(self, name: str) -> None:
        log = self._plan.var.logs / f"{name}.log"
        self._processes[name] = processes.start(self._commands[name].argv, log, self._plan.env)

    @contextmanager
    def another_web_server(self, log: Path, **settings: str) -> Iterator[str]:
        """A second web server of the same node, with other settings. Yields its URL, without SUB_PATH."""
        port = ports.choose(1)[0]
        command = supervision.web(ports.LOOPBACK, port)
        process = processes.start(command.argv, log, {**self._plan.env, **settings})
        url = f"http://{ports.LOOPBACK}:{port}"
        try:
            wait_for("a response of the second web server", lambda: _responds(url))
            yield url
        finally:
            processes.stop([process])

    def _signal(self, name: str, number: int) -> None:
        for process in self.tree(name):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def _wait_until_up(self, name: str) -> None:
        def running() -> bool:
            return processes.all_running([self._processes[name]])

        if name == "redis":
            redis.wait_until_ready(self._plan.redis_url, running)
        elif name == STORE_PROCESS and self._gateway:
            self._gateway.store.wait_until_ready([self._processes[name]], installation.BUCKET)
        elif name.startswith("store-"):
            swift.wait_until_ready(self._plan.store, installation.BUCKET, running)
        elif name == "web":
            wait_for("a response of the web server", lambda: _responds(self.url))

    # --- Start and stop -----------------------------------------------------------------------------------------------

    def start_all(self) -> None:
        """Start Redis and the store first, and prepare the database while they start."""
        first = [name for name in self.process_names if name == "redis" or name.startswith("store")]
        for name in first:
            self._launch(name)
        self._prepare_site()
        for name in self.process_names:
            if name not in first:
                self._launch(name)
        for name in self.process_names:
            self._wait_until_up(name)

    def stop_all(self) -> None:
        for name in list(self._processes):
            self.thaw(name)
        processes.stop(self._processes.values())

    def _prepare_site(self) -> None:
        env = {**self._plan.env, "ADMIN_PASSWORD": self.admin.password}
        module = "tests.system.any_store_site" if self._gateway else "local.site"
        argv = [sys.executable, "-m", module, self._plan.store.endpoint_url]
        with STATIC_FILES.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            subprocess.run(argv, env=env, cwd=installation.PROJECT, check=True)

    # --- Direct access to stores --------------------------------------------------------------------------------------

    @cached_property
    def direct_store(self) -> DirectStore:
        """Its store, without the dashboard."""
        return DirectStore(self.store, self.config, self.server.new_bucket)

    @property
    def kind(self) -> Kind:
        return ANY if self._gateway else KINDS["swift"]

    @property
    def config(self) -> StoreConfig:
        keys = Credentials(self.server.access_key, self.server.secret_key)
        overrides = tuple(sorted(self.kind.overrides.items())) if self._gateway else ()
        return StoreConfig(
            self.server.endpoint_url, self.server.region, keys, provider=self.kind.provider, overrides=overrides
        )

    def add_store(
        self, name: str, config: StoreConfig, new_bucket: Callable[[], str], *, passes: bool = True
    ) -> DirectStore:
        """Add another store as an administrator does, and run a store check, which it passes or not."""
        added = self.add_unchecked_store(name, config, new_bucket)
        self.manage("check_store", name, "--bucket", new_bucket(), "--yes", status=0 if passes else 1)
        return added

    def add_unchecked_store(self, name: str, config: StoreConfig, new_bucket: Callable[[], str]) -> DirectStore:
        keys = config.credentials
        options = ["--endpoint-url", config.endpoint_url, "--region", config.region, "--provider", config.provider]
        self.manage("add_store", name, *options, "--access-key", keys.access_key, STORE_SECRET_KEY=keys.secret_key)
        return DirectStore(name, config, new_bucket)

    def manage(self, *arguments: str, status: int = 0, **env: str) -> str:
        """Run a command, which ends with this status. Returns its output."""
        argv = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            argv,
            env={**self._plan.env, **env},
            cwd=installation.PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout
        return done.stdout

    def new_bucket(self) -> str:
        return self.direct_store.new_bucket()

    @property
    def client(self) -> ObjectStoreClient:
        return self.direct_store.client

    @cached_property
    def s3(self) -> Any:
        """boto3's client, to compare with."""
        return Boto(self.direct_store.config).client

    def object_digest(self, bucket: str, key: str) -> tuple[int, str]:
        return self.direct_store.object_digest(bucket, key)

    def uploads_in(self, bucket: str) -> list[tuple[str, str]]:
        return self.direct_store.uploads_in(bucket)

    def create_upload(self, bucket: str, key: str, parts: dict[int, int], scratch: Path) -> str:
        return self.direct_store.create_upload(bucket, key, parts, scratch)

    # --- The dashboard and its database -------------------------------------------------------------------------------

    @contextmanager
    def signed_in(self, login: Login | None = None) -> Iterator[Operator]:
        """An HTTP session of an operator, by default of the administrator."""
        with requests.Session() as session:
            session.trust_env = False
            operator = Operator(self.url, session)
            operator.sign_in(login or self.admin)
            yield operator

    @cached_property
    def other_login(self) -> Login:
        """An operator who is not an administrator."""
        login = Login("other", "the password of the other")
        call = f"create_user({login.username!r}, password={login.password!r})"
        self.run_python(
            "from django.contrib.auth.models import User\n"
            "from uploads.models import Grant\n"
            f"Grant.objects.create(user=User.objects.{call}, role='operator')"
        )
        return login

    def staged_files(self) -> list[Path]:
        """Every file in staging, complete or partial."""
        return list(files_below(self.staging))

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Read the database with SQL for SQLite and PostgreSQL. Ids and times are returned as SQLite stores them."""
        if self.database == "sqlite":
            with _reading(sqlite_path(self._plan.env)) as connection:
                return connection.execute(sql, values).fetchall()
        url = self._plan.env["DATABASE_URL"]
        rows = _retry_after_crash(lambda: _query_postgresql(url, sql, values))
        return [tuple(_as_in_sqlite(value) for value in row) for row in rows]

    def crash_database(self) -> None:
        """Kill a session of PostgreSQL with SIGKILL, after which the server ends all sessions and recovers."""
        url = self._plan.env["DATABASE_URL"]
        connection = psycopg.connect(url)
        os.kill(connection.info.backend_pid, signal.SIGKILL)
        with suppress(psycopg.OperationalError):
            connection.execute("SELECT pg_sleep(60)")
        connection.close()
        _retry_after_crash(lambda: _query_postgresql(url, "SELECT 1", ()))

    def run_python(self, code: str) -> str:
        """Run code in a process of the installation after django.setup(). Returns its output."""
        argv = [sys.executable, "-c", f"import django; django.setup()\n{code}"]
        done = subprocess.run(
            argv, env=self._plan.env, cwd=installation.PROJECT, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout

    def let_time_pass(self, seconds: float) -> None:
        """Move every deadline that much closer, and run the watchdog once, as beat does every ten seconds."""
        self.run_python(f"from tests.system.time_machine import let_time_pass\nlet_time_pass({seconds})")


class Operator:
    """The dashboard over HTTP, without a browser."""

    def __init__(self, url: str, session: requests.Session) -> None:
        self.url = url
        self.session = session

    def sign_in(self, login: Login) -> None:
        self.session.get(f"{self.url}/login/")
        form = {"username": login.username, "password": login.password, "csrfmiddlewaretoken": self.csrf_token}
        response = self.session.post(f"{self.url}/login/", data=form, headers={"Referer": self.url})
        assert response.ok
        assert response.url != f"{self.url}/login/", "the login was refused"

    @property
    def csrf_token(self) -> str:
        prefix = "__Secure-" if self.url.startswith("https:") else ""
        return self.session.cookies[f"{prefix}partway_csrf"]

    @property
    def cookies(self) -> str:
        """The Cookie header."""
        return "; ".join(f"{name}={value}" for name, value in self.session.cookies.items())

    def get_json(self, path: str) -> Any:
        response = self.session.get(self.url + path, headers={"Accept": "application/json"})
        response.raise_for_status()
        return response.json()

    def post(self, path: str, fields: Any = ()) -> requests.Response:
        """POST a form and accept JSON."""
        headers = {"Accept": "application/json", "X-CSRFToken": self.csrf_token, "Referer": self.url}
        return self.session.post(self.url + path, data=fields, headers=headers)

    def send_file(self, store: str, bucket: str, key: str, content: bytes, **fields: str) -> str:
        """Send a small file through the form. Returns the transfer's id."""
        form = {"csrfmiddlewaretoken": self.csrf_token, "store": store, "bucket": bucket, "key": key, **fields}
        headers = {"Accept": "application/json", "Referer": self.url}
        response = self.session.post(
            f"{self.url}/transfers/new/", data=form, files={"file": ("file.bin", content)}, headers=headers
        )
        response.raise_for_status()
        transfer_id: str = response.json()["id"]
        return transfer_id

    def transfer(self, transfer_id: str) -> dict[str, Any]:
        values: dict[str, Any] = self.get_json(f"/transfers/{transfer_id}/")
        return values

    def wait_for_state(self, transfer_id: str, *states: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """Wait until a transfer is in one of these states."""

        def check() -> dict[str, Any] | None:
            values = self.transfer(transfer_id)
            return values if values["state"] in states else None

        return wait_for(f"transfer {transfer_id} in {states}", check, seconds)


def _responds(url: str) -> bool:
    with suppress(requests.ConnectionError), requests.Session() as session:
        session.trust_env = False
        return session.get(f"{url}/healthz", timeout=PATIENCE).ok
    return False


def _query_postgresql(url: str, sql: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, options="-c default_transaction_read_only=on") as connection:
        return connection.execute(sql.replace("%", "%%").replace("?", "%s").encode(), values).fetchall()


def _retry_after_crash(query: Callable[[], T]) -> T:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return query()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _as_in_sqlite(value: Any) -> Any:
    """A value of PostgreSQL as Django stores it in SQLite, so that callers compare with one format."""
    match value:
        case uuid.UUID():
            return value.hex
        case datetime():
            return str(value.astimezone(UTC).replace(tzinfo=None))
        case _:
            return value


@contextmanager
def _reading(database: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=20)
    try:
        yield connection
    finally:
        connection.close()


def sqlite_path(env: Mapping[str, str]) -> Path:
    return Path(env["DATABASE_URL"].removeprefix("sqlite:///"))


def _with_gateway(plan: launcher.LaunchPlan) -> tuple[launcher.LaunchPlan, versity.Gateway]:
    """The plan with another store at the same address, with the same credentials."""
    folder = plan.var.path / "gateway"
    gateway = versity.prepare(folder, plan.store.ports[3], plan.store.access_key, plan.store.secret_key)
    env = {**installation.foreign_environment(os.environ), **gateway.env}
    process = supervision.foreign(STORE_PROCESS, gateway.argv, env, priority=20)
    others = [each for each in plan.processes if not each.name.startswith("store-")]
    return replace(plan, processes=[process, *others]), gateway


@contextmanager
def running(var: Path, env: Mapping[str, str] | None = None, *, embedded: bool = False) -> Iterator[Stack]:
    """Run a stack with its data in `var` and additional settings in `env`. `embedded`: with the store of `make run`."""
    folder = installation.Folder(var)
    folder.make()
    STATIC_FILES.parent.mkdir(parents=True, exist_ok=True)
    # The environment of the test run has settings that would override those of the stack.
    with mock.patch.dict(os.environ):
        for name in installation.SETTINGS:
            os.environ.pop(name, None)
        # Tests add other stores of this machine.
        own = {"STATIC_ROOT": str(STATIC_FILES), "STORE_ALLOWED_ADDRESSES": "127.0.0.0/8,::1", "STORE_CA_DIR": "/"}
        os.environ.update({**own, **(env or {})})
        plan = launcher.make_plan(folder, ports.LOOPBACK, ports.choose(1)[0])
    gateway = None
    if not embedded:
        plan, gateway = _with_gateway(plan)
    stack = Stack(plan, gateway)
    if stack.database == "sqlite":
        shutil.copy(migrated_sqlite(), sqlite_path(plan.env))
    try:
        stack.start_all()
        yield stack
    finally:
        stack.stop_all()
        # Keep the logs and the database for the analysis of failures, but not the data of the store.
        for data in (plan.store.folder / "devices", plan.var.path / "gateway"):
            shutil.rmtree(data, ignore_errors=True)
