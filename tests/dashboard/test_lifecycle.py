"""The page of lifecycle rules, on Ceph and the OSS test server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from tests.domain.lifecycle.documents import OSS_RULE, S3_RULES, oss, s3
from tests.stores.servers import Server, server_of
from tests.system.fault_proxy import PAGE, CannedResponse, Fault, FaultProxy
from uploads.domain.lifecycle.editing import AbortTerms, remove_abort, set_abort
from uploads.domain.lifecycle.rules import OUR_ID, Configuration, configuration_of
from uploads.models import AuditEntry, InventoryBucket, InventoryUpload, LifecycleChange, LifecycleState, Store
from uploads.models.inventory import upload_identity
from uploads.objectstore.types import Signature
from uploads.objectstore.xml_document import LifecycleDocument, read_document
from uploads.services.lifecycle import changing
from uploads.services.stores.clients import client_for


@pytest.fixture(params=["ceph", "oss"])
def keeper(request: pytest.FixtureRequest) -> Server:
    return server_of(request)


@pytest.fixture
def proxy(keeper: Server) -> Iterator[FaultProxy]:
    with FaultProxy(keeper.store.endpoint_url) as running:
        yield running


@pytest.fixture
def kept(keeper: Server, proxy: FaultProxy, make_store: Callable[..., Store]) -> Store:
    """A store behind the proxy. `truth` does not pass through it."""
    config = keeper.config()
    return make_store(
        name="kept",
        endpoint_url=f"http://{urlsplit(config.endpoint_url).hostname}:{proxy.port}",
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
        seen = values.pop("seen", "") or self.json()["digest"]
        return self.client.post(self.url, {"seen": seen, **values})


@pytest.fixture
def rules(administrator_client: Client, kept: Store, keeper: Server) -> Rules:
    return Rules(administrator_client, kept, keeper)


def test_set_change_remove_restore(rules: Rules, keeper: Server) -> None:
    put(keeper, rules.bucket, other_rules(keeper))
    before = rules.json()["digest"]
    for days in (7, 9):
        assert rules.post(action="set", days=str(days)).status_code == 303
        after = found(keeper, rules.bucket)
        assert after.ours is not None
        assert after.ours.abort is not None
        assert after.ours.abort.days == days
    assert after.ours is not None
    page = rules.client.get(rules.url).content.decode()
    assert OUR_ID in page
    assert 'name="days" value="9"' in page, "a change begins with what the rule says"
    assert rules.post(action="remove", rule=after.ours.digest).status_code == 303
    assert rules.json()["digest"] == before
    first = LifecycleChange.objects.order_by("-created_at")[0]
    assert rules.post(action="restore", change=str(first.pk)).status_code == 303
    assert rules.json()["digest"] == after.digest
    assert set(LifecycleChange.objects.values_list("outcome", flat=True)) == {"done"}
    assert AuditEntry.objects.filter(action="lifecycle.done").count() == 4


def put(keeper: Server, bucket: str, document: LifecycleDocument) -> None:
    """What another program does."""
    with keeper.connect() as client:
        client.change_bucket_lifecycle(bucket, lambda _found: document)


def found(keeper: Server, bucket: str) -> Configuration:
    with keeper.connect() as client:
        return configuration_of(client.get_bucket_lifecycle(bucket))


def with_days(keeper: Server, bucket: str, days: int) -> LifecycleDocument:
    signature: Signature = "oss4" if keeper.name == "oss" else "sigv4"
    return set_abort(found(keeper, bucket), signature, AbortTerms(days=days)).document


GET, PUT, DELETE = "GetBucketLifecycleConfiguration", "PutBucketLifecycleConfiguration", "DeleteBucketLifecycle"


def test_a_change_in_the_meantime_is_shown_with_what_was_seen(rules: Rules, keeper: Server, proxy: FaultProxy) -> None:
    put(keeper, rules.bucket, with_days(keeper, rules.bucket, 11))
    seen = rules.json()["digest"]
    put(keeper, rules.bucket, with_days(keeper, rules.bucket, 22))
    now = found(keeper, rules.bucket).digest
    refused = rules.post(action="set", days="7", seen=seen)
    assert refused.status_code == 409
    page = refused.content.decode()
    earlier, _, later = page.partition("What the bucket has now")
    assert "What you saw" in earlier
    assert "11 days after" in earlier
    assert "22 days after" not in earlier
    assert "22 days after" in later
    answer = rules.client.post(
        rules.url, {"action": "remove", "rule": "x", "seen": seen}, headers={"Accept": "application/json"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "RulesChanged")
    assert found(keeper, rules.bucket).digest == now
    assert not {PUT, DELETE} & set(proxy.requests)
    assert not LifecycleChange.objects.exists()


def test_a_change_just_before_ours_is_not_replaced(rules: Rules, keeper: Server, proxy: FaultProxy) -> None:
    """It arrives after the page has compared the rules, before the client reads them for the last time."""
    seen = rules.json()["digest"]

    def between() -> None:
        proxy.before(GET, lambda: put(keeper, rules.bucket, with_days(keeper, rules.bucket, 22)))

    proxy.before(GET, between)
    assert rules.post(action="set", days="7", seen=seen).status_code == 409
    rule = found(keeper, rules.bucket).ours
    assert rule is not None
    assert rule.abort is not None
    assert rule.abort.days == 22
    assert PUT not in proxy.requests


def test_one_change_of_a_bucket_at_a_time(rules: Rules, proxy: FaultProxy) -> None:
    rules.json()
    LifecycleState.objects.update(busy_until=timezone.now() + timedelta(minutes=1))
    assert rules.post(action="set", days="7").status_code == 409
    assert PUT not in proxy.requests
    LifecycleState.objects.update(busy_until=timezone.now() - timedelta(seconds=1))
    assert rules.post(action="set", days="7").status_code == 303
    assert LifecycleState.objects.get().busy_until is None


def test_a_lost_response_is_settled_by_reading_back(rules: Rules, proxy: FaultProxy) -> None:
    proxy.next(PUT, Fault.RESPONSE_LOST)
    assert rules.post(action="set", days="7").status_code == 303
    change = LifecycleChange.objects.get()
    assert (change.outcome, change.accepted_at) == ("done", None)
    proxy.next(DELETE, Fault.RESPONSE_LOST)
    digest = rules.json()["Rules"][0]["digest"]
    assert rules.post(action="remove", rule=digest).status_code == 303
    assert rules.json()["Rules"] == []


def test_a_request_that_may_still_arrive_has_no_outcome_yet(rules: Rules, proxy: FaultProxy) -> None:
    proxy.next(PUT, Fault.RESET_BEFORE_BODY)
    answer = rules.post(action="set", days="7")
    assert answer.status_code == 502
    assert b"not known yet" in answer.content
    assert LifecycleChange.objects.get().finished_at is None
    state = LifecycleState.objects.get()
    assert state.due_at is not None
    assert state.due_at - timezone.now() < timedelta(minutes=3), "it is read again soon"
    LifecycleChange.objects.update(created_at=timezone.now() - timedelta(minutes=3))
    rules.json()
    assert LifecycleChange.objects.get().outcome == "failed"
    assert AuditEntry.objects.filter(action="lifecycle.failed").count() == 1


def test_a_store_that_drops_rules_is_found_out(
    rules: Rules, kept: Store, keeper: Server, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changing, "PAUSES", (0.0,))
    proxy.next(PUT, Fault.ACCEPTED_ONLY)
    rules.post(action="set", days="8")
    assert LifecycleChange.objects.get().outcome == "dropped"
    kept.refresh_from_db()
    assert kept.overrides["lifecycle"] == "none"
    page = rules.client.get(rules.url).content.decode()
    assert "accepted such a rule and dropped it" in page
    assert "accepted the rule and dropped it" in page
    assert 'value="set"' not in page
    sent = proxy.requests[PUT]
    assert rules.post(action="set", days="8").status_code == 400
    assert proxy.requests[PUT] == sent, "nothing is written any more"
    # It keeps a rule of somebody else: it does not drop them after all.
    put(keeper, rules.bucket, with_days(keeper, rules.bucket, 22))
    rules.json()
    kept.refresh_from_db()
    assert "lifecycle" not in kept.overrides
    assert rules.post(action="set", days="8").status_code == 303


def test_an_earlier_answer_of_a_store_is_no_drop(
    rules: Rules, kept: Store, keeper: Server, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 may return the earlier rules for a moment."""
    monkeypatch.setattr(changing, "PAUSES", (0.0, 0.0))
    wanted = with_days(keeper, rules.bucket, 8)
    proxy.next(PUT, Fault.ACCEPTED_ONLY)
    proxy.before(PUT, lambda: proxy.before(GET, lambda: proxy.before(GET, lambda: put(keeper, rules.bucket, wanted))))
    assert rules.post(action="set", days="8").status_code == 303
    assert LifecycleChange.objects.get().outcome == "done"
    kept.refresh_from_db()
    assert kept.overrides == {}


