"""The demo bucket: what it contains, and that an interrupted seeding is completed by the next one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from local import demo
from tests.stores.swift import SwiftStore
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import Credentials, StoreConfig


class Interrupted(Exception):
    pass


def test_plan_resembles_a_real_bucket() -> None:
    uploads = demo.planned_uploads()
    keys = Counter(upload.key for upload in uploads)
    assert 300 <= len(uploads) <= 400
    assert len({key.split("/")[0] for key in keys}) >= 5
    assert {key: keys[key] for key in demo.SHARED_KEYS} == demo.SHARED_KEYS
    for character in (" ", "+", "//", "ü", "東", "%", "?", "#"):
        assert any(character in key for key in keys), character


def test_plan_has_the_special_uploads() -> None:
    parts = {upload.key: upload.parts for upload in demo.planned_uploads()}
    assert len(parts[demo.MANY_PARTS_KEY]) > 1000
    assert max(parts[demo.GAP_KEY]) > len(parts[demo.GAP_KEY])
    ready = parts[demo.READY_KEY]
    assert sorted(ready) == list(range(1, len(ready) + 1))
    assert all(ready[number] >= demo.SMALLEST for number in sorted(ready)[:-1])
    assert demo.READY_KEY in {planned.key for planned in demo.planned_objects()}


def test_interrupted_seeding_is_completed_without_duplicates(swift_store: SwiftStore, tmp_path: Path) -> None:
    credentials = Credentials(swift_store.access_key, swift_store.secret_key)
    config = StoreConfig(swift_store.endpoint_url, swift_store.region, credentials, provider="swift")
    bucket = swift_store.new_bucket()
    with ObjectStoreClient(config) as client:
        with pytest.raises(Interrupted):
            demo.seed(client, bucket, tmp_path / "seed", _interrupted_after(700))
        demo.seed(client, bucket, tmp_path / "seed", lambda done, total: None)
        assert _uploads(client, bucket) == _planned()
        sizes = {planned.key: client.head_object(bucket, planned.key).size for planned in demo.planned_objects()}
    assert sizes == {planned.key: planned.size for planned in demo.planned_objects()}
    assert not (tmp_path / "seed").exists()


def _interrupted_after(limit: int) -> demo.Progress:
    def progress(done: int, total: int) -> None:
        if done >= limit:
            raise Interrupted

    return progress


def _uploads(client: ObjectStoreClient, bucket: str) -> Counter[tuple[str, frozenset[tuple[int, int | None]]]]:
    uploads: Counter[tuple[str, frozenset[tuple[int, int | None]]]] = Counter()
    for page in client.iter_multipart_uploads(bucket):
        for upload in page.uploads:
            parts = client.iter_parts(bucket, upload.key, upload.upload_id)
            uploads[upload.key, frozenset((part.number, part.size) for part in parts)] += 1
    return uploads


def _planned() -> Counter[tuple[str, frozenset[tuple[int, int]]]]:
    return Counter((upload.key, frozenset(upload.parts.items())) for upload in demo.planned_uploads())
