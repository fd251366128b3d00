"""10 GiB in parts of 512 MiB through a small quota: the peak memory of each process, and the peak of staged bytes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import stores, tus
from benchmarks.results import Figure, Results
from benchmarks.usage import peaks
from tests.system.stack import MIB, Stack, staged_bytes

SIZE = 10 * 1024 * MIB
PART = 512 * MIB
QUOTA = 4 * PART
LIMIT = 150 * MIB
ENVIRONMENT = {"STAGING_QUOTA": str(QUOTA)}
SAMPLE_SECONDS = 0.2


def run(stack: Stack, scratch: Path, results: Results) -> None:
    file = scratch / "file"
    with file.open("wb") as sparse:
        sparse.truncate(SIZE)
    with stack.signed_in() as operator, stores.discarding(stack, "fast"), _staged_bytes(stack) as staged:
        transfer_id = tus.send(operator, file, store="fast", bucket=stores.BUCKET, key="large", part_size=PART)
        transfer = tus.wait_for_end(operator, transfer_id)
    assert transfer["state"] == "done", transfer["error"]
    work = f"{SIZE // PART} parts of {PART // MIB} MiB"
    results.add(Figure(f"staged at a time, {work}", max(staged) / MIB, "MiB", QUOTA / MIB))
    show_peaks(stack, work, results)


def show_peaks(stack: Stack, work: str, results: Results) -> None:
    """The peak memory of each process since its start, which includes peaks that nobody has looked at."""
    results.add(
        *(
            Figure(f"peak memory of {name}, {work}", value / MIB, "MiB", LIMIT / MIB)
            for name, value in peaks(stack).items()
        )
    )


@contextmanager
def _staged_bytes(stack: Stack) -> Iterator[list[int]]:
    """How many bytes are staged, looked at again and again."""
    stopped, staged = threading.Event(), [0]

    def look() -> None:
        while not stopped.wait(SAMPLE_SECONDS):
            staged.append(staged_bytes(stack.staging))

    watching = threading.Thread(target=look)
    watching.start()
    try:
        yield staged
    finally:
        stopped.set()
        watching.join()
