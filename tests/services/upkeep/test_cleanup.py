"""Staging stays clean: what nobody will finish expires, what a crash left is adopted or goes, all room comes back."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from dashboard.shared.messages import error_text
from tests.services.drive import MIB, Drive, staged_names
from uploads.domain.states import DesiredState, PartState, Phase, TransferState
from uploads.models import AuditEntry, Part, Transfer
from uploads.objectstore.client import ObjectStoreClient
from uploads.services.staging import quota
from uploads.services.transfers.receive import Receiver
from uploads.services.transfers.start import offset_of
from uploads.services.transfers.steps import request_pause
from uploads.services.upkeep.cleanup import sweep_staging
from uploads.services.upkeep.watchdog import watch

PART = 5 * MIB
NODE = "test-node"
Reader = Callable[[str], bytes]


def begin(drive: Drive, size: int, key: str = "a/key", **more: Any) -> Transfer:
    return drive.start(size, key, **{"part_size": PART, "resumable": True, **more})


def receive(transfer: Transfer, content: bytes, end: int | None = None) -> None:
    with Receiver(transfer) as receiver:
        receiver.write(content[receiver.offset : end])
        receiver.end()


def silence(transfer: Transfer, **ago: float) -> None:
    Transfer.objects.filter(pk=transfer.pk).update(received_at=timezone.now() - timedelta(**ago))


def state_of(transfer: Transfer) -> TransferState:
    transfer.refresh_from_db()
    return transfer.state


def uploads_in_store(client: ObjectStoreClient, bucket: str) -> list[str]:
    return [upload.upload_id for page in client.iter_multipart_uploads(bucket) for upload in page.uploads]


# --- Expiry -----------------------------------------------------------------------------------------------------------


def test_a_file_that_never_came_whole_expires_and_leaves_nothing(drive: Drive, client: ObjectStoreClient) -> None:
    transfer = begin(drive, 2 * PART)
    receive(transfer, bytes(2 * PART), PART + 9)
    drive.send(transfer)
    assert len(uploads_in_store(client, drive.bucket)) == 1
    silence(transfer, hours=25)
    watch()
    assert state_of(transfer) is TransferState.CANCELLING
    drive.finish(transfer)
    assert (transfer.phase, transfer.error_code) == (Phase.CANCELLED, "Expired")
    assert (transfer.error_reason, transfer.error_params) == ("Expired", {"silent_seconds": 86400})
    assert transfer.error is not None
    assert error_text(transfer.error) == ("Nothing arrived from the browser for 1 d, so the staged bytes were removed.")
    assert not transfer.folder.exists()
    assert quota.reserved_bytes(NODE) == 0
    assert uploads_in_store(client, drive.bucket) == []
    entry = AuditEntry.objects.get(transfer_id=transfer.pk, action="transfer.cancel-ordered")
    assert entry.actor_name == "partway"


def test_one_of_which_no_byte_ever_came_expires(drive: Drive) -> None:
    transfer = begin(drive, 2 * PART)
    silence(transfer, hours=25)
    watch()
    assert state_of(transfer) is TransferState.CANCELLING


@pytest.mark.parametrize("change", [{"phase": Phase.FAILED}, {"desired_state": DesiredState.PAUSE}])
def test_failed_and_paused_ones_expire_too(drive: Drive, change: dict[str, Any]) -> None:
    transfer = begin(drive, 2 * PART)
    receive(transfer, bytes(2 * PART), 9)
    Transfer.objects.filter(pk=transfer.pk).update(**change)
    silence(transfer, hours=25)
    watch()
    assert state_of(transfer) is TransferState.CANCELLING


def test_the_hours_are_a_setting(drive: Drive, settings: Settings) -> None:
    settings.STAGING_EXPIRY = 90 * 60
    transfer = begin(drive, 2 * PART)
    silence(transfer, hours=1)
    watch()
    assert state_of(transfer) is TransferState.RECEIVING
    silence(transfer, hours=2)
    watch()
    assert state_of(transfer) is TransferState.CANCELLING
    assert (transfer.error_reason, transfer.error_params) == ("Expired", {"silent_seconds": 5400})


def test_a_byte_puts_it_off(drive: Drive) -> None:
    transfer = begin(drive, 2 * PART)
    silence(transfer, hours=23.9)
    receive(transfer, bytes(2 * PART), 9)
    transfer.refresh_from_db()
    assert transfer.received_at is not None
    assert transfer.received_at > timezone.now() - timedelta(minutes=1)


@pytest.mark.parametrize("change", [{}, {"phase": Phase.FAILED}, {"desired_state": DesiredState.PAUSE}])
def test_a_file_that_is_all_here_does_not_expire(drive: Drive, change: dict[str, Any]) -> None:
    """The browser's leg alone has a clock: a store may be away for days."""
    transfer = begin(drive, 9)
    receive(transfer, bytes(9))
    Transfer.objects.filter(pk=transfer.pk).update(**change)
    before = state_of(transfer)
    silence(transfer, days=30)
    watch()
    assert state_of(transfer) is before


