"""`manage.py reconcile` finds differences between database, staging and stores, and repairs them."""

from __future__ import annotations

import os
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from tests.services.drive import MIB, Drive
from uploads.domain.states import PartState, Phase, StoreUploadState
from uploads.models import Part, StoreUpload, Transfer
from uploads.objectstore.client import ObjectStoreClient
from uploads.services.staging import nodes, quota
from uploads.services.transfers.create import drop_late_upload
from uploads.services.upkeep.watchdog import watch

PART = 5 * MIB


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and output of the command."""
    output = StringIO()
    try:
        call_command("reconcile", *arguments, stdout=output)
    except SystemExit as ended:
        return int(str(ended.code)), output.getvalue()
    return 0, output.getvalue()


def uploads_in(client: ObjectStoreClient, bucket: str) -> list[str]:
    return [each.upload_id for page in client.iter_multipart_uploads(bucket) for each in page.uploads]


def test_nothing_is_found_if_everything_agrees(drive: Drive) -> None:
    drive.finish(drive.upload(os.urandom(2 * PART), part_size=PART))
    half = drive.upload(os.urandom(2 * PART), "b", part_size=PART)
    drive.send(half, parts=1)
    assert run() == (0, "Everything agrees.\n")


def test_dry_run_reports_and_changes_nothing(drive: Drive, client: ObjectStoreClient) -> None:
    transfer = drive.upload(os.urandom(2 * PART), part_size=PART)
    drive.send(transfer, parts=1)
    Transfer.objects.update(phase=Phase.CANCELLED)
    code, output = run("--dry-run")
    assert code == 1
    assert "is open, although transfer" in output
    assert "Would be repaired" in output
    assert len(uploads_in(client, drive.bucket)) == 1
    assert transfer.folder.exists()


def test_open_upload_of_an_ended_transfer_is_aborted(drive: Drive, client: ObjectStoreClient) -> None:
    transfer = drive.upload(os.urandom(2 * PART), part_size=PART)
    drive.send(transfer, parts=1)
    Transfer.objects.update(phase=Phase.CANCELLED)
    code, output = run()
    assert code == 0, output
    assert uploads_in(client, drive.bucket) == []
    assert transfer.store_uploads.get().state == StoreUploadState.GONE
    assert not transfer.folder.exists()
    assert quota.reserved_bytes("test-node") == 0
    assert run() == (0, "Everything agrees.\n")


def test_created_upload_without_a_known_id_is_aborted_after_the_end(drive: Drive, client: ObjectStoreClient) -> None:
    transfer = drive.upload(os.urandom(2 * PART), part_size=PART)
    Transfer.objects.update(phase=Phase.FAILED, create_sent_at=timezone.now())
    client.create_multipart_upload(drive.bucket, transfer.key)
    code, output = run()
    assert code == 0, output
    assert uploads_in(client, drive.bucket) == []


def test_possible_orphan_is_reported_until_it_is_gone(drive: Drive, client: ObjectStoreClient) -> None:
    transfer = drive.upload(os.urandom(2 * PART), part_size=PART)
    upload_id = client.create_multipart_upload(drive.bucket, transfer.key)
    suspect = StoreUpload.objects.create(transfer=transfer, upload_id=upload_id, state=StoreUploadState.SUSPECT)
    code, output = run()
    assert code == 1
    assert f"may be an orphan of transfer {transfer.pk}" in output
    client.abort_multipart_upload(drive.bucket, transfer.key, upload_id)
    assert run()[0] == 0
    suspect.refresh_from_db()
    assert suspect.state == StoreUploadState.GONE


@pytest.mark.parametrize("still_here", [True, False])
def test_part_that_differs_in_the_store_is_sent_again(drive: Drive, still_here: bool) -> None:
    transfer = drive.upload(os.urandom(2 * PART), part_size=PART)
    kept = transfer.folder.whole(1).read_bytes()
    drive.send(transfer, parts=1)
    Part.objects.filter(transfer=transfer, number=1).update(etag="0" * 32)
    if still_here:
        transfer.folder.whole(1).write_bytes(kept)
    code, output = run()
    assert code == 0, output
    assert "part 1 is not in the store as it was sent" in output
    transfer.refresh_from_db()
    if still_here:
        assert transfer.parts.get(number=1).state == PartState.STAGED
        assert drive.finish(transfer).phase == Phase.DONE
    else:
        assert (transfer.phase, transfer.error_code) == (Phase.FAILED, "BytesGone")
        assert (transfer.error_reason, transfer.error_params) == ("SentPartLost", {"number": 1})


def test_nothing_is_judged_while_the_disk_of_the_node_is_not_mounted(drive: Drive, staging: Path) -> None:
    nodes.claim()
    transfer = drive.upload(os.urandom(2 * PART), part_size=PART)
    staging.rename(staging.with_name("disk"))
    staging.mkdir()
    for arguments in ((), ("--dry-run",)):
        with pytest.raises(CommandError, match="does not have the staging disk of the node “test-node”"):
            run(*arguments)
    transfer.refresh_from_db()
    assert transfer.phase != Phase.FAILED
    assert set(transfer.parts.values_list("state", flat=True)) == {PartState.STAGED}
    assert list(staging.iterdir()) == []


def test_missing_staged_bytes_fail_the_transfer_with_a_reason(drive: Drive) -> None:
    transfer = drive.upload(os.urandom(2 * PART), part_size=PART)
    transfer.folder.whole(2).unlink()
    code, output = run()
    assert code == 0, output
    assert "the staged bytes of part 2 are gone" in output
    transfer.refresh_from_db()
    assert (transfer.phase, transfer.error_code) == (Phase.FAILED, "BytesGone")
    lost = {"node": "test-node", "count": 1, "parts": "2"}
    assert (transfer.error_reason, transfer.error_params) == ("StagedBytesLost", lost)


def test_stray_folders_are_removed(drive: Drive, staging: Path) -> None:
    stray = staging / "00000000-0000-0000-0000-00000000abcd"
    stray.mkdir(parents=True)
    (stray / "00001").write_bytes(b"x")
    assert run()[0] == 0
    assert not stray.exists()


def test_watchdog_aborts_a_late_upload(drive: Drive, client: ObjectStoreClient) -> None:
    """It was created after its transfer had ended, and the store was unreachable when it was to be aborted."""
    transfer = drive.upload(os.urandom(2 * PART), part_size=PART)
    drive.finish(transfer)
    upload_id = client.create_multipart_upload(drive.bucket, transfer.key)
    late = StoreUpload.objects.create(transfer=transfer, upload_id=upload_id)
    StoreUpload.objects.filter(pk=late.pk).update(created_at=timezone.now() - timedelta(hours=1))
    watch()
    drop_late_upload(late.pk)
    late.refresh_from_db()
    assert late.state == StoreUploadState.GONE
    assert uploads_in(client, drive.bucket) == []
