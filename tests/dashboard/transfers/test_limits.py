"""What one user may do at the same time: create transfers, send files, have transfers in progress, fill staging."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from dashboard.transfers import slots
from dashboard.transfers.slots import NoSlot, Slots
from tests.dashboard.make_transfer import make_transfer
from uploads.domain.replacement import ANYTHING
from uploads.domain.states import PartState, Phase
from uploads.models import Part, Store, Transfer
from uploads.problems import Code
from uploads.services.staging import quota
from uploads.services.transfers.start import NewTransfer, start_transfer

pytestmark = pytest.mark.django_db

KEYS = iter(range(1_000_000))


@pytest.fixture(autouse=True)
def staging(settings: Settings, tmp_path: Path) -> Path:
    settings.STAGING_DIR = tmp_path / "staging"
    return tmp_path / "staging"


@pytest.fixture
def store() -> Store:
    """A store that these tests never reach."""
    return Store.objects.create(name="s", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


@pytest.fixture
def olga() -> User:
    return User.objects.create_user("olga", is_staff=True)


@pytest.fixture
def otto() -> User:
    return User.objects.create_user("otto", is_staff=True)


@pytest.fixture
def make(olga: User, store: Store) -> Callable[..., Transfer]:
    """A transfer of 30 bytes in parts of 10, of which nothing has arrived."""

    def make_one(owner: User = olga, **values: Any) -> Transfer:
        facts: dict[str, Any] = {"size": 30, "part_size": 10, "part_count": 3, "node": "test-node", "resumable": True}
        facts["key"] = f"made {next(KEYS)}"
        return make_transfer(owner, store, **facts | {"phase": Phase.RECEIVING} | values)

    return make_one


Make = Callable[..., Transfer]


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def fields() -> dict[str, str]:
    key = f"k{next(KEYS)}"
    return {"store": "s", "bucket": "photos", "key": key, "replace": "on", "replace-etag": "*"}


def create_by_tus(user: User) -> Any:
    metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in fields().items())
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "3", "Upload-Metadata": metadata}
    return signed_in(user).generic("POST", "/files/", headers=headers)


def create_by_json(user: User) -> Any:
    form = {**fields(), "file": BytesIO(b"abc")}
    return signed_in(user).post("/transfers/new/", form, headers={"Accept": "application/json"})


def create_by_form(user: User) -> Any:
    return signed_in(user).post("/transfers/new/", {**fields(), "file": BytesIO(b"abc")})


def send(user: User, transfer: Transfer, body: bytes = b"abc", offset: int = 0) -> Any:
    headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": str(offset)}
    kind = "application/offset+octet-stream"
    return signed_in(user).generic("PATCH", f"/files/{transfer.pk}", body, kind, headers=headers)


WAYS = pytest.mark.parametrize("create", [create_by_tus, create_by_json, create_by_form])
Create = Callable[[User], Any]


def check_refused(response: Any, status: int, code: Code, text: str) -> None:
    """The error says what is allowed, and the header when to repeat the request."""
    assert response.status_code == status, response.content
    assert int(response["Retry-After"]) > 0
    if response["Content-Type"] == "application/json":
        error = response.json()["error"]
        assert error["code"] == code
        assert text in error["message"]
    else:
        assert text in response.content.decode()
    assert not Transfer.objects.filter(key__startswith="k").exists()


def check_created(response: Any) -> None:
    assert response.status_code in (201, 303), response.content


@pytest.fixture
def busy() -> Iterator[Callable[[Slots, int, int], None]]:
    """Occupies slots of a user."""
    with ExitStack() as stack:

        def occupy(which: Slots, user_id: int, count: int) -> None:
            for _ in range(count):
                stack.enter_context(which.taken_by(user_id))

        yield occupy


Busy = Callable[[Slots, int, int], None]


# --- At the same time -------------------------------------------------------------------------------------------------


def test_threads_never_exceed_a_limit() -> None:
    """Forty requests of two users: each of them has at most three at once, and both together four."""
    limited = Slots(4, 3, busy=Code.CREATE_SLOTS_BUSY, user_busy=Code.USER_CREATING, retry_after=1)
    lock, now, most = threading.Lock(), {1: 0, 2: 0}, {1: 0, 2: 0, "both": 0}
    start, refused = threading.Barrier(40), [0]

    def request(number: int) -> None:
        user = number % 2 + 1
        start.wait(30)
        for _ in range(50):
            try:
                with limited.taken_by(user):
                    with lock:
                        now[user] += 1
                        most[user], most["both"] = max(most[user], now[user]), max(most["both"], sum(now.values()))
                    with lock:
                        now[user] -= 1
            except NoSlot:
                refused[0] += 1

    with ThreadPoolExecutor(40) as pool:
        assert len([*pool.map(request, range(40))]) == 40
    assert max(most[1], most[2]) <= 3
    assert most["both"] <= 4
    with limited.taken_by(1), limited.taken_by(1), limited.taken_by(1), pytest.raises(NoSlot) as one_more:
        limited.taken_by(1).__enter__()
    assert one_more.value.of_user


@WAYS
def test_creations_of_a_user_at_the_same_time(create: Create, olga: User, otto: User, store: Store, busy: Busy) -> None:
    limit = slots.creating.each
    busy(slots.creating, olga.pk, limit)
    check_refused(create(olga), 429, Code.USER_CREATING, f"You are creating {limit} transfers now")
    check_created(create(otto))


@WAYS
def test_creations_of_all_users_at_the_same_time(create: Create, olga: User, store: Store, busy: Busy) -> None:
    for user_id in range(-slots.creating.total, 0):
        busy(slots.creating, user_id, 1)
    check_refused(create(olga), 503, Code.CREATE_SLOTS_BUSY, "creating too many transfers")


def test_bodies_of_a_user_at_the_same_time(olga: User, otto: User, make: Make, busy: Busy) -> None:
    limit = slots.receiving.each
    transfer = make()
    busy(slots.receiving, olga.pk, limit - 1)
    assert send(olga, transfer).status_code == 204
    busy(slots.receiving, olga.pk, 1)
    text = f"You are sending {limit} files already"
    check_refused(send(olga, transfer, offset=3), 429, Code.USER_RECEIVING, text)
    check_refused(create_by_json(olga), 429, Code.USER_RECEIVING, text)
    check_refused(create_by_form(olga), 429, Code.USER_RECEIVING, text)
    assert send(otto, make(otto)).status_code == 204
    assert create_by_tus(olga).status_code == 201, "a creation without bytes receives nothing"


def test_bodies_of_all_users_at_the_same_time(olga: User, make: Make, busy: Busy) -> None:
    for user_id in range(-slots.receiving.total, 0):
        busy(slots.receiving, user_id, 1)
    check_refused(send(olga, make()), 503, Code.RECEIVE_SLOTS_BUSY, "receiving too many files")


# --- Transfers in progress --------------------------------------------------------------------------------------------


@WAYS
def test_transfers_in_progress(create: Create, olga: User, otto: User, make: Make, settings: Settings) -> None:
    settings.USER_OPEN_TRANSFERS = 2
    now = timezone.now()
    for phase in (Phase.DONE, Phase.CANCELLED, Phase.FAILED):
        make(phase=phase, finished_at=now)
    open_ones = [make(), make(phase=Phase.SENDING)]
    check_refused(
        create(olga), 429, Code.USER_OPEN_TRANSFERS, "You have 2 transfers in progress, and may not have more."
    )
    check_created(create(otto))
    Transfer.objects.filter(pk=open_ones[0].pk).update(phase=Phase.DONE, finished_at=now)
    check_created(create(olga))


def test_unfinished_transfer_is_resumed_at_the_limit(olga: User, store: Store, settings: Settings) -> None:
    settings.USER_OPEN_TRANSFERS = 1
    same: dict[str, Any] = {
        "owner": olga,
        "store": store,
        "bucket": "photos",
        "size": 3,
        "replace": True,
        "resumable": True,
    }
    new = NewTransfer(key="a", fingerprint="f", replacement=ANYTHING, **same)
    assert start_transfer(new).pk == start_transfer(new).pk


# --- Staging ----------------------------------------------------------------------------------------------------------


def test_bytes_of_a_user_in_staging(
    olga: User, otto: User, make: Make, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.STAGING_QUOTA, settings.USER_RESERVED_BYTES = 100, 20
    first, second = make(), make()
    assert send(olga, first, bytes(20)).status_code == 204
    monkeypatch.setattr("dashboard.transfers.tus.body.FIRST_PATIENCE_SECONDS", 0)
    check_refused(send(olga, second), 429, Code.USER_RESERVED, "Your transfers may take 20 bytes of staging")
    assert send(otto, make(otto)).status_code == 204
    part = first.parts.get(number=1)
    Part.objects.filter(pk=part.pk).update(state=PartState.SENT)
    quota.release(part)
    assert send(olga, second).status_code == 204


def test_form_that_exceeds_the_bytes_of_a_user(
    olga: User, make: Make, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.STAGING_QUOTA, settings.USER_RESERVED_BYTES = 100, 12
    monkeypatch.setattr("dashboard.transfers.receive.FIRST_PATIENCE_SECONDS", 0)
    assert send(olga, make(), bytes(10)).status_code == 204
    response = create_by_json(olga)
    assert (response.status_code, response.json()["error"]["code"]) == (429, Code.USER_RESERVED)
    assert int(response["Retry-After"]) > 0


def test_user_may_take_nine_tenths_of_staging_by_default(make: Make, otto: User, settings: Settings) -> None:
    settings.STAGING_QUOTA, settings.USER_RESERVED_BYTES = 100, 0
    transfer, another = make(size=100, part_count=10), make()
    for number in range(1, 10):
        assert quota.reserve(transfer, transfer.plan.part(number))
    with pytest.raises(quota.UserLimit):
        quota.reserve(transfer, transfer.plan.part(10))
    with pytest.raises(quota.UserLimit):
        quota.reserve(another, another.plan.part(1))
    assert quota.reserve(make(otto), another.plan.part(1))


def test_part_that_is_larger_than_the_limit_is_received_alone(make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA, settings.USER_RESERVED_BYTES = 100, 5
    first, second = make(), make()
    assert quota.reserve(first, first.plan.part(1))
    with pytest.raises(quota.UserLimit):
        quota.reserve(second, second.plan.part(1))


def test_parts_are_reserved_ahead_within_the_limit(make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA, settings.USER_RESERVED_BYTES = 100_000, 45
    transfer, another = make(size=100, part_count=10), make()
    assert len(quota.reserve(another, another.plan.part(1))) == 3
    assert len(quota.reserve(transfer, transfer.plan.part(1))) == 1
