"""Stores that do not answer: when pages stop waiting for them, and what ends that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from tests.objectstore.fault_server import FaultServer, error, freeze, reset_immediately, respond
from tests.objectstore.responses import EMPTY_LISTING
from uploads.models import Store
from uploads.objectstore.budget import Budget, limited_to
from uploads.objectstore.errors import NotSent, ObjectStoreError, Reason
from uploads.objectstore.types import UploadsQuery
from uploads.problems import Code
from uploads.services.browse.browsing import list_uploads
from uploads.services.stores import silence, trying
from uploads.services.stores.settings import StoreValues, add_store, change_store
from uploads.services.stores.tries import TRY_EVERY
from uploads.services.upkeep.watchdog import watch

pytestmark = pytest.mark.django_db(transaction=True)

FROZEN_SECONDS = 0.1
"""How long a test waits for a response that never comes."""

ANSWER_SECONDS = 20.0
"""How long it waits for one that comes, even on a busy machine."""


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        running.otherwise = freeze
        yield running


@pytest.fixture
def values(server: FaultServer) -> StoreValues:
    return StoreValues(name="frozen", endpoint_url=server.url, region="r", access_key="a", secret_key="s")


@pytest.fixture
def store(values: StoreValues, settings: Settings) -> Store:
    settings.STORE_STALL_SECONDS = FROZEN_SECONDS
    return add_store(None, values)


def ask_for_a_page(store: Store, *, insists: bool = False) -> ObjectStoreError | None:
    """What a page gets from the store in its present state: an error, or a listing."""
    with limited_to(Budget(30, insists=insists)):
        return ask(store)


def ask(store: Store) -> ObjectStoreError | None:
    """What a worker gets."""
    try:
        list_uploads(Store.objects.get(pk=store.pk), "bucket", UploadsQuery())
    except ObjectStoreError as error:
        return error
    return None


def time_out(store: Store, server: FaultServer) -> None:
    """Let the store be known not to answer."""
    for _ in range(2):
        ask_for_a_page(store)
    store.refresh_from_db()
    assert store.not_answering_since is not None
    server.received.clear()


def test_page_does_not_wait_for_a_store_that_does_not_answer(store: Store, server: FaultServer) -> None:
    """Timeouts in a row, each attempt counted: the next page is refused before anything is sent, and told why."""
    before = timezone.now()
    first = ask_for_a_page(store)
    assert first is not None
    assert first.reason is Reason.TIMEOUT
    assert Store.objects.get(pk=store.pk).not_answering_since is None
    ask_for_a_page(store)
    sent = len(server.received)
    refused = ask_for_a_page(store)
    assert isinstance(refused, silence.NotAnswering)
    assert before <= refused.since <= timezone.now()
    assert refused.last_error is not None
    assert refused.last_error.code == "Timeout"
    assert refused.retry_after
    assert len(server.received) == sent


def test_worker_still_waits_for_a_store_that_does_not_answer(
    store: Store, server: FaultServer, settings: Settings
) -> None:
    """Work in the queue keeps its attempts and its timeouts, and its timeouts count as those of pages do."""
    # In which the request of the last attempt arrives.
    settings.STORE_STALL_SECONDS = 0.5
    assert ask(store) is not None
    assert len(server.received) == 4
    store.refresh_from_db()
    assert store.timeouts == 4
    refused = ask(store)
    assert refused is not None
    assert refused.reason is Reason.TIMEOUT
    assert len(server.received) == 8


@pytest.mark.parametrize(
    "answer",
    [respond(200, EMPTY_LISTING), error(403, "AccessDenied"), respond(200, b"<html/>"), error(500, "Internal")],
)
@pytest.mark.parametrize("who", ["worker", "operator", "watchdog"])
def test_any_response_ends_the_silence(
    store: Store, server: FaultServer, settings: Settings, answer: object, who: str
) -> None:
    """A store that refuses or sends nonsense has answered, whoever asked."""
    time_out(store, server)
    settings.STORE_STALL_SECONDS = ANSWER_SECONDS
    server.otherwise = answer  # type: ignore[assignment]
    if who == "worker":
        ask(store)
    elif who == "operator":
        ask_for_a_page(store, insists=True)
    else:
        trying.try_store(store.pk)
    store.refresh_from_db()
    assert (store.timeouts, store.silent_since) == (0, None)
    server.otherwise = respond(200, EMPTY_LISTING)
    assert ask_for_a_page(store) is None


def test_lost_connection_is_neither_an_answer_nor_a_timeout(
    store: Store, server: FaultServer, settings: Settings
) -> None:
    """Errors that come at once keep no page waiting. The last of them is shown while the store does not answer."""
    settings.STORE_STALL_SECONDS = ANSWER_SECONDS
    server.otherwise = reset_immediately
    for _ in range(3):
        ask_for_a_page(store)
    store.refresh_from_db()
    assert (store.timeouts, store.not_answering_since) == (0, None)
    settings.STORE_STALL_SECONDS = FROZEN_SECONDS
    server.otherwise = freeze
    time_out(store, server)
    settings.STORE_STALL_SECONDS = ANSWER_SECONDS
    server.otherwise = reset_immediately
    trying.try_store(store.pk)
    store.refresh_from_db()
    assert store.not_answering_since is not None
    assert store.error is not None
    assert store.error.code == "ConnectionLost"


def test_single_timeout_between_answers_is_forgotten(store: Store, server: FaultServer, settings: Settings) -> None:
    # Each answer has this time too.
    settings.STORE_STALL_SECONDS = 2.0
    server.script(*[freeze, respond(200, EMPTY_LISTING)] * 4)
    for _ in range(4):
        assert ask_for_a_page(store) is None
    store.refresh_from_db()
    assert store.not_answering_since is None


def test_changed_settings_are_tried_at_once(store: Store, server: FaultServer, values: StoreValues) -> None:
    """An administrator who corrects the endpoint does not have to wait for the watchdog."""
    time_out(store, server)
    change_store(None, store, replace(values, region="other"))
    store.refresh_from_db()
    assert (store.timeouts, store.silent_since, store.error) == (0, None, None)


def test_unchanged_settings_change_nothing(store: Store, server: FaultServer, values: StoreValues) -> None:
    time_out(store, server)
    change_store(None, store, values)
    assert Store.objects.get(pk=store.pk).not_answering_since is not None


def test_recording_silence_is_no_edit_conflict(store: Store, server: FaultServer) -> None:
    """The version that an editing administrator has seen is still the current one."""
    seen = store.updated_at
    time_out(store, server)
    assert Store.objects.get(pk=store.pk).updated_at == seen


def test_watchdog_has_silent_stores_tried_a_few_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each store at intervals, those that were never tried first, and no store twice by two watchdogs."""
    tried: list[str] = []

    def note(task: str, ids: list[object], **_: object) -> None:
        tried.extend(map(str, ids) if task == "try_store" else ())

    monkeypatch.setattr("uploads.services.upkeep.watchdog.enqueue_on_commit", note)
    Store.objects.update(heard_at=timezone.now())
    silent = {"timeouts": 3, "silent_since": timezone.now()}
    for number in range(3):
        Store.objects.create(name=f"s{number}", endpoint_url="http://127.0.0.1:1", access_key="a", **silent)
    for _ in range(3):
        watch()
    assert sorted(tried) == sorted(str(each.pk) for each in Store.objects.filter(timeouts=3))
    Store.objects.filter(name="s1").update(tried_at=timezone.now() - TRY_EVERY - timedelta(seconds=1))
    tried.clear()
    watch()
    assert tried == [str(Store.objects.get(name="s1").pk)]


