"""`make run`: one foreground process that prepares the installation and starts supervisord, which runs the processes.

The launcher reports what happens, holds the lock of the folder, and stays until all processes have ended.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import IO

import requests

from local import demo, installation, live, orphans, preflight, redis, supervision, swift
from local.installation import BUCKET, Folder, Kept
from local.preflight import Refusal
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.types import Credentials, StoreConfig

START_SECONDS = 120
"""How long a process may take until it responds: far longer than it needs, even on a busy machine."""


def main() -> int:
    os.umask(0o077)
    # Of no process below, ours or not, which inherit it.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # SIGINT too: a shell starts background processes with SIGINT ignored.
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        signal.signal(signal.SIGHUP, _interrupt)
    try:
        return _run()
    except (Refusal, swift.StoreError, redis.RedisError) as error:
        print(f"\n{error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        return 130


def say(text: str) -> None:
    print(f"partway: {text}", flush=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """What one run starts, and with which settings. `env` has them; processes read them from the file of `var`."""

    var: Folder
    kept: Kept
    host: str
    port: int
    sub_path: str
    store: swift.Swift
    redis_url: str
    processes: list[supervision.Process]
    env: dict[str, str]

    @property
    def process_env(self) -> dict[str, str]:
        """The environment of the processes, which others can read in /proc: it has no secrets."""
        return installation.without_settings(self.env)

    @property
    def url(self) -> str:
        return _url(self.host, self.port, self.sub_path)


def _url(host: str, port: int, sub_path: str) -> str:
    name = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://{f'[{name}]' if ':' in name else name}:{port}{sub_path}/"


def _run() -> int:
    var = installation.folder(os.environ)
    host, port = preflight.read_address(os.environ)
    sub_path = preflight.read_sub_path(os.environ)
    preflight.check_tools()
    preflight.check_folder(var)
    with preflight.only_run(var, _url(host, port, sub_path)) as lock:
        preflight.check_admin_password(os.environ, is_first_start=not var.load().store_added)
        preflight.check_port(host, port)
        preflight.check_disk(var.path)
        orphans.become_subreaper()
        plan = make_plan(var, host, port, sub_path)
        _name_programs()
        say("preparing the database and the static files")
        started = time.monotonic()
        _prepare_site(plan)
        say(f"the database and the static files are ready after {time.monotonic() - started:.0f} s")
        return _Run(plan, lock).until_stopped()


def _name_programs() -> None:
    """Say which programs run: they differ from machine to machine."""
    say(f"Python {platform.python_version()} ({sys.executable})")
    given = os.environ.get("REDIS_URL")
    if given:
        say(f"queue: the Redis of REDIS_URL, {redis.location(given)}")
    else:
        say(f"queue: {redis.program().version} ({redis.program().path})")
    say(f"store: OpenStack Swift {version('swift')}")


def make_plan(var: Folder, host: str, port: int, sub_path: str = "") -> LaunchPlan:
    kept = var.load()
    installation.choose_ports(kept)
    var.save(kept)
    store = swift.prepare(var.path / "store", kept.store_ports, kept.store_secret_key)
    processes = []
    foreign = installation.foreign_environment(os.environ)
    redis_url = os.environ.get("REDIS_URL", "")
    if redis_url:
        redis.check_given(redis_url)
    else:
        server = redis.prepare(var.path / "redis", kept.redis_port, kept.redis_password)
        redis_url = server.url
        processes.append(supervision.foreign("redis", redis.command(server), foreign, priority=10))
    settings = installation.settings_environment(var, kept, redis_url, host)
    installation.write_environment(var, settings)
    var.forget_metrics()
    for each in swift.commands(store):
        only = {**foreign, **each.env}
        processes.append(supervision.foreign(f"store-{each.name}", each.argv, only, priority=20, group="store"))
    processes.append(supervision.sender(settings["NODE_NAME"]))
    processes.append(supervision.worker(settings["NODE_NAME"]))
    processes.append(supervision.watcher())
    processes.append(supervision.scanner())
    processes.append(supervision.beat())
    processes.append(supervision.web(host, port))
    env = installation.process_environment(var, settings)
    return LaunchPlan(var, kept, host, port, sub_path, store, redis_url, processes, env)


def _run_step(plan: LaunchPlan, module: str, *arguments: str, **env: str) -> Path | None:
    """Run a short process. Returns its log if it failed."""
    argv = [*supervision.TETHER, sys.executable, "-m", module, *arguments]
    log = plan.var.logs / f"{module.rpartition('.')[2]}.log"
    with log.open("wb") as output:
        # In a new session, so that Ctrl-C reaches only the launcher.
        done = subprocess.run(
            argv,
            env={**plan.process_env, **env},
            cwd=installation.PROJECT,
            stdout=output,
            stderr=output,
            start_new_session=True,
            check=False,
        )
    return log if done.returncode else None


def _prepare_site(plan: LaunchPlan) -> None:
    password = os.environ.get("ADMIN_PASSWORD", "")
    log = _run_step(plan, "local.site", plan.store.endpoint_url, ADMIN_PASSWORD=password)
    if log is not None:
        lines = "\n".join("    " + line for line in supervision.last_lines(log))
        raise Refusal(f"The database or the static files could not be prepared. The last lines of {log}:\n{lines}")
    plan.kept.store_added = True
    plan.var.save(plan.kept)


class _Run:
    """supervisord and the processes below it, from start to end."""

    def __init__(self, plan: LaunchPlan, lock: IO[str]) -> None:
        self._plan = plan
        conf = plan.var.path / "supervisord.conf"
        supervision.write_conf(conf, plan.processes, plan.var.logs)
        self._announcer = supervision.Announcer(plan.var.logs, say)
        # supervisord holds the lock as well: if the launcher is killed, no second run starts while processes stop.
        self._supervisord = subprocess.Popen(
            supervision.command(conf),
            env=plan.process_env,
            cwd=installation.PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[lock.fileno()],
            text=True,
            errors="replace",
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._keeper = threading.Thread(target=self._end_orphans, daemon=True)
        self._running_step = threading.Lock()
        self._live: live.Sender | None = None

    def until_stopped(self) -> int:
        self._listener.start()
        self._keeper.start()
        try:
            self._bring_up()
            self._supervisord.wait()
        except KeyboardInterrupt:
            self._stop("stopping; press Ctrl-C again to stop at once")
            return 0
        except BaseException:
            self._stop("stopping")
            raise
        self._keeper.join()
        orphans.end_all()
        raise Refusal(
            "supervisord was killed, and all processes of Partway ended with it. Start Partway again: make run"
        )

    def _bring_up(self) -> None:
        plan = self._plan
        say("starting the queue, the store, the workers and the web server")
        redis.wait_until_ready(plan.redis_url, self._is_running, START_SECONDS)
        swift.wait_until_ready(plan.store, BUCKET, self._is_running, START_SECONDS)
        if not plan.kept.seeded:
            self._seed()
        self._live = live.Sender(self._store_config(), BUCKET)
        self._live.start()
        self._wait_for_the_page()
        self._greet()

    def _is_running(self) -> bool:
        return self._supervisord.poll() is None

    def _store_config(self) -> StoreConfig:
        store = self._plan.store
        credentials = Credentials(store.access_key, store.secret_key)
        return StoreConfig(store.endpoint_url, store.region, credentials, provider="swift")

    def _seed(self) -> None:
        plan, config = self._plan, self._store_config()
        try:
            demo.seed(config, BUCKET, plan.var.path / "seed", _Quarters().report)
            with ObjectStoreClient(config) as client:
                live.begin(client, BUCKET)
        except (ObjectStoreError, OSError) as error:
            say(f"the bucket {BUCKET} could not be filled ({error}); the next start continues")
            return
        # The process of a step is a child of the launcher, as orphans are.
        with self._running_step:
            log = _run_step(plan, "local.first_scan")
        if log is not None:
            say(f"scans of the store could not be scheduled (see {log}); the next start continues")
            return
        plan.kept.seeded = True
        plan.var.save(plan.kept)

    def _wait_for_the_page(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._page_responds():
            if not self._is_running() or time.monotonic() > deadline:
                log = self._plan.var.logs / "web.log"
                lines = "\n".join("    " + line for line in supervision.last_lines(log))
                raise Refusal(f"The web server did not respond. The last lines of {log}:\n{lines}")
            time.sleep(0.1)

    def _page_responds(self) -> bool:
        with requests.Session() as session:
            session.trust_env = False
            try:
                response = session.get(self._plan.url + "login/", timeout=10)
            except requests.RequestException:
                return False
        return response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR

    def _greet(self) -> None:
        note = self._plan.var.first_login
        lines = ["", f"Partway is ready: {self._plan.url}"]
        if note.exists():
            login = json.loads(note.read_text())
            if login["password"]:
                lines += [f"Log in as {login['username']} with the password {login['password']}"]
                lines += ["(generated now, and shown only once)"]
            else:
                lines += [f"Log in as {login['username']} with the password of ADMIN_PASSWORD"]
        lines += [f"Data and logs are in {self._plan.var.path}. Ctrl-C stops everything.", ""]
        print("\n".join(lines), flush=True)
        note.unlink(missing_ok=True)

    def _stop(self, text: str) -> None:
        self._announcer.stopping = True
        if self._live is not None:
            self._live.stop()
        say(text)
        self._supervisord.terminate()
        try:
            self._supervisord.wait()
        except KeyboardInterrupt:
            say("stopping at once")
        _uninterrupted(orphans.end_all)
        say("stopped; all data is kept for the next `make run`")

    def _listen(self) -> None:
        assert self._supervisord.stdout is not None
        for line in self._supervisord.stdout:
            self._announcer.handle(line)

    def _end_orphans(self) -> None:
        while self._is_running():
            with self._running_step:
                orphans.end(known={self._supervisord.pid})
            time.sleep(0.5)


class _Quarters:
    """Reports the progress of the seeding in quarters."""

    def __init__(self) -> None:
        self._reported = -1

    def report(self, done: int, total: int) -> None:
        quarter = 4 * done // total
        if quarter > self._reported:
            self._reported = quarter
            say(f"filling the bucket {BUCKET} with uploads in progress: {25 * quarter} %")


def _uninterrupted(do: Callable[[], None]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    do()
