"""A second node of a running installation: another name, disk and processes; the same database, Redis and store."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import requests

from local import installation, ports, supervision
from tests.stores import processes
from tests.system.stack import PATIENCE, Operator, Stack, files_below, wait_for


class SecondNode:
    """The processes of a node with another name, by the commands of `make run`."""

    name = "two"

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.port = ports.choose(1)[0]
        self.url = f"http://{ports.LOOPBACK}:{self.port}"
        self.staging = folder / "staging-two"
        self._folder = folder
        self._env = {**stack._plan.env, "NODE_NAME": self.name, "STAGING_DIR": str(self.staging)}
        web = supervision.web(ports.LOOPBACK, self.port)
        self._commands = {
            each.name: each for each in (web, supervision.sender(self.name), supervision.worker(self.name))
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *names: str) -> None:
        """Start those of these processes, or of all, that do not run. The web server responds when this returns."""
        for name in names or self._commands:
            if name in self._processes:
                continue
            log = self._folder / f"two-{name}.log"
            self._processes[name] = processes.start(self._commands[name].argv, log, self._env)
            if name == "web":
                wait_for("the web server of the second node", self._responds)

    def lose(self, *names: str) -> None:
        """Kill these processes and their children with SIGKILL, or all: the machine is gone."""
        for name in names or list(self._processes):
            process = self._processes.pop(name)
            root = psutil.Process(process.pid)
            for each in [root, *root.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    each.send_signal(signal.SIGKILL)
            process.wait()

    def stop(self) -> None:
        processes.stop(self._processes.values())
        self._processes.clear()

    def refused_start(self, **env: str) -> tuple[int, str]:
        """Start a web server with other settings, which does not start. Returns its status and what it printed."""
        argv = [sys.executable, "-m", "dashboard.server", "--port", str(ports.choose(1)[0])]
        done = subprocess.run(
            argv,
            env={**self._env, **env},
            cwd=installation.PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return done.returncode, done.stdout

    def staged_files(self) -> list[str]:
        """The names of the part files on its disk."""
        return sorted(path.name for path in files_below(self.staging) if path.name[0].isdigit())

    @contextmanager
    def signed_in(self, stack: Stack) -> Iterator[Operator]:
        with requests.Session() as session:
            session.trust_env = False
            operator = Operator(self.url, session)
            operator.sign_in(stack.admin)
            yield operator

    def _responds(self) -> bool:
        with suppress(requests.ConnectionError), requests.Session() as session:
            session.trust_env = False
            return session.get(f"{self.url}/healthz", timeout=PATIENCE).ok
        return False
