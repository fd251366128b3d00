"""A small file whose bytes come with its creation: its space is reserved at once; what happened since is noticed."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from tests.services.drive import staged_names
from uploads.domain.replacement import ANYTHING
from uploads.domain.states import DesiredState, PartState, Phase
from uploads.models import Part, Store, Transfer
from uploads.services.staging import quota
from uploads.services.transfers.receive import Receiver, ReceivingStopped
from uploads.services.transfers.start import NewTransfer, Started, start
from uploads.services.transfers.steps import request_cancel, request_pause

NODE = "test-node"
CONTENT = os.urandom(1000)
Begin = Callable[..., Started]


@pytest.fixture
def begin(user: User, settings: Settings) -> Begin:
    """Start the transfer of a file of 1,000 bytes whose bytes come in the same request."""
    settings.STAGING_QUOTA = 10**9
    store = Store.objects.create(name="s", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")

    def begin_one(**values: Any) -> Started:
        facts: dict[str, Any] = {"key": "k", "size": len(CONTENT), "resumable": True, "with_bytes": True}
        replaces = {"replace": True, "replacement": ANYTHING}
        return start(NewTransfer(owner=user, store=store, bucket="photos", **facts | replaces | values))

    return begin_one


def receive(started: Started) -> Transfer:
    with Receiver(started.transfer, reserved=started.reserved) as receiver:
        receiver.expect(len(CONTENT) - receiver.offset)
        receiver.write(CONTENT[receiver.offset :])
        receiver.end()
    return Transfer.objects.get(pk=started.transfer.pk)


def check_received(transfer: Transfer) -> None:
    assert (transfer.phase, transfer.all_received) == (Phase.SENDING, True)
    part = transfer.parts.get()
    assert (part.state, part.received, part.reserved_bytes) == (PartState.STAGED, 1000, 1000)
    assert part.queued_at is not None
    assert transfer.folder.whole(1).read_bytes() == CONTENT


def test_space_is_reserved_with_the_creation(begin: Begin) -> None:
    started = begin()
    assert started.reserved == started.transfer.parts.get()
    assert quota.reserved_bytes(NODE) == 1000
    check_received(receive(started))


@pytest.mark.parametrize(
    "values", [{"with_bytes": False}, {"size": 0}, {"size": 20 * 1024**2, "part_size": 5 * 1024**2}], ids=str
)
def test_nothing_is_reserved_with_other_creations(begin: Begin, values: dict[str, Any]) -> None:
    assert begin(**values).reserved is None
    assert not Part.objects.exists()


def test_creation_without_space_leaves_the_decision_to_the_quota(begin: Begin, settings: Settings) -> None:
    settings.STAGING_QUOTA = 1500
    first, second = begin(), begin(key="other")
    assert second.reserved is None
    assert quota.reserved_bytes(NODE) == 1000
    check_received(receive(first))
    Part.objects.update(reserved_bytes=0)
    check_received(receive(second))


@pytest.mark.parametrize("step", [request_cancel, request_pause])
def test_transfer_that_was_stopped_after_its_creation_receives_nothing(
    begin: Begin, user: User, step: Callable[[User, Transfer], None]
) -> None:
    started = begin()
    step(user, Transfer.objects.get(pk=started.transfer.pk))
    with pytest.raises(ReceivingStopped):
        receive(started)
    assert staged_names(started.transfer) == []


def test_reservation_that_was_reclaimed_is_made_again(begin: Begin) -> None:
    started = begin()
    assert quota.give_up(started.transfer) == 1000
    assert quota.reserved_bytes(NODE) == 0
    check_received(receive(started))


def test_bytes_of_another_sender_are_kept(begin: Begin) -> None:
    started = begin()
    with Receiver(Transfer.objects.get(pk=started.transfer.pk)) as other:
        other.write(CONTENT[:300])
        other.end()
    with Receiver(started.transfer, reserved=started.reserved) as receiver:
        assert receiver.offset == 300
        receiver.write(CONTENT[300:])
        receiver.end()
    check_received(Transfer.objects.get(pk=started.transfer.pk))


def test_file_that_was_cancelled_while_it_arrived_is_not_handed_over(begin: Begin) -> None:
    started = begin()
    with pytest.raises(ReceivingStopped), Receiver(started.transfer, reserved=started.reserved) as receiver:
        receiver.write(CONTENT)
        Transfer.objects.update(desired_state=DesiredState.CANCEL)
        receiver.end()
    transfer = Transfer.objects.get(pk=started.transfer.pk)
    assert (transfer.phase, transfer.all_received) == (Phase.RECEIVING, False)
    assert transfer.parts.get().queued_at is None


def test_file_that_was_paused_while_it_arrived_waits(begin: Begin) -> None:
    started = begin()
    with Receiver(started.transfer, reserved=started.reserved) as receiver:
        receiver.write(CONTENT)
        Transfer.objects.update(desired_state=DesiredState.PAUSE)
        receiver.end()
    transfer = Transfer.objects.get(pk=started.transfer.pk)
    assert transfer.all_received
    part = transfer.parts.get()
    assert (part.state, part.queued_at) == (PartState.STAGED, None)
