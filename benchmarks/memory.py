"""2 GiB in parts of 512 MiB through the running product: the most memory that each of its processes ever had."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.upload import send, write_random
from tests.system.stack import MIB, Stack

SIZE = 2048 * MIB
PART = 512 * MIB
LIMIT = 150 * MIB
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
    """Reads /proc of every process of our parts until it is stopped, so that one that ends early is counted too."""

    def __init__(self, stack: Stack) -> None:
        self.peaks: dict[int, Peak] = {}
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
    write_random(file, SIZE)
    bucket = stack.new_bucket()
    with stack.signed_in() as operator, Sampler(stack) as sampler:
        transfer_id = send(stack, operator, bucket, "large", file, **{"part-size": PART})
        transfer = operator.wait_for_state(transfer_id, "done", "failed", seconds=600)
    assert transfer["state"] == "done", transfer["error"]
    assert stack.client.head_object(bucket, "large").size == SIZE
    print(f"{'process':<18} {'peak resident':>14} {'of it its own':>14}   limit {LIMIT // MIB} MiB")
    for peak in sampler.peaks.values():
        verdict = "kept" if peak.resident < LIMIT else "NOT KEPT"
        name = f"{peak.part} {peak.role}"
        print(f"{name:<18} {peak.resident / MIB:>10.1f} MiB {peak.own / MIB:>10.1f} MiB   {verdict}")
    print(f"{transfer['parts']['count']} parts of {PART // MIB} MiB, all in the store")
    return all(peak.resident < LIMIT for peak in sampler.peaks.values())
