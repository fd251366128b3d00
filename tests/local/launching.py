"""`python -m local` as a test sees it: a process with a terminal's worth of output, in a folder of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

from local import installation

PATIENCE = 120
"""Seconds until a wait is given up; nothing is measured by it."""


class Launcher:
    """One run, its output as it comes, and every process below it."""

    def __init__(self, var: Path, port: int, **environ: str) -> None:
        self.url = f"http://127.0.0.1:{port}/"
        inherited = {name: value for name, value in os.environ.items() if name not in installation.SETTINGS}
        self._output: list[str] = []
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", sys.executable, "-m", "local"],
            env={**inherited, "PARTWAY_VAR": str(var), "PORT": str(port), **environ},
            cwd=installation.PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        return "".join(self._output)

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for(self, pattern: str, *, times: int = 1) -> re.Match[str]:
        """Wait until the output has it so many times; the last one."""
        deadline = time.monotonic() + PATIENCE
        while len(found := list(re.finditer(pattern, self.output))) < times:
            ended = self._process.poll() is not None and not self._reader.is_alive()
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"{pattern!r} never came; the output was:\n{self.output}")
            time.sleep(0.05)
        return found[-1]

    def wait_until_ready(self) -> None:
        self.wait_for("Ctrl-C stops everything")

    def processes(self) -> list[psutil.Process]:
        """Everything below the launcher, itself included."""
        launcher = psutil.Process(self._process.pid)
        return [launcher, *launcher.children(recursive=True)]

    def part(self, *words: str) -> psutil.Process:
        """The process highest up whose command line holds these words."""
        return next(each for each in self.processes()[1:] if all(word in _command_line(each) for word in words))

    def interrupt(self) -> int:
        """What Ctrl-C does; the exit code."""
        self._process.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self) -> int:
        code = self._process.wait(PATIENCE)
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code

    def close(self) -> None:
        """End what a failed test left."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._output.append(line)


def wait_until_gone(processes: list[psutil.Process]) -> None:
    """Fail should one of them stay."""
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE)
    left = [each for each in alive if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    assert not left, [_command_line(each) for each in left]


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
