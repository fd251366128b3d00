"""Nodes: a name and a disk belong together, and a node that does not report is silent."""

from __future__ import annotations

import shutil
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django import Settings

from dashboard.site.server import _start_node
from tests.services.drive import Drive
from uploads.domain.states import PartState, Phase, TransferState
from uploads.models import Part, StagingNode, Transfer
from uploads.models.node import silent_nodes
from uploads.models.transfer import StagedElsewhere
from uploads.selectors.transfers import SelectedFile, find_known, progress_of
from uploads.services.staging import nodes
from uploads.services.staging.nodes import NodeConflict
from uploads.services.transfers.cancel import cancel_transfer
from uploads.services.transfers.dispatch import dispatch
from uploads.services.transfers.send import send_part
from uploads.services.transfers.steps import request_cancel
from uploads.services.upkeep.cleanup import remove_staged, sweep_staging
from uploads.services.upkeep.pulse import Pulse

NODE = "test-node"


def silence(name: str = NODE, **ago: float) -> None:
    heard = timezone.now() - timedelta(**(ago or {"hours": 1}))
    StagingNode.objects.update_or_create(name=name, defaults={"heard_at": heard, "sender_heard_at": heard})


def node() -> StagingNode:
    return StagingNode.objects.get(name=NODE)


@pytest.fixture
def on_other_node(drive: Drive, settings: Settings, staging: Path) -> Transfer:
    """A transfer with one staged part on the node `other`; this process is another node with its own disk."""
    settings.NODE_NAME, settings.STAGING_DIR = "other", staging.parent / "other"
    transfer = drive.upload(b"x" * 100, resumable=True, fingerprint="f")
    settings.NODE_NAME, settings.STAGING_DIR = NODE, staging
    return transfer


# --- Name and disk ----------------------------------------------------------------------------------------------------


def test_disk_keeps_its_id_and_the_row_has_it(db: None, staging: Path) -> None:
    nodes.claim()
    first = node().disk_id
    nodes.claim()
    assert first == node().disk_id == (staging / nodes.ID_FILE).read_text()
    sweep_staging()
    assert [path.name for path in staging.iterdir()] == [nodes.ID_FILE]


def test_second_node_with_the_same_name_is_refused_while_the_first_is_heard(db: None, staging: Path) -> None:
    nodes.claim()
    shutil.rmtree(staging)
    with pytest.raises(NodeConflict, match="NodeNameTaken"):
        nodes.claim()
    silence()
    nodes.claim()


def test_node_that_has_lost_its_name_to_another_disk_stops(db: None, staging: Path, settings: Settings) -> None:
    nodes.claim()
    silence()
    settings.STAGING_DIR = staging.parent / "another"
    nodes.claim()
    settings.STAGING_DIR = staging
    with pytest.raises(NodeConflict):
        nodes.beat(is_sender=True)


def test_disk_of_another_name_is_refused_while_that_name_has_transfers(drive: Drive, settings: Settings) -> None:
    nodes.claim()
    transfer = drive.upload(b"x")
    silence()
    settings.NODE_NAME = "renamed"
    with pytest.raises(NodeConflict, match=f"DiskOfOtherNode .*other={NODE} name=renamed"):
        nodes.claim()
    Transfer.objects.filter(pk=transfer.pk).update(phase=Phase.DONE)
    nodes.claim()
    assert node().disk_id == ""


def test_folder_of_another_nodes_transfer_stays(on_other_node: Transfer, staging: Path) -> None:
    folder = staging / str(on_other_node.pk)
    folder.mkdir(parents=True)
    (folder / "00001").write_bytes(b"x" * 100)
    sweep_staging()
    assert (folder / "00001").exists()


def test_staging_that_could_not_be_swept_at_the_start_is_swept_later(transactional_db: None, staging: Path) -> None:
    staging.touch()  # A file in place of the folder: the disk cannot be used.
    pulse = _start_node()
    pulse.beat()
    staging.unlink()
    stray = staging / str(uuid.uuid4())
    stray.mkdir(parents=True)
    pulse.beat()
    assert not stray.exists()
    stray.mkdir()
    pulse.beat()
    assert stray.exists(), "it was swept already"


# --- Silent nodes -----------------------------------------------------------------------------------------------------


def test_only_the_sender_keeps_a_node_from_being_silent(db: None) -> None:
    nodes.claim()
    silence()
    Pulse(is_sender=False).beat()
    assert list(silent_nodes()) == [NODE]
    Pulse(is_sender=True).beat()
    assert silent_nodes() == {}


def test_nothing_is_enqueued_for_a_silent_node_until_it_is_heard_again(drive: Drive) -> None:
    nodes.claim()
    transfer = drive.upload(b"x" * 100)
    Part.objects.update(queued_at=None)
    silence()
    dispatch(transfer.pk)
    assert transfer.parts.get().queued_at is None
    Pulse(is_sender=True).beat()
    assert transfer.parts.get().queued_at is not None


def test_transfer_of_a_silent_node_waits_for_the_node(on_other_node: Transfer) -> None:
    silence("other")
    transfer = Transfer.objects.get(pk=on_other_node.pk)
    progress = progress_of([transfer])[transfer.pk]
    assert (transfer.state, progress.send_rate) == (TransferState.WAITING_FOR_NODE, None)


def test_file_of_a_silent_node_is_not_offered_for_resuming(drive: Drive, on_other_node: Transfer) -> None:

    selected = [SelectedFile(on_other_node.key, on_other_node.size, "f")]
    assert len(find_known(drive.user, drive.store, drive.bucket, selected)) == 1
    silence("other")
    assert find_known(drive.user, drive.store, drive.bucket, selected) == []


# --- Another node's disk ----------------------------------------------------------------------------------------------


def test_no_process_looks_at_the_disk_of_another_node(on_other_node: Transfer) -> None:
    with pytest.raises(StagedElsewhere):
        _ = on_other_node.folder


def test_transfer_is_cancelled_on_another_node_and_its_own_removes_the_bytes(
    drive: Drive, on_other_node: Transfer, settings: Settings, staging: Path
) -> None:
    silence("other")
    request_cancel(drive.user, on_other_node)
    cancel_transfer(on_other_node.pk)
    on_other_node.refresh_from_db()
    assert on_other_node.phase == Phase.CANCELLED
    assert on_other_node.parts.get().reserved_bytes == 100
    settings.NODE_NAME, settings.STAGING_DIR = "other", staging.parent / "other"
    assert on_other_node.folder.exists()
    remove_staged(on_other_node.pk)
    assert not on_other_node.folder.exists()
    assert on_other_node.parts.get().reserved_bytes == 0


def test_part_of_another_node_is_not_sent_from_here(on_other_node: Transfer) -> None:

    Transfer.objects.update(phase=Phase.SENDING)
    send_part(on_other_node.parts.get().pk)
    assert on_other_node.parts.get().state == PartState.STAGED
