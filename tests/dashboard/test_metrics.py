"""The metrics, and who may read them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import Error
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from tests.dashboard.make_transfer import make_transfer
from uploads import metrics
from uploads.domain.states import DesiredState, Phase
from uploads.models import Part, Store
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import NotSent, OutcomeUnknown, Reason, Refused
from uploads.objectstore.retry import RetryPolicy
from uploads.objectstore.types import Credentials, StoreConfig
from uploads.services.upkeep import metrics as monitoring
from uploads.services.work import attempts, broker

TOKEN = "a token of enough length"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def staging(settings: Settings, tmp_path: Path) -> None:
    settings.STAGING_DIR = tmp_path / "staging"
    settings.METRICS_TOKEN = TOKEN


def scrape(client: Client | None = None) -> dict[tuple[str, str], float]:
    """The values by name and labels, such as `a=b,c=d`."""
    response = (client or Client()).get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain")
    return {
        (sample.name, ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.content.decode())
        for sample in family.samples
    }


def increase(before: dict[tuple[str, str], float], name: str, labels: str = "") -> float:
    return scrape().get((name, labels), 0.0) - before.get((name, labels), 0.0)


def plain_store(**changes: str) -> Store:
    values = {"name": "s", "endpoint_url": "http://127.0.0.1:1", "access_key": "a", "secret_key": "hidden-secret"}
    return Store.objects.create(**values | changes)


# --- Access -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "2001:db8::1", "", "nonsense"])
def test_metrics_need_the_token_from_any_address(address: str, settings: Settings) -> None:
    client = Client(REMOTE_ADDR=address)
    settings.METRICS_TOKEN = ""
    assert client.get("/metrics").status_code == 403
    for given in ("", "Bearer", "Bearer ", "bearer wrong", TOKEN, f"Basic {TOKEN}"):
        assert client.get("/metrics", headers={"Authorization": given}).status_code == 403, given
    settings.METRICS_TOKEN = TOKEN
    for given in ("", "Bearer", "Bearer ", "bearer wrong", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \xe9"):
        assert client.get("/metrics", headers={"Authorization": given}).status_code == 403, given
    assert client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_refusal_reveals_nothing(operator_client: Client) -> None:
    response = operator_client.get("/metrics", REMOTE_ADDR="10.0.0.1")
    assert response.status_code == 403
    assert b"partway_" not in response.content


# --- Gauges -----------------------------------------------------------------------------------------------------------


def test_transfers_by_the_state_shown_on_pages(operator: User) -> None:
    store = plain_store()
    make_transfer(operator, store, phase=Phase.SENDING)
    make_transfer(operator, store, phase=Phase.SENDING, desired_state=DesiredState.PAUSE)
    make_transfer(operator, store, phase=Phase.SENDING, received_at=timezone.now() - timedelta(minutes=1))
    full: dict[str, Any] = {"received_at": timezone.now() - timedelta(minutes=1), "quota_refused_at": timezone.now()}
    make_transfer(operator, store, phase=Phase.RECEIVING, **full)
    make_transfer(operator, store, phase=Phase.COMPLETING, all_received=True, failing_since=timezone.now())
    make_transfer(operator, store, phase=Phase.DONE)
    make_transfer(operator, store, phase=Phase.DONE, desired_state=DesiredState.PAUSE)
    make_transfer(operator, store, phase=Phase.FAILED, desired_state=DesiredState.CANCEL)
    found = scrape()
    shown = {labels: value for (name, labels), value in found.items() if name == "partway_transfers"}
    assert shown == {
        "state=receiving": 0,
        "state=sending": 1,
        "state=waiting-for-browser": 1,
        "state=completing": 0,
        "state=paused": 1,
        "state=cancelling": 1,
        "state=done": 2,
        "state=failed": 0,
        "state=cancelled": 0,
        "state=waiting-for-node": 0,
        "state=waiting-for-space": 1,
        "state=waiting-for-store": 1,
    }


def test_staging(operator: User, settings: Settings) -> None:
    settings.STAGING_QUOTA = 5000
    transfer = make_transfer(operator, plain_store(), staged=2, node=settings.NODE_NAME)
    Part.objects.filter(transfer=transfer).update(reserved_bytes=1000)
    found = scrape()
    node = f"node={settings.NODE_NAME}"
    assert found["partway_staging_bytes", node] == 2000
    assert found["partway_staging_quota_bytes", node] == 5000
    assert found["partway_staging_free_bytes", node] == 3000


def test_queues(settings: Settings, redis_url: str) -> None:
    settings.REDIS_URL = redis_url
    client = broker.client_at(redis_url)
    assert client is not None
    steps = f"node.{settings.NODE_NAME}.steps"
    client.rpush(steps, "one", "two")
    broker.send_heartbeat([steps])
    try:
        found = scrape()
    finally:
        client.flushall()
    assert found["partway_queue_depth", f"queue={steps}"] == 2
    assert found["partway_queue_depth", "queue=partway"] == 0
    assert found["partway_queue_served", f"queue={steps}"] == 1
    assert found["partway_queue_served", "queue=partway"] == 0
    assert found["partway_up", "part=redis"] == 1


def test_stores_that_do_not_answer(operator: User) -> None:
    store = plain_store()
    assert scrape()["partway_store_answers", f"store={store.name}"] == 1
    Store.objects.update(timeouts=3, silent_since=timezone.now())
    assert scrape()["partway_store_answers", f"store={store.name}"] == 0
    Store.objects.update(enabled=False)
    assert ("partway_store_answers", f"store={store.name}") not in scrape()


def test_unavailable_parts_are_named_and_the_rest_is_reported(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    def broken() -> list[object]:
        raise Error("no database")

    monkeypatch.setattr(monitoring, "_transfers", broken)
    found = scrape()
    assert found["partway_up", "part=redis"] == 0
    assert found["partway_up", "part=database"] == 0
    assert found["partway_up", "part=staging"] == 1
    assert not [name for name, _ in found if name in ("partway_queue_depth", "partway_transfers")]
    assert ("partway_bytes_sent_total", "") in found


# --- Counters ---------------------------------------------------------------------------------------------------------


def test_requests_by_operation_and_outcome() -> None:
    before = scrape()
    config = StoreConfig("http://127.0.0.1:1", "r", Credentials("a", "hidden-secret"), provider="generic")
    retries = RetryPolicy(attempts=3, sleep=lambda _: None)
    with ObjectStoreClient(config, retries=retries, observer=metrics.StoreObserver()) as client, pytest.raises(NotSent):
        client.list_buckets()
    labels = "operation=ListBuckets,outcome=not-sent"
    assert increase(before, "partway_store_request_seconds_count", labels) == 3
    assert increase(before, "partway_store_request_seconds_bucket", f"le=+Inf,{labels}") == 3
    assert increase(before, "partway_retries_total", "reason=unreachable,scope=request") == 2


def test_outcomes_are_counted_separately() -> None:
    before = scrape()
    refused = Refused("no", code="AccessDenied", status=403, reason=Reason.PERMISSION)
    for error in (None, refused, OutcomeUnknown("?", reason=Reason.TIMEOUT), NotSent("-", reason=Reason.TLS)):
        metrics.StoreObserver().requested("HeadObject", 0.2, error)
    for outcome in ("ok", "refused", "unknown", "not-sent"):
        labels = f"operation=HeadObject,outcome={outcome}"
        assert increase(before, "partway_store_request_seconds_count", labels) == 1, outcome
        assert increase(before, "partway_store_request_seconds_bucket", f"le=0.1,{labels}") == 0
        assert increase(before, "partway_store_request_seconds_bucket", f"le=0.5,{labels}") == 1


def test_retried_work_is_counted_and_failed_work_is_not(operator: User) -> None:
    before = scrape()
    transfer = make_transfer(operator, plain_store())
    throttled = Refused("slow down", code="SlowDown", status=503, reason=Reason.THROTTLED, retryable=True)
    assert attempts.next_attempt(transfer, throttled)
    assert not attempts.next_attempt(
        transfer, Refused("no", code="NoSuchBucket", status=404, reason=Reason.NO_SUCH_BUCKET)
    )
    assert increase(before, "partway_retries_total", "reason=throttled,scope=work") == 1
    assert increase(before, "partway_retries_total", "reason=no-such-bucket,scope=work") == 0


def test_parts_bytes_and_takeovers() -> None:
    before = scrape()
    metrics.part_sent(1000)
    metrics.part_sent(24)
    metrics.leases_taken_over("part", 2)
    assert increase(before, "partway_parts_sent_total") == 2
    assert increase(before, "partway_bytes_sent_total") == 1024
    assert increase(before, "partway_lease_takeovers_total", "work=part") == 2


def test_metrics_contain_no_address_or_secret(operator: User) -> None:
    make_transfer(operator, plain_store(), key="a/private/key", bucket="private-bucket")
    text = Client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).content.decode()
    for name in ("127.0.0.1", "hidden-secret", "private", "olga"):
        assert name not in text
