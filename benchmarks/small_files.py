"""500 and 5,000 files of 1 MiB and of 10 KiB by tus until all are done, compared with other clients.

Up to 500 are also sent from the page in Chromium. SMALL_FILES=100 measures fewer files.
"""

from __future__ import annotations

import base64
import http.client
import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import from_page, rounds, stores
from benchmarks.from_page import PAGE, FromPage
from benchmarks.peers import AWS, BOTO3, CONNECTIONS, MINIO, RCLONE, S5CMD, Peer, Target
from benchmarks.results import OURS, Comparison, Figure, Limit, Results
from benchmarks.usage import Usage, cpu_seconds
from tests.system.stack import MIB, Operator, Stack

FILES = tuple(int(each) for each in os.environ.get("SMALL_FILES", "500,5000").split(","))
ROUNDS = 5
STORE = "small-files"
"""The name of the store. Benchmarks that share a stack use different names."""

SIZES = {"1 MiB": MIB, "10 KiB": 10 * 1024}
PEERS = (AWS, BOTO3, MINIO, RCLONE, S5CMD)

RATIOS = {"sqlite": 1.0, "postgresql": 1 / 1.5}
"""The limit of the time, relative to `aws s3 cp --recursive`, by the database."""

CPU_LIMIT = 12.0
"""CPU milliseconds of all our processes for each file."""

BUSY = (429, 503)

MOST_FROM_PAGE = 500
"""How many files the page sends at most, so that a run ends in time."""


def run(stack: Stack, scratch: Path, results: Results) -> None:
    with (
        stack.signed_in() as operator,
        stores.discarding(stack, STORE) as target,
        from_page.opened(stack, STORE) as page,
    ):
        for count in FILES:
            for name, size in SIZES.items():
                folder = scratch / f"{count}-{size}"
                files = list(_write_files(folder, count, size))
                work = f"{count:,} files of {name}, {stack.database}"
                _compare(stack, operator, page, target, folder, files, work, results)


def _compare(
    stack: Stack,
    operator: Operator,
    page: FromPage,
    target: Target,
    folder: Path,
    files: Sequence[Path],
    work: str,
    results: Results,
) -> None:
    cpu: list[dict[str, float]] = []

    def through_partway(number: int) -> Usage:
        before, started = cpu_seconds(stack), time.perf_counter()
        _send_all(operator, files, f"{OURS}-{folder.name}-{number}/")
        _wait_until_done(stack)
        seconds, after = time.perf_counter() - started, cpu_seconds(stack)
        used = {name: value - before[name] for name, value in after.items()}
        cpu.append(used)
        return Usage(seconds, sum(used.values()))

    def by_peer(peer: Peer, number: int) -> Usage:
        return peer.send(target, folder, f"{peer.name}-{folder.name}-{number}/")

    candidates = {peer.name: partial(by_peer, peer) for peer in PEERS} | {OURS: through_partway}
    if len(files) <= MOST_FROM_PAGE:
        candidates[PAGE] = lambda number: page.send(folder, len(files), f"page-{folder.name}-{number}/")
    used = rounds.measure(candidates, ROUNDS)
    limit = Limit(AWS.name, RATIOS[stack.database])
    ours = {name: usages for name, usages in used.items() if name != PAGE}
    results.add(
        Comparison(work, ours, [limit], amount=len(files), unit="files"), *_cpu_figures(cpu[1:], work, len(files))
    )
    if PAGE in used:
        _add_page(page, used, work, len(files), limit, results)


def _add_page(
    page: FromPage, used: Mapping[str, Sequence[Usage]], work: str, count: int, limit: Limit, results: Results
) -> None:
    measured = len(used[PAGE])
    compared = {name: used[name] for name in (AWS.name, PAGE)}
    requests = statistics.median(page.requests[-measured:]) / count
    results.add(
        Comparison(f"{work}, by the page", compared, [limit], ours=PAGE, amount=count, unit="files"),
        *_cpu_figures(page.cpu[-measured:], f"{work}, by the page", count),
        Figure(f"requests of tus for each of {work}, by the page", requests, ""),
    )


def _cpu_figures(cpu: Sequence[dict[str, float]], work: str, count: int) -> list[Figure]:
    return [
        Figure(f"CPU for each of {work}", _median_of_sums(cpu) / count * 1000, "ms", CPU_LIMIT),
        *(
            Figure(f"  of it {name}", statistics.median(each[name] for each in cpu) / count * 1000, "ms")
            for name in cpu[0]
        ),
    ]


def _median_of_sums(cpu: Sequence[dict[str, float]]) -> float:
    return statistics.median(sum(each.values()) for each in cpu)


def _write_files(folder: Path, count: int, size: int) -> Iterator[Path]:
    folder.mkdir()
    for number in range(count):
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
    named = {"store": STORE, "bucket": stores.BUCKET, "key": prefix + file.name, "fingerprint": prefix + file.name}
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
