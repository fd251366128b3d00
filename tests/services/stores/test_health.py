"""The health of stores: what each outcome means, how many it takes, what clears it, and which stores are tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone
from pytest_django import Settings

from tests.objectstore.fault_server import FaultServer, error, freeze, reset_immediately, respond
from tests.objectstore.responses import EMPTY_LISTING
from tests.stores.running import RunningStore
from uploads.domain.store_health import FAILING, LIMIT, StoreHealth
from uploads.models import Store
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.types import UploadsQuery
from uploads.services.browse.browsing import list_uploads
from uploads.services.stores import trying
from uploads.services.stores.settings import StoreValues, add_store, change_store, set_enabled
from uploads.services.stores.tries import MAX_PROBES, TRY_EVERY, claim_tries
from uploads.services.upkeep.watchdog import watch

pytestmark = pytest.mark.django_db(transaction=True)

BUCKETS = b"<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>"


FROZEN_SECONDS = 0.5
"""How long a test waits for a response that never comes."""

ANSWER_SECONDS = 20.0
"""How long it waits for one that comes, even on a busy machine."""


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        running.otherwise = respond(200, BUCKETS)
        yield running


@pytest.fixture
def values(server: FaultServer) -> StoreValues:
    return StoreValues(name="shop", endpoint_url=server.url, region="r", access_key="a", secret_key="s")


@pytest.fixture
def store(values: StoreValues, settings: Settings) -> Store:
    settings.STORE_STALL_SECONDS = ANSWER_SECONDS
    return add_store(None, values)


def try_in_background(store: Store, times: int = 1) -> Store:
    """As the watchdog does: half a minute lies between two tries."""
    for _ in range(times):
        Store.objects.update(failing_since=F("failing_since") - TRY_EVERY)
        trying.try_store(store.pk)
    store.refresh_from_db()
    return store


def use_bucket(store: Store, times: int = 1) -> Store:
    """A worker lists the uploads of a bucket."""
    for _ in range(times):
        with suppress(ObjectStoreError):
            list_uploads(Store.objects.get(pk=store.pk), "bucket", UploadsQuery())
    store.refresh_from_db()
    return store


def let_time_pass(time: timedelta) -> None:
    Store.objects.update(tried_at=F("tried_at") - time, heard_at=F("heard_at") - time)


FAILURES = [
    (error(403, "InvalidAccessKeyId"), StoreHealth.REFUSES_CREDENTIALS),
    (error(403, "SignatureDoesNotMatch"), StoreHealth.REFUSES_CREDENTIALS),
    (error(400, "ExpiredToken"), StoreHealth.REFUSES_CREDENTIALS),
    (error(403, "RequestTimeTooSkewed"), StoreHealth.CLOCK_SKEW),
    (error(500, "InternalError"), StoreHealth.FAULTY),
    (respond(200, b"<html>hello</html>"), StoreHealth.FAULTY),
    (reset_immediately, StoreHealth.UNREACHABLE),
    (freeze, StoreHealth.NOT_ANSWERING),
]


@pytest.mark.parametrize(("answer", "health"), FAILURES, ids=[f"{n}-{each[1]}" for n, each in enumerate(FAILURES)])
def test_failures_in_a_row_make_a_store_fail_and_any_success_ends_it(
    store: Store, server: FaultServer, settings: Settings, answer: Any, health: StoreHealth
) -> None:
    assert store.shown_health is StoreHealth.NEVER_TRIED
    assert try_in_background(store).shown_health is StoreHealth.ANSWERS
    before = timezone.now() - LIMIT * TRY_EVERY
    server.otherwise = answer
    settings.STORE_STALL_SECONDS = FROZEN_SECONDS if answer is freeze else ANSWER_SECONDS
    for _ in range(LIMIT - 1):
        assert try_in_background(store).shown_health is StoreHealth.ANSWERS
        assert store.is_in_doubt
    assert try_in_background(store).shown_health is health
    assert store.error is not None
    assert store.shown_health_since is not None
    assert before <= store.shown_health_since <= timezone.now()
    server.otherwise = respond(200, EMPTY_LISTING)
    settings.STORE_STALL_SECONDS = ANSWER_SECONDS
    assert use_bucket(store).shown_health is StoreHealth.ANSWERS
    assert (store.failures, store.timeouts, store.error_code) == (0, 0, "")


def test_errors_of_a_moment_do_not_make_a_store_fail(store: Store, server: FaultServer) -> None:
    """A page that is opened while the store restarts sends several requests within a second."""
    server.otherwise = error(403, "InvalidAccessKeyId")
    for _ in range(2 * LIMIT):
        trying.try_store(store.pk)
    store.refresh_from_db()
    assert store.is_in_doubt
    assert try_in_background(store).is_failing


def test_port_that_is_closed_is_not_reachable(store: Store) -> None:
    Store.objects.update(endpoint_url="http://127.0.0.1:9")
    assert try_in_background(store, LIMIT).shown_health is StoreHealth.UNREACHABLE


def test_wrong_secret_of_a_real_store_is_found_without_a_page(any_store: RunningStore) -> None:
    """An added store is tried by the next round of the watchdog, and again soon, until it is certain."""
    wrong = StoreValues(
        name="swift", endpoint_url=any_store.endpoint_url, access_key=any_store.access_key, secret_key="wrong"
    )
    store = add_store(None, wrong)
    for _ in range(LIMIT):
        assert claim_tries() == [store.pk]
        assert claim_tries() == []
        try_in_background(store)
        let_time_pass(TRY_EVERY + timedelta(seconds=1))
    assert store.shown_health is StoreHealth.REFUSES_CREDENTIALS
    assert store.error_code == "SignatureDoesNotMatch"
    assert store.error_request_id


@pytest.mark.parametrize(
    "answer",
    [error(403, "AccessDenied"), error(404, "NoSuchBucket"), error(409, "Whatever"), error(403, "Forbidden")],
)
def test_refusal_of_one_bucket_is_an_answer(store: Store, server: FaultServer, answer: Any) -> None:
    server.otherwise = answer
    assert use_bucket(store, 5).shown_health is StoreHealth.ANSWERS
    assert not store.is_in_doubt


@pytest.mark.parametrize(
    "answer", [error(403, "SignatureDoesNotMatch"), error(500, "InternalError"), reset_immediately]
)
def test_bucket_alone_raises_a_suspicion_and_the_try_decides(store: Store, server: FaultServer, answer: Any) -> None:
    """Its name may not resolve, or a proxy may change its requests: other buckets work."""
    try_in_background(store)
    server.otherwise = answer
    assert use_bucket(store, 10).shown_health is StoreHealth.ANSWERS
    assert store.is_in_doubt
    assert claim_tries() == [store.pk]
    server.otherwise = respond(200, BUCKETS)
    assert not try_in_background(store).is_in_doubt
    server.otherwise = answer
    use_bucket(store, 10)
    assert try_in_background(store).shown_health in FAILING


@pytest.mark.parametrize("answer", [error(503, "SlowDown"), respond(403), respond(429)])
def test_answer_that_proves_nothing_changes_nothing(store: Store, server: FaultServer, answer: Any) -> None:
    """A bare status may be of a proxy, and a limited rate says nothing about the credentials."""
    server.otherwise = error(403, "InvalidAccessKeyId")
    try_in_background(store, LIMIT)
    server.otherwise = answer
    assert try_in_background(store).shown_health is StoreHealth.REFUSES_CREDENTIALS


def test_any_response_ends_that_a_store_is_not_reachable(store: Store, server: FaultServer) -> None:
    server.otherwise = reset_immediately
    try_in_background(store, LIMIT)
    server.otherwise = error(503, "SlowDown")
    assert try_in_background(store).shown_health is StoreHealth.ANSWERS


def test_timeouts_among_other_failures_do_not_hide_them(store: Store, server: FaultServer, settings: Settings) -> None:
    """Neither kind reaches its limit alone for long."""
    server.otherwise = freeze
    settings.STORE_STALL_SECONDS = FROZEN_SECONDS
    try_in_background(store)
    settings.STORE_STALL_SECONDS = ANSWER_SECONDS
    server.otherwise = reset_immediately
    assert try_in_background(store, LIMIT).shown_health is StoreHealth.UNREACHABLE


def test_failure_changes_into_another_at_once(store: Store, server: FaultServer) -> None:
    server.otherwise = error(403, "InvalidAccessKeyId")
    try_in_background(store, LIMIT)
    server.otherwise = error(403, "RequestTimeTooSkewed")
    assert use_bucket(store).shown_health is StoreHealth.REFUSES_CREDENTIALS
    assert try_in_background(store).shown_health is StoreHealth.CLOCK_SKEW


@pytest.mark.parametrize("answer", [respond(200, BUCKETS), error(403, "InvalidAccessKeyId")])
def test_nothing_is_written_while_nothing_changes(store: Store, server: FaultServer, answer: Any) -> None:
    server.otherwise = answer
    try_in_background(store, LIMIT)
    row = Store.objects.get(pk=store.pk)
    statements: list[str] = []

    def note(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        statements.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(note):
        for _ in range(5):
            trying.try_store(row.pk)
    assert [sql for sql in statements if not sql.startswith("SELECT")] == []


def test_use_of_a_store_is_noted_now_and_then_so_that_it_is_not_tried(
    store: Store, server: FaultServer, settings: Settings
) -> None:
    try_in_background(store)
    server.otherwise = respond(200, EMPTY_LISTING)
    let_time_pass(timedelta(seconds=settings.STORE_PROBE_SECONDS * 0.6))
    use_bucket(store)
    let_time_pass(timedelta(seconds=settings.STORE_PROBE_SECONDS * 0.6))
    assert claim_tries() == []
    let_time_pass(timedelta(seconds=settings.STORE_PROBE_SECONDS * 0.6))
    assert claim_tries() == [store.pk]
    assert claim_tries() == []


def test_only_a_few_enabled_stores_are_tried_in_a_round(store: Store, settings: Settings) -> None:
    for number in range(2 * MAX_PROBES):
        Store.objects.create(name=f"s{number}", endpoint_url="http://127.0.0.1:1", access_key="a")
    Store.objects.create(name="off", endpoint_url="http://127.0.0.1:1", access_key="a", enabled=False)
    rounds = [claim_tries() for _ in range(4)]
    assert [len(each) for each in rounds] == [MAX_PROBES, MAX_PROBES, 1, 0]
    Store.objects.update(tried_at=None)
    settings.STORE_PROBE_SECONDS = 0
    assert claim_tries() == []


def test_watchdog_has_them_tried(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[object] = []
    module = "uploads.services.upkeep.watchdog.enqueue_on_commit"
    monkeypatch.setattr(module, lambda task, ids, **_: tried.extend(ids if task == "try_store" else ()))
    watch()
    assert tried == [store.pk]


def test_disabled_store_is_not_tried_and_says_so(store: Store, server: FaultServer) -> None:
    set_enabled(None, store, enabled=False)
    assert try_in_background(store).shown_health is StoreHealth.DISABLED
    assert server.received == []
    set_enabled(None, store, enabled=True)
    store.refresh_from_db()
    assert store.shown_health is StoreHealth.NEVER_TRIED


def test_changed_settings_are_tried_anew(store: Store, server: FaultServer, values: StoreValues) -> None:
    server.otherwise = error(403, "InvalidAccessKeyId")
    try_in_background(store, LIMIT)
    change_store(None, store, replace(values, secret_key="right"))
    store.refresh_from_db()
    assert (store.shown_health, store.error) == (StoreHealth.NEVER_TRIED, None)
    assert claim_tries() == [store.pk]
