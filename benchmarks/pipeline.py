"""1 GiB by tus through Partway to a store that discards bodies, compared with `aws s3 cp` to the same store."""

from __future__ import annotations

import os
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
"""The limit of the time, relative to `aws s3 cp`."""

SLOW_SIZE = 512 * MIB
SLOW_RATE = 100 * 1000**2
SLOW_ROUNDS = 3
SLOW_LIMIT = 1.1
"""The limit of the time relative to Partway → store alone, with a store that is limited to SLOW_RATE."""

BUCKET = "discarded"


@contextmanager
def discarding_store(stack: Stack, name: str, rate: int = 0) -> Iterator[str]:
    """Run a store that discards bodies and add it to the dashboard as `name`. Yields its endpoint."""
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
        met = [_compare_with_aws(stack, operator, file)]
        os.truncate(file, SLOW_SIZE)
        met.append(_check_overlap(stack, operator, file))
    return all(met)


def _compare_with_aws(stack: Stack, operator: Operator, file: Path) -> bool:
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
    ratio = rounds.median_ratio(seconds["Partway"], seconds["aws s3 cp"])
    print(
        f"Partway stages and syncs every byte before it sends it; the AWS CLI sends directly. {verdict(ratio, LIMIT)}"
    )
    return ratio <= LIMIT


def wait_for_end(operator: Operator, transfer_id: str, seconds: float = 600) -> dict[str, object]:
    """Wait with a short polling interval, because the interval is part of the measured time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        transfer = operator.transfer(transfer_id)
        if transfer["state"] in ("done", "failed", "cancelled"):
            return transfer
        time.sleep(0.02)
    raise AssertionError(f"transfer {transfer_id} has not ended")


def _check_overlap(stack: Stack, operator: Operator, file: Path) -> bool:
    """With a slow store, receiving and sending together take hardly longer than sending alone."""
    with discarding_store(stack, "slow", SLOW_RATE):

        def send_only(number: int) -> float:
            stack.freeze("sender")
            transfer_id = tus.send(operator, file, store="slow", bucket=BUCKET, key=f"alone-{number}")
            started = time.perf_counter()
            stack.thaw("sender")
            assert wait_for_end(operator, transfer_id)["state"] == "done"
            return time.perf_counter() - started

        def receive_and_send(number: int) -> float:
            started = time.perf_counter()
            transfer_id = tus.send(operator, file, store="slow", bucket=BUCKET, key=f"both-{number}")
            assert wait_for_end(operator, transfer_id)["state"] == "done"
            return time.perf_counter() - started

        pairs = [(send_only(number), receive_and_send(number)) for number in range(SLOW_ROUNDS)]
    seconds = {
        "Partway → store alone": [pair[0] for pair in pairs],
        "both at the same time": [pair[1] for pair in pairs],
    }
    print(f"\nWith a store limited to {SLOW_RATE / 1000**2:g} MB/s, {SLOW_SIZE // MIB} MiB:")
    rounds.show(seconds, "Partway → store alone", amount=SLOW_SIZE / MIB, unit="MiB")
    ratio = rounds.median_ratio(seconds["both at the same time"], seconds["Partway → store alone"])
    print(verdict(ratio, SLOW_LIMIT))
    return ratio <= SLOW_LIMIT


def verdict(ratio: float, limit: float) -> str:
    return f"Medians: {ratio:.2f} x, limit {limit:g} x: {'met' if ratio <= limit else 'EXCEEDED'}."
