"""Cleanup of staging: transfers expire, what a crash left is recovered or removed, and reserved bytes are released."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from contextlib import suppress
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
from uploads.services.transfers.missing_files import settle_missing_files
from uploads.services.transfers.receive import Receiver, ReceivingStopped
from uploads.services.transfers.start import offset_of
from uploads.services.transfers.steps import request_pause
from uploads.services.upkeep.cleanup import release_left_bytes, sweep_staging
from uploads.services.upkeep.watchdog import watch
from uploads.services.work import broker, queue
from uploads.staging.disk import StagingFolder

PART = 5 * MIB
NODE = "test-node"
Reader = Callable[[str], bytes]


def start(drive: Drive, size: int, key: str = "a/key", **more: Any) -> Transfer:
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


def test_incomplete_transfer_expires_and_nothing_of_it_remains(drive: Drive, client: ObjectStoreClient) -> None:
    transfer = start(drive, 2 * PART)
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


def test_transfer_without_any_byte_expires(drive: Drive) -> None:
    transfer = start(drive, 2 * PART)
    silence(transfer, hours=25)
    watch()
    assert state_of(transfer) is TransferState.CANCELLING


@pytest.mark.parametrize("change", [{"phase": Phase.FAILED}, {"desired_state": DesiredState.PAUSE}])
def test_failed_and_paused_transfers_expire(drive: Drive, change: dict[str, Any]) -> None:
    transfer = start(drive, 2 * PART)
    receive(transfer, bytes(2 * PART), 9)
    Transfer.objects.filter(pk=transfer.pk).update(**change)
    silence(transfer, hours=25)
    watch()
    assert state_of(transfer) is TransferState.CANCELLING


def test_expiry_is_a_setting(drive: Drive, settings: Settings) -> None:
    settings.STAGING_EXPIRY = 90 * 60
    transfer = start(drive, 2 * PART)
    silence(transfer, hours=1)
    watch()
    assert state_of(transfer) is TransferState.WAITING_FOR_BROWSER
    silence(transfer, hours=2)
    watch()
    assert state_of(transfer) is TransferState.CANCELLING
    assert (transfer.error_reason, transfer.error_params) == ("Expired", {"silent_seconds": 5400})


def test_received_bytes_postpone_the_expiry(drive: Drive) -> None:
    transfer = start(drive, 2 * PART)
    silence(transfer, hours=23.9)
    receive(transfer, bytes(2 * PART), 9)
    transfer.refresh_from_db()
    assert transfer.received_at is not None
    assert transfer.received_at > timezone.now() - timedelta(minutes=1)


@pytest.mark.parametrize("change", [{}, {"phase": Phase.FAILED}, {"desired_state": DesiredState.PAUSE}])
def test_transfer_with_its_complete_file_does_not_expire(drive: Drive, change: dict[str, Any]) -> None:
    """Only receiving is limited in time: a store may be unreachable for days."""
    transfer = start(drive, 9)
    receive(transfer, bytes(9))
    Transfer.objects.filter(pk=transfer.pk).update(**change)
    before = state_of(transfer)
    silence(transfer, days=30)
    watch()
    assert state_of(transfer) is before


def test_transfer_expires_once(drive: Drive) -> None:
    transfer = start(drive, 2 * PART)
    silence(transfer, hours=25)
    watch()
    watch()
    assert AuditEntry.objects.filter(transfer_id=transfer.pk, action="transfer.cancel-ordered").count() == 1


def test_silent_form_is_abandoned(drive: Drive) -> None:
    """After 15 minutes, but not after a failure: its bytes cannot be sent again."""
    form, failed, live = (start(drive, 2 * PART, key, resumable=False) for key in "abc")
    Transfer.objects.filter(pk=failed.pk).update(phase=Phase.FAILED)
    silence(form, minutes=16)
    silence(failed, minutes=16)
    silence(live, minutes=14)
    watch()
    assert state_of(form) is TransferState.CANCELLING
    assert form.error_code == "IncompleteBody"
    assert state_of(failed) is TransferState.FAILED
    assert state_of(live) is TransferState.WAITING_FOR_BROWSER


def test_resumable_transfer_may_be_silent_for_longer_than_a_form(drive: Drive) -> None:
    transfer = start(drive, 2 * PART)
    silence(transfer, hours=23)
    watch()
    assert state_of(transfer) is TransferState.WAITING_FOR_BROWSER


# --- The sender releases reserved bytes -------------------------------------------------------------------------------


def test_sent_part_is_released_if_its_worker_died(drive: Drive) -> None:
    transfer = start(drive, 2 * PART)
    receive(transfer, bytes(2 * PART))
    Part.objects.filter(transfer=transfer, number=1).update(state=PartState.SENT, sent_at=timezone.now())
    release_left_bytes()
    assert staged_names(transfer) == ["00001", "00002"]  # The worker that sent it may be about to release it.
    Part.objects.filter(transfer=transfer, number=1).update(sent_at=timezone.now() - timedelta(minutes=2))
    release_left_bytes()
    assert staged_names(transfer) == ["00002"]
    assert quota.reserved_bytes(NODE) == PART


def test_ended_transfer_is_released_if_its_worker_died(drive: Drive) -> None:
    transfer = start(drive, 2 * PART)
    receive(transfer, bytes(2 * PART))
    Transfer.objects.update(phase=Phase.CANCELLED, release_at=timezone.now())
    release_left_bytes()
    assert staged_names(transfer) == []
    assert (quota.reserved_bytes(NODE), Transfer.objects.get().release_at) == (0, None)


def test_bytes_of_another_node_are_left_to_its_worker(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    """The round of any node finds them, and has the node remove them, unless its worker does not run."""
    transfer = start(drive, 2 * PART)
    receive(transfer, bytes(2 * PART))
    Transfer.objects.filter(pk=transfer.pk).update(node="elsewhere")
    Part.objects.filter(transfer=transfer).update(state=PartState.SENT, sent_at=timezone.now() - timedelta(hours=1))
    sent: list[tuple[Any, ...]] = []
    monkeypatch.setattr(queue, "_publish", lambda *message: sent.append(message[:3]))
    watch()
    assert ("release_left_bytes", ["elsewhere"], "node.elsewhere.steps") in sent
    sent.clear()
    monkeypatch.setattr(broker, "is_served", lambda *_: False)
    watch()
    release_left_bytes()
    assert sent == []
    assert staged_names(transfer) == ["00001", "00002"]
    assert quota.reserved_bytes("elsewhere") == 2 * PART


# --- Sweeping ---------------------------------------------------------------------------------------------------------


def test_missing_staging_folder_is_not_created(transactional_db: None, staging: Path) -> None:
    sweep_staging()
    assert not staging.exists()


def test_folder_without_a_transfer_is_removed(drive: Drive, staging: Path) -> None:
    stray = staging / str(uuid.uuid4())
    stray.mkdir(parents=True)
    (stray / "00001").write_bytes(b"x")
    (stray / "00002.partial").write_bytes(b"x")
    sweep_staging()
    assert not stray.exists()


@pytest.mark.parametrize("phase", [Phase.DONE, Phase.CANCELLED])
def test_folder_of_an_ended_transfer_is_removed_and_its_bytes_are_released(drive: Drive, phase: Phase) -> None:
    transfer = start(drive, 9)
    receive(transfer, bytes(9))
    Transfer.objects.filter(pk=transfer.pk).update(phase=phase)
    sweep_staging()
    assert not transfer.folder.exists()
    assert quota.reserved_bytes(NODE) == 0


@pytest.mark.parametrize(
    "look",
    [
        pytest.param(lambda _: sweep_staging(), id="sweep"),
        pytest.param(settle_missing_files, id="missing files"),
        pytest.param(quota._reclaim, id="reclaim"),
        pytest.param(lambda transfer: receive(transfer, bytes(9)), id="receive"),
    ],
)
def test_transfer_that_ends_while_its_folder_is_looked_at_leaves_nothing(
    drive: Drive, staging: Path, monkeypatch: pytest.MonkeyPatch, look: Callable[[Transfer], object]
) -> None:
    """The lock of the writer creates the folder again that the end of the transfer has removed"""
    transfer = start(drive, 9)
    receive(transfer, bytes(9), 5)
    make = StagingFolder.make

    def end_first(folder: StagingFolder) -> None:
        Transfer.objects.filter(pk=transfer.pk).update(phase=Phase.DONE)
        quota.release_all(transfer)
        make(folder)

    monkeypatch.setattr(StagingFolder, "make", end_first)
    with suppress(ReceivingStopped):
        look(transfer)
    assert not transfer.folder.exists()


def test_files_without_the_name_of_a_transfer_stay(drive: Drive, staging: Path) -> None:
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


def test_bad_folder_does_not_stop_the_sweep(drive: Drive, staging: Path) -> None:
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


def test_stray_files_of_a_transfer_in_progress_are_removed(drive: Drive) -> None:
    content = os.urandom(3 * PART)
    transfer = start(drive, 3 * PART)
    receive(transfer, content, PART + 9)
    Part.objects.filter(transfer=transfer, number=1).update(state=PartState.SENT)
    folder = transfer.folder
    folder.partial(1).write_bytes(b"left from before the part was complete")
    Part.objects.filter(transfer=transfer, number=3).delete()
    folder.partial(3).write_bytes(b"without a row, no bytes are reserved")
    (folder.path / "odd.partial").write_bytes(b"not ours")
    sweep_staging()
    assert staged_names(transfer) == ["00002.partial"]
    assert Part.objects.get(transfer=transfer, number=1).reserved_bytes == 0
    assert offset_of(transfer) == PART + 9
    assert (folder.path / "odd.partial").exists()


def test_unverified_bytes_of_a_body_with_a_checksum_are_removed(drive: Drive) -> None:
    content = os.urandom(3 * PART)
    transfer = start(drive, 3 * PART)
    receive(transfer, content, 9)
    transfer.folder.mark_unverified(9)
    with transfer.folder.partial(1).open("ab") as file:
        file.write(bytes(100))
    sweep_staging()
    assert transfer.folder.partial(1).read_bytes() == content[:9]
    assert transfer.folder.unverified_from() is None


@pytest.mark.parametrize("renamed", [False, True])
def test_complete_parts_are_recovered_and_sent(drive: Drive, read_object: Reader, renamed: bool) -> None:
    content = os.urandom(2 * PART)
    transfer = start(drive, 2 * PART)
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


def test_complete_file_is_recovered_and_sent(drive: Drive, read_object: Reader) -> None:
    content = os.urandom(PART + 9)
    transfer = start(drive, PART + 9)
    receive(transfer, content)
    Transfer.objects.filter(pk=transfer.pk).update(all_received=False)
    Part.objects.filter(transfer=transfer, number=2).update(state=PartState.WAITING)
    sweep_staging()
    transfer.refresh_from_db()
    assert transfer.all_received
    assert drive.finish(transfer).phase == Phase.DONE
    assert read_object("a/key") == content


def test_empty_file_that_exceeds_the_quota_does_not_stop_the_sweep(
    drive: Drive, settings: Settings, monkeypatch: pytest.MonkeyPatch, staging: Path
) -> None:
    transfer = start(drive, 0)
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


def test_transfer_that_is_being_received_is_not_swept(drive: Drive) -> None:
    transfer = start(drive, 2 * PART)
    with Receiver(transfer) as receiver:
        receiver.write(bytes(9))
        transfer.folder.partial(2).write_bytes(b"stray")
        sweep_staging()
        assert transfer.folder.partial(2).exists()
        receiver.end()


def test_paused_transfer_and_form_keep_their_bytes(drive: Drive, user: User) -> None:
    paused = start(drive, 2 * PART, "a")
    receive(paused, bytes(2 * PART), 9)
    request_pause(user, paused)
    form = start(drive, 9, "b", resumable=False)
    drive.receive(form, bytes(9))
    sweep_staging()
    assert staged_names(paused) == ["00001.partial"]
    assert staged_names(form) == ["00001"]
    assert state_of(paused) is TransferState.PAUSED
