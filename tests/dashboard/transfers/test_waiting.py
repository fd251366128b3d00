"""A transfer whose browser has gone: its state, its rates, and where pages, JSON and the overview show it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from tests.dashboard.make_transfer import MIB, make_transfer
from tests.dashboard.pages import JSON, Page
from uploads.domain.states import DesiredState, Phase
from uploads.models import Part, Store, Transfer
from uploads.models.transfer import parts_queue
from uploads.services.upkeep import health
from uploads.services.work import broker

STOPPED = "The browser has stopped sending. Select the same file again to resume."
WORDS = "waiting for the browser"


@pytest.fixture
def unreachable(db: None) -> Store:
    return Store.objects.create(name="unreachable", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


@pytest.fixture
def left(operator: User, unreachable: Store) -> Transfer:
    """Of ten parts, three were sent and one is staged when the browser leaves."""
    return make_transfer(operator, unreachable, sent=3, staged=1, resumable=True, key="a b.bin", **ages(600))


def ages(received: float) -> dict[str, Any]:
    """Received at 1 MiB/s until so many seconds ago."""
    at = timezone.now() - timedelta(seconds=received)
    marks = [[at.timestamp() - back, (4 - back // 5) * MIB] for back in (15, 10, 5)]
    return {"received_at": at, "received_marks": marks}


def json_of(client: Client, transfer: Transfer) -> Any:
    return client.get(f"/transfers/{transfer.pk}/", headers=JSON).json()


def test_nothing_is_alive_after_ten_minutes_of_silence(operator_client: Client, left: Transfer) -> None:
    shown = json_of(operator_client, left)
    assert (shown["state"], shown["waiting"], shown["waiting_code"]) == (
        "waiting-for-browser",
        STOPPED,
        "BrowserStopped",
    )
    assert (shown["receive_rate"], shown["send_rate"], shown["seconds_left"]) == (None, None, None)
    page = Page(operator_client.get(f"/transfers/{left.pk}/"))
    for text in (WORDS, STOPPED, "Nothing has arrived since", "what has arrived is deleted"):
        assert text in page.words
    assert page.href("Select the file") == "/transfers/new/?store=unreachable&bucket=photos&key=a%20b.bin"
    assert "/s" not in page.words.replace("photos/s", "")


def test_lists_and_the_overview_show_it(operator_client: Client, left: Transfer) -> None:
    for url in ("/transfers/", "/transfers/?state=waiting-for-browser", "/", "/transfers/new/"):
        words = Page(operator_client.get(url)).words
        assert WORDS in words, url
        assert "deleted" in words, url
    assert "a b.bin" not in Page(operator_client.get("/transfers/?state=sending")).words
    attention = Page(operator_client.get("/"))
    assert "Needs attention" in attention.words
    assert left.expires_at is not None
    assert f"{left.expires_at:%Y-%m-%d %H:%M:%S}" in attention.words


def test_only_its_owner_is_asked_for_the_file(administrator_client: Client, left: Transfer) -> None:
    page = Page(administrator_client.get(f"/transfers/{left.pk}/"))
    assert f"Only {left.owner.get_username()} can resume it." in page.words
    assert "Select the file" not in page.words


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ({}, "waiting-for-browser"),
        ({"phase": Phase.RECEIVING}, "waiting-for-browser"),
        ({"resumable": False}, "waiting-for-browser"),
        ({"desired_state": DesiredState.PAUSE}, "paused"),
        ({"desired_state": DesiredState.CANCEL}, "cancelling"),
        ({"phase": Phase.FAILED}, "failed"),
        ({"all_received": True}, "sending"),
        ({"quota_refused_at": timezone.now()}, "waiting-for-space"),
        ({"received_at": timezone.now()}, "sending"),
    ],
)
def test_state_tells_the_browser_from_other_reasons(
    facts: dict[str, Any], state: str, operator_client: Client, operator: User, unreachable: Store
) -> None:
    recent: dict[str, Any] = {name: timezone.now() for name in ("quota_refused_at", "received_at") if name in facts}
    known: dict[str, Any] = {"resumable": True, **ages(60)}
    transfer = make_transfer(operator, unreachable, **known | facts | recent)
    assert json_of(operator_client, transfer)["state"] == state


def test_form_that_has_lost_its_browser_says_that_it_cannot_be_resumed(
    operator_client: Client, operator: User, unreachable: Store
) -> None:
    """Its web server has died: a server that lives cancels the transfer as soon as the connection ends."""
    transfer = make_transfer(operator, unreachable, resumable=False, **ages(60))
    page = Page(operator_client.get(f"/transfers/{transfer.pk}/"))
    assert "cannot be resumed" in page.words
    assert "Select the file" not in page.words
    assert transfer.received_at is not None
    assert transfer.expires_at == transfer.received_at + timedelta(minutes=15)


def test_error_of_the_store_and_silence_of_the_browser_are_both_shown(operator_client: Client, left: Transfer) -> None:
    Transfer.objects.update(error_code="InternalError", error_message="Broken.")
    page = Page(operator_client.get(f"/transfers/{left.pk}/"))
    assert "The last attempt failed. It is retried automatically." in page.words
    assert STOPPED in page.words


# --- Rates ------------------------------------------------------------------------------------------------------------


def test_rates_are_those_of_the_last_seconds(operator_client: Client, operator: User, unreachable: Store) -> None:
    """4 MiB arrived in 15 s and 2 MiB were sent in 10 s, whatever the average since the start is."""
    transfer = make_transfer(operator, unreachable, sent=2, sending=1, staged=2, resumable=True, **ages(0))
    now = timezone.now()
    Transfer.objects.update(created_at=now - timedelta(hours=3), sending_at=now - timedelta(hours=3))
    parts = Part.objects.filter(transfer=transfer)
    parts.filter(number=1).update(moved=MIB, moved_at=now - timedelta(hours=1), mark_at=now - timedelta(hours=1))
    parts.filter(number=2).update(moved=MIB, moved_at=now, mark_at=now - timedelta(seconds=10))
    parts.filter(number=3).update(moved=MIB // 2, moved_at=now, mark_moved=0, mark_at=now - timedelta(seconds=5))
    shown = json_of(operator_client, transfer)
    assert shown["receive_rate"] == pytest.approx(4 * MIB / 15, rel=0.1)
    assert shown["send_rate"] == pytest.approx(1.5 * MIB / 10, rel=0.1)
    assert shown["seconds_left"] == pytest.approx(7.5 * MIB / (1.5 * MIB / 10), rel=0.1)


def test_large_part_in_flight_counts_only_what_moved_lately(
    operator_client: Client, operator: User, unreachable: Store
) -> None:
    """900 KiB of a part moved an hour ago, and 10 KiB/s now."""
    transfer = make_transfer(operator, unreachable, sending=1, staged=9, all_received=True)
    now = timezone.now()
    moved = {"moved": 1000 * 1024, "moved_at": now, "mark_moved": 900 * 1024, "mark_at": now - timedelta(seconds=10)}
    Part.objects.filter(number=1).update(**moved)
    assert json_of(operator_client, transfer)["send_rate"] == pytest.approx(10 * 1024, rel=0.1)
    Part.objects.filter(number=1).update(moved_at=now - timedelta(seconds=40))
    shown = json_of(operator_client, transfer)
    assert (shown["send_rate"], shown["seconds_left"]) == (None, None)


def test_no_time_is_left_to_show_while_the_store_leg_is_stuck(
    operator_client: Client, operator: User, unreachable: Store
) -> None:
    """The browser still sends at full speed, and nothing reaches the store."""
    transfer = make_transfer(operator, unreachable, staged=5, resumable=True, **ages(0))
    shown = json_of(operator_client, transfer)
    assert shown["receive_rate"]
    assert (shown["send_rate"], shown["seconds_left"]) == (None, None)


# --- Workers ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def asked_anew(monkeypatch: pytest.MonkeyPatch, settings: Settings, redis_url: str) -> None:
    """A real Redis, whose state is requested for every page."""
    settings.REDIS_URL = redis_url
    monkeypatch.setattr(health, "QUEUE_CACHE_SECONDS", 0.0)
    monkeypatch.setattr(health, "QUEUE_CHECK_SECONDS", 5.0)
    monkeypatch.setattr(health, "_senders", {})
    monkeypatch.setattr(health, "_queue", health.CachedCheck(health.Check("queue", broker.responds), 5.0, 0.0))


@pytest.mark.usefixtures("asked_anew")
def test_parts_that_no_process_sends_say_so(operator_client: Client, operator: User, unreachable: Store) -> None:
    """The heartbeat of the sender is missing: the transfer does not look as if it were being sent."""
    transfer = make_transfer(operator, unreachable, staged=10, all_received=True, node="alone")
    shown = json_of(operator_client, transfer)
    assert (shown["state"], shown["waiting_code"]) == ("sending", "WaitingForSender")
    assert "No process sends the parts" in Page(operator_client.get(f"/transfers/{transfer.pk}/")).words
    broker.send_heartbeat([parts_queue("alone")])
    assert json_of(operator_client, transfer)["waiting_code"] is None


@pytest.mark.usefixtures("asked_anew")
def test_parts_that_have_not_arrived_wait_for_no_sender(
    operator_client: Client, operator: User, unreachable: Store
) -> None:
    transfer = make_transfer(operator, unreachable, sent=2, node="idle")
    assert json_of(operator_client, transfer)["waiting_code"] is None