@pytest.mark.parametrize("operation", [GET, PUT])
def test_a_missing_permission_is_named(rules: Rules, keeper: Server, proxy: FaultProxy, operation: str) -> None:
    seen = rules.json()["digest"]
    proxy.always(operation, Fault.ACCESS_DENIED)
    values = {"action": "set", "days": "7", "seen": seen}
    page = rules.client.post(rules.url, values)
    assert page.status_code in (403, 502)
    for text in ("AccessDenied", "proxy-1", operation.removesuffix("Configuration")):
        assert text in page.content.decode()
    error = rules.client.post(rules.url, values, headers={"Accept": "application/json"}).json()["error"]
    assert (error["code"], error["request_id"]) == ("AccessDenied", "proxy-1")
    if operation == PUT:
        assert set(LifecycleChange.objects.values_list("outcome", "error_request_id")) == {("failed", "proxy-1")}
    assert found(keeper, rules.bucket).rules == ()


BAD_BODIES = {
    "no XML": b"<LifecycleConfiguration><Rule>",
    "a document type": b'<!DOCTYPE a [<!ENTITY b "c">]><LifecycleConfiguration/>',
    "a page": PAGE,
    "nothing": b"",
}


@pytest.mark.parametrize("body", BAD_BODIES)
def test_rules_that_cannot_be_read_are_not_changed(rules: Rules, proxy: FaultProxy, body: str) -> None:
    seen = rules.json()["digest"]
    proxy.answer(GET, CannedResponse(200, page=BAD_BODIES[body]))
    assert rules.client.get(rules.url).status_code == 502
    assert rules.post(action="set", days="7", seen=seen).status_code == 502
    assert rules.post(action="remove", rule="x", seen=seen).status_code == 502
    assert not {PUT, DELETE} & set(proxy.requests)
    state = LifecycleState.objects.get()
    assert (state.error_code, state.is_unsupported) == ("UnreadableResponse", False)


