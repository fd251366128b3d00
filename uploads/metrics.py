"""What is counted where it happens.

Each process counts into files of its own in PROMETHEUS_MULTIPROC_DIR; a scrape adds them up, those of dead processes
too. Without that folder a scrape sees only what its own process counted.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from uploads.objectstore.errors import NotSent, ObjectStoreError, OutcomeUnknown

FOLDER = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")

FILE_BYTES = 256 * 1024
"""Far more than a process writes. The client library maps files with holes: a full disk would end the process."""


def _claim_files() -> None:
    """Have the disk give this process its files before anything is counted."""
    for kind in ("counter", "histogram"):
        with (Path(FOLDER) / f"{kind}_{os.getpid()}.db").open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, FILE_BYTES)


def _claim_files_of_child() -> None:
    with suppress(OSError):
        _claim_files()


if FOLDER:
    # The library reads the folder's name when it is imported.
    try:
        Path(FOLDER).mkdir(mode=0o700, parents=True, exist_ok=True)
        _claim_files()
    except OSError:
        # Counting is worth less than working: this process counts for itself.
        FOLDER = ""
        del os.environ["PROMETHEUS_MULTIPROC_DIR"]
    else:
        os.register_at_fork(after_in_child=_claim_files_of_child)

from prometheus_client import CollectorRegistry, Counter, Histogram  # noqa: E402

registry = CollectorRegistry()

PARTS_SENT = Counter("partway_parts_sent", "Parts that stores have taken.", registry=registry)
BYTES_SENT = Counter("partway_bytes_sent", "Bytes of the parts that stores have taken.", registry=registry)
RETRIES = Counter(
    "partway_retries",
    "Failed tries that were followed, or will be, by another one: of one request at once, of a piece of work later.",
    ["scope", "reason"],
    registry=registry,
)
LEASE_TAKEOVERS = Counter(
    "partway_lease_takeovers",
    "Pieces of work whose holder was silent until its lease ran out, given to others.",
    ["work"],
    registry=registry,
)
STORE_REQUESTS = Histogram(
    "partway_store_request_seconds",
    "Requests to stores, each try by itself.",
    ["operation", "outcome"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 120),
    registry=registry,
)


def part_sent(size: int) -> None:
    PARTS_SENT.inc()
    BYTES_SENT.inc(size)


def work_tried_again(reason: str) -> None:
    RETRIES.labels("work", reason).inc()


def leases_taken_over(work: str, count: int) -> None:
    """`work` is the name of a kind of work: part, item, transfer or check."""
    LEASE_TAKEOVERS.labels(work).inc(count)


class StoreObserver:
    """Told by the object store client of every request and every repeat."""

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
