"""Rules are read in the background: once a day for each bucket, and until each change has an outcome."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.domain.lifecycle.documents import OSS_RULE, oss
from tests.stores.oss import OssStore
from tests.stores.servers import Server
from tests.system.fault_proxy import Fault, FaultProxy
from uploads.domain.lifecycle.editing import AbortTerms, set_abort
from uploads.domain.lifecycle.rules import OUR_ID
from uploads.domain.states import ItemState
from uploads.models import (
    InventoryBucket,
    InventorySettings,
    LifecycleChange,
    LifecycleReading,
    LifecycleState,
    LifecycleVersion,
    Store,
)
from uploads.objectstore.xml_document import LifecycleDocument, read_document
from uploads.selectors.lifecycle import Known, buckets_with_rules, known_counts
from uploads.services.lifecycle import readings
from uploads.services.lifecycle.changing import change_rules
from uploads.services.lifecycle.reading import VERSIONS, read_rules
from uploads.services.lifecycle.readings import order_readings, read_lifecycle
from uploads.services.stores import pace
from uploads.services.stores.settings import StoreValues, add_store

GET, PUT = "GetBucketLifecycleConfiguration", "PutBucketLifecycleConfiguration"


@pytest.fixture
def proxy(oss_store: OssStore) -> Iterator[FaultProxy]:
    with FaultProxy(oss_store.endpoint_url) as running:
        yield running


@pytest.fixture
def kept(transactional_db: None, oss_store: OssStore, proxy: FaultProxy) -> Store:
    """A store with rules, behind the proxy."""
    values = StoreValues(
        name="kept",
        endpoint_url=f"http://{urlsplit(oss_store.endpoint_url).hostname}:{proxy.port}",
        region=oss_store.region,
        provider="oss",
        access_key=oss_store.access_key,
        secret_key=oss_store.secret_key,
        addressing="virtual",
        signature="oss4",
    )
    store = add_store(None, values)
    InventorySettings.objects.create(store=store, requests_per_second=100_000, requests_in_flight=8)
    pace.forget_limits()
    return store


def put(oss_store: OssStore, bucket: str, text: str) -> None:
    document = LifecycleDocument(read_document(oss(text), "LifecycleConfiguration"))
    with Server("oss", oss_store, lambda _quirk: None).connect() as client:
        client.change_bucket_lifecycle(bucket, lambda _found: document)


def abort_rule(days: int, prefix: str = "") -> str:
    abort = f"<AbortMultipartUpload><Days>{days}</Days></AbortMultipartUpload>"
    return f"<Rule><ID>a</ID><Prefix>{prefix}</Prefix><Status>Enabled</Status>{abort}</Rule>"


def work_off() -> None:
    """What the watchdog and the scanners do. Pauses after failed attempts are skipped."""
    for _ in range(200):
        order_readings()
        LifecycleReading.objects.update(not_before=None)
        ids = list(LifecycleReading.objects.filter(state=ItemState.ORDERED).values_list("pk", flat=True))
        if not ids:
            return
        for pk in ids:
            read_lifecycle(pk)


def known(user: User) -> dict[str, Known]:
    rows, _following = buckets_with_rules(user)
    return {row.state.bucket: row.known for row in rows}


@pytest.fixture
def administrator(transactional_db: None) -> User:
    return User.objects.create(username="ada", is_staff=True)


def test_each_bucket_of_the_inventory_is_read_once_a_day(
    kept: Store, oss_store: OssStore, proxy: FaultProxy, administrator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings, "BATCH", 2)
    whole, part, none, other = (oss_store.new_bucket() for _ in range(4))
    put(oss_store, whole, OSS_RULE + abort_rule(7))
    put(oss_store, part, abort_rule(7, "tmp/"))
    put(oss_store, other, OSS_RULE)
    for name in (whole, part, none, other, "vanished"):
        InventoryBucket.objects.create(store=kept, name=name)
    InventoryBucket.objects.create(store=kept, name="known-to-be-gone", gone_at=timezone.now())
    order_readings()
    assert set(known(administrator).values()) == {Known.UNREAD}
    work_off()
    assert known(administrator) == {whole: Known.ALL, part: Known.PART, none: Known.NONE, other: Known.NONE}
    assert LifecycleState.objects.get(bucket="vanished").error_code == "NoSuchBucket"
    assert known_counts(administrator) == {Known.ALL: 1, Known.PART: 1, Known.NONE: 2}
    assert proxy.requests[GET] == 5
    work_off()
    assert proxy.requests[GET] == 5, "not again on the same day"
    LifecycleState.objects.filter(bucket=whole).update(due_at=timezone.now())
    work_off()
    assert proxy.requests[GET] == 6
    assert not LifecycleReading.objects.exists()


def test_what_cannot_be_read_is_named_and_keeps_what_was_known(
    kept: Store, oss_store: OssStore, proxy: FaultProxy, administrator: User
) -> None:
    readable, denied = oss_store.new_bucket(), oss_store.new_bucket()
    put(oss_store, denied, abort_rule(7))
    for name in (readable, denied):
        InventoryBucket.objects.create(store=kept, name=name)
    work_off()
    LifecycleState.objects.update(due_at=timezone.now())
    proxy.always(GET, Fault.ACCESS_DENIED)
    work_off()
    assert set(known(administrator).values()) == {Known.UNREADABLE}, "never counted as without a rule"
    state = LifecycleState.objects.get(bucket=denied)
    assert (state.error_code, state.error_request_id, len(state.rules)) == ("AccessDenied", "proxy-1", 1)
    proxy.clear()
    LifecycleState.objects.update(due_at=timezone.now())
    proxy.next(GET, Fault.INTERNAL_ERROR, Fault.INTERNAL_ERROR)
    work_off()
    assert known(administrator) == {readable: Known.NONE, denied: Known.ALL}, "errors that pass are tried again"


def test_a_store_that_is_away_delays_no_other_bucket_for_ever(
    kept: Store, oss_store: OssStore, proxy: FaultProxy, administrator: User
) -> None:
    for _ in range(2):
        InventoryBucket.objects.create(store=kept, name=oss_store.new_bucket())
    proxy.always(GET, Fault.INTERNAL_ERROR)
    work_off()
    assert set(known(administrator).values()) == {Known.UNREADABLE}
    assert not LifecycleReading.objects.exists()


def test_stores_without_rules_and_disabled_ones_are_not_asked(
    kept: Store, oss_store: OssStore, proxy: FaultProxy, administrator: User
) -> None:
    name = oss_store.new_bucket()
    InventoryBucket.objects.create(store=kept, name=name)
    Store.objects.update(overrides={"lifecycle": "none"})
    work_off()
    assert known(administrator) == {name: Known.UNSUPPORTED}
    Store.objects.update(overrides={}, enabled=False)
    work_off()
    assert known(administrator) == {}
    assert not proxy.requests


def test_a_change_without_an_outcome_is_settled_in_the_background(
    kept: Store, oss_store: OssStore, proxy: FaultProxy, administrator: User
) -> None:
    """Of one change, the request and the reading back are lost. The other one has not arrived at all."""
    outcomes = {}
    for fault, expected in ((Fault.RESPONSE_LOST, "done"), (Fault.RESET_BEFORE_BODY, "failed")):
        bucket = oss_store.new_bucket()
        seen = read_rules(kept, bucket).digest
        proxy.next(GET, None, Fault.ACCESS_DENIED)
        proxy.next(PUT, fault)
        changed = change_rules(
            administrator, kept, bucket, seen=seen, rule_id=OUR_ID, edit=lambda now: set_abort(now, "oss4", TERMS)
        )
        assert changed.change.outcome == "unknown"
        outcomes[changed.change.pk] = expected
    work_off()
    assert set(LifecycleChange.objects.values_list("outcome", flat=True)) == {"unknown"}, "too early"
    earlier = timezone.now() - timedelta(minutes=3)
    LifecycleChange.objects.update(created_at=earlier)
    LifecycleState.objects.update(due_at=earlier)
    work_off()
    assert dict(LifecycleChange.objects.values_list("pk", "outcome")) == outcomes
    soonest = LifecycleState.objects.order_by("due_at").values_list("due_at", flat=True)[0]
    assert soonest is not None
    assert soonest > timezone.now() + timedelta(hours=23)


TERMS = AbortTerms(days=7)


def test_few_versions_of_a_bucket_are_kept(kept: Store, oss_store: OssStore) -> None:
    bucket = oss_store.new_bucket()
    for days in range(1, VERSIONS + 5):
        put(oss_store, bucket, abort_rule(days))
        last = read_rules(kept, bucket)
    assert LifecycleVersion.objects.count() == VERSIONS
    assert LifecycleVersion.objects.filter(digest=last.digest).exists()


def test_statements_do_not_depend_on_the_number_of_buckets(kept: Store) -> None:
    InventoryBucket.objects.bulk_create([InventoryBucket(store=kept, name=f"b{number}") for number in range(300)])
    with CaptureQueriesContext(connection) as first:
        order_readings()
    assert LifecycleState.objects.count() == 300
    assert len(first) < 20
    with CaptureQueriesContext(connection) as idle:
        order_readings()
    assert len(idle) <= 3, "a reading is active"
