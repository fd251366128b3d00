"""1 GiB by tus through staging and the workers to a store that discards, compared with `aws s3 cp` straight to it."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import aws, rounds, tus
from benchmarks.files import write_random
from tests.system.stack import MIB, Operator, Stack

SIZE = 1024 * MIB
ROUNDS = 5
LIMIT = 0.55
"""Times as long as `aws s3 cp`."""

SLOW_SIZE = 512 * MIB
SLOW_RATE = 100 * 1000**2
SLOW_ROUNDS = 3
SLOW_LIMIT = 1.1
"""Times as long as the store's leg alone, with the store held at SLOW_RATE bytes a second."""

BUCKET = "discarded"


@contextmanager
def discarding_store(stack: Stack, name: str, rate: int = 0) -> Iterator[str]:
    """A store that throws bodies away, known to the dashboard by `name`; its endpoint."""
    argv = [sys.executable, "-m", "benchmarks.discarding_store", "--rate", str(rate)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            endpoint = f"http://127.0.0.1:{process.stdout.readline().strip()}"
            stack.run_python(
                "from uploads.services.stores.settings import StoreValues, add_store\n"
                f"add_store(None, StoreValues(name={name!r}, endpoint_url={endpoint!r}, region='us-east-1', "
                "access_key='a', secret_key='b'))"
            )
            yield endpoint
        finally:
            process.terminate()


def run(stack: Stack, scratch: Path) -> bool:
    file = scratch / "file"
    write_random(file, SIZE)
    with stack.signed_in() as operator:
        kept = [_against_aws(stack, operator, file)]
        os.truncate(file, SLOW_SIZE)
        kept.append(_legs_overlap(stack, operator, file))
    return all(kept)


def _against_aws(stack: Stack, operator: Operator, file: Path) -> bool:
    with discarding_store(stack, "fast") as endpoint:

        def through_partway(number: int) -> None:
            transfer_id = tus.send(operator, file, store="fast", bucket=BUCKET, key=f"partway-{number}")
            done = wait_for_end(operator, transfer_id)
            assert done["state"] == "done", done["error"]

        def by_aws(number: int) -> None:
            target = f"s3://{BUCKET}/aws-{number}"
            aws.s3_cp(file, target, endpoint=endpoint, region="us-east-1", access_key="a", secret_key="b")

        seconds = rounds.measure({"aws s3 cp": by_aws, "Partway": through_partway}, ROUNDS)
    rounds.show(seconds, "aws s3 cp", amount=SIZE / MIB, unit="MiB")
    ratio = _median_ratio(seconds["Partway"], seconds["aws s3 cp"])
    print(
        f"Partway stages every byte, synced, and sends it on; the AWS CLI sends it straight. {_verdict(ratio, LIMIT)}"
    )
    return ratio <= LIMIT


def wait_for_end(operator: Operator, transfer_id: str, seconds: float = 600) -> dict[str, object]:
    """Looks often: at these speeds the pause between two looks would be a part of what is measured."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = operator.transfer(transfer_id)
        if found["state"] in ("done", "failed", "cancelled"):
            return found
        time.sleep(0.02)
    raise AssertionError(f"transfer {transfer_id} has not ended")


def _legs_overlap(stack: Stack, operator: Operator, file: Path) -> bool:
    """The store is the longer leg: both legs together take hardly longer than it does alone."""
    with discarding_store(stack, "slow", SLOW_RATE):

        def store_leg_alone(number: int) -> float:
            stack.freeze("sender")
            transfer_id = tus.send(operator, file, store="slow", bucket=BUCKET, key=f"alone-{number}")
            started = time.perf_counter()
            stack.thaw("sender")
            assert wait_for_end(operator, transfer_id)["state"] == "done"
            return time.perf_counter() - started

        def both_legs(number: int) -> float:
            started = time.perf_counter()
            transfer_id = tus.send(operator, file, store="slow", bucket=BUCKET, key=f"both-{number}")
            assert wait_for_end(operator, transfer_id)["state"] == "done"
            return time.perf_counter() - started

        pairs = [(store_leg_alone(number), both_legs(number)) for number in range(SLOW_ROUNDS)]
    seconds = {"store's leg alone": [pair[0] for pair in pairs], "both legs": [pair[1] for pair in pairs]}
    print(f"\nThe store held at {SLOW_RATE / 1000**2:g} MB/s, {SLOW_SIZE // MIB} MiB:")
    rounds.show(seconds, "store's leg alone", amount=SLOW_SIZE / MIB, unit="MiB")
    ratio = _median_ratio(seconds["both legs"], seconds["store's leg alone"])
    print(_verdict(ratio, SLOW_LIMIT))
    return ratio <= SLOW_LIMIT


def _median_ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(ours) / statistics.median(theirs)


def _verdict(ratio: float, limit: float) -> str:
    return f"Medians: {ratio:.2f} x, limit {limit:g} x: {'kept' if ratio <= limit else 'NOT KEPT'}."