def test_hundreds_of_rules(rules: Rules, keeper: Server) -> None:
    """S3 and OSS allow 1,000."""
    if keeper.name == "oss":
        texts = [OSS_RULE.replace("r1", f"r{number}").replace("logs/", f"{number}/") for number in range(300)]
        put(keeper, rules.bucket, LifecycleDocument(read_document(oss("".join(texts)), "LifecycleConfiguration")))
        before = found(keeper, rules.bucket)
        assert rules.post(action="set", days="7").status_code == 303
        after = found(keeper, rules.bucket)
        assert len(after.rules) == 301
        assert after.ours is not None
        assert remove_abort(after, after.ours).digest == before.digest
        assert rules.client.get(rules.url).status_code == 200


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
    simulated = rules.json("?days=7")["simulation"]
    expected = (1, 0) if keeper.name == "oss" else (2, 1)
    assert (simulated["uploads"], simulated["alive"]) == expected
    answer = rules.post(action="set", days="7")
    assert answer.status_code == (303 if keeper.name == "oss" else 400)
    assert rules.post(action="set", days="7", confirm="on").status_code == 303


def test_bad_values(rules: Rules) -> None:
    for days in ("0", "x", ""):
        assert rules.post(action="set", days=days).status_code == 400


@pytest.mark.parametrize("provider", ["swift", "generic"])
def test_the_bucket_of_a_store_without_rules_survives(
    administrator_client: Client, make_store: Callable[..., Store], bucket: str, provider: str
) -> None:
    """`generic`: the profile says that there are rules, and Swift ignores the parameter."""
    store = make_store(name="ignorant", provider=provider)
    administrator_client.handler.enforce_csrf_checks = False
    url = f"/stores/ignorant/{bucket}/lifecycle/"
    page = administrator_client.get(url)
    assert page.status_code == 200
    assert b"has no lifecycle rules" in page.content
    seen = configuration_of(LifecycleDocument(None)).digest
    earlier = LifecycleChange.objects.create(store=store, bucket=bucket)
    for values in ({"action": "set", "days": "7"}, {"action": "remove"}, {"action": "restore", "change": earlier.pk}):
        administrator_client.post(url, {"seen": seen, "rule": "", **values})
    assert bucket in [each.name for each in client_for(store).list_buckets()]
    assert LifecycleChange.objects.count() == 1


def test_a_change_begins_with_the_prefix_of_the_rule_and_keeps_what_was_entered(rules: Rules, keeper: Server) -> None:
    seen = rules.json()["digest"]
    assert 'name="days" value="7"' in rules.client.get(rules.url).content.decode()
    assert rules.post(action="set", days="5", keys="tmp/").status_code == 303
    assert 'name="keys" value="tmp/"' in rules.client.get(rules.url).content.decode()
    refused = rules.post(action="set", days="41", keys="other/", seen=seen)
    assert refused.status_code == 409
    assert 'name="days" value="41"' in refused.content.decode()
    assert 'name="keys" value="other/"' in refused.content.decode()
