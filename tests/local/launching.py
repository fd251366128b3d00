"""Runs `python -m local` for a test and reads its output."""

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

PATIENCE = 600
"""Seconds until a wait fails. No test measures it."""


class Launcher:
    """One run, its output, and its processes."""

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
        """Wait until the output matches the pattern that many times, and return the last match."""
        deadline = time.monotonic() + PATIENCE
        while len(matches := list(re.finditer(pattern, self.output))) < times:
            ended = self._process.poll() is not None and not self._reader.is_alive()
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"{pattern!r} is not in the output:\n{self.output}")
            time.sleep(0.05)
        return matches[-1]

    def wait_until_ready(self) -> None:
        self.wait_for("Ctrl-C stops everything")

    def processes(self) -> list[psutil.Process]:
        """The launcher and all processes below it."""
        launcher = psutil.Process(self._process.pid)
        return [launcher, *launcher.children(recursive=True)]

    def process(self, *words: str) -> psutil.Process:
        """The topmost process whose command line contains all these words."""
        return next(each for each in self.processes()[1:] if all(word in _command_line(each) for word in words))

    def interrupt(self) -> int:
        """Send what Ctrl-C sends, and return the exit code."""
        self._process.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self) -> int:
        code = self._process.wait(PATIENCE)
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code

    def close(self) -> None:
        """Stop a run that a failed test has left."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._output.append(line)


def wait_until_gone(processes: list[psutil.Process]) -> None:
    """Fail if one of the processes does not end."""
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE)
    left = [each for each in alive if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    assert not left, [_command_line(each) for each in left]


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
