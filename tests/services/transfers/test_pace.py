"""The rates of a transfer that really moves: they cost no statement of their own, and end when nothing moves."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from tests.services.drive import MIB, Drive
from uploads.domain.states import PartState, TransferState
from uploads.models import Part, Transfer
from uploads.models.transfer import SILENT_AFTER
from uploads.selectors.transfers import TransferProgress, progress_of
from uploads.services.transfers.receive import Receiver

DATA = bytes(12 * MIB)


@pytest.fixture
def arriving(drive: Drive) -> Transfer:
    """Half of a file has arrived, in two requests, and the connection has ended."""
    transfer = drive.start(2 * len(DATA), part_size=5 * MIB, resumable=True)
    for _ in range(2):
        transfer.refresh_from_db()
        with Receiver(transfer) as receiver:
            receiver.write(DATA[: len(DATA) // 2])
    transfer.refresh_from_db()
    return transfer


def progress(transfer: Transfer) -> TransferProgress:
    transfer.refresh_from_db()
    return progress_of([transfer])[transfer.pk]


def let_seconds_pass(seconds: float) -> None:
    Transfer.objects.update(received_at=F("received_at") - timedelta(seconds=seconds))
    for transfer in Transfer.objects.all():
        marks = [[at - seconds, count] for at, count in transfer.received_marks]
        Transfer.objects.filter(pk=transfer.pk).update(received_marks=marks)
    ago = timedelta(seconds=seconds)
    Part.objects.update(moved_at=F("moved_at") - ago, mark_at=F("mark_at") - ago)


def test_file_that_arrives_has_a_rate_and_none_when_its_browser_is_gone(arriving: Transfer) -> None:
    """The marks survive the end of a request: clients that send many small requests have a rate too."""
    assert len(arriving.received_marks) == 1
    let_seconds_pass(10)
    now = progress(arriving)
    assert now.bytes_received == len(DATA)
    assert now.receive_rate is not None
    assert 0 < now.receive_rate <= len(DATA) / 10
    assert not arriving.browser_is_silent
    let_seconds_pass(SILENT_AFTER.total_seconds() - 9)
    now = progress(arriving)
    assert (now.receive_rate, now.seconds_left) == (None, None)
    assert arriving.state is TransferState.WAITING_FOR_BROWSER


def test_browser_that_returns_is_alive_at_once(arriving: Transfer) -> None:
    let_seconds_pass(600)
    arriving.refresh_from_db()
    with Receiver(arriving) as receiver:
        receiver.write(DATA)
    arriving.refresh_from_db()
    assert arriving.state is not TransferState.WAITING_FOR_BROWSER


def test_parts_that_are_sent_have_a_rate_until_nothing_moves(drive: Drive) -> None:
    transfer = drive.upload(DATA, part_size=5 * MIB)
    drive.send(transfer, parts=2)
    sent = Part.objects.filter(state=PartState.SENT)
    assert [(part.moved, part.mark_moved) for part in sent] == [(5 * MIB, 0), (5 * MIB, 0)]
    now = progress(transfer)
    assert now.send_rate is not None
    assert 0 < now.send_rate <= 10 * MIB
    assert now.seconds_left is not None
    let_seconds_pass(21)
    now = progress(transfer)
    assert (now.send_rate, now.seconds_left) == (None, None)


def test_part_that_is_sent_again_starts_from_nothing(drive: Drive) -> None:
    """What an earlier attempt has moved does not count as a rate below zero."""
    transfer = drive.upload(DATA, part_size=5 * MIB)
    now = timezone.now()
    Part.objects.update(moved=MIB, mark_moved=4 * MIB, moved_at=now, mark_at=now)
    drive.send(transfer, parts=1)
    [part] = Part.objects.filter(state=PartState.SENT)
    assert (part.moved, part.mark_moved) == (5 * MIB, 0)
