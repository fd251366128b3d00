"""The quota of staging: it is never exceeded, it is shared fairly, and all reservations are released in the end."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from tests.grants import make_operator
from tests.services.drive import Drive, staged_names
from uploads.domain.planning import PREFERRED_PART_SIZE
from uploads.domain.states import DesiredState, PartState, Phase
from uploads.models import Part, Store, Transfer
from uploads.problems import Code
from uploads.services.staging import quota
from uploads.services.transfers.receive import QuotaExceeded, Receiver
from uploads.services.transfers.start import TransferRefused, limits_of
from uploads.services.transfers.steps import request_cancel
from uploads.staging import disk

NODE = "test-node"
Make = Callable[..., Transfer]


@pytest.fixture
def unreachable(transactional_db: None) -> Store:
    """A store that these tests never send a request to."""
    return Store.objects.create(name="unreachable", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


@pytest.fixture
def make(user: User, unreachable: Store) -> Make:
    """A resumable transfer of ten parts of 100 bytes."""

    def make_transfer(owner: User = user, **values: Any) -> Transfer:
        facts = {"size": 1000, "part_size": 100, "part_count": 10, "bucket": "b", "key": "k"}
        known = {"node": NODE, "resumable": True, "received_at": timezone.now()}
        return Transfer.objects.create(owner=owner, store=unreachable, **facts | known | values)

    return make_transfer


@pytest.fixture
def others(user: User) -> list[User]:
    return [make_operator(name) for name in ("otto", "petra")]


def reserve(transfer: Transfer, number: int) -> bool:
    return bool(quota.reserve(transfer, transfer.plan.part(number)))


def finish_part(transfer: Transfer, number: int) -> None:
    """The part's bytes are in the store."""
    part = transfer.parts.get(number=number)
    Part.objects.filter(pk=part.pk).update(state=PartState.SENT)
    quota.release(part)


def start_part(transfer: Transfer, number: int, count: int) -> None:
    """A part of which `count` bytes have arrived."""
    assert reserve(transfer, number)
    transfer.folder.make()
    transfer.folder.partial(number).write_bytes(bytes(count))
    transfer.parts.filter(number=number).update(received=count)


def silence(transfer: Transfer, minutes: float = 3) -> None:
    ago = timezone.now() - timedelta(minutes=minutes)
    Transfer.objects.filter(pk=transfer.pk).update(received_at=ago, progressed_at=ago)


# --- The quota --------------------------------------------------------------------------------------------------------


