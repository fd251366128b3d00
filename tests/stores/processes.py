"""Processes of a test run: started so that they end with it, stopped by the pids they were given."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path


def start(argv: Iterable[str], log: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start one process that logs to `log` and that the kernel ends should this test run be killed."""
    with log.open("ab") as output:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *argv],
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )


def all_running(processes: Iterable[subprocess.Popen[bytes]]) -> bool:
    return all(process.poll() is None for process in processes)


def stop(processes: Iterable[subprocess.Popen[bytes]]) -> None:
    """End each process, by force where it does not listen, and wait until it is gone."""
    running = list(processes)
    for process in running:
        process.terminate()
    for process in running:
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