def test_answering_store_costs_no_statement(store: Store, server: FaultServer, settings: Settings) -> None:
    """Requests to a store that answers write nothing to the database."""
    settings.STORE_STALL_SECONDS = ANSWER_SECONDS
    server.otherwise = respond(200, EMPTY_LISTING)
    assert ask(store) is None
    row = Store.objects.get(pk=store.pk)
    with limited_to(Budget(30)), connection.execute_wrapper(_no_statement):
        list_uploads(row, "bucket", UploadsQuery())


def _no_statement(*_: object) -> None:
    raise AssertionError("a statement was executed")


def test_store_that_cannot_be_noted_still_gives_its_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database may fail at that moment: the page shows the error of the store."""
    from django.db import OperationalError

    def fail(*_: object) -> None:
        raise OperationalError("locked")

    row = Store.objects.get(pk=store.pk)
    with limited_to(Budget(30)), connection.execute_wrapper(fail), pytest.raises(ObjectStoreError) as caught:
        list_uploads(row, "bucket", UploadsQuery())
    assert caught.value.reason is Reason.TIMEOUT


def test_message_names_the_time_and_the_last_error(store: Store, server: FaultServer) -> None:
    time_out(store, server)
    refused = ask_for_a_page(store)
    assert isinstance(refused, NotSent)
    assert refused.problem is not None
    assert refused.problem.code == Code.STORE_NOT_ANSWERING
    assert [each.code for each in refused.details] == [Code.CONNECTION_STALLED]
