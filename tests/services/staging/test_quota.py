"""Room in staging: never more than the quota, to whoever holds least, and given back in the end."""

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

from tests.services.drive import Drive, staged_names
from uploads.domain.planning import PREFERRED_PART_SIZE
from uploads.domain.states import DesiredState, PartState, Phase
from uploads.models import Part, Store, Transfer
from uploads.services.staging import quota
from uploads.services.transfers.receive import NoRoom, Receiver
from uploads.services.transfers.start import TransferRefused, limits_of
from uploads.services.transfers.steps import request_cancel

NODE = "test-node"
Make = Callable[..., Transfer]


@pytest.fixture
def away(transactional_db: None) -> Store:
    """A store that nothing in these tests asks."""
    return Store.objects.create(name="away", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


@pytest.fixture
def make(user: User, away: Store) -> Make:
    """A resumable transfer of ten parts of 100 bytes."""

    def make_transfer(owner: User = user, **values: Any) -> Transfer:
        facts = {"size": 1000, "part_size": 100, "part_count": 10, "bucket": "b", "key": "k"}
        known = {"node": NODE, "resumable": True, "received_at": timezone.now()}
        return Transfer.objects.create(owner=owner, store=away, **facts | known | values)

    return make_transfer


@pytest.fixture
def others(user: User) -> list[User]:
    return [User.objects.create_user(name) for name in ("otto", "petra")]


def take(transfer: Transfer, number: int) -> bool:
    return bool(quota.reserve(transfer, transfer.plan.part(number)))


def leave(transfer: Transfer, number: int) -> None:
    """The part's bytes are in the store."""
    part = transfer.parts.get(number=number)
    Part.objects.filter(pk=part.pk).update(state=PartState.SENT)
    quota.release(part)


def begin_part(transfer: Transfer, number: int, count: int) -> None:
    """A part of which `count` bytes have come."""
    assert take(transfer, number)
    transfer.folder.make()
    transfer.folder.partial(number).write_bytes(bytes(count))
    transfer.parts.filter(number=number).update(received=count)


def silence(transfer: Transfer, minutes: float = 3) -> None:
    Transfer.objects.filter(pk=transfer.pk).update(received_at=timezone.now() - timedelta(minutes=minutes))


# --- The quota --------------------------------------------------------------------------------------------------------


def test_what_is_held_never_exceeds_the_quota(make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA = 250
    transfer = make()
    assert [take(transfer, number) for number in (1, 2, 3)] == [True, True, False]
    assert quota.held_bytes(NODE) == 200
    assert not transfer.parts.filter(number=3).exists()
    assert take(make(size=50, part_size=50, part_count=1), 1)
    assert quota.held_bytes(NODE) == 250
    assert not take(make(size=1, part_size=1, part_count=1), 1)
    assert quota.free_room(NODE) == 0


def test_a_part_that_holds_room_has_it(make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA = 100
    transfer = make()
    first = quota.reserve(transfer, transfer.plan.part(1))
    assert quota.reserve(transfer, transfer.plan.part(1)) == first
    assert quota.held_bytes(NODE) == 100


def test_where_room_is_ample_the_next_parts_have_theirs_too(make: Make, others: list[User], settings: Settings) -> None:
    settings.STAGING_QUOTA = 100 * quota.AHEAD * quota.AMPLE
    transfer = make()
    ahead = quota.reserve(transfer, transfer.plan.part(1))
    assert [part.number for part in ahead] == [*range(1, quota.AHEAD + 1)]
    assert quota.held_bytes(NODE) == 100 * quota.AHEAD
    assert len(quota.reserve(transfer, transfer.plan.part(9))) == 1  # It is not ample any more.
    begin_part(transfer, 1, 100)
    silence(transfer)
    settings.STAGING_QUOTA = 1000
    assert [take(make(owner=others[0]), 1) for _ in range(3)] == [True] * 3
    assert (quota.held_bytes(NODE), staged_names(transfer)) == (300, [])


def test_another_nodes_room_is_another(make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA = 100
    assert take(make(), 1)
    assert take(make(node="elsewhere"), 1)
    assert (quota.held_bytes(NODE), quota.held_bytes("elsewhere")) == (100, 100)


def test_many_threads_at_once_never_exceed_the_quota(make: Make, others: list[User], settings: Settings) -> None:
    """Twelve transfers of three operators take and leave, while somebody watches."""
    settings.STAGING_QUOTA = 450
    transfers = [make(owner=others[number % 2]) for number in range(12)]
    barrier, most, refused, stop = threading.Barrier(8), [0], [0], threading.Event()

    def work(number: int) -> int:
        rolls, taken = random.Random(number), 0
        barrier.wait(30)
        try:
            for transfer in transfers[number::6]:
                held: list[int] = []
                for part in range(1, 11):
                    while not take(transfer, part):
                        refused[0] += 1
                        if held:
                            leave(transfer, held.pop(0))
                    taken += 1
                    held.append(part)
                    if rolls.random() < 0.5:
                        leave(transfer, held.pop(0))
                for part in held:
                    leave(transfer, part)
        finally:
            connection.close()
        return taken

    def watch() -> None:
        barrier.wait(30)
        try:
            while not stop.is_set():
                most[0] = max(most[0], quota.held_bytes(NODE))
        finally:
            connection.close()

    watchers = [threading.Thread(target=watch) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(work, range(6)))
    stop.set()
    for watcher in watchers:
        watcher.join()
    assert sum(taken) == 120
    assert 300 <= most[0] <= 450
    assert refused[0]
    assert quota.held_bytes(NODE) == 0


def test_threads_that_want_the_last_room(make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA = 300
    transfers = [make() for _ in range(8)]
    barrier = threading.Barrier(8)

    def want(transfer: Transfer) -> bool:
        barrier.wait(30)
        try:
            return take(transfer, 1)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(want, transfers)) == 3
    assert quota.held_bytes(NODE) == 300


def test_who_was_cancelled_takes_nothing(make: Make, user: User) -> None:
    transfer = make()
    request_cancel(user, transfer)
    with pytest.raises(quota.NotWanted):
        take(transfer, 1)
    with pytest.raises(quota.NotWanted):
        take(make(phase=Phase.DONE), 1)
    assert quota.held_bytes(NODE) == 0


# --- Fairness ---------------------------------------------------------------------------------------------------------


def test_an_operator_who_holds_more_leaves_room_for_one_who_was_refused(
    make: Make, others: list[User], settings: Settings
) -> None:
    settings.STAGING_QUOTA = 400
    huge, small = make(), make(owner=others[0])
    for number in range(1, 5):
        assert take(huge, number)
    assert not take(small, 1)
    small.refresh_from_db()
    assert small.quota_refused_at is not None
    leave(huge, 1)
    assert not take(huge, 5)  # The one free place is claimed.
    assert take(small, 1)
    small.refresh_from_db()
    assert small.quota_refused_at is None


def test_with_room_enough_for_both_nobody_waits(make: Make, others: list[User], settings: Settings) -> None:
    settings.STAGING_QUOTA = 400
    huge, small = make(), make(owner=others[0])
    for number in range(1, 5):
        take(huge, number)
    assert not take(small, 1)
    leave(huge, 1)
    leave(huge, 2)
    assert take(huge, 5)
    assert take(small, 1)


def test_of_one_operator_the_transfer_that_holds_less_goes_first(make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA = 300
    first, second = make(), make()
    for number in (1, 2, 3):
        assert take(first, number)
    assert not take(second, 1)
    leave(first, 1)
    assert not take(first, 4)
    assert take(second, 1)


def test_who_holds_less_than_the_refused_one_need_not_wait(make: Make, others: list[User], settings: Settings) -> None:
    settings.STAGING_QUOTA = 300
    huge, small = make(), make(owner=others[0])
    for number in (1, 2, 3):
        take(huge, number)
    assert not take(huge, 4)
    leave(huge, 1)
    assert take(small, 1)


def test_a_claim_is_as_large_as_the_part_that_waits(make: Make, others: list[User], settings: Settings) -> None:
    settings.STAGING_QUOTA = 400
    huge, small = make(), make(owner=others[0], size=150, part_size=150, part_count=1)
    for number in range(1, 5):
        take(huge, number)
    assert not take(small, 1)
    leave(huge, 1)
    leave(huge, 2)
    assert not take(huge, 5)  # 200 are free, 150 of them are claimed.
    assert take(small, 1)


def test_of_several_claims_the_largest_counts(make: Make, others: list[User], settings: Settings) -> None:
    settings.STAGING_QUOTA = 400
    huge = make()
    for number in range(1, 5):
        take(huge, number)
    for owner, size in zip(others, (20, 150), strict=True):
        assert not take(make(owner=owner, size=size, part_size=size, part_count=1), 1)
    leave(huge, 1)
    leave(huge, 2)
    assert not take(huge, 5)


@pytest.mark.parametrize(
    "gone",
    [
        {"quota_refused_at": timezone.now() - timedelta(minutes=1)},
        {"desired_state": DesiredState.PAUSE},
        {"desired_state": DesiredState.CANCEL},
        {"quota_refused_at": None},
    ],
)
def test_the_claim_of_one_who_does_not_ask_again_ends(
    gone: dict[str, Any], make: Make, others: list[User], settings: Settings
) -> None:
    settings.STAGING_QUOTA = 400
    huge, small = make(), make(owner=others[0])
    for number in range(1, 5):
        take(huge, number)
    assert not take(small, 1)
    leave(huge, 1)
    Transfer.objects.filter(pk=small.pk).update(**gone)
    assert take(huge, 5)


def test_ten_files_and_a_huge_one_all_get_on(make: Make, others: list[User], settings: Settings) -> None:
    """Whoever is refused is never refused for ever, whatever the others want."""
    settings.STAGING_QUOTA = 350
    running = {make(owner=others[number % 2]).pk: 0 for number in range(10)} | {make().pk: 0}
    rolls = random.Random(7)
    for _ in range(3000):
        transfer = Transfer.objects.get(pk=rolls.choice([*running]))
        number = running[transfer.pk] + 1
        if number <= 10 and take(transfer, number):
            running[transfer.pk] = number
        assert quota.held_bytes(NODE) <= 350
        held = list(transfer.parts.filter(reserved_bytes__gt=0))
        if held and rolls.random() < 0.6:
            leave(transfer, held[0].number)
        if set(running.values()) == {10}:
            break
    assert set(running.values()) == {10}


# --- Silent parts -----------------------------------------------------------------------------------------------------


def test_a_half_filled_part_of_a_silent_sender_is_given_up(make: Make, others: list[User], settings: Settings) -> None:
    settings.STAGING_QUOTA = 100
    silent, other = make(), make(owner=others[0])
    begin_part(silent, 1, 50)
    assert not take(other, 1)
    silence(silent)
    assert take(other, 1)
    part = silent.parts.get()
    assert (part.reserved_bytes, part.received, part.state) == (0, 0, PartState.WAITING)
    assert staged_names(silent) == []
    assert quota.held_bytes(NODE) == 100


def test_it_is_kept_while_nobody_needs_its_room(make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA = 200
    silent = make()
    begin_part(silent, 1, 50)
    silence(silent)
    assert take(make(), 1)
    assert staged_names(silent) == ["00001.partial"]


@pytest.mark.parametrize("facts", [{"resumable": False}, {"minutes": 1}])
def test_a_form_and_a_short_silence_are_left_alone(facts: dict[str, Any], make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA = 100
    facts = dict(facts)
    minutes = facts.pop("minutes", 60)
    sender = make(**facts)
    begin_part(sender, 1, 50)
    silence(sender, minutes)
    assert not take(make(), 1)
    assert staged_names(sender) == ["00001.partial"]
    assert quota.held_bytes(NODE) == 100


def test_one_that_is_being_written_is_left_alone(make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA = 100
    sender = make()
    begin_part(sender, 1, 50)
    silence(sender)
    with sender.folder.writer():
        assert not take(make(), 1)
    assert staged_names(sender) == ["00001.partial"]


def test_whole_parts_are_left_alone(make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA = 300
    silent = make()
    begin_part(silent, 1, 100)
    silent.folder.partial(1).rename(silent.folder.whole(1))
    silent.parts.filter(number=1).update(state=PartState.STAGED)
    begin_part(silent, 2, 100)
    silent.folder.partial(2).rename(silent.folder.whole(2))  # and its writer died before that was written down
    begin_part(silent, 3, 50)
    silence(silent)
    other = make()
    assert take(other, 1)
    assert staged_names(silent) == ["00001", "00002"]
    assert dict(silent.parts.values_list("number", "reserved_bytes")) == {1: 100, 2: 100, 3: 0}
    assert not take(other, 2)
    assert quota.held_bytes(NODE) == 300


def test_what_waits_for_its_checksum_is_given_up_whole(make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA = 300
    silent = make()
    silent.folder.make()
    silent.folder.mark_unverified(0)
    for number, count in ((1, 100), (2, 100), (3, 20)):
        begin_part(silent, number, count)
    silence(silent)
    other = make()
    assert [take(other, number) for number in (1, 2, 3)] == [True, True, True]
    assert staged_names(silent) == []
    assert silent.folder.unverified_from() is None
    assert quota.held_bytes(NODE) == 300


def test_its_sender_comes_back_to_an_earlier_offset(drive: Drive, settings: Settings) -> None:
    settings.STAGING_QUOTA = 20
    content = os.urandom(15)
    transfer = drive.begin(15, part_size=15, resumable=True)
    with Receiver(transfer) as receiver:
        receiver.expect(10)
        receiver.write(content[:10])
        receiver.end()
    silence(transfer)
    other = drive.begin(15, "b", resumable=True)
    with Receiver(other) as receiver:
        receiver.expect(15)
        with Receiver(transfer) as again:
            assert again.offset == 0
            with pytest.raises(NoRoom):
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


def test_the_disks_floor_is_never_used(make: Make, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.STAGING_FREE_FLOOR = 1000
    monkeypatch.setattr(quota, "free_bytes", lambda _: 1250)
    transfer = make()
    assert take(transfer, 1)
    assert quota.free_room(NODE) == 150
    assert take(transfer, 2)
    assert not take(transfer, 3)


def test_what_was_promised_and_has_not_come_still_needs_the_disk(
    make: Make, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.STAGING_FREE_FLOOR = 1000
    free = [1300]
    monkeypatch.setattr(quota, "free_bytes", lambda _: free[0])
    transfer = make()
    assert take(transfer, 1)
    assert quota.free_room(NODE) == 200
    transfer.parts.update(received=60)
    free[0] -= 60
    assert quota.free_room(NODE) == 200
    transfer.parts.update(received=100, state=PartState.STAGED)
    free[0] -= 40
    assert quota.free_room(NODE) == 200
    leave(transfer, 1)
    free[0] += 100
    assert quota.free_room(NODE) == 300


def test_without_a_quota_the_disk_decides(make: Make, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.STAGING_QUOTA = 0
    settings.STAGING_FREE_FLOOR = 0
    monkeypatch.setattr(quota, "free_bytes", lambda _: 99)
    assert not take(make(), 1)


# --- Given back -------------------------------------------------------------------------------------------------------


def test_a_sent_part_gives_its_room_back_with_its_bytes(drive: Drive, settings: Settings) -> None:
    content = os.urandom(2 * 5 * 1024**2 + 1)
    transfer = drive.upload(content, part_size=5 * 1024**2)
    assert quota.held_bytes(NODE) == len(content)
    drive.send(transfer, parts=1)
    assert quota.held_bytes(NODE) == 5 * 1024**2 + 1
    drive.finish(transfer)
    assert quota.held_bytes(NODE) == 0


def test_a_cancelled_transfer_gives_all_its_room_back(drive: Drive, user: User) -> None:
    transfer = drive.begin(30, part_size=30, resumable=True)
    with Receiver(transfer) as receiver:
        receiver.expect(10)
        receiver.write(bytes(10))
        receiver.end()
    assert quota.held_bytes(NODE) == 30
    request_cancel(user, transfer)
    assert drive.finish(transfer).phase == Phase.CANCELLED
    assert quota.held_bytes(NODE) == 0
    assert not transfer.folder.exists()


# --- Plans ------------------------------------------------------------------------------------------------------------


def test_parts_are_bounded_by_the_quota(drive: Drive, store: Store, settings: Settings) -> None:
    mib = 1024**2
    settings.STAGING_QUOTA = 8 * mib
    assert drive.begin(100 * mib, "a").part_size == 5 * mib  # A quarter would be less than the store takes.
    settings.STAGING_QUOTA = 40 * mib
    assert drive.begin(100 * mib, "b").part_size == 10 * mib
    settings.STAGING_QUOTA = 0
    assert drive.begin(100 * mib, "c").part_size == PREFERRED_PART_SIZE
    assert limits_of(store).max_part_size > 1024 * mib


def test_what_staging_cannot_hold_is_refused_in_words(drive: Drive, settings: Settings) -> None:
    mib = 1024**2
    settings.STAGING_QUOTA = 8 * mib
    with pytest.raises(TransferRefused, match="staging here") as refusal:
        drive.begin(100 * mib, part_size=9 * mib)
    assert refusal.value.field == "part-size"
    settings.STAGING_QUOTA = 4 * mib
    with pytest.raises(TransferRefused, match="STAGING_QUOTA") as refusal:
        drive.begin(100 * mib)
    assert (refusal.value.field, refusal.value.status) == ("file", 507)
    assert drive.begin(4 * mib).part_count == 1
