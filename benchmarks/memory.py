"""10 GiB in parts of 512 MiB through a small quota: the peak memory of each process, and the peak of staged bytes."""

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
SAMPLE_SECONDS = 0.2
OURS = ("web", "sender", "worker", "watcher", "scanner", "beat")


@dataclass(slots=True)
class Peak:
    """The peak memory of a process in bytes. The limit applies to `resident`; `own` excludes shared libraries."""

    name: str
    role: str
    resident: int = 0
    own: int = 0


class Sampler:
    """Samples the memory of all our processes, and the staged bytes."""

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
        while not self._stopped.wait(SAMPLE_SECONDS):
            self.staged = max(self.staged, staged_bytes(self._stack.staging))
            for name in OURS:
                for place, process in enumerate(self._stack.tree(name)):
                    self._sample(name, "main" if place == 0 else f"child {place}", process)

    def _sample(self, name: str, role: str, process: psutil.Process) -> None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
            own = process.memory_full_info().uss
        except (OSError, psutil.Error):
            return
        peak = self.peaks.setdefault(process.pid, Peak(name, role))
        # VmHWM is the kernel's record of the peak, which includes peaks between two samples.
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
    print(f"{'process':<18} {'peak resident':>14} {'own memory':>14}   limit {LIMIT // MIB} MiB")
    for peak in sampler.peaks.values():
        verdict = "met" if peak.resident < LIMIT else "EXCEEDED"
        name = f"{peak.name} {peak.role}"
        print(f"{name:<18} {peak.resident / MIB:>10.1f} MiB {peak.own / MIB:>10.1f} MiB   {verdict}")
    within = sampler.staged <= QUOTA
    print(
        f"{SIZE // PART} parts of {PART // MIB} MiB; at most {sampler.staged // MIB} MiB staged at a time, quota "
        f"{QUOTA // MIB} MiB: {'met' if within else 'EXCEEDED'}"
    )
    return within and all(peak.resident < LIMIT for peak in sampler.peaks.values())
