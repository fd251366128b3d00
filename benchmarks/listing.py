"""The HTML page of 1,000 uploads, of 1,000 to 100,000, at its start and deep: compared with the call of boto3 alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks import made_up, rounds, stores
from benchmarks.peers import Target
from benchmarks.results import OURS, Comparison, Limit, Results
from tests.system.direct_store import Boto
from tests.system.stack import Operator, Stack
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import Credentials, StoreConfig

COUNTS = (1000, 20_000, 100_000)
ROUNDS = 20
BASE = "boto3"
LIMITS = (Limit(BASE, 1.0),)


def run(stack: Stack, _scratch: Path, results: Results) -> None:
    """The whole response, compressed as a browser asks for it. The store takes a few milliseconds of each."""
    with stack.signed_in() as operator, stores.discarding(stack, "listed") as target:
        for count in COUNTS:
            for place, marker in _places(count):
                results.add(_measure(operator, target, count, place, marker))


def _places(count: int) -> list[tuple[str, str]]:
    """Where a page starts, in words and as a key marker."""
    if count == made_up.PAGE:
        return [("the only page", "")]
    return [("the first page", ""), ("the middle page", made_up.key(count // 2))]


def _measure(operator: Operator, target: Target, count: int, place: str, marker: str) -> Comparison:
    bucket = f"uploads-{count}"
    config = StoreConfig(target.endpoint, target.region, Credentials(target.access_key, target.secret_key))
    boto3, ours = Boto(config).client, ObjectStoreClient(config)
    query = urlencode({"max-uploads": made_up.PAGE, **({"key-marker": marker} if marker else {})})
    path = f"/stores/listed/{bucket}/uploads/?{query}"

    def by_boto3(_: int) -> None:
        more: dict[str, Any] = {"KeyMarker": marker} if marker else {}
        page = boto3.list_multipart_uploads(Bucket=bucket, MaxUploads=made_up.PAGE, **more)
        assert len(page["Uploads"]) >= made_up.PAGE - 1

    def by_our_client(_: int) -> None:
        page = ours.list_multipart_uploads(bucket, max_uploads=made_up.PAGE, key_marker=marker)
        assert len(page.uploads) >= made_up.PAGE - 1

    def as_json(_: int) -> None:
        assert len(operator.get_json(path)["Uploads"]) >= made_up.PAGE - 1

    def as_html(_: int) -> None:
        response = operator.session.get(operator.url + path)
        assert response.text.count('name="upload"') >= made_up.PAGE - 1

    candidates = {BASE: by_boto3, "our client": by_our_client, "Partway, JSON": as_json, OURS: as_html}
    return Comparison(f"page of 1,000 of {count:,} uploads, {place}", rounds.measure(candidates, ROUNDS), LIMITS)
