"""Processes of a test run, which end when the test run ends."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path


def start(argv: Iterable[str], log: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a process that logs to `log`. The kernel kills it if this test run is killed."""
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
    """Terminate all processes, kill those that do not end, and wait until they have ended."""
    running = list(processes)
    for process in running:
        process.terminate()
    for process in running:
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def kill(processes: Iterable[subprocess.Popen[bytes]]) -> None:
    """Kill all processes at once and wait until they have ended: for servers whose data is not kept."""
    killed = list(processes)
    for process in killed:
        process.kill()
    for process in killed:
        process.wait()
