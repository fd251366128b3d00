"""500 files of 1 MiB and of 10 KiB by tus until all are done, compared with `aws s3 cp --recursive`."""

from __future__ import annotations

import base64
import http.client
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from benchmarks import aws, rounds
from benchmarks.memory import OURS
from benchmarks.pipeline import BUCKET, discarding_store, verdict
from tests.system.stack import MIB, Operator, Stack

FILES = int(os.environ.get("SMALL_FILES", "500"))
ROUNDS = int(os.environ.get("SMALL_FILES_ROUNDS", "3"))
SIZES = (MIB, 10 * 1024)
CONNECTIONS = 10
"""As many as the page has, and as many as the AWS CLI has threads."""

LIMIT = 1.0
"""The limit of the time, relative to `aws s3 cp --recursive`."""

CPU_LIMIT = 0.012
"""CPU seconds of all our processes for each file."""

BUSY = (429, 503)


def run(stack: Stack, scratch: Path) -> bool:
    with stack.signed_in() as operator, discarding_store(stack, "fast") as endpoint:
        met = [_compare(stack, operator, scratch, endpoint, size) for size in SIZES]
    return all(met)


def _compare(stack: Stack, operator: Operator, scratch: Path, endpoint: str, size: int) -> bool:
    folder = scratch / f"files-{size}"
    files = list(_write_files(folder, size))
    cpu: list[dict[str, float]] = []

    def through_partway(number: int) -> None:
        before = _cpu_seconds(stack)
        _send_all(operator, files, f"partway-{size}-{number}/")
        _wait_until_done(stack)
        after = _cpu_seconds(stack)
        cpu.append({name: (seconds - before[name]) / len(files) for name, seconds in after.items()})

    def by_aws(number: int) -> None:
        target = f"s3://{BUCKET}/aws-{size}-{number}/"
        aws.s3_cp(folder, target, endpoint=endpoint, region="us-east-1", access_key="a", secret_key="b", recursive=True)

    print(f"\n{len(files)} files of {size} bytes:")
    base = "aws s3 cp --recursive"
    seconds = rounds.measure({base: by_aws, "Partway": through_partway}, ROUNDS)
    rounds.show(seconds, base, amount=len(files), unit="files")
    ratio = rounds.median_ratio(seconds["Partway"], seconds[base])
    of_processes = {name: statistics.median(each[name] for each in cpu[1:]) for name in cpu[0]}
    per_file = statistics.median(sum(each.values()) for each in cpu[1:])
    met = per_file <= CPU_LIMIT
    print(verdict(ratio, LIMIT))
    print(f"CPU for each file: {per_file * 1000:.1f} ms, limit {CPU_LIMIT * 1000:g}: {'met' if met else 'EXCEEDED'}.")
    print(", ".join(f"{name} {seconds * 1000:.1f} ms" for name, seconds in of_processes.items()))
    return ratio <= LIMIT and met


def _write_files(folder: Path, size: int) -> Iterator[Path]:
    folder.mkdir()
    for number in range(FILES):
        file = folder / f"{number:05}"
        file.write_bytes(os.urandom(size))
        yield file


def _send_all(operator: Operator, files: Sequence[Path], prefix: str) -> None:
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for _ in pool.map(lambda each: _send_some(operator, files[each::CONNECTIONS], prefix), range(CONNECTIONS)):
            pass


def _send_some(operator: Operator, files: Sequence[Path], prefix: str) -> None:
    with _connection(operator) as connection:
        for file in files:
            while (seconds := _send(connection, operator, file, prefix)) is not None:
                time.sleep(seconds)


@contextmanager
def _connection(operator: Operator) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(urlsplit(operator.url).netloc, timeout=600)
    try:
        yield connection
    finally:
        connection.close()


def _send(connection: http.client.HTTPConnection, operator: Operator, file: Path, prefix: str) -> float | None:
    """Create an upload with all of its bytes. Returns after how many seconds to try again, None if it was created."""
    body = file.read_bytes()
    named = {"store": "fast", "bucket": BUCKET, "key": prefix + file.name, "fingerprint": prefix + file.name}
    named |= {"replace": "on", "replace-etag": "*"}
    metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in named.items())
    headers = {
        "Tus-Resumable": "1.0.0",
        "Cookie": operator.cookies,
        "X-CSRFToken": operator.csrf_token,
        "Upload-Length": str(len(body)),
        "Upload-Metadata": metadata,
        "Content-Type": "application/offset+octet-stream",
    }
    connection.request("POST", "/files/", body, headers)
    response = connection.getresponse()
    text = response.read()
    if response.status in BUSY:
        return float(response.headers["Retry-After"])
    assert response.status == 201, text
    assert response.headers["Upload-Offset"] == str(len(body)), "some bytes have to be sent again"
    return None


def _wait_until_done(stack: Stack) -> None:
    while stack.query("SELECT 1 FROM uploads_transfer WHERE finished_at IS NULL LIMIT 1"):
        time.sleep(0.05)
    assert not stack.query("SELECT 1 FROM uploads_transfer WHERE phase != 'done' LIMIT 1")


def _cpu_seconds(stack: Stack) -> dict[str, float]:
    """The CPU seconds that each of our processes and its children have taken."""
    return {name: sum(map(_cpu_of, stack.tree(name))) for name in OURS if stack.is_running(name)}


def _cpu_of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
