"""Staged parts whose files are gone: the browser sends them again, or the transfer fails and says so."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_django import Settings

from dashboard.shared.messages import error_text
from tests.services.drive import MIB, Drive
from uploads.domain.states import PartState, Phase
from uploads.models import AuditEntry, Part, Transfer
from uploads.services.staging import nodes, quota
from uploads.services.transfers.missing_files import is_still_staged
from uploads.services.transfers.receive import Receiver
from uploads.services.transfers.send import send_part
from uploads.services.transfers.start import offset_of
from uploads.services.transfers.steps import can_retry, request_retry
from uploads.services.upkeep.cleanup import sweep_staging

PART = 5 * MIB
CONTENT = bytes(range(256)) * (3 * PART // 256)


def states(transfer: Transfer) -> list[str]:
    return list(transfer.parts.order_by("number").values_list("state", flat=True))


@pytest.fixture
def resumable(drive: Drive) -> Transfer:
    return drive.upload(CONTENT, part_size=PART, resumable=True, fingerprint="f")


@pytest.fixture
def form(drive: Drive) -> Transfer:
    return drive.upload(CONTENT, part_size=PART)


def receive_rest(transfer: Transfer) -> None:

    with Receiver(transfer) as receiver:
        receiver.write(CONTENT[receiver.offset :])
        receiver.end()


def test_empty_disk_has_the_file_sent_again_from_the_first_lost_part(
    drive: Drive, resumable: Transfer, staging: Path, read_object: Callable[[str], bytes]
) -> None:
    drive.send(resumable, parts=1)
    Part.objects.filter(transfer=resumable, number=3).update(state=PartState.SENDING)
    Part.objects.filter(transfer=resumable, number=3).update(state=PartState.SENT, etag="e")
    shutil.rmtree(staging)
    sweep_staging()
    resumable.refresh_from_db()
    assert states(resumable) == ["sent", "waiting", "waiting"]
    assert (resumable.phase, resumable.all_received, offset_of(resumable)) == (Phase.SENDING, False, PART)
    assert quota.reserved_bytes("test-node") == 0
    assert resumable.error is not None
    assert error_text(resumable.error) == (
        "The staged bytes of part 2 are lost: the disk of the node test-node does not have them any more."
    )
    assert AuditEntry.objects.filter(transfer_id=resumable.pk, action="transfer.bytes-lost").count() == 1
    receive_rest(resumable)
    assert drive.finish(resumable).phase == Phase.DONE
    assert read_object("a/key") == CONTENT


def test_empty_disk_fails_a_file_that_cannot_be_sent_again(form: Transfer, staging: Path) -> None:
    shutil.rmtree(staging)
    sweep_staging()
    form.refresh_from_db()
    assert (form.phase, form.error_code, form.error_reason) == (Phase.FAILED, "BytesGone", "StagedBytesLost")
    assert quota.reserved_bytes("test-node") == 0
    assert not can_retry(form)


def test_another_node_knows_that_the_bytes_are_lost(form: Transfer, staging: Path, settings: Settings) -> None:
    shutil.rmtree(staging)
    sweep_staging()
    form.refresh_from_db()
    settings.NODE_NAME = "another"
    assert not can_retry(form)


def test_another_node_does_not_take_its_own_disk_for_that_of_the_transfer(
    form: Transfer, staging: Path, settings: Settings
) -> None:
    Transfer.objects.filter(pk=form.pk).update(phase=Phase.FAILED)
    form.refresh_from_db()
    settings.NODE_NAME, settings.STAGING_DIR = "another", staging / "empty"
    assert can_retry(form)


def test_failed_transfer_can_be_retried_if_its_file_can_be_sent_again(
    drive: Drive, resumable: Transfer, staging: Path
) -> None:
    drive.send(resumable, parts=1)
    fields = {"phase": Phase.FAILED, "error_code": "AccessDenied", "error_reason": "permission"}
    Transfer.objects.filter(pk=resumable.pk).update(**fields)
    shutil.rmtree(staging)
    sweep_staging()
    resumable.refresh_from_db()
    assert (resumable.phase, resumable.error_reason) == (Phase.FAILED, "permission")
    assert resumable.error is not None
    assert [each.code for each in resumable.error.details] == ["StagedBytesLost"]
    assert can_retry(resumable)
    request_retry(drive.user, resumable)
    receive_rest(resumable)
    assert drive.finish(resumable).phase == Phase.DONE


def test_part_whose_file_is_missing_is_found_when_it_is_sent(drive: Drive, resumable: Transfer) -> None:
    drive.send(resumable, parts=1)
    resumable.folder.whole(2).unlink()
    send_part(resumable.parts.get(number=2).pk)
    resumable.refresh_from_db()
    assert states(resumable) == ["sent", "waiting", "waiting"]
    receive_rest(resumable)
    assert drive.finish(resumable).phase == Phase.DONE


def test_missing_part_waits_while_bytes_arrive(drive: Drive, resumable: Transfer) -> None:
    drive.send(resumable, parts=1)
    part = resumable.parts.get(number=2)
    resumable.folder.whole(2).unlink()
    with resumable.folder.writer():
        send_part(part.pk)
    part.refresh_from_db()
    assert (part.state, part.tries) == (PartState.STAGED, 0)
    assert part.not_before is not None


def test_partial_bytes_of_an_empty_disk_are_not_reserved(drive: Drive, staging: Path) -> None:
    transfer = drive.start(3 * PART, part_size=PART, resumable=True)

    with Receiver(transfer) as receiver:
        receiver.write(CONTENT[: PART // 2])
        receiver.end()
    assert quota.reserved_bytes("test-node") > 0
    shutil.rmtree(staging)
    sweep_staging()
    assert quota.reserved_bytes("test-node") == 0
    assert transfer.parts.get(number=1).received == 0


# --- A disk that is not mounted ---------------------------------------------------------------------------------------


@pytest.fixture
def unmounted(drive: Drive, resumable: Transfer, staging: Path) -> Path:
    """The disk of the node, with one part that was sent, is elsewhere: STAGING_DIR is an empty mount point."""
    nodes.claim()
    drive.send(resumable, parts=1)
    disk = staging.rename(staging.with_name("disk"))
    staging.mkdir()
    return disk


def facts(transfer: Transfer) -> list[object]:
    """What a loss of bytes would change."""
    row = Transfer.objects.values_list("phase", "all_received", "error_reason").get(pk=transfer.pk)
    return [*row, *transfer.parts.order_by("number").values_list("state", "received", "reserved_bytes")]


def test_parts_wait_while_the_disk_is_not_mounted(
    drive: Drive, resumable: Transfer, staging: Path, unmounted: Path, read_object: Callable[[str], bytes]
) -> None:
    before = facts(resumable)
    send_part(resumable.parts.get(number=2).pk)
    part = resumable.parts.get(number=2)
    assert facts(resumable) == before
    assert (part.error_reason, part.tries, part.not_before is not None) == ("DiskNotHere", 0, True)
    assert list(staging.iterdir()) == []
    staging.rmdir()
    unmounted.rename(staging)
    assert drive.finish(resumable).phase == Phase.DONE
    assert resumable.parts.get(number=2).error_reason == ""
    assert read_object("a/key") == CONTENT


def test_nothing_is_lost_on_the_disk_of_another_node(resumable: Transfer, staging: Path, unmounted: Path) -> None:
    (staging / nodes.ID_FILE).write_text("another")
    before = facts(resumable)
    sweep_staging()
    send_part(resumable.parts.get(number=2).pk)
    assert facts(resumable) == before
    assert [path.name for path in staging.iterdir()] == [nodes.ID_FILE]


@pytest.mark.usefixtures("unmounted")
def test_part_counts_as_staged_by_the_database_while_the_disk_is_not_mounted(resumable: Transfer) -> None:
    assert [is_still_staged(part) for part in resumable.parts.order_by("number")] == [False, True, True]
