"""10 GiB in parts of 512 MiB through a small quota: the most memory of each process, the most bytes on the disk."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks import tus
from benchmarks.pipeline import BUCKET, discarding_store, wait_for_end
from tests.system.stack import MIB, Stack, staged_bytes

SIZE = 10 * 1024 * MIB
PART = 512 * MIB
QUOTA = 4 * PART
LIMIT = 150 * MIB
ENVIRONMENT = {"STAGING_QUOTA": str(QUOTA)}
LOOK_SECONDS = 0.2
OURS = ("web", "sender", "worker", "beat")


@dataclass(slots=True)
class Peak:
    """The most of one process, in bytes. `resident` is what the limit is on; `own` leaves shared libraries out."""

    part: str
    role: str
    resident: int = 0
    own: int = 0


class Sampler:
    """Looks at every process of our parts, and at staging, until it is stopped."""

    def __init__(self, stack: Stack) -> None:
        self.peaks: dict[int, Peak] = {}
        self.staged = 0
        self._stack = stack
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            self.staged = max(self.staged, staged_bytes(self._stack.staging))
            for part in OURS:
                for place, process in enumerate(self._stack.tree(part)):
                    self._look(part, "main" if place == 0 else f"child {place}", process)

    def _look(self, part: str, role: str, process: psutil.Process) -> None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
            own = process.memory_full_info().uss
        except (OSError, psutil.Error):
            return
        peak = self.peaks.setdefault(process.pid, Peak(part, role))
        # VmHWM is the kernel's own record of the peak: nothing between two looks is missed.
        peak.resident = max(peak.resident, _field(status, "VmHWM"))
        peak.own = max(peak.own, own)


def _field(status: str, name: str) -> int:
    line = next((line for line in status.splitlines() if line.startswith(f"{name}:")), f"{name}: 0 kB")
    return int(line.split()[1]) * 1024


def run(stack: Stack, scratch: Path) -> bool:
    file = scratch / "file"
    with file.open("wb") as sparse:
        sparse.truncate(SIZE)
    with stack.signed_in() as operator, discarding_store(stack, "fast"), Sampler(stack) as sampler:
        transfer_id = tus.send(operator, file, store="fast", bucket=BUCKET, key="large", part_size=PART)
        transfer = wait_for_end(operator, transfer_id)
    assert transfer["state"] == "done", transfer["error"]
    print(f"{'process':<18} {'peak resident':>14} {'of it its own':>14}   limit {LIMIT // MIB} MiB")
    for peak in sampler.peaks.values():
        verdict = "kept" if peak.resident < LIMIT else "NOT KEPT"
        name = f"{peak.part} {peak.role}"
        print(f"{name:<18} {peak.resident / MIB:>10.1f} MiB {peak.own / MIB:>10.1f} MiB   {verdict}")
    within = sampler.staged <= QUOTA
    print(
        f"{SIZE // PART} parts of {PART // MIB} MiB; at most {sampler.staged // MIB} MiB staged at a time, quota "
        f"{QUOTA // MIB} MiB: {'kept' if within else 'NOT KEPT'}"
    )
    return within and all(peak.resident < LIMIT for peak in sampler.peaks.values())
