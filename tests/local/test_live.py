"""The client of the demo that is still sending."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local import live
from tests.stores.swift import SwiftStore
from tests.system.stack import wait_for
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import Credentials, StoreConfig


@pytest.fixture
def config(swift_store: SwiftStore) -> StoreConfig:
    credentials = Credentials(swift_store.access_key, swift_store.secret_key)
    return StoreConfig(swift_store.endpoint_url, swift_store.region, credentials, provider="swift")


@pytest.fixture
def client(config: StoreConfig) -> Iterator[ObjectStoreClient]:
    with ObjectStoreClient(config) as client:
        yield client


@pytest.fixture
def bucket(swift_store: SwiftStore) -> str:
    return swift_store.new_bucket()


def numbers(client: ObjectStoreClient, bucket: str) -> list[int]:
    [upload] = client.list_multipart_uploads(bucket).uploads
    assert upload.key == live.KEY
    return [part.number for part in client.iter_parts(bucket, upload.key, upload.upload_id)]


def test_parts_are_added_and_the_last_one_is_replaced(
    client: ObjectStoreClient, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LAST_PART", 3)
    live.begin(client, bucket)
    live.begin(client, bucket)
    for expected in ([1], [1, 2], [1, 2, 3], [1, 2, 3]):
        assert live.send_next(client, bucket)
        assert numbers(client, bucket) == expected


def test_client_ends_with_its_upload(
    config: StoreConfig, client: ObjectStoreClient, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PAUSE_SECONDS", 0.1)
    live.begin(client, bucket)
    sender = live.Sender(config, bucket)
    sender.start()
    wait_for("a part", lambda: numbers(client, bucket))
    [upload] = client.list_multipart_uploads(bucket).uploads
    client.abort_multipart_upload(bucket, live.KEY, upload.upload_id)
    wait_for("the end of the client", lambda: not sender._thread.is_alive())
    assert not live.send_next(client, bucket)


def test_client_that_is_stopped_ends(config: StoreConfig, client: ObjectStoreClient, bucket: str) -> None:
    live.begin(client, bucket)
    sender = live.Sender(config, bucket)
    sender.start()
    sender.stop()
    wait_for("the end of the client", lambda: not sender._thread.is_alive())