def test_expiring_twice_is_expiring_once(drive: Drive) -> None:
    transfer = begin(drive, 2 * PART)
    silence(transfer, hours=25)
    watch()
    watch()
    assert AuditEntry.objects.filter(transfer_id=transfer.pk, action="transfer.cancel-ordered").count() == 1


def test_forms_are_abandoned_as_before(drive: Drive) -> None:
    """After 15 minutes, and not after a failure: what came of them cannot be sent again."""
    form, failed, live = (begin(drive, 2 * PART, key, resumable=False) for key in "abc")
    Transfer.objects.filter(pk=failed.pk).update(phase=Phase.FAILED)
    silence(form, minutes=16)
    silence(failed, minutes=16)
    silence(live, minutes=14)
    watch()
    assert state_of(form) is TransferState.CANCELLING
    assert form.error_code == "IncompleteBody"
    assert state_of(failed) is TransferState.FAILED
    assert state_of(live) is TransferState.RECEIVING


def test_a_resumable_one_may_be_silent_for_longer_than_a_form(drive: Drive) -> None:
    transfer = begin(drive, 2 * PART)
    silence(transfer, hours=23)
    watch()
    assert state_of(transfer) is TransferState.RECEIVING


# --- The watchdog gives room back -------------------------------------------------------------------------------------


def test_room_of_a_part_whose_sender_died_after_its_success(drive: Drive) -> None:
    transfer = begin(drive, 2 * PART)
    receive(transfer, bytes(2 * PART))
    Part.objects.filter(transfer=transfer, number=1).update(state=PartState.SENT, sent_at=timezone.now())
    watch()
    assert staged_names(transfer) == ["00001", "00002"]  # Its sender may be about to do it.
    Part.objects.filter(transfer=transfer, number=1).update(sent_at=timezone.now() - timedelta(minutes=2))
    watch()
    assert staged_names(transfer) == ["00002"]
    assert quota.reserved_bytes(NODE) == PART


def test_another_nodes_bytes_are_not_ours_to_release(drive: Drive) -> None:
    transfer = begin(drive, 2 * PART)
    receive(transfer, bytes(2 * PART))
    Transfer.objects.filter(pk=transfer.pk).update(node="elsewhere")
    Part.objects.filter(transfer=transfer).update(state=PartState.SENT, sent_at=timezone.now() - timedelta(hours=1))
    watch()
    assert staged_names(transfer) == ["00001", "00002"]
    assert quota.reserved_bytes("elsewhere") == 2 * PART


# --- Sweeping ---------------------------------------------------------------------------------------------------------


def test_a_staging_that_is_not_there_is_clean(staging: Path) -> None:
    sweep_staging()
    assert not staging.exists()


def test_folders_of_nobody_are_removed(drive: Drive, staging: Path) -> None:
    stray = staging / str(uuid.uuid4())
    stray.mkdir(parents=True)
    (stray / "00001").write_bytes(b"x")
    (stray / "00002.partial").write_bytes(b"x")
    sweep_staging()
    assert not stray.exists()


@pytest.mark.parametrize("phase", [Phase.DONE, Phase.CANCELLED])
def test_folders_of_ended_transfers_are_removed_and_their_room_comes_back(drive: Drive, phase: Phase) -> None:
    transfer = begin(drive, 9)
    receive(transfer, bytes(9))
    Transfer.objects.filter(pk=transfer.pk).update(phase=phase)
    sweep_staging()
    assert not transfer.folder.exists()
    assert quota.reserved_bytes(NODE) == 0


def test_what_is_not_named_like_a_transfer_is_left_alone(drive: Drive, staging: Path) -> None:
    staging.mkdir()
    (staging / "lost+found").mkdir()
    (staging / "notes.txt").write_text("keep me")
    (staging / str(uuid.uuid4())).write_text("a file where a folder should be")
    stray = staging / str(uuid.uuid4())
    stray.mkdir()
    before = sorted(path.name for path in staging.iterdir())
    sweep_staging()
    assert sorted(path.name for path in staging.iterdir()) == [name for name in before if name != stray.name]
    assert (staging / "notes.txt").read_text() == "keep me"


