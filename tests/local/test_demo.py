"""The demo bucket: what it contains, and that an interrupted seeding is completed by the next one."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local import demo
from tests.stores.swift import SwiftStore
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import CompletedPart, Credentials, StoreConfig


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
            demo.seed(config, bucket, tmp_path / "seed", _interrupted_after(700))
        demo.seed(config, bucket, tmp_path / "seed", lambda done, total: None)
        assert _uploads(client, bucket) == _planned()
        sizes = {planned.key: client.head_object(bucket, planned.key).size for planned in demo.planned_objects()}
    assert sizes == {planned.key: planned.size for planned in demo.planned_objects()}
    assert not (tmp_path / "seed").exists()


def test_the_bucket_has_a_history(swift_store: SwiftStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dates come from the store. One upload is to be rescued, and one to be aborted."""
    kept = [each for each in demo.planned_uploads() if each.key in (demo.READY_KEY, demo.SUPERSEDED_KEY, demo.GAP_KEY)]
    monkeypatch.setattr(demo, "planned_uploads", lambda: kept)
    credentials = Credentials(swift_store.access_key, swift_store.secret_key)
    config = StoreConfig(swift_store.endpoint_url, swift_store.region, credentials, provider="swift")
    bucket = swift_store.new_bucket()
    demo.seed(config, bucket, tmp_path / "seed", lambda done, total: None)
    now = datetime.now(UTC)
    with ObjectStoreClient(config) as client:
        uploads = client.list_multipart_uploads(bucket).uploads
        # Swift rounds its dates up, so a whole number of days ago may be less by a moment.
        day = timedelta(days=1)
        ages = {upload.key: round((now - upload.initiated) / day) for upload in uploads if upload.initiated}
        assert ages == {demo.GAP_KEY: 40, demo.READY_KEY: 3, demo.SUPERSEDED_KEY: ages[demo.SUPERSEDED_KEY]}
        ready = next(upload for upload in uploads if upload.key == demo.READY_KEY)
        parts = list(client.iter_parts(bucket, ready.key, ready.upload_id))
        arrived = [part.last_modified - ready.initiated for part in parts]  # type: ignore[operator]
        assert [round(each / timedelta(minutes=1)) for each in arrived] == [1, 2, 3]
        written = client.head_object(bucket, demo.SUPERSEDED_KEY).last_modified
        assert written is not None
        assert all(each.initiated and each.initiated < written for each in uploads if each.key == demo.SUPERSEDED_KEY)
        replaced = client.head_object(bucket, demo.READY_KEY).last_modified
        assert replaced is not None
        assert ready.initiated is not None
        assert replaced < ready.initiated
        # The upload is an ordinary one: it can be completed.
        completed = [CompletedPart(part.number, part.etag) for part in parts]
        assert client.complete_multipart_upload(bucket, ready.key, ready.upload_id, completed)
        rescued = client.head_object(bucket, demo.READY_KEY).last_modified
        assert rescued is not None
        assert rescued > now - timedelta(hours=1)
        assert client.list_buckets()[0].created is None


def test_ages_span_months_and_today() -> None:
    ages = [upload.age for upload in demo.planned_uploads()]
    assert max(ages) > timedelta(days=300)
    assert min(ages) < timedelta(hours=4)


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
