"""The fault proxy: it changes nothing without a fault, holds parts, and makes a store unreachable and reachable."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.stores.swift import SwiftStore
from tests.system.fault_proxy import Fault, FaultProxy
from tests.system.stack import wait_for
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import NotSent, ObjectStoreError, OutcomeUnknown, Reason, Refused
from uploads.objectstore.retry import RetryPolicy
from uploads.objectstore.types import CompletedPart, Credentials, FileSlice, StoreConfig

PART = 5 * 1024**2


@pytest.fixture
def proxy(swift_store: SwiftStore) -> Iterator[FaultProxy]:
    with FaultProxy(swift_store.endpoint_url) as running:
        yield running


@pytest.fixture
def config(swift_store: SwiftStore, proxy: FaultProxy) -> StoreConfig:
    credentials = Credentials(swift_store.access_key, swift_store.secret_key)
    return StoreConfig(proxy.url, swift_store.region, credentials, provider="swift", stall_timeout=1)


@pytest.fixture
def client(config: StoreConfig) -> ObjectStoreClient:
    """A client without retries, so that each fault is visible."""
    return ObjectStoreClient(config, retries=RetryPolicy(attempts=1))


@pytest.fixture
def body(tmp_path: Path) -> FileSlice:
    (tmp_path / "body").write_bytes(os.urandom(PART))
    return FileSlice(tmp_path / "body", 0, PART)


def test_requests_and_signatures_stay_unchanged(
    swift_store: SwiftStore, proxy: FaultProxy, client: ObjectStoreClient, body: FileSlice
) -> None:
    bucket, key = swift_store.new_bucket(), "a//b c/../é+%2F"
    upload_id = client.create_multipart_upload(bucket, key)
    etag = client.upload_part(bucket, key, upload_id, 1, body).etag
    assert [part.etag for part in client.list_parts(bucket, key, upload_id).parts] == [etag]
    assert [each.key for each in client.list_multipart_uploads(bucket).uploads] == [key]
    client.complete_multipart_upload(bucket, key, upload_id, [CompletedPart(1, etag)])
    assert client.head_object(bucket, key).size == PART
    client.put_object(bucket, "empty", None)
    doomed = client.create_multipart_upload(bucket, key)
    client.abort_multipart_upload(bucket, key, doomed)
    assert dict(proxy.requests) == {
        "CreateMultipartUpload": 2,
        "UploadPart": 1,
        "ListParts": 1,
        "ListMultipartUploads": 1,
        "CompleteMultipartUpload": 1,
        "HeadObject": 1,
        "PutObject": 1,
        "AbortMultipartUpload": 1,
    }
    assert not proxy.faults


UNKNOWN = (
    Fault.STALL,
    Fault.RESET_BEFORE_BODY,
    Fault.RESET_DURING_BODY,
    Fault.RESET_AFTER_BODY,
    Fault.RESPONSE_LOST,
    Fault.BAD_GATEWAY,
)
REFUSED = {
    Fault.INTERNAL_ERROR: "InternalError",
    Fault.SLOW_DOWN: "SlowDown",
    Fault.TOO_MANY_REQUESTS: "TooManyRequests",
    Fault.ERROR_INSIDE: "InternalError",
    Fault.EXPIRED_TOKEN: "ExpiredToken",
    Fault.INVALID_ACCESS_KEY: "InvalidAccessKeyId",
    Fault.ACCESS_DENIED: "AccessDenied",
    Fault.FLIPPED_BYTE: "BadDigest",
}


@pytest.mark.parametrize("fault", [*UNKNOWN, *REFUSED])
def test_each_fault_raises_its_error_and_the_next_request_succeeds(
    swift_store: SwiftStore, proxy: FaultProxy, client: ObjectStoreClient, body: FileSlice, fault: Fault
) -> None:
    bucket = swift_store.new_bucket()
    proxy.next("PutObject", fault)
    with pytest.raises(ObjectStoreError) as caught:
        client.put_object(bucket, "k", body)
    if fault in UNKNOWN:
        assert isinstance(caught.value, OutcomeUnknown)
    else:
        assert isinstance(caught.value, Refused)
        assert caught.value.code == REFUSED[fault]
        assert (caught.value.retry_after is not None) == (fault in (Fault.SLOW_DOWN, Fault.TOO_MANY_REQUESTS))
    assert proxy.faults == {fault: 1}
    assert client.put_object(bucket, "k", body).etag
    assert client.head_object(bucket, "k").size == PART


@pytest.mark.parametrize("half_way", [True, False])
def test_held_part_arrives_when_it_is_released(
    swift_store: SwiftStore, proxy: FaultProxy, config: StoreConfig, body: FileSlice, half_way: bool
) -> None:
    bucket, client = swift_store.new_bucket(), ObjectStoreClient(replace(config, stall_timeout=60))
    upload_id = client.create_multipart_upload(bucket, "k")
    client.upload_part(bucket, "k", upload_id, 1, body)
    with ThreadPoolExecutor(1) as pool:
        with proxy.holding_parts(2, half_way=half_way):
            sent = pool.submit(client.upload_part, bucket, "k", upload_id, 2, body)
            wait_for("the held part", lambda: proxy.held == 1)
            assert [part.number for part in client.list_parts(bucket, "k", upload_id).parts] == [1]
        etag = sent.result().etag
    assert [part.etag for part in client.list_parts(bucket, "k", upload_id).parts][1:] == [etag]
    assert proxy.held == 0


def test_truncated_response_body_is_a_lost_connection(
    swift_store: SwiftStore, proxy: FaultProxy, client: ObjectStoreClient
) -> None:
    proxy.next("ListBuckets", Fault.TRUNCATED)
    with pytest.raises(OutcomeUnknown):
        client.list_buckets()


def test_truncated_response_head_is_a_lost_connection(
    swift_store: SwiftStore, proxy: FaultProxy, client: ObjectStoreClient, body: FileSlice
) -> None:
    bucket = swift_store.new_bucket()
    client.put_object(bucket, "k", body)
    proxy.next("HeadObject", Fault.TRUNCATED)
    with pytest.raises(OutcomeUnknown):
        client.head_object(bucket, "k")


@pytest.mark.parametrize("fault", [Fault.LATENCY, Fault.DUPLICATED])
def test_late_and_duplicated_responses_are_accepted(
    swift_store: SwiftStore, proxy: FaultProxy, client: ObjectStoreClient, body: FileSlice, fault: Fault
) -> None:
    bucket = swift_store.new_bucket()
    proxy.next("PutObject", fault)
    for _ in range(2):
        assert client.put_object(bucket, "k", body).etag
        assert client.head_object(bucket, "k").size == PART


def test_same_seed_gives_the_same_faults(swift_store: SwiftStore) -> None:
    seen = []
    for _ in range(2):
        with FaultProxy(swift_store.endpoint_url, seed=7) as proxy:
            credentials = Credentials(swift_store.access_key, swift_store.secret_key)
            config = StoreConfig(proxy.url, swift_store.region, credentials, provider="swift")
            client = ObjectStoreClient(config, retries=RetryPolicy(attempts=1))
            proxy.plan.add_chance(Fault.INTERNAL_ERROR, 0.5, "ListBuckets")
            responses = []
            for _ in range(20):
                try:
                    client.list_buckets()
                    responses.append(True)
                except Refused:
                    responses.append(False)
            seen.append(responses)
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 2


def test_disconnected_store_is_unreachable_until_it_is_reconnected(
    proxy: FaultProxy, client: ObjectStoreClient
) -> None:
    client.list_buckets()
    proxy.disconnect()
    with pytest.raises(NotSent):
        client.list_buckets()
    proxy.reconnect()
    client.list_buckets()


def test_drain_lets_running_requests_end(proxy: FaultProxy, client: ObjectStoreClient) -> None:
    proxy.latency = 0.5
    proxy.next("ListBuckets", Fault.LATENCY)
    responses: list[object] = []
    thread = threading.Thread(target=lambda: responses.append(client.list_buckets()))
    thread.start()
    time.sleep(0.2)
    proxy.drain()
    thread.join()
    assert len(responses) == 1
    with pytest.raises(NotSent):
        client.list_buckets()


def test_frozen_store_accepts_connections_and_never_responds(proxy: FaultProxy, client: ObjectStoreClient) -> None:
    with proxy.frozen(), pytest.raises(OutcomeUnknown) as caught:
        client.list_buckets()
    assert caught.value.reason is Reason.TIMEOUT
    client.list_buckets()
