"""The page of an upload with 10,000 parts, and its check before completing, compared with the bare requests."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from benchmarks import made_up, rounds, stores
from benchmarks.peers import Target
from benchmarks.results import OURS, Comparison, Limit, Results
from tests.system.stack import Operator, Stack
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import Credentials, StoreConfig

PARTS = 10_000
ROUNDS = 10
BUCKET = "uploads-1000"
BASE = "ListParts alone"
LIMITS = (Limit(BASE, 1.5),)


PAGES = (
    (f"page of {PARTS:,} parts", "detail", made_up.part_etag(1)),
    (f"check before completing {PARTS:,} parts", "complete", "Complete the upload"),
)
"""The work, the page, and a text that shows that the page has what it needs."""


def run(stack: Stack, _scratch: Path, results: Results) -> None:
    with stack.signed_in() as operator, stores.discarding(stack, "parts") as target:
        for work, page, expected in PAGES:
            results.add(_measure(operator, target, work, page, expected))


def _measure(operator: Operator, target: Target, work: str, page: str, expected: str) -> Comparison:
    """The bare requests are those of our client, one for each 1,000 parts."""
    config = StoreConfig(target.endpoint, target.region, Credentials(target.access_key, target.secret_key))
    client = ObjectStoreClient(config)
    name = {"key": made_up.key(0), "upload-id": made_up.upload_id(0, PARTS)}
    path = f"/stores/parts/{BUCKET}/uploads/{page}/?{urlencode(name)}"

    def bare(_: int) -> None:
        assert sum(1 for _ in client.iter_parts(BUCKET, name["key"], name["upload-id"])) == PARTS

    def ours(_: int) -> None:
        response = operator.session.get(operator.url + path)
        assert response.ok, response.text
        assert expected in response.text, response.text

    return Comparison(work, rounds.measure({BASE: bare, OURS: ours}, ROUNDS), LIMITS)
