"""A scan of the embedded store against a bare loop of the same requests at the same concurrency."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from benchmarks import rounds
from benchmarks.results import OURS, Comparison, Figure, Limit, Results
from benchmarks.usage import Usage
from tests.system.stack import Stack, wait_for
from uploads.objectstore.client import ObjectStoreClient

UPLOADS, BUCKETS, THREADS, ROUNDS = 2000, 5, 6, 5
"""A scanner has 8 threads, of which one store may hold 6."""

BASE = "bare loop"
LIMITS = (Limit(BASE, 1 / 0.8),)

REQUEST = """
from uploads.models import InventorySettings, InventoryUpload, Scan, Store
from uploads.services.inventory.scans.request import request_scan
store = Store.objects.get()
limits = dict(requests_per_second=100000, requests_in_flight={threads})
InventorySettings.objects.update_or_create(store=store, defaults=limits)
InventoryUpload.objects.all().delete()
request_scan(None, store, "command", [(bucket, "") for bucket in {buckets!r}])
"""
RESULT = """
SELECT s.finished_at, s.created_at, (SELECT sum(b.requests) FROM uploads_bucketscan b WHERE b.scan_id = s.id),
(SELECT sum(b.checked) FROM uploads_bucketscan b WHERE b.scan_id = s.id)
FROM uploads_scan s ORDER BY s.created_at DESC LIMIT 1
"""


def run(stack: Stack, _scratch: Path, results: Results) -> None:
    buckets = [stack.new_bucket() for _ in range(BUCKETS)]
    client = stack.client
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(lambda n: client.create_multipart_upload(buckets[n % BUCKETS], f"k/{n}"), range(UPLOADS)))
        sent: list[float] = []

        def bare(_: int) -> Usage:
            return Usage(_bare(client, buckets, threads))

        def ours(_: int) -> Usage:
            seconds, requests, checked = _scan(stack, buckets)
            assert checked == UPLOADS, f"{checked} of {UPLOADS} uploads were read"
            sent.append(requests / UPLOADS)
            return Usage(seconds)

        used = rounds.measure({BASE: bare, OURS: ours}, ROUNDS)
    results.add(
        Comparison(f"scan of {UPLOADS:,} uploads", used, LIMITS, amount=UPLOADS, unit="uploads"),
        Figure("requests for each upload of a scan", max(sent), "requests"),
    )


def _bare(client: ObjectStoreClient, buckets: list[str], threads: ThreadPoolExecutor) -> float:
    """List all uploads, then list the parts of each."""
    started = time.monotonic()
    pages = threads.map(lambda bucket: (bucket, list(client.iter_multipart_uploads(bucket))), buckets)
    uploads = [(bucket, each.key, each.upload_id) for bucket, found in pages for page in found for each in page.uploads]
    list(threads.map(lambda upload: client.list_parts(*upload), uploads))
    return time.monotonic() - started


def _scan(stack: Stack, buckets: list[str]) -> tuple[float, int, int]:
    """Seconds from the request to the end, as the database has them; requests, and uploads that were read."""
    stack.run_python(REQUEST.format(threads=THREADS, buckets=buckets))
    wait_for("the end of the scan", lambda: stack.query(RESULT)[0][0], 300)
    ((finished, created, requests, checked),) = stack.query(RESULT)
    return (_time(finished) - _time(created)), int(requests), int(checked)


def _time(value: object) -> float:
    return datetime.fromisoformat(str(value)).timestamp()
