"""Clocks and dates: a client that keeps sending is never taken for dead, whatever its upload's start and the store say.

The OSS test server runs in this process. The test sets its clock, and so the dates of uploads and parts.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from django.utils import timezone

from tests.services.inventory.scanning import scan
from tests.stores.oss import sitecustomize
from tests.stores.oss.accounts import Account, Accounts
from tests.stores.oss.authorization import authenticate
from tests.stores.oss.server import OssServer
from tests.stores.oss.state import Bucket, State
from uploads.domain.lifecycle.editing import AbortTerms
from uploads.domain.verdicts import Verdict
from uploads.models import InventorySettings, InventoryUpload, Store
from uploads.objectstore import transport
from uploads.objectstore.types import FileSlice
from uploads.services.inventory.judging import rejudge_due
from uploads.services.lifecycle.simulation import Simulation, simulate
from uploads.services.stores import pace
from uploads.services.stores.clients import client_for
from uploads.services.stores.settings import StoreValues, add_store

MINUTES = int(os.environ.get("SENDING_MINUTES", "8"))
"""How long the client keeps sending. It was run once with 240."""

REGION, BUCKET = "cn-hangzhou", "clocks"
DAY = timedelta(days=1)


@dataclass(slots=True)
class Clock:
    """The store's clock, and that of Partway, which is the same unless `ahead` says otherwise."""

    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    passed: timedelta = timedelta(0)
    behind: timedelta = timedelta(0)

    @property
    def here(self) -> datetime:
        return self.started + self.passed

    @property
    def there(self) -> datetime:
        return self.here - self.behind


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()

    class Here(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Here:
            return cls.fromtimestamp(clock.here.timestamp(), tz)

    monkeypatch.setattr(timezone, "now", lambda: clock.here)
    # Where the clocks are compared.
    monkeypatch.setattr(transport, "datetime", Here)
    return clock


@pytest.fixture
def state(clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> State:
    """What the server has. Signatures are checked by the real time: they are not what is tested."""
    name = "tests.stores.oss.server.authenticate"
    monkeypatch.setattr(name, lambda request, accounts, _now: authenticate(request, accounts, datetime.now(UTC)))
    state = State(tmp_path, clock=lambda: clock.there)
    state.buckets[BUCKET] = Bucket(BUCKET, REGION, clock.there)
    return state


@pytest.fixture
def store(state: State, tmp_path: Path, transactional_db: None) -> Iterator[Store]:
    Accounts(tmp_path).save(Account("LTAIclocks", "secret-of-clocks"))
    with OssServer(tmp_path, state=state) as server, sitecustomize.resolved():
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        values = StoreValues(
            name="oss",
            endpoint_url=f"http://oss-{REGION}.localhost:{server.server_address[1]}",
            region=REGION,
            provider="oss",
            access_key="LTAIclocks",
            secret_key="secret-of-clocks",
        )
        store = add_store(None, values)
        InventorySettings.objects.create(store=store, requests_per_second=100_000, requests_in_flight=8)
        pace.forget_limits()
        yield store
        server.shutdown()
        thread.join()


@dataclass
class Sender:
    """A client that sends parts to one upload. The first one is missing, so that it is never completable."""

    store: Store
    body: FileSlice
    upload_id: str = ""
    number: int = 1

    def start(self) -> None:
        self.upload_id = client_for(self.store).create_multipart_upload(BUCKET, "k")

    def send(self) -> None:
        self.number = max(2, self.number % 10_000 + 1)
        client_for(self.store).upload_part(BUCKET, "k", self.upload_id, self.number, self.body)


@pytest.fixture
def sender(store: Store, tmp_path: Path) -> Sender:
    path = tmp_path / "body"
    path.write_bytes(b"x" * 100)
    return Sender(store, FileSlice(path, 0, 100))


def judged() -> InventoryUpload:
    rejudge_due(10)
    return InventoryUpload.objects.get()


def simulated(store: Store, clock: Clock, since: str) -> Simulation:
    found = simulate(store, BUCKET, AbortTerms(days=7), since, clock.here)  # type: ignore[arg-type]
    assert found is not None
    return found


def assert_alive(store: Store, clock: Clock) -> None:
    row = judged()
    assert row.verdict == Verdict.ALIVE
    by_start, by_change = simulated(store, clock, "start"), simulated(store, clock, "last-change")
    assert (by_start.uploads, by_start.alive, by_start.warns) == (1, 1, True)
    assert by_change.uploads == 0


def test_a_client_that_keeps_sending_is_never_dead(store: Store, sender: Sender, clock: Clock) -> None:
    clock.passed = -30 * DAY
    sender.start()
    sender.send()
    clock.passed = timedelta(0)
    sender.send()
    for minute in range(MINUTES):
        clock.passed = timedelta(minutes=minute)
        sender.send()
        if minute % 4 == 0:
            scan(store, [(BUCKET, "")])
        assert_alive(store, clock)


def test_a_client_that_sends_while_nobody_looks_is_never_dead(store: Store, sender: Sender, clock: Clock) -> None:
    """Weeks pass between two scans. What was known before says nothing of the parts since."""
    clock.passed = -30 * DAY
    sender.start()
    sender.send()
    clock.passed = -29.9 * DAY
    scan(store, [(BUCKET, "")])
    for days in (-28, -22, -10, 0):
        clock.passed = days * DAY
        sender.send()
        row = judged()
        assert row.verdict in (Verdict.ALIVE, Verdict.STALLED)
        for since in ("start", "last-change"):
            found = simulated(store, clock, since)
            assert found.alive + found.unjudged == found.uploads
    scan(store, [(BUCKET, "")])
    assert_alive(store, clock)
    clock.passed = 8 * DAY
    scan(store, [(BUCKET, "")])
    assert judged().verdict == Verdict.DEAD, "it can be found dead"


@pytest.mark.parametrize("days", [1, 8, 400])
def test_a_store_whose_clock_is_behind_kills_nothing(store: Store, sender: Sender, clock: Clock, days: int) -> None:
    clock.behind = days * DAY
    sender.start()
    sender.send()
    scan(store, [(BUCKET, "")])
    row = judged()
    assert row.verdict == Verdict.ALIVE
    assert abs(row.behind_seconds - days * 86400) < 60
    assert row.last_part_at is not None
    assert abs(row.active_at - clock.here) < timedelta(minutes=1)


def test_a_clock_that_is_ahead_only_makes_uploads_younger(store: Store, sender: Sender, clock: Clock) -> None:
    clock.behind = -DAY
    sender.start()
    sender.send()
    scan(store, [(BUCKET, "")])
    clock.passed = 7.5 * DAY
    scan(store, [(BUCKET, "")])
    row = judged()
    assert (row.verdict, row.behind_seconds) == (Verdict.STALLED, 0)


def test_dates_that_do_not_move_cannot_hide_a_part(store: Store, sender: Sender, clock: Clock) -> None:
    """The store's clock is right, but it dates each part as the start of its upload."""
    clock.passed = -30 * DAY
    sender.start()
    sender.send()
    clock.passed = timedelta(0)
    scan(store, [(BUCKET, "")])
    assert judged().verdict == Verdict.DEAD
    clock.passed = -30 * DAY
    sender.send()
    clock.passed = timedelta(hours=1)
    scan(store, [(BUCKET, "")])
    row = judged()
    assert row.verdict == Verdict.ALIVE
    assert row.changed_after is not None
    clock.passed = 9 * DAY
    scan(store, [(BUCKET, "")])
    assert judged().verdict == Verdict.DEAD
