"""200 transfers at once, and 50 open pages that watch them: the speed of the pages, and what they cost."""

from __future__ import annotations

import re
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from html import unescape
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import rounds, stores, tus
from benchmarks.files import write_random
from benchmarks.results import Comparison, Figure, Limit, Results
from benchmarks.usage import Usage
from tests.system.stack import MIB, Operator, Stack, wait_for

TRANSFERS, PAGES = 200, 50
SIZE = 10 * MIB
POLL_SECONDS = 1.0
"""How often the page of a transfer that is being sent asks."""

QUIET_SECONDS, QUIET_POLL_SECONDS = 5.0, 2.0
"""After so many seconds without a change it asks less often (`static/poll-delays.js`)."""

ROUNDS = 3
P95_SECONDS = 0.2
ALONE, WATCHED = "Partway, not watched", f"Partway, {PAGES} pages open"
LIMITS = (Limit(ALONE, 1 / 0.9),)


def run(stack: Stack, scratch: Path, results: Results) -> None:
    """The bytes are staged while the sender stands still. The time is that of sending them."""
    file = scratch / "file"
    write_random(file, SIZE)
    seen: list[float] = []
    with stack.signed_in() as operator, stores.discarding(stack, "watched") as target:

        def stage(kind: str, number: int) -> list[str]:
            stack.freeze("sender")
            keys = (f"{kind}-{number}-{each:03}" for each in range(TRANSFERS))
            return [tus.send(operator, file, store="watched", bucket=target.bucket, key=key) for key in keys]

        def alone(number: int) -> Usage:
            stage("alone", number)
            return _send(stack)

        def watched(number: int) -> Usage:
            ids = stage("watched", number)
            with _pages(operator, ids[:PAGES], seen):
                return _send(stack)

        used = rounds.measure({ALONE: alone, WATCHED: watched}, ROUNDS)
    work = f"{TRANSFERS} transfers at once"
    results.add(
        Comparison(work, used, LIMITS, ours=WATCHED, amount=TRANSFERS * SIZE / MIB, unit="MiB"),
        Figure(f"page of a transfer while {work}, p95", statistics.quantiles(seen, n=20)[-1], "s", P95_SECONDS),
    )


def _send(stack: Stack) -> Usage:
    started = time.perf_counter()
    stack.thaw("sender")
    unfinished = "SELECT 1 FROM uploads_transfer WHERE finished_at IS NULL LIMIT 1"
    wait_for("the ends of all transfers", lambda: not stack.query(unfinished), 600)
    assert not stack.query("SELECT 1 FROM uploads_transfer WHERE phase != 'done' LIMIT 1")
    return Usage(time.perf_counter() - started)


@contextmanager
def _pages(operator: Operator, ids: Sequence[str], seen: list[float]) -> Iterator[None]:
    """Pages that ask as a browser does, each with a connection of its own. `seen` gets the seconds of each request.

    They were opened one after the other, so they do not all ask at the same time.
    """
    stopped = threading.Event()
    delays = [POLL_SECONDS * place / len(ids) for place in range(len(ids))]
    watchers = [
        threading.Thread(target=_watch, args=(operator, each, delay, stopped, seen))
        for each, delay in zip(ids, delays, strict=True)
    ]
    for watcher in watchers:
        watcher.start()
    try:
        yield
    finally:
        stopped.set()
        for watcher in watchers:
            watcher.join()


def _watch(operator: Operator, transfer_id: str, delay: float, stopped: threading.Event, seen: list[float]) -> None:
    """As `static/polling.js`: a page asks where the last response says, and less often while nothing changes.

    With http.client, which takes little of the cores that are measured. Browsers run elsewhere.
    """
    headers = {"HX-Request": "true", "Cookie": operator.cookies, "Partway-Background": "1"}
    path, changed_at = f"/transfers/{transfer_id}/", time.monotonic()
    with closing(HTTPConnection(urlsplit(operator.url).netloc, timeout=60)) as connection:
        while path and not stopped.wait(delay):
            started = time.perf_counter()
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            page = response.read().decode()
            seen.append(time.perf_counter() - started)
            assert response.status in (HTTPStatus.OK, HTTPStatus.NO_CONTENT), page
            if response.status != HTTPStatus.NO_CONTENT:
                path, changed_at = _next(page), time.monotonic()
            delay = POLL_SECONDS if time.monotonic() - changed_at < QUIET_SECONDS else QUIET_POLL_SECONDS


def _next(page: str) -> str:
    """Where the page asks next; empty for one whose transfer has ended, which asks no more."""
    found = re.search(r'hx-get="([^"]+)"', page)
    return unescape(found[1]) if found else ""
