"""What a piece of work takes: seconds and CPU seconds; and the peak memory of our processes."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.system.stack import Stack

OURS = ("web", "sender", "worker", "watcher", "scanner", "beat")
"""Our processes, by their names in the stack."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds, and CPU seconds of all processes of a candidate together; None where they were not measured."""

    seconds: float
    cpu: float | None = None


def of_command(argv: Sequence[str], environment: Mapping[str, str]) -> Usage:
    """Run a program to its end. Raises AssertionError if it fails."""
    started = time.perf_counter()
    with subprocess.Popen(argv, env={**os.environ, **environment}, stdout=subprocess.DEVNULL) as process:
        # wait4 knows what this process has used, and the children that it has waited for.
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    assert process.returncode == 0, f"{argv[0]} failed with exit code {process.returncode}"
    return Usage(seconds, used.ru_utime + used.ru_stime)


def of_partway(stack: Stack, work: Callable[[], object]) -> Usage:
    """Do the work, and say what all processes of Partway have used meanwhile."""
    before, started = cpu_seconds(stack), time.perf_counter()
    work()
    seconds, after = time.perf_counter() - started, cpu_seconds(stack)
    return Usage(seconds, sum(after.values()) - sum(before.values()))


def cpu_seconds(stack: Stack) -> dict[str, float]:
    """The CPU seconds that each of our processes and its children have taken."""
    return {name: sum(map(_cpu_of, stack.tree(name))) for name in OURS if stack.is_running(name)}


def peaks(stack: Stack) -> dict[str, int]:
    """The peak resident memory in bytes of each of our processes since its start, with libraries that it shares."""
    trees = {name: stack.tree(name) for name in OURS if stack.is_running(name)}
    return {
        name if place == 0 else f"{name} child {place}": peak_of(process.pid)
        for name, tree in trees.items()
        for place, process in enumerate(tree)
    }


def peak_of(pid: int) -> int:
    """VmHWM, the kernel's record of the peak, in bytes. 0 for a process that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    line = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "VmHWM: 0 kB")
    return int(line.split()[1]) * 1024


def _cpu_of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
