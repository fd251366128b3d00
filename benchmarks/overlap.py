"""512 MiB by tus to a store that is limited to 100 MB/s: receiving and sending together, and sending alone."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks import rounds, stores, tus
from benchmarks.files import write_random
from benchmarks.results import OURS, Comparison, Limit, Results
from benchmarks.usage import Usage
from tests.system.stack import MIB, Operator, Stack

SIZE = 512 * MIB
RATE = 100 * 1000**2
ROUNDS = 3
ALONE = "sending alone"
LIMITS = (Limit(ALONE, 1.1),)


def run(stack: Stack, scratch: Path, results: Results) -> None:
    """With a slow store, receiving and sending together take hardly longer than sending alone."""
    file = scratch / "file"
    write_random(file, SIZE)
    with stack.signed_in() as operator, stores.discarding(stack, "slow", RATE) as target:

        def send(key: str) -> str:
            return tus.send(operator, file, store="slow", bucket=target.bucket, key=key)

        def send_alone(number: int) -> Usage:
            stack.freeze("sender")
            transfer_id = send(f"alone-{number}")
            started = time.perf_counter()
            stack.thaw("sender")
            _wait_until_done(operator, transfer_id)
            return Usage(time.perf_counter() - started)

        def receive_and_send(number: int) -> None:
            _wait_until_done(operator, send(f"both-{number}"))

        used = rounds.measure({ALONE: send_alone, OURS: receive_and_send}, ROUNDS)
    work = f"{SIZE // MIB} MiB, a store limited to {RATE / 1000**2:g} MB/s"
    results.add(Comparison(work, used, LIMITS, amount=SIZE / MIB, unit="MiB"))


def _wait_until_done(operator: Operator, transfer_id: str) -> None:
    assert tus.wait_for_end(operator, transfer_id)["state"] == "done"
