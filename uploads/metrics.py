"""Counters and histograms.

Each process writes to its own files in PROMETHEUS_MULTIPROC_DIR. A scrape adds up the files of all processes, also of
those that have ended. Without that folder a scrape has only the values of its own process.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from uploads.objectstore.errors import NotSent, ObjectStoreError, OutcomeUnknown

FOLDER = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")

FILE_BYTES = 256 * 1024
"""Far more than a process writes. The client library maps sparse files: a full disk would kill the process."""


def _allocate_files() -> None:
    """Allocate the files of this process on the disk before anything is counted."""
    for kind in ("counter", "histogram"):
        with (Path(FOLDER) / f"{kind}_{os.getpid()}.db").open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, FILE_BYTES)


def _allocate_files_of_child() -> None:
    with suppress(OSError):
        _allocate_files()


if FOLDER:
    # The library reads the folder's name when it is imported.
    try:
        Path(FOLDER).mkdir(mode=0o700, parents=True, exist_ok=True)
        _allocate_files()
    except OSError:
        # Work without metrics is better than no work: this process keeps its values in memory.
        FOLDER = ""
        del os.environ["PROMETHEUS_MULTIPROC_DIR"]
    else:
        os.register_at_fork(after_in_child=_allocate_files_of_child)

from prometheus_client import CollectorRegistry, Counter, Histogram  # noqa: E402

registry = CollectorRegistry()

PARTS_SENT = Counter("partway_parts_sent", "Parts that stores have accepted.", registry=registry)
BYTES_SENT = Counter("partway_bytes_sent", "Bytes of the parts that stores have accepted.", registry=registry)
RETRIES = Counter(
    "partway_retries",
    "Failed attempts that are repeated: requests at once, pieces of work later.",
    ["scope", "reason"],
    registry=registry,
)
LEASE_TAKEOVERS = Counter(
    "partway_lease_takeovers",
    "Pieces of work that were given to another worker, because their lease expired.",
    ["work"],
    registry=registry,
)
STORE_REQUESTS = Histogram(
    "partway_store_request_seconds",
    "Requests to stores, each attempt separately.",
    ["operation", "outcome"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 120),
    registry=registry,
)


def part_sent(size: int) -> None:
    PARTS_SENT.inc()
    BYTES_SENT.inc(size)


def work_deferred(reason: str) -> None:
    RETRIES.labels("work", reason).inc()


def leases_taken_over(work: str, count: int) -> None:
    """`work` is the name of a kind of work: part, item, transfer, check, scan and so on."""
    LEASE_TAKEOVERS.labels(work).inc(count)


class StoreObserver:
    """The object store client calls it for every request and every repeat."""

    def requested(self, operation: str, seconds: float, error: ObjectStoreError | None) -> None:
        STORE_REQUESTS.labels(operation, _outcome(error)).observe(seconds)

    def repeats(self, error: ObjectStoreError) -> None:
        RETRIES.labels("request", error.reason.value).inc()


def _outcome(error: ObjectStoreError | None) -> str:
    if error is None:
        return "ok"
    if isinstance(error, NotSent):
        return "not-sent"
    return "unknown" if isinstance(error, OutcomeUnknown) else "refused"
