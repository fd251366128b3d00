"""Reservations that do not progress at the minimum rate are released when another transfer needs the space."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from tests.services.drive import staged_names
from uploads.domain.states import DesiredState, PartState
from uploads.models import Store, Transfer
from uploads.problems import Code
from uploads.services.staging import quota
from uploads.services.transfers.receive import GaveWay, Receiver, ReceivingStopped, progress
from uploads.services.transfers.start import offset_of
from uploads.staging.tus import Checksum

NODE = "test-node"
PART = 100
Make = Callable[..., Transfer]


@pytest.fixture(autouse=True)
def limits(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Space for two parts, ten bytes per second, and a look at the transfer with each block."""
    settings.STAGING_QUOTA = 2 * PART
    settings.STAGING_LEAST_RATE = 10
    monkeypatch.setattr(progress, "CHECK_SECONDS", 0)


@pytest.fixture
def make(user: User) -> Make:
    """A resumable transfer of ten parts, to a store that these tests never send a request to."""
    store = Store.objects.create(name="unreachable", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")

    def make_transfer(owner: User = user, **values: Any) -> Transfer:
        facts = {"size": 10 * PART, "part_size": PART, "part_count": 10, "bucket": "b", "key": "k"}
        known = {"node": NODE, "resumable": True, "received_at": timezone.now()}
        return Transfer.objects.create(owner=owner, store=store, **facts | known | values)

    return make_transfer


@pytest.fixture
def other(make: Make) -> Transfer:
    return make(owner=User.objects.create_user("otto"))


def let_pass(transfer: Transfer, time: timedelta) -> None:
    """So much time passes for the progress of a transfer, whose sender has been active a moment ago."""
    at = Transfer.objects.values_list("progressed_at", flat=True).get(pk=transfer.pk) or timezone.now()
    Transfer.objects.filter(pk=transfer.pk).update(progressed_at=at - time, received_at=timezone.now())


def reserve(transfer: Transfer, number: int = 1) -> bool:
    return bool(quota.reserve(transfer, transfer.plan.part(number)))


def reloaded(transfer: Transfer) -> Transfer:
    return Transfer.objects.get(pk=transfer.pk)


LONG = quota.IDLE + timedelta(seconds=1)


def test_sender_that_is_too_slow_gives_way(make: Make, other: Transfer) -> None:
    """It loses the incomplete part, keeps those before it, and may come back at once."""
    slow = make()
    assert reserve(other)
    with pytest.raises(GaveWay) as error, Receiver(slow) as receiver:
        receiver.expect(10 * PART)
        receiver.write(bytes(PART))
        slow.parts.filter(number=1).update(state=PartState.SENT, reserved_bytes=0)  # Its bytes are in the store.
        receiver.write(b"x")
        let_pass(slow, LONG)
        assert not reserve(other, 2), "the slow sender has not given way yet"
        assert reloaded(slow).gives_way
        receiver.write(b"x")
    assert error.value.problem.params == {"rate_bytes": 10}
    assert (reloaded(slow).gives_way, offset_of(slow)) == (False, PART)
    assert staged_names(slow) == ["00001"]
    assert dict(slow.parts.values_list("number", "reserved_bytes")) == {1: 0, 2: 0}
    assert reserve(other, 2)
    # It waits for space like every other sender.
    assert not reserve(reloaded(slow), 2)
    other.parts.update(reserved_bytes=0)
    with Receiver(reloaded(slow)) as receiver:
        assert receiver.offset == PART
        receiver.write(bytes(PART))


def test_slow_sender_goes_on_while_nobody_waits(make: Make) -> None:
    slow = make()
    with Receiver(slow) as receiver:
        receiver.expect(PART)
        let_pass(slow, LONG)
        receiver.write(b"x")
        receiver.write(b"x")
    assert staged_names(slow) == ["00001.partial"]


def test_byte_now_and_then_keeps_no_reservation(make: Make, other: Transfer) -> None:
    """Each connection sends a byte and ends. The time does not begin anew with each of them."""
    slow = make(part_size=2 * PART, part_count=5)
    for _ in range(5):
        with Receiver(reloaded(slow)) as receiver:
            receiver.expect(1)
            receiver.write(b"x")
            receiver.end()
        let_pass(slow, LONG / 4)
    assert reloaded(slow).received_at >= timezone.now() - timedelta(minutes=1)  # type: ignore[operator]
    assert reserve(other)
    assert offset_of(slow) == 0


def test_sender_above_the_minimum_rate_keeps_its_reservation(make: Make, other: Transfer) -> None:
    sender = make(part_size=2 * PART, part_count=5)
    with Receiver(sender) as receiver:
        receiver.expect(150)
        for _ in range(10):
            let_pass(sender, LONG / 4)
            receiver.write(bytes(10))
    assert not reserve(other)
    assert not reloaded(sender).gives_way
    assert offset_of(sender) == 100


def test_sender_that_was_silent_progresses_again(make: Make) -> None:
    """It has to send as much as in two minutes at the minimum rate, however long it was silent."""
    rate = progress.RateMark(make(progressed_at=timezone.now() - timedelta(hours=5), progressed_bytes=100))
    enough = 100 + 10 * int(quota.IDLE.total_seconds())
    assert rate.changes(enough - 1) == {}
    assert rate.changes(enough)["progressed_bytes"] == enough
    # After damaged bytes, the offset is lower: what is sent again counts from there.
    assert rate.changes(50) == {}
    assert rate.changes(enough)["progressed_bytes"] == enough


def test_minimum_rate_can_be_switched_off(make: Make, settings: Settings) -> None:
    settings.STAGING_LEAST_RATE = 0
    rate = progress.RateMark(make(progressed_at=timezone.now() - timedelta(hours=5)))
    assert rate.changes(0)["progressed_at"] >= timezone.now() - timedelta(seconds=60)


def test_next_part_begins_the_time_anew(make: Make, other: Transfer) -> None:
    sender = make()
    assert reserve(sender)
    let_pass(sender, LONG)
    assert reserve(sender, 2)
    assert not reserve(other)
    let_pass(sender, LONG)
    assert reserve(other)
    assert not sender.parts.filter(reserved_bytes__gt=0).exists()


def test_sender_that_has_progressed_meanwhile_keeps_its_part(
    make: Make, other: Transfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at its row and the lock of its folder, its sender has been there."""
    sender = make(part_size=2 * PART, part_count=5)
    assert reserve(sender)
    let_pass(sender, LONG)
    idle = quota._idle

    def progresses(rows: Any) -> Any:
        found = list(idle(rows))
        Transfer.objects.update(progressed_at=timezone.now())
        return rows.filter(pk__in=[each.pk for each in found]) if len(found) > 1 else idle(rows)

    monkeypatch.setattr(quota, "_idle", progresses)
    assert not reserve(other)
    assert sender.parts.filter(reserved_bytes__gt=0).exists()


def test_form_that_is_too_slow_is_refused(make: Make, other: Transfer) -> None:
    """A form cannot be resumed. It learns that it has to be sent again."""
    form = make(resumable=False, part_size=2 * PART, part_count=5)
    with pytest.raises(GaveWay), Receiver(form) as receiver:
        receiver.expect(10 * PART)
        receiver.write(b"x")
        let_pass(form, LONG)
        assert not reserve(other)
        receiver.write(b"x")
    assert reloaded(form).desired_state == DesiredState.CANCEL
    assert reserve(other)


def test_bytes_that_wait_for_their_checksum_give_way_together(make: Make, other: Transfer) -> None:
    slow = make()
    with pytest.raises(GaveWay), Receiver(slow, checksum=Checksum("sha1", bytes(20))) as receiver:
        receiver.expect(2 * PART)
        receiver.write(bytes(PART + 1))
        let_pass(slow, LONG)
        assert not reserve(other)
        receiver.write(b"x")
    assert (offset_of(slow), staged_names(slow)) == (0, [])
    assert slow.folder.unverified_from() is None
    assert reserve(other)
    assert reserve(other, 2)


def test_next_writer_gives_way_for_one_that_died(make: Make, other: Transfer) -> None:
    slow = make(part_size=2 * PART, part_count=5)
    assert reserve(slow)
    slow.folder.make()
    slow.folder.partial(1).write_bytes(b"xyz")
    let_pass(slow, LONG)
    with slow.folder.writer():
        assert not reserve(other)
    assert reloaded(slow).gives_way
    with Receiver(reloaded(slow)) as receiver:
        assert receiver.offset == 0
    assert not reloaded(slow).gives_way
    assert reserve(other)


def test_transfer_that_ends_while_it_is_to_give_way_says_why(make: Make) -> None:
    paused = make(gives_way=True, desired_state=DesiredState.PAUSE)
    with pytest.raises(ReceivingStopped) as error:
        progress.check_accepting(paused)
    assert error.value.code == Code.TRANSFER_PAUSED


def test_limit_of_a_user_takes_space_from_his_own_slow_transfers_only(
    make: Make, other: Transfer, settings: Settings
) -> None:
    settings.STAGING_QUOTA, settings.USER_RESERVED_BYTES = 10 * PART, PART
    slow, fast = make(), make()
    for each in (slow, other):
        assert reserve(each)
        let_pass(each, LONG)
    assert reserve(fast)
    assert not slow.parts.filter(reserved_bytes__gt=0).exists()
    assert other.parts.filter(reserved_bytes__gt=0).exists()
    with pytest.raises(quota.UserLimit):
        reserve(slow)


def test_no_more_is_taken_than_is_needed(make: Make, other: Transfer, settings: Settings) -> None:
    settings.STAGING_QUOTA = 4 * PART
    slow = [make() for _ in range(4)]
    for each in slow:
        assert reserve(each)
        let_pass(each, LONG)
    let_pass(slow[2], LONG)
    assert reserve(other)
    assert [each.parts.filter(reserved_bytes__gt=0).exists() for each in slow] == [True, True, False, True]
