"""Aborts of 5,000 uploads that an operator has selected, compared with a bare loop of the same requests."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

from benchmarks import rounds, stores
from benchmarks.results import OURS, Comparison, Limit, Results
from benchmarks.usage import Usage, of_partway
from tests.system.stack import Operator, Stack, wait_for
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import Refused
from uploads.objectstore.types import Credentials, StoreConfig

UPLOADS = 5000
SELECTED = 1000
"""As many as one confirmation may have."""

THREADS = 8
"""The threads of a worker."""

ROUNDS = 3
BASE = "bare loop"
LIMITS = (Limit(BASE, 1 / 0.9),)

Names = Sequence[tuple[str, str]]


def run(stack: Stack, _scratch: Path, results: Results) -> None:
    """Each abort is AbortMultipartUpload, and ListParts to see that the upload is gone."""
    with stack.signed_in() as operator, stores.discarding(stack, "aborted") as target:
        keys = Credentials(target.access_key, target.secret_key)
        client = ObjectStoreClient(StoreConfig(target.endpoint, target.region, keys))
        with ThreadPoolExecutor(THREADS) as pool:

            def create(kind: str, number: int) -> Names:
                names = [f"{kind}/{number}/{each:05}" for each in range(UPLOADS)]
                ids = pool.map(lambda key: client.create_multipart_upload(target.bucket, key), names)
                return list(zip(names, ids, strict=True))

            def bare(number: int) -> Usage:
                names = create("bare", number)
                started = time.perf_counter()
                list(pool.map(lambda name: _abort(client, target.bucket, *name), names))
                return Usage(time.perf_counter() - started)

            def ours(number: int) -> Usage:
                names = create("partway", number)
                return of_partway(stack, lambda: _abort_selected(stack, operator, target.bucket, names))

            used = rounds.measure({BASE: bare, OURS: ours}, ROUNDS)
    results.add(Comparison(f"abort of {UPLOADS:,} uploads", used, LIMITS, amount=UPLOADS, unit="uploads"))


def _abort(client: ObjectStoreClient, bucket: str, key: str, upload_id: str) -> None:
    client.abort_multipart_upload(bucket, key, upload_id)
    try:
        client.list_parts(bucket, key, upload_id)
    except Refused as refused:
        if refused.code == "NoSuchUpload":
            return
    raise AssertionError(f"the store has {upload_id} still")


def _abort_selected(stack: Stack, operator: Operator, bucket: str, names: Names) -> None:
    for start in range(0, len(names), SELECTED):
        selected = [
            f"{quote(key, safe='')}/{quote(upload_id, safe='')}" for key, upload_id in names[start : start + SELECTED]
        ]
        response = operator.post(f"/stores/aborted/{bucket}/uploads/abort/", [("upload", each) for each in selected])
        assert response.status_code in (200, 202), response.text
    unfinished = "SELECT count(*) FROM uploads_operationitem WHERE state NOT IN ('done', 'failed')"
    wait_for("the ends of all aborts", lambda: stack.query(unfinished)[0][0] == 0, 300)
    assert not stack.query("SELECT 1 FROM uploads_operationitem WHERE state != 'done' LIMIT 1")
