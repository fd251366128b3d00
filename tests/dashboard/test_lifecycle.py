"""The page of lifecycle rules, on Ceph and the OSS test server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tests.domain.lifecycle.documents import OSS_RULE, S3_RULES, oss, s3
from tests.stores.servers import Server, server_of
from uploads.domain.lifecycle.rules import OUR_ID, configuration_of
from uploads.models import AuditEntry, InventoryBucket, InventoryUpload, LifecycleChange, Store
from uploads.models.inventory import upload_identity
from uploads.objectstore.client_lifecycle import LifecycleClient
from uploads.objectstore.errors import OutcomeUnknown, Reason
from uploads.objectstore.xml_document import LifecycleDocument, read_document
from uploads.problems import Code, Problem


@pytest.fixture(params=["ceph", "oss"])
def keeper(request: pytest.FixtureRequest) -> Server:
    return server_of(request)


@pytest.fixture
def kept(keeper: Server, make_store: Callable[..., Store]) -> Store:
    config = keeper.config()
    return make_store(
        name="kept",
        endpoint_url=config.endpoint_url,
        region=config.region,
        provider=config.provider,
        access_key=config.credentials.access_key,
        secret_key=config.credentials.secret_key,
        addressing=config.addressing,
        signature=config.signature,
    )


def other_rules(keeper: Server) -> LifecycleDocument:
    body = oss(OSS_RULE) if keeper.name == "oss" else s3(S3_RULES["prefix and tags"])
    return LifecycleDocument(read_document(body, "LifecycleConfiguration"))


class Rules:
    """The page of one bucket."""

    def __init__(self, client: Client, store: Store, keeper: Server) -> None:
        client.handler.enforce_csrf_checks = False
        self.client, self.keeper = client, keeper
        self.bucket = keeper.store.new_bucket()
        self.url = f"/stores/{store.name}/{self.bucket}/lifecycle/"

    def json(self, query: str = "") -> Any:
        return self.client.get(self.url + query, headers={"Accept": "application/json"}).json()

    def post(self, **values: str) -> Any:
        values.setdefault("seen", self.json()["digest"])
        return self.client.post(self.url, values)


@pytest.fixture
def rules(administrator_client: Client, kept: Store, keeper: Server) -> Rules:
    return Rules(administrator_client, kept, keeper)


def test_set_change_remove_restore(rules: Rules, keeper: Server) -> None:
    with keeper.connect() as client:
        client.put_bucket_lifecycle(rules.bucket, other_rules(keeper))
        before = rules.json()["digest"]
        for days in (7, 9):
            assert rules.post(action="set", days=str(days)).status_code == 303
            found = configuration_of(client.get_bucket_lifecycle(rules.bucket))
            assert found.ours is not None
            assert found.ours.abort is not None
            assert found.ours.abort.days == days
        assert found.ours is not None
        assert OUR_ID in rules.client.get(rules.url).content.decode()
        assert rules.post(action="remove", rule=found.ours.digest).status_code == 303
        assert rules.json()["digest"] == before
        first = LifecycleChange.objects.order_by("-created_at")[0]
        assert rules.post(action="restore", change=str(first.pk)).status_code == 303
        assert rules.json()["digest"] == found.digest
    assert set(LifecycleChange.objects.values_list("outcome", flat=True)) == {"done"}
    assert AuditEntry.objects.filter(action="lifecycle.done").count() == 4


def test_a_change_in_the_meantime_is_not_replaced(rules: Rules, keeper: Server) -> None:
    seen = rules.json()["digest"]
    with keeper.connect() as client:
        client.put_bucket_lifecycle(rules.bucket, other_rules(keeper))
        assert rules.post(action="set", days="7", seen=seen).status_code == 409
        assert configuration_of(client.get_bucket_lifecycle(rules.bucket)).ours is None
    assert not LifecycleChange.objects.exists()


def test_a_lost_response_and_a_dropped_rule(rules: Rules, kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put = LifecycleClient.put_bucket_lifecycle

    def lose(*args: Any) -> str:
        put(*args)
        raise OutcomeUnknown(Problem(Code.CONNECTION_STALLED), reason=Reason.TIMEOUT)

    monkeypatch.setattr(LifecycleClient, "put_bucket_lifecycle", lose)
    rules.post(action="set", days="7")
    assert LifecycleChange.objects.get().outcome == "done"
    monkeypatch.setattr(LifecycleClient, "put_bucket_lifecycle", lambda *_: "")
    rules.post(action="set", days="8")
    assert LifecycleChange.objects.order_by("-created_at")[0].outcome == "dropped"
    kept.refresh_from_db()
    assert kept.overrides["lifecycle"] == "none"


def test_a_live_upload_is_never_counted_as_dead(rules: Rules, kept: Store, keeper: Server) -> None:
    """It was started 30 days ago, and a part arrived a minute ago."""
    now = timezone.now()
    place = InventoryBucket.objects.create(store=kept, name=rules.bucket, listed_at=now)
    for name, last in (("live", now - timedelta(minutes=1)), ("dead", now - timedelta(days=29))):
        InventoryUpload.objects.create(
            store=kept,
            bucket=place,
            identity=upload_identity(place.pk, name, name),
            key=name,
            upload_id=name,
            first_seen_at=now,
            last_seen_at=now,
            started_at=now - timedelta(days=30),
            active_at=last,
            last_part_at=last,
            verdict="stalled",
            bytes=5,
        )
    found = rules.json("?days=7")["simulation"]
    expected = (1, 0) if keeper.name == "oss" else (2, 1)
    assert (found["uploads"], found["alive"]) == expected
    answer = rules.post(action="set", days="7")
    assert answer.status_code == (303 if keeper.name == "oss" else 400)
    assert rules.post(action="set", days="7", confirm="on").status_code == 303


def test_bad_values_and_a_store_without_rules(
    rules: Rules, administrator_client: Client, store: Store, bucket: str
) -> None:
    for days in ("0", "x", ""):
        assert rules.post(action="set", days=days).status_code == 400
    page = administrator_client.get(f"/stores/{store.name}/{bucket}/lifecycle/")
    assert page.status_code == 200
    assert b"has no lifecycle rules" in page.content