def test_reservations_never_exceed_the_quota(make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA = 250
    transfer = make()
    assert [reserve(transfer, number) for number in (1, 2, 3)] == [True, True, False]
    assert quota.reserved_bytes(NODE) == 200
    assert not transfer.parts.filter(number=3).exists()
    assert reserve(make(size=50, part_size=50, part_count=1), 1)
    assert quota.reserved_bytes(NODE) == 250
    assert not reserve(make(size=1, part_size=1, part_count=1), 1)
    assert quota.free_bytes(NODE) == 0


def test_reserving_a_part_twice_reserves_it_once(make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA = 100
    transfer = make()
    first = quota.reserve(transfer, transfer.plan.part(1))
    assert quota.reserve(transfer, transfer.plan.part(1)) == first
    assert quota.reserved_bytes(NODE) == 100


def test_next_parts_are_reserved_ahead_while_space_is_ample(make: Make, others: list[User], settings: Settings) -> None:
    settings.STAGING_QUOTA = 100 * quota.AHEAD * quota.AMPLE
    transfer = make()
    ahead = quota.reserve(transfer, transfer.plan.part(1))
    assert [part.number for part in ahead] == [*range(1, quota.AHEAD + 1)]
    assert quota.reserved_bytes(NODE) == 100 * quota.AHEAD
    assert len(quota.reserve(transfer, transfer.plan.part(9))) == 1  # Space is no longer ample.
    start_part(transfer, 1, 100)
    silence(transfer)
    settings.STAGING_QUOTA = 1000
    assert [reserve(make(owner=others[0]), 1) for _ in range(3)] == [True] * 3
    assert (quota.reserved_bytes(NODE), staged_names(transfer)) == (300, [])


def test_each_node_has_its_own_quota(make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA = 100
    assert reserve(make(), 1)
    assert reserve(make(node="elsewhere"), 1)
    assert (quota.reserved_bytes(NODE), quota.reserved_bytes("elsewhere")) == (100, 100)


def test_concurrent_threads_never_exceed_the_quota(make: Make, others: list[User], settings: Settings) -> None:
    """Six threads reserve and release parts of twelve transfers while two others watch the total."""
    settings.STAGING_QUOTA = 450
    transfers = [make(owner=others[number % 2]) for number in range(12)]
    barrier, most, refused, stop = threading.Barrier(8), [0], [0], threading.Event()

    def work(number: int) -> int:
        rng, count = random.Random(number), 0
        barrier.wait(30)
        try:
            for transfer in transfers[number::6]:
                reserved: list[int] = []
                for part in range(1, 11):
                    while not reserve(transfer, part):
                        refused[0] += 1
                        if reserved:
                            finish_part(transfer, reserved.pop(0))
                    count += 1
                    reserved.append(part)
                    if rng.random() < 0.5:
                        finish_part(transfer, reserved.pop(0))
                for part in reserved:
                    finish_part(transfer, part)
        finally:
            connection.close()
        return count

    def watch() -> None:
        barrier.wait(30)
        try:
            while not stop.is_set():
                most[0] = max(most[0], quota.reserved_bytes(NODE))
        finally:
            connection.close()

    watchers = [threading.Thread(target=watch) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    with ThreadPoolExecutor(6) as pool:
        count = list(pool.map(work, range(6)))
    stop.set()
    for watcher in watchers:
        watcher.join()
    assert sum(count) == 120
    assert 300 <= most[0] <= 450
    assert refused[0]
    assert quota.reserved_bytes(NODE) == 0


def test_threads_that_compete_for_the_last_free_bytes(make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA = 300
    transfers = [make() for _ in range(8)]
    barrier = threading.Barrier(8)

    def reserve_first(transfer: Transfer) -> bool:
        barrier.wait(30)
        try:
            return reserve(transfer, 1)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(reserve_first, transfers)) == 3
    assert quota.reserved_bytes(NODE) == 300


def test_cancelled_transfer_cannot_reserve_space(make: Make, user: User) -> None:
    transfer = make()
    request_cancel(user, transfer)
    with pytest.raises(quota.TransferEnded):
        reserve(transfer, 1)
    with pytest.raises(quota.TransferEnded):
        reserve(make(phase=Phase.DONE), 1)
    assert quota.reserved_bytes(NODE) == 0


# --- Fairness ---------------------------------------------------------------------------------------------------------


def test_operator_with_more_reserved_leaves_space_for_a_refused_one(
    make: Make, others: list[User], settings: Settings
) -> None:
    settings.STAGING_QUOTA = 400
    huge, small = make(), make(owner=others[0])
    for number in range(1, 5):
        assert reserve(huge, number)
    assert not reserve(small, 1)
    small.refresh_from_db()
    assert small.quota_refused_at is not None
    finish_part(huge, 1)
    assert not reserve(huge, 5)  # The free bytes are claimed.
    assert reserve(small, 1)
    small.refresh_from_db()
    assert small.quota_refused_at is None


def test_nobody_waits_if_there_is_space_for_both(make: Make, others: list[User], settings: Settings) -> None:
    settings.STAGING_QUOTA = 400
    huge, small = make(), make(owner=others[0])
    for number in range(1, 5):
        reserve(huge, number)
    assert not reserve(small, 1)
    finish_part(huge, 1)
    finish_part(huge, 2)
    assert reserve(huge, 5)
    assert reserve(small, 1)


def test_transfer_with_less_reserved_goes_first_for_the_same_operator(make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA = 300
    first, second = make(), make()
    for number in (1, 2, 3):
        assert reserve(first, number)
    assert not reserve(second, 1)
    finish_part(first, 1)
    assert not reserve(first, 4)
    assert reserve(second, 1)


def test_transfer_with_less_reserved_ignores_the_claim_of_one_with_more(
    make: Make, others: list[User], settings: Settings
) -> None:
    settings.STAGING_QUOTA = 300
    huge, small = make(), make(owner=others[0])
    for number in (1, 2, 3):
        reserve(huge, number)
    assert not reserve(huge, 4)
    finish_part(huge, 1)
    assert reserve(small, 1)


def test_claim_is_as_large_as_the_waiting_part(make: Make, others: list[User], settings: Settings) -> None:
    settings.STAGING_QUOTA = 400
    huge, small = make(), make(owner=others[0], size=150, part_size=150, part_count=1)
    for number in range(1, 5):
        reserve(huge, number)
    assert not reserve(small, 1)
    finish_part(huge, 1)
    finish_part(huge, 2)
    assert not reserve(huge, 5)  # 200 are free, 150 of them are claimed.
    assert reserve(small, 1)


def test_largest_of_several_claims_counts(make: Make, others: list[User], settings: Settings) -> None:
    settings.STAGING_QUOTA = 400
    huge = make()
    for number in range(1, 5):
        reserve(huge, number)
    for owner, size in zip(others, (20, 150), strict=True):
        assert not reserve(make(owner=owner, size=size, part_size=size, part_count=1), 1)
    finish_part(huge, 1)
    finish_part(huge, 2)
    assert not reserve(huge, 5)


@pytest.mark.parametrize(
    "change",
    [
        {"quota_refused_at": timezone.now() - timedelta(minutes=1)},
        {"desired_state": DesiredState.PAUSE},
        {"desired_state": DesiredState.CANCEL},
        {"quota_refused_at": None},
    ],
)
def test_claim_of_a_transfer_that_stopped_waiting_expires(
    change: dict[str, Any], make: Make, others: list[User], settings: Settings
) -> None:
    settings.STAGING_QUOTA = 400
    huge, small = make(), make(owner=others[0])
    for number in range(1, 5):
        reserve(huge, number)
    assert not reserve(small, 1)
    finish_part(huge, 1)
    Transfer.objects.filter(pk=small.pk).update(**change)
    assert reserve(huge, 5)


def test_ten_small_files_and_a_huge_one_all_finish(make: Make, others: list[User], settings: Settings) -> None:
    """No transfer is refused forever, whatever the others reserve."""
    settings.STAGING_QUOTA = 350
    running = {make(owner=others[number % 2]).pk: 0 for number in range(10)} | {make().pk: 0}
    rng = random.Random(7)
    for _ in range(3000):
        transfer = Transfer.objects.get(pk=rng.choice([*running]))
        number = running[transfer.pk] + 1
        if number <= 10 and reserve(transfer, number):
            running[transfer.pk] = number
        assert quota.reserved_bytes(NODE) <= 350
        reserved = list(transfer.parts.filter(reserved_bytes__gt=0))
        if reserved and rng.random() < 0.6:
            finish_part(transfer, reserved[0].number)
        if set(running.values()) == {10}:
            break
    assert set(running.values()) == {10}


# --- Parts of silent senders ------------------------------------------------------------------------------------------


def test_part_of_a_silent_sender_is_reclaimed(make: Make, others: list[User], settings: Settings) -> None:
    settings.STAGING_QUOTA = 100
    silent, other = make(), make(owner=others[0])
    start_part(silent, 1, 50)
    assert not reserve(other, 1)
    silence(silent)
    assert reserve(other, 1)
    part = silent.parts.get()
    assert (part.reserved_bytes, part.received, part.state) == (0, 0, PartState.WAITING)
    assert staged_names(silent) == []
    assert quota.reserved_bytes(NODE) == 100


def test_partial_part_is_kept_while_its_space_is_not_needed(make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA = 200
    silent = make()
    start_part(silent, 1, 50)
    silence(silent)
    assert reserve(make(), 1)
    assert staged_names(silent) == ["00001.partial"]


@pytest.mark.parametrize("facts", [{"resumable": False}, {"minutes": 1}])
def test_form_uploads_and_short_silences_are_not_reclaimed(
    facts: dict[str, Any], make: Make, settings: Settings
) -> None:
    settings.STAGING_QUOTA = 100
    facts = dict(facts)
    minutes = facts.pop("minutes", 60)
    sender = make(**facts)
    start_part(sender, 1, 50)
    silence(sender, minutes)
    assert not reserve(make(), 1)
    assert staged_names(sender) == ["00001.partial"]
    assert quota.reserved_bytes(NODE) == 100


def test_part_that_is_being_written_is_not_reclaimed(make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA = 100
    sender = make()
    start_part(sender, 1, 50)
    silence(sender)
    with sender.folder.writer():
        assert not reserve(make(), 1)
    assert staged_names(sender) == ["00001.partial"]


def test_whole_parts_are_not_reclaimed(make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA = 300
    silent = make()
    start_part(silent, 1, 100)
    silent.folder.partial(1).rename(silent.folder.whole(1))
    silent.parts.filter(number=1).update(state=PartState.STAGED)
    start_part(silent, 2, 100)
    silent.folder.partial(2).rename(silent.folder.whole(2))  # and its writer died before recording it
    start_part(silent, 3, 50)
    silence(silent)
    other = make()
    assert reserve(other, 1)
    assert staged_names(silent) == ["00001", "00002"]
    assert dict(silent.parts.values_list("number", "reserved_bytes")) == {1: 100, 2: 100, 3: 0}
    assert not reserve(other, 2)
    assert quota.reserved_bytes(NODE) == 300


def test_bytes_that_wait_for_their_checksum_are_reclaimed_together(make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA = 300
    silent = make()
    silent.folder.make()
    silent.folder.mark_unverified(0)
    for number, count in ((1, 100), (2, 100), (3, 20)):
        start_part(silent, number, count)
    silence(silent)
    other = make()
    assert [reserve(other, number) for number in (1, 2, 3)] == [True, True, True]
    assert staged_names(silent) == []
    assert silent.folder.unverified_from() is None
    assert quota.reserved_bytes(NODE) == 300


def test_sender_of_a_reclaimed_part_resumes_at_an_earlier_offset(drive: Drive, settings: Settings) -> None:
    settings.STAGING_QUOTA = 20
    content = os.urandom(15)
    transfer = drive.start(15, part_size=15, resumable=True)
    with Receiver(transfer) as receiver:
        receiver.expect(10)
        receiver.write(content[:10])
        receiver.end()
    silence(transfer)
    other = drive.start(15, "b", resumable=True)
    with Receiver(other) as receiver:
        receiver.expect(15)
        with Receiver(transfer) as again:
            assert again.offset == 0
            with pytest.raises(QuotaExceeded):
                again.expect(15)
        receiver.write(bytes(15))
        receiver.end()
    drive.finish(other)
    with Receiver(transfer) as again:
        again.expect(15)
        again.write(content)
        again.end()
    assert drive.finish(transfer).phase == Phase.DONE


# --- The disk ---------------------------------------------------------------------------------------------------------


def test_free_floor_of_the_disk_is_never_used(make: Make, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.STAGING_FREE_FLOOR = 1000
    monkeypatch.setattr(disk, "free_bytes", lambda _: 1250)
    transfer = make()
    assert reserve(transfer, 1)
    assert quota.free_bytes(NODE) == 150
    assert reserve(transfer, 2)
    assert not reserve(transfer, 3)


def test_reserved_bytes_that_have_not_arrived_count_as_used(
    make: Make, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.STAGING_FREE_FLOOR = 1000
    free = [1300]
    monkeypatch.setattr(disk, "free_bytes", lambda _: free[0])
    transfer = make()
    assert reserve(transfer, 1)
    assert quota.free_bytes(NODE) == 200
    transfer.parts.update(received=60)
    free[0] -= 60
    assert quota.free_bytes(NODE) == 200
    transfer.parts.update(received=100, state=PartState.STAGED)
    free[0] -= 40
    assert quota.free_bytes(NODE) == 200
    finish_part(transfer, 1)
    free[0] += 100
    assert quota.free_bytes(NODE) == 300


def test_disk_is_the_limit_without_a_quota(make: Make, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.STAGING_QUOTA = 0
    settings.STAGING_FREE_FLOOR = 0
    monkeypatch.setattr(disk, "free_bytes", lambda _: 99)
    assert not reserve(make(), 1)


# --- Release ----------------------------------------------------------------------------------------------------------


def test_sent_part_releases_its_reservation(drive: Drive, settings: Settings) -> None:
    content = os.urandom(2 * 5 * 1024**2 + 1)
    transfer = drive.upload(content, part_size=5 * 1024**2)
    assert quota.reserved_bytes(NODE) == len(content)
    drive.send(transfer, parts=1)
    assert quota.reserved_bytes(NODE) == 5 * 1024**2 + 1
    drive.finish(transfer)
    assert quota.reserved_bytes(NODE) == 0


def test_cancelled_transfer_releases_all_its_reservations(drive: Drive, user: User) -> None:
    transfer = drive.start(30, part_size=30, resumable=True)
    with Receiver(transfer) as receiver:
        receiver.expect(10)
        receiver.write(bytes(10))
        receiver.end()
    assert quota.reserved_bytes(NODE) == 30
    request_cancel(user, transfer)
    assert drive.finish(transfer).phase == Phase.CANCELLED
    assert quota.reserved_bytes(NODE) == 0
    assert not transfer.folder.exists()


# --- Plans ------------------------------------------------------------------------------------------------------------


def test_part_size_is_limited_by_the_quota(drive: Drive, store: Store, settings: Settings) -> None:
    mib = 1024**2
    settings.STAGING_QUOTA = 8 * mib
    assert drive.start(100 * mib, "a").part_size == 5 * mib  # A quarter is less than the store accepts.
    settings.STAGING_QUOTA = 40 * mib
    assert drive.start(100 * mib, "b").part_size == 10 * mib
    settings.STAGING_QUOTA = 0
    assert drive.start(100 * mib, "c").part_size == PREFERRED_PART_SIZE
    assert limits_of(store).max_part_size > 1024 * mib


def test_parts_larger_than_the_quota_are_refused(drive: Drive, settings: Settings) -> None:
    mib = 1024**2
    settings.STAGING_QUOTA = 8 * mib
    with pytest.raises(TransferRefused, match=Code.PART_TOO_LARGE) as refusal:
        drive.start(100 * mib, part_size=9 * mib)
    assert refusal.value.field == "part-size"
    settings.STAGING_QUOTA = 4 * mib
    with pytest.raises(TransferRefused, match=Code.STAGING_TOO_SMALL) as refusal:
        drive.start(100 * mib)
    assert (refusal.value.field, refusal.value.status) == ("file", 507)
    assert drive.start(4 * mib).part_count == 1