def test_one_bad_folder_does_not_keep_the_others_from_being_swept(drive: Drive, staging: Path) -> None:
    for number in range(4):
        folder = staging / str(uuid.UUID(int=number))
        folder.mkdir(parents=True)
        if number % 2:
            (folder / "00001").write_bytes(b"x")
        else:
            folder.rmdir()
            folder.write_text("no folder")
    sweep_staging()
    assert [path.name for path in sorted(staging.iterdir())] == [str(uuid.UUID(int=0)), str(uuid.UUID(int=2))]


def test_stray_files_of_a_living_transfer_are_dropped(drive: Drive) -> None:
    content = os.urandom(3 * PART)
    transfer = begin(drive, 3 * PART)
    receive(transfer, content, PART + 9)
    Part.objects.filter(transfer=transfer, number=1).update(state=PartState.SENT)
    folder = transfer.folder
    folder.partial(1).write_bytes(b"left from before it was whole")
    Part.objects.filter(transfer=transfer, number=3).delete()
    folder.partial(3).write_bytes(b"without a row it has no room")
    (folder.path / "odd.partial").write_bytes(b"not ours")
    sweep_staging()
    assert staged_names(transfer) == ["00002.partial"]
    assert Part.objects.get(transfer=transfer, number=1).reserved_bytes == 0
    assert offset_of(transfer) == PART + 9
    assert (folder.path / "odd.partial").exists()


def test_what_a_checked_body_left_is_dropped(drive: Drive) -> None:
    content = os.urandom(3 * PART)
    transfer = begin(drive, 3 * PART)
    receive(transfer, content, 9)
    transfer.folder.mark_unverified(9)
    with transfer.folder.partial(1).open("ab") as file:
        file.write(bytes(100))
    sweep_staging()
    assert transfer.folder.partial(1).read_bytes() == content[:9]
    assert transfer.folder.unverified_from() is None


@pytest.mark.parametrize("renamed", [False, True])
def test_whole_parts_are_adopted_and_leave(drive: Drive, read_object: Reader, renamed: bool) -> None:
    content = os.urandom(2 * PART)
    transfer = begin(drive, 2 * PART)
    receive(transfer, content, PART - 9)
    with transfer.folder.partial(1).open("ab") as file:
        file.write(content[PART - 9 : PART])
    if renamed:
        transfer.folder.partial(1).rename(transfer.folder.whole(1))
    sweep_staging()
    part = transfer.parts.get(number=1)
    assert part.state == PartState.STAGED
    assert state_of(transfer) is TransferState.SENDING
    receive(transfer, content)
    assert drive.finish(transfer).phase == Phase.DONE
    assert read_object("a/key") == content


def test_a_whole_file_is_handed_over(drive: Drive, read_object: Reader) -> None:
    content = os.urandom(PART + 9)
    transfer = begin(drive, PART + 9)
    receive(transfer, content)
    Transfer.objects.filter(pk=transfer.pk).update(all_received=False)
    Part.objects.filter(transfer=transfer, number=2).update(state=PartState.WAITING)
    sweep_staging()
    transfer.refresh_from_db()
    assert transfer.all_received
    assert drive.finish(transfer).phase == Phase.DONE
    assert read_object("a/key") == content


def test_an_empty_file_without_room_keeps_nobody_from_being_swept(
    drive: Drive, settings: Settings, monkeypatch: pytest.MonkeyPatch, staging: Path
) -> None:
    transfer = begin(drive, 0)
    transfer.folder.make()
    stray = staging / "ffffffff-ffff-4fff-bfff-ffffffffffff"
    stray.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quota, "free_bytes", lambda _: 0)
        sweep_staging()
    assert not stray.exists()
    sweep_staging()
    transfer.refresh_from_db()
    assert transfer.all_received


def test_one_that_is_being_written_is_left_alone(drive: Drive) -> None:
    transfer = begin(drive, 2 * PART)
    with Receiver(transfer) as receiver:
        receiver.write(bytes(9))
        transfer.folder.partial(2).write_bytes(b"stray")
        sweep_staging()
        assert transfer.folder.partial(2).exists()
        receiver.end()


def test_a_paused_one_and_a_form_keep_their_bytes(drive: Drive, user: User) -> None:
    paused = begin(drive, 2 * PART, "a")
    receive(paused, bytes(2 * PART), 9)
    request_pause(user, paused)
    form = begin(drive, 9, "b", resumable=False)
    drive.receive(form, bytes(9))
    sweep_staging()
    assert staged_names(paused) == ["00001.partial"]
    assert staged_names(form) == ["00001"]
    assert state_of(paused) is TransferState.PAUSED
